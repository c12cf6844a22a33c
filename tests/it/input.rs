//! Damaged files, and what the commands do that would carry them out.

use crate::support::{Place, customer};
use std::io::Write as _;
use std::process::Stdio;

fn file_of(lines: &str) -> String {
    format!("accountId,newAccountId,note\n{lines}")
}

#[test]
fn check_prints_one_json_object_even_if_the_file_is_invalid() {
    let place = Place::plume();
    place.file(
        "bad.csv",
        "accountId,newAccountId\nA-1,03-avr\nA-2,1-ene\n\"x\",B-20001\n",
    );
    let done = place
        .run(&["check", "bad.csv", "--format", "json"])
        .expect(2)
        .json();
    assert_eq!(done["format"], 1);
    assert_eq!(done["exit_code"], 2);
    assert!(done["version"].is_string());
    let problem = &done["problems"][0];
    for key in [
        "line", "column", "value", "severity", "code", "message", "help",
    ] {
        assert!(!problem[key].is_null(), "{key}: {problem}");
    }
    assert_eq!(problem["severity"], "error");
    assert_eq!(problem["code"], "spreadsheet_date");
    assert_eq!(done["counts"]["problems_left_out"], 0);
    place.file("near.csv", "accountId,newAcountId,serviceId\nA-1,B-2,S\n");
    let done = place
        .run(&["check", "near.csv", "--format", "json"])
        .expect(2)
        .json();
    assert_eq!(done["problems"][0]["code"], "near_column");
    assert_eq!(done["problems"][0]["line"], 1);
    assert_eq!(done["exit_code"], 2);
}

#[test]
fn first_thousand_problems_of_a_kind_are_listed_and_rest_counted() {
    let place = Place::plume();
    let lines: String = (0..1500).fold(String::new(), |text, n| {
        text + &format!("A-{n},(blank),x\n")
    });
    place.file("bad.csv", &file_of(&lines));
    let done = place
        .run(&["check", "bad.csv", "--format", "json"])
        .expect(2)
        .json();
    assert_eq!(done["problems"].as_array().unwrap().len(), 1000);
    assert_eq!(done["counts"]["problems_left_out"], 500);
    assert_eq!(done["counts"]["invalid"], 1500);
    let human = place.run(&["check", "bad.csv"]).expect(2);
    assert_eq!(
        human.err.matches("placeholder").count(),
        1 + 1,
        "one notice: {}",
        human.err
    );
    assert_eq!(human.err.matches("  --> ").count(), 3, "{}", human.err);
    assert!(human.err.contains("1,500 times"), "{}", human.err);
}

#[test]
fn blocking_warning_is_accepted_only_by_its_code() {
    let place = Place::plume();
    place.with_world(|mut world| (1..=6).for_each(|n| world.add_plume(customer(n))));
    let text = file_of(
        "A-000001,BB-2001,\"12 inch\nA-000002,BB-2002,x\nA-000003,BB-2003,14 inch\"\nA-000004,BB-2004,x\n",
    );
    place.file("moves.csv", &text);
    let done = place
        .run(&["apply", "moves.csv", "--yes", "--skip-invalid"])
        .expect(2);
    assert!(done.err.contains("--accept quoted_lines"), "{}", done.err);
    assert_eq!(place.patches(), 0);
    let checked = place
        .run(&["check", "moves.csv", "--format", "json"])
        .expect(2)
        .json();
    assert_eq!(checked["problems"][0]["severity"], "blocking");
    assert_eq!(checked["problems"][0]["line"], 2);
    let accepted = place.run_with(&[("ACCEPT", "quoted_lines")], &["check", "moves.csv"]);
    accepted.expect(0);
    place
        .run(&["apply", "moves.csv", "--yes", "--accept", "quoted_lines"])
        .expect(0);
    assert_eq!(place.patches(), 2);
    let wrong = place
        .run(&["apply", "moves.csv", "--yes", "--accept", "quoted_line"])
        .expect(2);
    assert!(
        wrong.err.contains("is `quoted_lines` meant?"),
        "{}",
        wrong.err
    );
}

