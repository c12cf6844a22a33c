use crate::support::{Place, finish};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Puts something else in place of a file.
fn replace(file: &Path, by: &str) {
    if file.is_dir() {
        fs::remove_dir(file).unwrap();
    } else {
        fs::remove_file(file).unwrap();
    }
    match by {
        "a pipe" => {
            let made = Command::new("mkfifo").arg(file).status();
            assert!(made.unwrap().success());
        }
        "a folder" => fs::create_dir(file).unwrap(),
        _ => {}
    }
}

/// A run that was killed after some of its writes, with its reports.
fn killed() -> (Place, String) {
    let place = Place::plume();
    let file = place.moves(3);
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "1"]);
    command.env("IDSHIFT_CRASH_AT", "9");
    assert_eq!(finish(command.spawn().unwrap()).code, -1);
    let run = place.newest_id();
    place.run(&["report", &run]).expect(0);
    (place, run)
}

#[test]
fn pipe_folder_or_missing_input_csv_is_reported_without_waiting() {
    let (place, run) = killed();
    let input = place.newest().join("input.csv");
    for by in ["a pipe", "a folder", "nothing"] {
        replace(&input, by);
        for command in [
            &["log", &run, "--line", "2"][..],
            &["verify", &run],
            &["report", &run],
            &["evidence", &run, "-o", "run.tar.zst"],
            &["resume", &run],
        ] {
            let done = place.run(command);
            let what = format!("{by}, {command:?}: {}{}", done.out, done.err);
            assert_eq!(done.code, 2, "{what}");
            let words = format!("idshift-runs/{run}/input.csv");
            assert!(done.err.contains(&words), "{what}");
        }
        if by == "nothing" {
            break;
        }
    }
}

/// Reports are drawn again from the ledger.
#[test]
fn pipe_or_folder_in_place_of_a_report_is_replaced_or_reported() {
    for name in ["results.csv", "failures.csv", "report.html", "summary.json"] {
        let (place, run) = killed();
        let file = place.newest().join(name);
        for (by, code) in [("a pipe", 0), ("nothing", 0), ("a folder", 2)] {
            for command in [
                &["runs"][..],
                &["runs", "show", &run],
                &["evidence", &run, "-o", "run.tar.zst"],
            ] {
                replace(&file, by);
                let done = place.run(command);
                let what = format!("{by} {name}, {command:?}: {}{}", done.out, done.err);
                let _ = fs::remove_file(place.path().join("run.tar.zst"));
                let is_evidence = command[0] == "evidence";
                assert_eq!(done.code, if is_evidence { code } else { 0 }, "{what}");
                let words = format!("error: idshift-runs/{run}/{name}: cannot be read");
                assert_eq!(done.err.contains(&words), done.code == 2, "{what}");
            }
            place.run(&["runs", "show", &run]).expect(0);
        }
    }
}

#[test]
fn pipe_or_folder_as_ledger_or_seal_is_reported_without_waiting() {
    for by in ["a pipe", "a folder"] {
        let (place, run) = killed();
        let folder = place.newest();
        for (file, words) in [("ledger.seal", "read"), ("ledger.db", "opened")] {
            replace(&folder.join(file), by);
            place.run(&["runs"]).expect(0);
            let done = place.run(&["verify", &run]).expect(2);
            let words = format!("idshift-runs/{run}/{file} could not be {words}: ");
            assert!(done.err.contains(&words), "{}", done.err);
            fs::rename(folder.join(file), place.path().join(file)).unwrap();
        }
    }
}

/// A reconcile compares with the file of the last one. Messages about that run's copy must not name the file of tonight.
#[test]
fn message_about_the_input_of_an_earlier_run_contains_its_path() {
    let place = Place::plume();
    let file = place.moves(3);
    let night = [
        "reconcile",
        &file,
        "--yes",
        "--incremental",
        "--audit",
        "1/7",
    ];
    place.run(&night).expect(0);
    let run = place.newest_id();
    let input = place.newest().join("input.csv");
    let text = fs::read_to_string(place.path().join(&file)).unwrap();
    place.file(&file, &text.replace("B-000002", "D-000002"));
    for by in ["other text", "a pipe", "nothing"] {
        replace(&input, by);
        if by == "other text" {
            fs::write(&input, "no header of ours\n").unwrap();
        }
        let done = place.run(&night).expect(2);
        let words = format!("idshift-runs/{run}/input.csv");
        assert!(done.err.contains(&words), "{by}: {}", done.err);
    }
}
