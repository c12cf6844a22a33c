//! Damaged files of every class, in several languages and separators, and the severity of each line.

use super::*;
use Severity::{Blocking, Error, Warning};
use std::fmt::Write as _;

type Found = Vec<(u32, Severity, &'static str)>;

pub(super) fn errors(lines: std::ops::RangeInclusive<u32>, code: &'static str) -> Found {
    lines.map(|line| (line, Error, code)).collect()
}

/// Returns a header with these lines below it.
pub(super) fn below(header: &str, lines: impl Iterator<Item = String>) -> String {
    lines.fold(format!("{header}\n"), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    })
}

pub(super) fn check(cases: Vec<(&str, String, Found)>) {
    for (name, text, expected) in cases {
        assert_eq!(judged(&text, &plume()), expected, "{name}:\n{text}");
    }
}

#[test]
fn lines_that_a_stray_quote_swallows_block_the_file() {
    let blocked = |line| vec![(line, Blocking, "quoted_lines")];
    check(vec![
        (
            "in the last column",
            "accountId,newAccountId,note\nA-1001,BB-2001,\"12 inch\nA-1002,BB-2002,x\nA-1003,BB-2003,x\nA-1004,BB-2004,14 inch\"\nA-1005,BB-2005,x\n".into(),
            blocked(2),
        ),
        (
            "in the middle, so that the last line's ID would go to the first",
            "accountId;note;newAccountId\r\n1001;x;200001\r\n1002;\"12 inch;200002\r\n1003;x;200003\r\n1004;14\";200004\r\n1005;x;200005\r\n".into(),
            blocked(3),
        ),
        (
            "of UUIDs, tab, one line",
            "customerId\tnewAccountId\tnote\n3f2a91bc-0000-4000-8000-00000000000a\tBB-0001\t\"x\nabcdef01-1111-4111-8111-0000000000bb\tBB-0002\ty\"\n".into(),
            blocked(2),
        ),
        (
            "a note before the key is none",
            "note,accountId,newAccountId\n\"two\nlines\",A-1001,BB-2001\n\"two\nmore, lines\",A-1002,BB-2002\n".into(),
            vec![],
        ),
        (
            "an address is none",
            "accountId,newAccountId,address\nA-1001,BB-2001,\"Main St 1\nSuite 2, Berlin, DE\"\nA-1002,BB-2002,\"10115, Berlin, DE\nx\"\n".into(),
            vec![],
        ),
    ]);
}

#[test]
fn repeated_headers_rulers_footers_and_preambles_are_errors() {
    check(vec![
        (
            "another order",
            "accountId,newAccountId\nA-1001,BB-2001\nA-1002,BB-2002\nnewAccountId,accountId\nBB-2003,A-1003\nBB-2004,A-1004\n".into(),
            vec![(4, Error, "header_again")],
        ),
        (
            "another spelling",
            "accountId;newAccountId\nA-1001;BB-2001\nACCOUNT_ID;New Account-ID\nA-1002;BB-2002\n".into(),
            vec![(3, Error, "header_again")],
        ),
        (
            "more columns",
            "accountId;newAccountId\nA-1001;BB-2001\nnewAccountId;accountId;note\n".into(),
            vec![(3, Error, "header_again")],
        ),
        (
            "another delimiter",
            "accountId,newAccountId\nA-1001,BB-2001\n\nNew_Account_ID;Account ID\nBB-2002;A-1002\n".into(),
            vec![(4, Error, "header_again"), (5, Error, "ragged")],
        ),
        (
            "ruler",
            "accountId,newAccountId\n---------,------------\nA-1001,B-200001\n".into(),
            vec![(2, Error, "ruler")],
        ),
        (
            "ruler of a table",
            "accountId|newAccountId\n=========+\u{2500}|============\nA-1001|B-200001\n".into(),
            vec![(2, Error, "ruler")],
        ),
        (
            "count",
            "accountId,newAccountId\nA-1001,B-200001\nA-1002,B-200002\nTotal,2\n".into(),
            vec![(4, Error, "footer"), (4, Warning, "short_account")],
        ),
        (
            "sum in German",
            "accountId;newAccountId;note\nA-1001;B-200001;x\nA-1002;B-200002;x\nSumme;;2\n".into(),
            vec![(4, Error, "footer"), (4, Warning, "asks_nothing")],
        ),
        (
            "the number of lines, and a word",
            "accountId,newAccountId\nA-1001,B-200001\nA-1002,B-200002\n2 Zeilen,\n".into(),
            vec![(4, Error, "footer"), (4, Warning, "asks_nothing")],
        ),
        (
            "the number of lines in any language",
            "accountId;newAccountId\nA-1001;B-200001\nA-1002;B-200002\nYhteisluku;2\n".into(),
            vec![(4, Error, "footer"), (4, Warning, "short_account")],
        ),
    ]);
    let error = |text: &str| open(text).map(|_| ()).unwrap_err();
    let found = error(
        "Kundenliste Stand 01.09.2026\nErsteller: Export\naccountId;newAccountId\nA-1001;B-200001\n",
    );
    assert_eq!(found.code(), "no_header");
    assert!(
        found.to_string().contains("line 3 looks like the header"),
        "{found}"
    );
    assert!(found.help().contains("--skip-rows 2"), "{}", found.help());
    let found = error("# exported\naccountId\tnewAccountId\nA-1001\tB-200001\n");
    assert!(found.help().contains("--skip-rows 1"), "{}", found.help());
    let skipping = Settings {
        skip_rows: 2,
        ..Settings::default()
    };
    let text = "Kundenliste\n\"x\"y\naccountId;newAccountId\nA-1001;B-200001\n";
    let table = open_with(text, &skipping, &plume()).unwrap();
    assert_eq!(
        moves(&rows_of(&table)),
        [(4, "A-1001".into(), "B-200001".into())]
    );
}

