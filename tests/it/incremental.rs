//! Scheduled runs that check only a part of their lines: what they report about the others, how much room they take,
//! and what can be done with them.

use crate::support::{Place, finish};
use std::collections::HashMap;

/// Such a small share of lines is checked that no line is in these tests.
const NONE_TONIGHT: [&str; 2] = ["--audit", "1/1000000000"];

fn night<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let night = ["reconcile", file, "--yes", "--incremental"];
    [&night[..], more].concat()
}

/// Returns what a report says about each line, except how it was found out: status, customer and the values of its
/// account ID.
fn told(place: &Place) -> Vec<Vec<String>> {
    let cells = [
        "accountId",
        "newAccountId",
        "idshift_line",
        "idshift_status",
        "idshift_reason",
        "idshift_customer_id",
        "idshift_account_id_before",
        "idshift_account_id_after",
        "idshift_drift",
    ];
    let rows = place.rows("results.csv").into_iter();
    let row = |row: HashMap<String, String>| cells.iter().map(|cell| row[*cell].clone()).collect();
    rows.map(row).collect()
}

#[test]
fn incremental_run_without_lookups_reports_the_same_as_a_full_run() {
    let place = Place::plume();
    let file = place.moves(5_000);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let looked = told(&place);
    let calls = place.sandbox.log().len();
    // The run is repeated, so that the second is based on a night that checked nothing itself.
    for _ in 0..2 {
        let done = place.run(&night(&file, &NONE_TONIGHT)).expect(0);
        assert!(done.out.contains("5,000 of them were"), "{}", done.out);
        assert_eq!(told(&place), looked);
    }
    assert_eq!(place.sandbox.log().len(), calls);
    let row = place.rows("results.csv").pop().unwrap();
    assert!(
        row["idshift_message"].starts_with("not looked up in this run: same result as in run ")
    );
    assert!(!row["idshift_finished_at"].is_empty());
}

#[test]
fn unchanged_lines_add_little_to_the_ledger_of_an_incremental_run() {
    let place = Place::plume();
    let file = place.moves(10_000);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let ledger = || place.newest().join("ledger.db").metadata().unwrap().len();
    let whole = ledger();
    place.run(&night(&file, &NONE_TONIGHT)).expect(0);
    let (now, lines) = (ledger(), 10_000);
    assert!(
        now < 100_000 + 5 * lines,
        "{now} bytes, {whole} in a whole night"
    );
    assert!(now * 10 < whole, "{now} bytes, {whole} in a whole night");
}

#[test]
fn reordered_lines_are_recognised_without_a_lookup() {
    let place = Place::plume();
    let file = place.moves(3_000);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let text = std::fs::read_to_string(place.path().join(&file)).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    rows.insert(1_000, "A-009999,B-009999");
    place.file("moves.csv", &format!("{header}\n{}\n", rows.join("\n")));
    let calls = place.sandbox.log().len();
    place.run(&night(&file, &NONE_TONIGHT)).expect(1);
    let made = place.sandbox.log().len() - calls;
    assert!(made < 8, "{made} calls for one new line");
    let rows = place.rows("results.csv");
    let new = &rows[1_000];
    assert_eq!(new["idshift_reason"], "not_found");
    for row in rows.iter().filter(|row| row["accountId"] != "A-009999") {
        let number = row["accountId"].trim_start_matches("A-");
        assert_eq!(row["idshift_status"], "unchanged");
        let customer = number.trim_start_matches('0');
        let customer = if customer.is_empty() { "0" } else { customer };
        assert_eq!(row["idshift_customer_id"], format!("C-{customer}"));
        assert_eq!(row["idshift_account_id_after"], format!("B-{number}"));
    }
}

