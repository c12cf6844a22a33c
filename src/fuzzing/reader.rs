use crate::domain::{Line, ProblemList, Severity};
use crate::input::{Accept, Passed, Row, Rules, Settings, Survey, Table};

/// Reads the bytes as a file.
///
/// # Panics
///
/// If rows are lost, come twice, or have an ID that is not in the file; or if rows, or what is found in their columns,
/// depend on how the file is cut into blocks.
pub fn reader(bytes: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("fuzz.csv");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let rules = Rules {
        max_account_chars: 255,
        min_account_chars: 6,
        forbidden_in_account: "",
        forbidden_accounts: &["null"],
        has_locations: true,
        per_reseller: false,
        ids_are_guids: false,
        reseller: None,
        allow_clear: false,
        accept: Accept::default(),
        verbatim: false,
    };
    let open = || Table::open(&path, "fuzz.csv", &Settings::default(), &rules);
    let Ok(table) = open() else {
        return;
    };
    let whole = rows(&table);
    if let Ok(small) = open() {
        let small = rows(&small.with_block_bytes(7));
        assert_eq!(whole.is_ok(), small.is_ok(), "as a whole and in blocks");
        if let (Ok(whole), Ok(small)) = (&whole, &small) {
            assert!(same(whole, small), "as a whole and in blocks");
        }
    }
    if let (Ok(small), Ok(whole)) = (open(), open()) {
        let small = findings(&small.with_block_bytes(7));
        assert_eq!(findings(&whole), small, "columns as a whole and in blocks");
    }
    let Ok(rows) = whole else {
        return;
    };
    let in_order = rows.windows(2).all(|pair| pair[0].line < pair[1].line);
    assert!(in_order, "each row once, in the order of the file");
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for change in rows.iter().filter_map(|row| row.change.as_ref()) {
        let ids = [
            change.account.as_ref().map(|id| id.as_str()),
            change.customer.as_ref().map(|id| id.as_str()),
            change.new_account.id().map(|id| id.as_str()),
            change.location.as_ref().map(|id| id.as_str()),
            change.service.as_ref().map(|id| id.as_str()),
        ];
        for id in ids.into_iter().flatten() {
            // A quote inside a cell is doubled, and doubled again in the text form of a spreadsheet (`="…"`).
            let twice = id.replace('"', "\"\"");
            let there = text.contains(id)
                || text.contains(&twice)
                || text.contains(&twice.replace('"', "\"\""));
            assert!(there, "`{id}` of line {} is not in the file", change.line);
        }
    }
}

/// What the survey finds in the columns, and which lines it leaves out.
fn findings(table: &Table) -> Option<(Vec<(Line, Severity, &'static str)>, Vec<Line>, Passed)> {
    let (mut whole, mut all) = (Survey::default(), Passed::default());
    table
        .fold(Survey::default, Survey::observe, |part, passed, _| {
            whole.append(part);
            all.append(passed);
        })
        .ok()?;
    let mut problems = ProblemList::default();
    let mut wrong = whole.finish(table).tell(&mut problems);
    wrong.sort_unstable();
    let problems = problems.sorted().into_iter();
    let problems = problems.map(|problem| (problem.line, problem.severity, problem.code));
    Some((problems.collect(), wrong, all))
}

fn rows(table: &Table) -> Result<Vec<Row>, ()> {
    table
        .rows()
        .map_err(drop)?
        .collect::<Result<_, _>>()
        .map_err(drop)
}

fn same(whole: &[Row], small: &[Row]) -> bool {
    let seen = |rows: &[Row]| {
        rows.iter()
            .map(|row| (row.line, row.change.clone(), row.problems.len()))
            .collect::<Vec<_>>()
    };
    seen(whole) == seen(small)
}