#[test]
fn repeated_footers_and_footers_with_text_are_recognised() {
    for (foot, expected) in [
        ("Total,60\nTotal,60\n", &[4, 5][..]),
        ("Total,60\nPrinted by,Anne Smith\n", &[4, 5]),
        ("Exported 2026-01-01,by Anne\n", &[4]),
        ("Summe,60\nErstellt am 27.11.2026,M\u{fc}ller\n", &[4, 5]),
    ] {
        let text = format!("accountId,newAccountId\nA-1001,B-200001\nA-1002,B-200002\n{foot}");
        let found = judged(&text, &plume());
        for line in expected {
            assert!(found.contains(&(*line, Error, "footer")), "{text}{found:?}");
        }
    }
}

#[test]
fn lines_that_count_or_describe_the_rows_above_are_footers() {
    let lines = "A-1001,B-200001\nA-1002,B-200002\n";
    let german = "A-1001;B-200001;x\nA-1002;B-200002;y\n";
    let footers = |lines: &[u32]| -> Found {
        let errors = lines.iter().map(|line| (*line, Error, "footer"));
        errors.collect()
    };
    let of = |rows: &str, foot: &str| {
        let header = ["accountId,newAccountId", "accountId;newAccountId;note"];
        format!("{}\n{rows}{foot}", header[usize::from(rows.contains(';'))])
    };
    for (rows, foot, expected) in [
        (lines, "(2 rows)\n", &[4][..]),
        (lines, "(2 rows affected)", &[4]),
        (
            lines,
            "\n(2 \u{441}\u{442}\u{440}\u{43e}\u{43a}\u{438})\n",
            &[5],
        ),
        (lines, "2 rows in set (0.01 sec)\n", &[4]),
        (lines, "\nTotal: 2\nExported 2026-01-01\n", &[5, 6]),
        (
            lines,
            "Total: 2\nExported by CRM 4.2 on 2026-01-01\nMuster AG\n",
            &[4, 5, 6],
        ),
        (lines, "Completion time: 2026-01-01T10:00:00+02:00\n", &[4]),
        (german, "(2 Zeilen);;\n", &[4]),
        (german, ";;Summe: 2\n;Stand 01.01.2026;\n", &[4, 5]),
        (german, "\u{418}\u{442}\u{43e}\u{433}\u{43e}: 2\n", &[4]),
        (german, "Anzahl;-;\n", &[4]),
        (german, "-- 2 Datens\u{e4}tze exportiert --;;\n", &[4]),
        (
            german,
            "Total;;\nGenerated at 2026-01-01 by admin;;\nPage 1 of 1;;\n",
            &[4, 5, 6],
        ),
        (lines, "EOF\n", &[4]),
    ] {
        let text = of(rows, foot);
        let found = judged(&text, &plume()).into_iter();
        let errors: Found = found.filter(|(_, how, _)| *how != Warning).collect();
        assert_eq!(errors, footers(expected), "{text}");
    }
    let one = "accountId,newAccountId\nA-1001,B-200001\n(1 row)\n";
    assert_eq!(judged(one, &plume()), footers(&[3]));
    let sums = of(lines, "Exported,2026-01-01\nTotal,2\n");
    let found = judged(&sums, &plume());
    for footer in footers(&[4, 5]) {
        assert!(found.contains(&footer), "{found:?}");
    }
    // A line that stands elsewhere, or is about a customer, is no footer.
    for (rows, foot, expected) in [
        (
            lines,
            "(2 rows)\nA-1003,B-200003\n",
            vec![(4, Error, "ragged")],
        ),
        (lines, "A-1003\n", vec![(4, Error, "ragged")]),
        (lines, "Total 5,B-200003\n", vec![]),
        (lines, "Ende & Sohn,B-200003\n", vec![]),
        (lines, "A-1003 B-200003\n", vec![(4, Error, "ragged")]),
        (lines, "A-1003,\nA-1004,\n", vec![]),
        (lines, "A-1003,(blank)\n", vec![(4, Error, "placeholder")]),
        (lines, "Total,\nA-1003,\n", vec![]),
        (
            "M GmbH,B-200001\nStand AG,B-200002\nK,B-200003\n",
            "Ende & Sohn,\n",
            vec![],
        ),
    ] {
        let text = of(rows, foot);
        let found = judged(&text, &plume()).into_iter();
        let errors: Found = found.filter(|(_, how, _)| *how != Warning).collect();
        assert_eq!(errors, expected, "{text}");
    }
}