#[test]
fn incremental_run_killed_at_any_step_is_resumed_to_the_last_line() {
    let place = Place::plume();
    let file = place.moves(2_100);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let mut text = std::fs::read_to_string(place.path().join(&file)).unwrap();
    let mut killed = 0;
    for step in 1.. {
        // Each night the line of another customer is changed.
        let n = 2_000 + step;
        place
            .with_world(|mut world| world.rename_plume(&format!("C-{n}"), &format!("DRIFTED-{n}")));
        text = text.replace(
            &format!("A-{n:06},B-{n:06}\n"),
            &format!("DRIFTED-{n},E-{n:06}\n"),
        );
        place.file("moves.csv", &text);
        let mut command = place.command(&night(&file, &NONE_TONIGHT));
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        if done.code != 0 {
            killed += 1;
            place.run(&["resume", "--yes"]).expect(0);
        }
        let (rows, verdicts) = (place.rows("results.csv"), place.verdicts());
        assert_eq!(rows.len(), 2_100, "step {step}");
        assert!(
            verdicts
                .iter()
                .all(|verdict| verdict == "unchanged/already" || verdict == "changed/"),
            "step {step}"
        );
        assert_eq!(
            place.account_of(&format!("C-{n}")),
            format!("E-{n:06}"),
            "step {step}"
        );
        if done.code == 0 {
            break;
        }
    }
    assert!(killed > 3, "{killed}");
    place.judge_writes();
}

#[test]
fn base_run_of_an_incremental_run_may_be_pruned_or_deleted() {
    let place = Place::plume();
    let file = place.moves(2_000);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let first = place.newest();
    for _ in 0..2 {
        place.run(&night(&file, &NONE_TONIGHT)).expect(0);
    }
    let newest = place.newest_id();
    let looked = told(&place);
    let prune = ["runs", "prune", "--older-than", "0s", "--yes", "--json"];
    let pruned = place.run(&prune).expect(0).json();
    let runs = pruned["pruned"].as_array().unwrap().iter();
    let runs: Vec<&str> = runs.map(|run| run["run"].as_str().unwrap()).collect();
    assert!(!runs.contains(&newest.as_str()), "{pruned:#}");
    std::fs::remove_dir_all(first).unwrap();
    place.run(&["runs", "forget", "--gone"]).expect(0);
    // The run can be verified, its reports drawn again, its evidence collected, and a later night can be based on it.
    place.run(&["verify", &newest]).expect(0);
    std::fs::remove_file(place.newest().join("results.csv")).unwrap();
    place.run(&["report", &newest]).expect(0);
    assert_eq!(told(&place), looked);
    place
        .run(&["evidence", &newest, "-o", "night.tar.zst"])
        .expect(0);
    place
        .run(&["evidence", "--check", "night.tar.zst"])
        .expect(0);
    let undone = place.run(&["undo", &newest, "--yes"]).expect(0);
    assert!(undone.out.is_empty(), "{}", undone.out);
    assert!(undone.err.contains("nothing to restore"), "{}", undone.err);
    let calls = place.sandbox.log().len();
    place.run(&night(&file, &NONE_TONIGHT)).expect(0);
    assert_eq!(place.sandbox.log().len(), calls);
    // `verify` finds a change of a line that no night has checked since.
    place.with_world(|mut world| world.rename_plume("C-7", "ELSEWHERE"));
    let newest = place.newest_id();
    let differs = place.run(&["verify", &newest]).expect(3);
    assert!(differs.out.contains("ELSEWHERE"), "{}", differs.out);
}

#[test]
fn audit_of_one_seventh_looks_up_each_line_once_in_seven_runs() {
    let place = Place::plume();
    let file = place.moves(700);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let mut looked = HashMap::new();
    for _ in 0..7 {
        place.run(&night(&file, &["--audit", "1/7"])).expect(0);
        for row in place.rows("results.csv") {
            if !row["idshift_message"].starts_with("not looked up in this run") {
                *looked.entry(row["idshift_line"].clone()).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(looked.len(), 700);
    assert!(looked.values().all(|nights| *nights == 1));
}
