//! What `check` says of a damaged file: which problems, in which order, and what the other lines ask for.

use crate::support::Place;
use serde_json::Value;

/// The line and the code of each problem that `check` finds in a file, and its counts.
fn found(place: &Place, arguments: &[&str]) -> (Vec<(u64, String)>, Value) {
    let done = place.run(&[&["check", "moves.csv", "--format", "json"], arguments].concat());
    let document: Value = serde_json::from_str(&done.out).unwrap();
    let problems = document["problems"].as_array().unwrap().iter();
    let of = |problem: &Value| {
        let code = problem["code"].as_str().unwrap().to_owned();
        (problem["line"].as_u64().unwrap(), code)
    };
    (problems.map(of).collect(), document["counts"].clone())
}

#[test]
fn new_ids_that_differ_only_in_case_are_reported_together() {
    let place = Place::plume();
    let lines: String = (0..3000).fold(String::new(), |text, n| {
        let new = match n {
            7 => "Crm-Abcdef".to_owned(),
            2900 => "CRM-ABCDEF".to_owned(),
            8 => "K\u{d6}HLER-01".to_owned(),
            2901 => "K\u{f6}hler-01".to_owned(),
            n => format!("CRM-{n:06}"),
        };
        text + &format!("A-{n:05},{new}\n")
    });
    place.file("moves.csv", &format!("accountId,newAccountId\n{lines}"));
    let (problems, counts) = found(&place, &[]);
    let twins = [9, 10, 2902, 2903].map(|line| (line, "case_twins".to_owned()));
    let problems: Vec<_> = problems
        .into_iter()
        .filter(|(_, code)| code == "case_twins")
        .collect();
    assert_eq!(problems, twins);
    assert_eq!(counts["renames"], 3000, "a warning leaves no line out");
    let human = place.run(&["check", "moves.csv"]).expect(0);
    assert!(
        human
            .err
            .contains("differs only in case from `CRM-ABCDEF` of line 2902"),
        "{}",
        human.err
    );
    // The same ID twice is no pair that differs in case, nor are an old and a new ID that differ in case.
    place.file(
        "moves.csv",
        "accountId,newAccountId\nA-1,CRM-ABCDEF\nCRM-abcdef,CRM-000001\nA-2,CRM-000002\n",
    );
    assert_eq!(found(&place, &[]).0, []);
}

#[test]
fn all_misspelled_column_names_are_reported_together() {
    let place = Place::plume();
    place.file(
        "moves.csv",
        "acountId;newAccountId\u{200b};serviceIds\nA-1;B-200001;S\n",
    );
    let near = [1, 1, 1].map(|line| (line, "near_column".to_owned()));
    assert_eq!(found(&place, &[]).0, near);
    let human = place.run(&["check", "moves.csv"]).expect(2);
    for words in [
        "is accountId meant?",
        "ZERO WIDTH SPACE",
        "--map 'serviceId=serviceIds' or --carry 'serviceIds'",
    ] {
        assert!(human.err.contains(words), "{words}: {}", human.err);
    }
}

#[test]
fn lines_left_out_are_not_counted_as_requested_changes() {
    let place = Place::plume();
    // Lines are left out because of themselves, their column, another line, or a header in another order.
    let text = "accountId,newAccountId\nA-1,CRM-200001\nA-2,(blank)\nA-3,unbekannt\nA-4,CRM-200004\nA-5,CRM-200004\n\
                A-6,\nnewAccountId,accountId\nCRM-200007,A-7\nCRM-200008,unknown\naccountId,newAccountId\nA-9,CRM-200009\n";
    place.file("moves.csv", text);
    let (_, counts) = found(&place, &[]);
    assert_eq!(counts["lines"], 11);
    assert_eq!(counts["renames"], 2, "{counts}");
    assert_eq!(counts["nothing_asked"], 1, "{counts}");
    assert_eq!(counts["invalid"], 8, "{counts}");
    let human = place.run(&["check", "moves.csv"]).expect(2);
    assert!(human.out.contains(" 2  new account IDs"), "{}", human.out);
    assert!(
        human.out.contains(" 8  lines that cannot be carried out"),
        "{}",
        human.out
    );
    let (_, counts) = found(&place, &["--accept", "placeholder"]);
    assert_eq!(
        counts["renames"], 4,
        "what was accepted is counted: {counts}"
    );
}

