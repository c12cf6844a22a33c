//! `idshift log`: what is on record about a line, and about a run.

use crate::support::{Place, customer, finish};
use serde_json::Value;

#[test]
fn log_command_shows_a_line_from_ledger_and_call_log() {
    let place = Place::plume();
    let file = place.moves(5);
    place
        .sandbox
        .set_faults(vec!["patch:500-after:nth=2".parse().unwrap()]);
    let arguments = [
        "apply",
        &file,
        "--yes",
        "--log",
        "calls.log",
        "--concurrency=1",
    ];
    place.run(&arguments).expect(0);
    let run = place.newest_id();
    // The command is started in another folder: the run has recorded where its log is.
    let elsewhere = place.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let mut command = place.command(&["log", &run, "--line", "3", "--format", "json"]);
    let told = finish(command.current_dir(&elsewhere).spawn().unwrap()).expect(0);
    let story = told.json();
    assert_eq!(story["exit_code"], 0);
    assert_eq!(story["run"], run.as_str());
    assert_eq!(story["line"], 3);
    assert_eq!(story["asked"]["accountId"], "A-000001");
    assert_eq!(story["asked"]["newAccountId"], "B-000001");
    assert_eq!(story["customer_id"], "C-1");
    assert_eq!(story["found_by"], "account_id");
    let write = &story["writes"][0];
    assert_eq!(write["before"]["account_id"], "A-000001");
    assert_eq!(write["after"]["account_id"], "B-000001");
    assert_eq!(write["http_status"], 500);
    assert_eq!(write["verdict"], "applied");
    assert_eq!(write["decided_by"], "read_back");
    assert_eq!(story["outcome"]["status"], "changed");
    let kinds: Vec<&str> = story["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["find", "write", "read"]);
    assert_eq!(story["log_missing"], Value::Null);
    // The same as text, and then without the log.
    let person = place.run(&["log", &run, "--line=3"]).expect(0);
    for words in [
        "accountId A-000001, newAccountId B-000001",
        "C-1, found by accountId",
        "attempt 1: account ID A-000001 → B-000001",
        "answer 500; read back: it took effect",
        "changed, after",
        "write PATCH /api/Customers/C-1 500",
    ] {
        assert!(person.out.contains(words), "{words}: {}", person.out);
    }
    std::fs::rename(
        place.path().join("calls.log"),
        place.path().join("moved.log"),
    )
    .unwrap();
    let moved = ["log", &run, "--line=3", "--json", "--log=moved.log"];
    assert_eq!(place.run(&moved).expect(0).json()["calls"], story["calls"]);
    let without = place.run(&["log", &run, "--line=3", "--format=json"]);
    let without = without.expect(0).json();
    assert_eq!(without["writes"], story["writes"]);
    assert!(without["log_missing"].is_string() && without["calls"] == serde_json::json!([]));
}

/// The output as text, with placeholders for everything that differs from run to run.
#[test]
fn log_command_shows_a_line_in_the_expected_text_format() {
    let place = Place::plume();
    let file = place.moves(3);
    place
        .sandbox
        .set_faults(vec!["patch:500-after:nth=1".parse().unwrap()]);
    let arguments = [
        "apply",
        &file,
        "--yes",
        "--log=calls.log",
        "--concurrency=1",
    ];
    place.run(&arguments).expect(0);
    let run = place.newest_id();
    let shown = place.run(&["log", &run, "--line=2"]).expect(0).out;
    let shown = shown.replace(&run, "RUN");
    let folder = place.path().canonicalize().unwrap();
    let shown = shown.replace(&format!("{}/", folder.display()), "");
    let shown = shown.replace(&format!("{}/", place.path().display()), "");
    insta::assert_snapshot!(steady(&shown), @"
    line      2 of moves.csv, run RUN (apply)
    asked     accountId A-000000, newAccountId B-000000
    customer  C-0, found by accountId
    write     TIME  attempt 1: account ID A-000000 → B-000000, correlation ID
              answer 500; read back: it took effect
    outcome   TIME  changed, after N ms
    calls     from calls.log
      DAY TIME find GET /api/Customers 200 N ms, lines 2-4, attempt 1
      DAY TIME write PATCH /api/Customers/C-0 500 N ms, line 2, customer C-0, attempt 1, correlation ID
      DAY TIME read GET /api/Customers/C-0 200 N ms, line 2, customer C-0, attempt 1
    ");
}

/// Replaces times, durations and correlation IDs.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let (bare, end) = match word.strip_suffix(',') {
            Some(bare) => (bare, ","),
            None => (word, ""),
        };
        let digits = bare.chars().filter(char::is_ascii_digit).count();
        let kept = match bare {
            _ if bare.len() == 36 && bare.matches('-').count() == 4 => "ID",
            _ if digits >= 9 && bare.ends_with('Z') => "TIME",
            _ if digits == 8 && bare.len() == 10 => "DAY",
            _ => bare,
        };
        format!("{kept}{end}")
    };
    let line = |line: &str| {
        let words: Vec<String> = line.split(' ').map(word).collect();
        let mut words = words;
        for at in 1..words.len() {
            let is_number = words[at - 1].parse::<u64>().is_ok();
            if is_number && words[at].trim_end_matches(',') == "ms" {
                "N".clone_into(&mut words[at - 1]);
            }
        }
        words.join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn log_command_reports_missing_lines_runs_and_logs() {
    let place = Place::plume();
    let file = place.moves(5);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest_id();
    for line in ["1", "7"] {
        let done = place.run(&["log", &run, "--line", line]).expect(2);
        assert!(
            done.err.contains(&format!("no line {line}")),
            "{}",
            done.err
        );
        assert!(done.err.contains("2 to 6"), "{}", done.err);
    }
    let unknown = place.run(&["log", "20200101", "--line", "2"]).expect(2);
    assert!(unknown.err.contains("20200101"), "{}", unknown.err);
    let gone = place.run(&["log", &run, "--line=2", "--log", "gone.log"]);
    assert!(gone.expect(2).err.contains("gone.log"));
    // This line was not written, and there is no log: the command shows the rest.
    let told = place.run(&["log", "--line=2", "--format=json"]).expect(0);
    assert!(told.json()["log_missing"].is_string());
}

#[test]
fn line_inside_a_multiline_cell_names_the_line_it_belongs_to() {
    let place = Place::plume();
    place.with_world(|mut world| (0..2).for_each(|n| world.add_plume(customer(n))));
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId,note\nA-000000,B-000000,\"two\nlines\"\nA-000001,B-000001,\n",
    );
    place.run(&["apply", &file, "--yes"]).expect(0);
    let done = place.run(&["log", "--line=3"]).expect(2);
    assert!(done.err.contains("belongs to line 2"), "{}", done.err);
    let told = place.run(&["log", "--line=4", "--json"]).expect(0).json();
    assert_eq!(told["asked"]["accountId"], "A-000001");
}

#[test]
fn log_command_shows_a_pruned_run_but_not_its_lines() {
    let place = Place::plume();
    let file = place.moves(3);
    place
        .run(&["apply", &file, "--yes", "--log=calls.log"])
        .expect(0);
    let run = place.newest_id();
    place
        .run(&["runs", "prune", "--older-than", "0s", "--yes"])
        .expect(0);
    let done = place.run(&["log", &run, "--line=2", "--json"]).expect(2);
    assert!(done.err.contains("was pruned"), "{}", done.err);
    assert_eq!(done.json()["exit_code"], 2);
    let told = place.run(&["log", &run, "--json"]).expect(0).json();
    assert_eq!(told["state"], "finished");
    assert_eq!(told["events"][0]["event"], "session_began");
}