#[test]
fn truncated_file_is_blocked() {
    let cut = |line| vec![(line, Blocking, "cut_off")];
    check(vec![
        (
            "value",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-0020002\nA-1003,CRM-00".into(),
            cut(4),
        ),
        (
            "empty",
            "accountId;newAccountId\r\nA-1001;200001\r\nA-1002;200002\r\nA-1003;".into(),
            { vec![(4, Blocking, "cut_off"), (4, Warning, "asks_nothing")] },
        ),
        (
            "no break at the end",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-0020002\nA-1003,CRM-0020003"
                .into(),
            vec![],
        ),
        (
            "lengths that vary",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-020002\nA-1003,CRM-00003"
                .into(),
            vec![],
        ),
        (
            "a break at the end",
            "accountId,newAccountId\nA-1001,CRM-0020001\nA-1002,CRM-0020002\nA-1003,CRM-00\n"
                .into(),
            vec![],
        ),
    ]);
}

#[test]
fn misspelled_column_name_rejects_the_file() {
    let error = |text: &str| open(text).map(|_| ()).unwrap_err();
    let found = error("accountId,newAccountId\u{200b},serviceId\nA-1001,B-200001,S1\n");
    assert!(
        found.to_string().contains("U+200B (ZERO WIDTH SPACE)"),
        "{found}"
    );
    let found = error("accountId,newAcountId,serviceId\nA-1001,B-200001,S1\n");
    assert!(
        found.to_string().contains("is newAccountId meant?"),
        "{found}"
    );
    assert_eq!(found.problems()[0].line, 1);
    let found = error("acountId;newAcountId;serviceIds;Customer;customerNo\nA;B-200001;S;x;y\n");
    let names = ["acountId", "newAcountId", "serviceIds"];
    for name in names {
        assert!(found.to_string().contains(&format!("`{name}`")), "{found}");
        let map = format!("={name}' or --carry '{name}'");
        assert!(found.help().contains(&map), "{}", found.help());
    }
    let columns: Vec<String> = found.problems().into_iter().map(|one| one.column).collect();
    assert_eq!(columns, names, "all of them, each as a problem");
    for text in [
        "accountIds;customerId;newAccountId\nA;C-1;B-200001\n",
        "accountId;newAccountId;profil\nA;B-200001;x\n",
        "accountId\t\u{43d}ewAccountId\tserviceId\nA\tB-200001\tS\n",
    ] {
        assert_eq!(error(text).code(), "near_column", "{text}");
    }
    let carrying = Settings {
        carry: vec!["newAcountId".into()],
        ..Settings::default()
    };
    let text = "accountId,newAcountId,serviceId\nA-1001,B-200001,S1\n";
    assert!(open_with(text, &carrying, &plume()).is_ok());
    let without = "accountId,newAccountId\nA,B-200001\n";
    let found = open_with(without, &carrying, &plume())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(found.code(), "carried_column_missing");
    check(vec![
        (
            "two letters",
            "accountId,newAccountId,customerNo\nA-1,B-200001,7\n".into(),
            vec![(1, Warning, "column_not_read")],
        ),
        (
            "another word",
            "accountId,newAccountId,Customer,Service,Location\nA-1,B-200001,x,y,z\n".into(),
            vec![],
        ),
        (
            "one that is there",
            "accountId,newAccountId,accountId2,accountIds\nA-1,B-200001,x,y\n".into(),
            vec![],
        ),
    ]);
    // A column that the system does not have cannot be meant.
    let adobe_file = "accountId,newAccountId,profil,serviceIds\nA-1,B-200001,x,y\n";
    assert_eq!(judged(adobe_file, &adobe()), []);
}

