//! What goes in comes out: records, reports fed back, blocks of any size.

use super::*;

#[test]
fn records_have_the_lines_of_the_rows_and_mark_bad_cells() {
    let table =
        open("accountId,note,newAccountId\nA,x,BBBBBB\nA\nA,x,B,C\n\nA,\"1\"x,B\n").unwrap();
    let records: Vec<_> = table.records().unwrap().map(Result::unwrap).collect();
    let lines: Vec<_> = rows_of(&table).iter().map(|row| row.line).collect();
    assert_eq!(
        records.iter().map(|record| record.line).collect::<Vec<_>>(),
        lines
    );
    let cells: Vec<Vec<_>> = records
        .iter()
        .map(|record| record.cells.iter().collect())
        .collect();
    assert_eq!(
        cells,
        [
            vec!["A", "x", "BBBBBB"],
            vec!["A", "#MISSING", "#MISSING"],
            vec!["A", "x", "#EXCESS B,C"],
            vec!["A", "#QUOTE \"1\"x", "B"],
        ]
    );
    assert_eq!(
        records
            .iter()
            .map(|record| record.ragged)
            .collect::<Vec<_>>(),
        [false, true, true, false]
    );
}

/// Writes a table as the reports do: all cells quoted and defused, with idshift's own columns at the end.
fn report(table: &Table) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(Vec::new());
    let write = |writer: &mut csv::Writer<Vec<u8>>, cells: &[String], own: &str| {
        let cells = cells.iter().map(|cell| cell::defuse(cell).into_owned());
        writer.write_record(cells.chain([own.to_owned()])).unwrap();
    };
    write(&mut writer, table.header(), "idshift_status");
    for record in table.records().unwrap() {
        let cells = record.unwrap().cells;
        write(&mut writer, &cells, "failed");
    }
    writer.into_inner().unwrap()
}

#[test]
fn failures_used_as_input_request_only_the_same_changes() {
    let accepting = Rules {
        accept: Accept::parse("escaped_value,formula").unwrap(),
        ..plume()
    };
    let open = |bytes: Vec<u8>| open_with(bytes, &Settings::default(), &accepting);
    let first = open(
        b"accountId,newAccountId,=x\n'=A1,-B0001,@y\nA-2\n\"A-3\"x,B-0003,\nA-4,B-0004,a,b\n"
            .to_vec(),
    )
    .unwrap();
    let second = open(report(&first)).unwrap();
    assert_eq!(second.header(), first.header());
    let rows = rows_of(&second);
    let change = rows[0].change.as_ref().unwrap();
    assert_eq!(change.account.as_ref().unwrap().as_str(), "'=A1");
    assert_eq!(change.new_account.id().unwrap().as_str(), "-B0001");
    for row in &rows[1..] {
        assert_eq!(row.change, None);
        assert_eq!(row.problems[0].code, "unmended");
    }
    assert_eq!(report(&second), report(&first), "twice fed is stable");
}

/// A cell of any sort; the last alternative is plain text, so that most rows are good.
fn any_cell() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{1,8}",
        "[a\", ;\r\n'=#.\u{e4}\u{feff}]{0,6}",
        Just("\"".to_owned()),
        "[A-Z]{2}-[0-9]{4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn written_cells_are_read_back_with_any_block_size(
        lines in proptest::collection::vec((any_cell(), any_cell(), any_cell()), 1..20),
        block in 1_usize..200,
        crlf: bool,
        always: bool,
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record(["accountId", "newAccountId", "note"]).unwrap();
        for (a, b, c) in &lines {
            writer.write_record([a, b, c]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let table = open(&bytes).unwrap();
        let whole = rows_of(&table);
        let found: Vec<_> = table.records().unwrap().map(Result::unwrap).map(|record| {
            (record.cells[0].clone(), record.cells[1].clone(), record.cells[2].clone())
        }).collect();
        let is_blank = |cell: &String| cell.trim().is_empty();
        let blank = |(a, b, c): &&(String, String, String)| ![a, b, c].into_iter().all(is_blank);
        let expected: Vec<_> = lines.iter().filter(blank).cloned().collect();
        prop_assert_eq!(&found, &expected);
        let small = table.with_block_bytes(block);
        prop_assert_eq!(rows_of(&small), whole);
        // The report, read as an input, requests the same.
        let again = rows_of(&open(report(&small)).unwrap());
        let asked = rows_of(&small);
        prop_assert_eq!(again.len(), asked.len());
        for (again, asked) in again.iter().zip(&asked) {
            let line = |change: &crate::domain::Change| crate::domain::Change { line: 0, ..change.clone() };
            if asked.change.is_some() {
                prop_assert_eq!(again.change.as_ref().map(line), asked.change.as_ref().map(line));
            }
        }
    }

    #[test]
    fn blocks_of_any_size_give_the_same_records_as_the_csv_crate(
        body in "[ab,\"\r\n]{0,120}",
        block in 1_usize..60,
    ) {
        let text = format!("accountId,newAccountId\na,b\n{body}");
        let table = open(&text).unwrap().with_block_bytes(block);
        let mut plain = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let expected: Vec<csv::StringRecord> = plain
            .records()
            .map(Result::unwrap)
            .filter(|record| record.iter().any(|cell| !cell.trim().is_empty()))
            .collect();
        let found: Result<Vec<_>, _> = table.records().unwrap().collect();
        let Ok(found) = found else {
            // Only an open quote is an error here.
            prop_assert!(text.contains('"'));
            return Ok(());
        };
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert_eq!(found.ragged, expected.len() != 2);
            let marked = found.cells.iter().any(|text| cell::is_mark(text));
            prop_assert!(marked || found.cells.iter().eq(expected.iter()), "{found:?} {expected:?}");
        }
        // Each record begins on the line that an editor counts.
        let unified = text.replace("\r\n", "\n").replace('\r', "\n");
        let starts: Vec<&str> = unified.split('\n').collect();
        for record in &found {
            let first = record.cells[0].split(['\r', '\n']).next().unwrap_or_default();
            let line = starts[record.line as usize - 1];
            prop_assert!(line.contains(first) || cell::is_mark(&record.cells[0]) || line.contains('"'));
            prop_assert!(!line.is_empty());
        }
    }

    #[test]
    fn random_bytes_cause_no_panic(bytes: Vec<u8>, head: bool, block in 1_usize..40) {
        let bytes = if head { [b"accountId,newAccountId\n", &bytes[..]].concat() } else { bytes };
        if let Ok(table) = open(&bytes) {
            let table = table.with_block_bytes(block);
            let rows = table.rows().unwrap().flatten().count();
            let records = table.records().unwrap().flatten().count();
            prop_assert_eq!(rows, records);
        }
    }
}