#[test]
fn problem_kinds_are_ordered_by_their_first_line() {
    let place = Place::plume();
    let text = "accountId,newAccountId\nA-1,#N/A\nA-2,CRM-200002,x\n=B7,CRM-200003\nA-4,(blank)\nA-5,unbekannt\nA-6,CRM-200006\n\
                unknown,CRM-200007\nA-8,nil\nA-9,B-1\nA-10,\n";
    place.file("moves.csv", text);
    let human = place.run(&["check", "moves.csv"]).expect(2);
    let kinds = human.err.lines().filter(|line| line.ends_with(')'));
    let kinds: Vec<&str> = kinds
        .filter_map(|line| line.rsplit('(').next()?.split([',', ')']).next())
        .collect();
    assert_eq!(
        kinds,
        [
            "spreadsheet_error",
            "ragged",
            "formula",
            "placeholder",
            "short_account",
            "asks_nothing"
        ],
        "{}",
        human.err
    );
    // Where both lines and columns show a problem of one kind, the first lines are the examples.
    for line in 5..=6 {
        let place = format!("moves.csv:{line}, column newAccountId");
        assert!(human.err.contains(&place), "{}", human.err);
    }
    assert!(human.err.contains("moves.csv:8, column accountId"));
}

#[test]
fn repeated_word_in_a_column_of_numbered_ids_is_a_placeholder() {
    let place = Place::plume();
    let file = |word: &str| {
        let lines: String = (0..40).fold(String::new(), |text, n| {
            let new = if n % 9 == 4 {
                word.to_owned()
            } else {
                format!("CRM-{n:06}")
            };
            text + &format!("A-{n:05},{new}\n")
        });
        place.file("moves.csv", &format!("accountId,newAccountId\n{lines}"));
    };
    let errors = |arguments: &[&str]| {
        let done = place.run_with(
            &[("SYSTEM", "adobe")],
            &[&["check", "moves.csv", "--format", "json"], arguments].concat(),
        );
        let document: Value = serde_json::from_str(&done.out).unwrap();
        let problems = document["problems"].as_array().unwrap().clone();
        let errors = problems
            .into_iter()
            .filter(|one| one["severity"] == "error");
        let errors = errors.map(|one| (one["line"].as_u64().unwrap(), one["code"].to_string()));
        errors.collect::<Vec<_>>()
    };
    // These words are in no list of placeholders. Adobe allows two customers to have one ID, so no other rule refuses
    // the lines.
    file("ukjent kunde");
    let expected = [6, 15, 24, 33].map(|line| (line, "\"placeholder\"".to_owned()));
    assert_eq!(errors(&[]), expected);
    assert_eq!(errors(&["--accept", "placeholder"]), []);
    // Where account IDs are unique, it is also a contradiction, which cannot be accepted.
    let (problems, counts) = found(&place, &[]);
    for code in ["placeholder", "duplicate_target"] {
        let lines = problems.iter().filter(|(_, found)| found == code);
        let lines: Vec<u64> = lines.map(|(line, _)| *line).collect();
        assert_eq!(lines, expected.clone().map(|(line, _)| line), "{code}");
    }
    let (_, accepted) = found(&place, &["--accept", "placeholder"]);
    assert_eq!(accepted["invalid"], 4);
    assert_eq!(counts["renames"], 36);
    // A value with the form of the column's other IDs is an ID, even if its length differs.
    file("CRM-1234567");
    assert_eq!(errors(&[]), []);
    // Several lines of one customer have the same new ID.
    let lines: String = (0..20).fold(String::new(), |text, n| {
        text + &format!("A-{n:05},CRM-{n:06},,S-{n}\n")
    });
    let three = "A-77777,Sammelkonto,L-1,S-91\nA-77777,Sammelkonto,L-2,S-92\nA-77777,Sammelkonto,L-3,S-93\n";
    place.file(
        "moves.csv",
        &format!("accountId,newAccountId,locationId,serviceId\n{lines}{three}"),
    );
    place.run(&["check", "moves.csv"]).expect(0);
}