/// Lines below a header with its columns in another order would be carried out in the wrong direction.
#[test]
fn lines_below_a_header_in_another_order_are_not_applied() {
    let place = Place::plume();
    place.with_world(|mut world| (1..=6).for_each(|n| world.add_plume(customer(n))));
    let text = "accountId,newAccountId\nA-000001,BB-2001\nnewAccountId,accountId\nA-000002,A-000009\nA-000003,A-000010\naccountId,newAccountId\nA-000004,BB-2004\n";
    place.file("moves.csv", text);
    place.run(&["apply", "moves.csv", "--yes"]).expect(2);
    assert_eq!(place.patches(), 0);
    place
        .run(&["apply", "moves.csv", "--yes", "--skip-invalid"])
        .expect(1);
    let failed = "failed/invalid";
    assert_eq!(
        place.verdicts(),
        ["changed/", failed, failed, failed, failed, "changed/"]
    );
    assert_eq!(place.patches(), 2);
}

#[test]
fn repeated_header_is_detected_with_mapped_column_names() {
    let place = Place::plume();
    let text = "alt;neu\nA-1001;B-200001\nneu;ALT\nB-200002;A-1002\n";
    let file = place.file("moves.csv", text);
    let mapped = ["--map", "accountId=alt", "--map", "newAccountId=neu"];
    let done = place.run(&[&["check", &file, "--json"], &mapped[..]].concat());
    let found = done.expect(2).json();
    let problems = found["problems"].as_array().unwrap();
    let header = problems.iter().find(|one| one["code"] == "header_again");
    assert_eq!(header.unwrap()["line"], 3, "{problems:?}");
}

/// A problem that concerns the whole column leaves out each of its lines, also those beyond the listed ones.
#[test]
fn skip_invalid_leaves_out_all_lines_of_a_damaged_column() {
    let place = Place::plume();
    place.with_world(|mut world| (0..1300).for_each(|n| world.add_plume(customer(n))));
    let lines: String = (0..1300_u32).fold(String::new(), |text, n| {
        let day = n % 28 + 1;
        let month = ["jan", "feb", "mrz"][usize::try_from(n % 3).unwrap()];
        let new = if n == 7 {
            "CRM-000007".to_owned()
        } else {
            format!("{day}-{month}-{}", 1900 + n % 199)
        };
        text + &format!("A-{n:06},{new},x\n")
    });
    place.file("moves.csv", &file_of(&lines));
    place
        .run(&["apply", "moves.csv", "--yes", "--skip-invalid"])
        .expect(1);
    assert_eq!(place.patches(), 1);
    let verdicts = place.verdicts();
    assert_eq!(verdicts.len(), 1300, "no line is lost");
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| *verdict == "failed/invalid")
            .count(),
        1299
    );
}

#[test]
fn file_with_only_blank_rows_succeeds_with_nothing_to_do() {
    let place = Place::plume();
    place.file("blank.csv", "accountId,newAccountId\n,\n,\n");
    let done = place.run(&["check", "blank.csv"]).expect(0);
    assert!(done.out.contains("empty"), "{}", done.out);
    place.run(&["apply", "blank.csv", "--yes"]).expect(0);
    assert_eq!(place.patches(), 0);
}

#[test]
fn check_reads_pipes_and_standard_input() {
    let place = Place::plume();
    place.file("moves.csv", &file_of("A-000001,BB-2001,x\n"));
    let exe = env!("CARGO_BIN_EXE_idshift");
    for script in [
        format!("'{exe}' check <(cat moves.csv) --format json"),
        format!("cat moves.csv | '{exe}' check /dev/stdin --format json"),
        format!("gzip -c moves.csv | '{exe}' check - --format json"),
        format!("mkfifo pipe; cat moves.csv > pipe & '{exe}' check pipe --format json"),
    ] {
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", &script])
            .current_dir(place.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", place.path())
            .stdin(Stdio::null());
        let done = bash.output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|why| {
            panic!("{script}: {why}: {}", String::from_utf8_lossy(&done.stderr))
        });
        assert_eq!(json["counts"]["lines"], 1, "{script}");
    }
    let mut child = place
        .command(&["check", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"accountId,newAccountId\nA-1,B-200001\n")
        .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn skip_rows_skips_lines_above_the_header() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(customer(1)));
    place.file(
        "moves.csv",
        "Kundenliste\nErsteller: Export\naccountId;newAccountId;accountIdx\nA-000001;BB-2001;x\n",
    );
    let done = place.run(&["apply", "moves.csv", "--yes"]).expect(2);
    assert!(done.err.contains("--skip-rows 2"), "{}", done.err);
    place
        .run(&["apply", "moves.csv", "--yes", "--skip-rows", "2"])
        .expect(0);
    assert_eq!(place.rows("results.csv")[0]["idshift_line"], "4");
    place
        .run_with(&[("SKIP_ROWS", "2")], &["check", "moves.csv"])
        .expect(0);
    let checked = place
        .run(&["check", "moves.csv", "--skip-rows", "2"])
        .expect(0);
    assert!(checked.out.contains("--skip-rows 2"), "{}", checked.out);
    place.run(&["verify"]).expect(0);
}