#[test]
fn accepted_codes_are_warnings_instead_of_errors() {
    let accepting = Rules {
        accept: Accept::parse(
            "placeholder,decimal_zero,quoted_value,mixed_scripts,spreadsheet_date,formula",
        )
        .unwrap(),
        ..plume()
    };
    let text = "accountId,newAccountId\nA-1,(blank)\nA-2,'x123456'\nA-3,\u{412}-2000001\nA-4,=CRM-001\nA-5,2026-03-01\n";
    let found = judged(text, &accepting);
    assert!(
        found.iter().all(|(_, severity, _)| *severity == Warning),
        "{found:?}"
    );
    let table = open_with(text, &Settings::default(), &accepting).unwrap();
    assert!(rows_of(&table).iter().all(|row| row.change.is_some()));
    // A contradiction cannot be accepted, nor can a header.
    assert!(Accept::parse("header_again").is_err());
}

#[test]
fn line_beginning_with_hash_is_not_a_comment() {
    check(vec![
        (
            "ID",
            "accountId,newAccountId\n#1234,BB-2001\nA-1002,BB-2002\n".into(),
            vec![(2, Warning, "hash_line")],
        ),
        (
            "remark",
            "accountId,newAccountId\n# a remark\nA-1002,BB-2002\n".into(),
            vec![(2, Error, "ragged"), (2, Warning, "hash_line")],
        ),
    ]);
    let all = (1000..1020).map(|n| format!("#{n},BB-{n}"));
    assert_eq!(judged(below("accountId,newAccountId", all), &plume()), []);
}

#[test]
fn padding_rows_are_skipped_or_reported() {
    let passed = |text: &str| {
        let table = open(text).unwrap();
        let mut all = Passed::default();
        table
            .fold(|| (), |(), _| {}, |(), passed, _| all.append(passed))
            .unwrap();
        (
            rows_of(&table).len(),
            all.blank_rows,
            all.first,
            all.end_mark,
        )
    };
    assert_eq!(
        passed("accountId,newAccountId,note\r\nA-1001,B-200001,x\r\n,,\r\n,,\r\n,,\r\n"),
        (1, 3, Some(3), false)
    );
    assert_eq!(
        passed("accountId;newAccountId\n;\nA-1001;B-200001\n\"\";\" \"\n"),
        (1, 2, Some(2), false)
    );
    assert_eq!(
        passed("accountId,newAccountId\r\nA-1001,B-200001\r\n\u{1a}"),
        (1, 0, None, true)
    );
    let padded = format!(
        "accountId,newAccountId\nA-1001,B-200001\n{}",
        "\0".repeat(300)
    );
    check(vec![("zeros", padded, vec![(3, Error, "nul")])]);
}

#[test]
fn dos_code_pages_are_selected_by_name() {
    let text = b"accountId,newAccountId,note\nA-1001,B-200001,M\x81ller\n";
    for label in ["cp850", "cp437", "ibm437", "850"] {
        let settings = Settings {
            encoding: Some(label.into()),
            ..Settings::default()
        };
        let table = open_with(text, &settings, &plume()).unwrap();
        let record = table.records().unwrap().next().unwrap().unwrap();
        assert_eq!(record.cells[2], "M\u{fc}ller", "{label}");
    }
    let table = open(text).unwrap();
    let error = table.rows().unwrap().find_map(Result::err).unwrap();
    assert!(
        error.help().contains("--encoding cp850"),
        "{}",
        error.help()
    );
    assert!(error.help().contains("iconv -f CP850"), "{}", error.help());
}