/// Two lines fail, and their report is saved by a spreadsheet.
fn failed_numbers(place: &Place) -> String {
    place.with_world(|mut world| {
        for (id, account) in [("C-1", "00123456"), ("C-2", "123456"), ("C-3", "00777777")] {
            let mut one = customer(1);
            one.id = id.into();
            one.account_id = account.into();
            one.locations.clear();
            world.add_plume(one);
        }
    });
    let text = "accountId,newAccountId,note\n00123456,00900001,x\n00777777,1234567890123456789,y\n";
    let file = place.file("moves.csv", text);
    place.sandbox.set_faults(vec!["patch:422".parse().unwrap()]);
    place
        .run(&["apply", &file, "--yes", "--retries", "0"])
        .expect(1);
    place.sandbox.set_faults(Vec::new());
    std::fs::read_to_string(place.newest().join("failures.csv")).unwrap()
}

#[test]
fn report_changed_by_a_spreadsheet_is_refused() {
    let place = Place::plume();
    let failures = failed_numbers(&place);
    let saved = failures
        .replace("\"00123456\"", "123456")
        .replace("\"00900001\"", "900001")
        .replace("\"1234567890123456789\"", "1234567890123460000");
    place.file("saved.csv", &saved);
    let before = place.patches();
    let checked = place
        .run(&["check", "saved.csv", "--format", "json"])
        .expect(2)
        .json();
    let problems = checked["problems"].as_array().unwrap();
    let changed: Vec<_> = problems
        .iter()
        .filter(|one| one["code"] == "spreadsheet_changed")
        .collect();
    assert_eq!(changed.len(), 3, "{checked}");
    assert!(
        changed[0]["message"]
            .as_str()
            .unwrap()
            .contains("`00123456`"),
        "{checked}"
    );
    place.run(&["apply", "saved.csv", "--yes"]).expect(2);
    assert_eq!(place.patches(), before);
    assert_eq!(place.account_of("C-2"), "123456");
    place
        .run(&["apply", "saved.csv", "--yes", "--skip-invalid"])
        .expect(1);
    assert_eq!(place.patches(), before);
}

#[test]
fn report_corrected_by_hand_is_applied_with_a_notice() {
    let place = Place::plume();
    let failures = failed_numbers(&place);
    place.file(
        "corrected.csv",
        &failures.replace("\"00900001\"", "\"00900002\""),
    );
    let done = place.run(&["apply", "corrected.csv", "--yes"]).expect(0);
    assert!(done.err.contains("corrected"), "{}", done.err);
    assert_eq!(place.account_of("C-1"), "00900002");
}

/// The run is gone, and so are the original values; only the customer in the report remains.
#[test]
fn customer_id_of_a_report_guards_its_line_if_the_run_is_deleted() {
    let place = Place::plume();
    let failures = failed_numbers(&place);
    std::fs::remove_dir_all(place.newest()).unwrap();
    let only_first: Vec<&str> = failures.lines().take(2).collect();
    let saved = format!("{}\n", only_first.join("\n")).replace("\"00123456\"", "123456");
    place.file("saved.csv", &saved);
    let done = place.run(&["apply", "saved.csv", "--yes"]);
    assert!(done.err.contains("run_not_found"), "{}", done.err);
    assert_eq!(
        place.account_of("C-2"),
        "123456",
        "another customer has this ID, and keeps it"
    );
}
