//! The file of the log: off by default, private, rotated, and never in the way of a run.

use crate::call_log::{events, records};
use crate::support::{Place, begun_by, customer, finish};
use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The names in the folder of the tests.
fn names(place: &Place) -> HashSet<String> {
    let entries = fs::read_dir(place.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn nothing_is_logged_by_default() {
    let place = Place::plume();
    let file = place.moves(3);
    let done = place.run(&["apply", &file, "--yes", "-v"]).expect(0);
    assert!(!done.err.contains("PATCH"), "{}", done.err);
    let expected = ["moves.csv", "idshift-runs", "state"].map(str::to_owned);
    assert_eq!(names(&place), HashSet::from(expected));
}

#[test]
fn commands_without_calls_do_not_open_the_log() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let bad = place.file("bad.csv", "accountId,newAccountId\nA-000001,NULL\n");
    let commands: [&[&str]; 7] = [
        &["check", &file],
        &["map", &file],
        &["report"],
        &["runs"],
        &["config"],
        &["log", "--line=2"],
        &["plan", &bad],
    ];
    for command in commands {
        place.run_with(&[("LOG", "calls.log")], command);
        assert!(!names(&place).contains("calls.log"), "{command:?}");
    }
    // A log that cannot be written is no error for a command that does not write it.
    let unwritable = [("LOG", "gone/calls.log")];
    place.run_with(&unwritable, &["check", &file]).expect(0);
}

#[test]
fn file_that_is_not_a_log_is_refused_and_not_changed() {
    let place = Place::plume();
    let file = place.moves(2);
    let before = fs::read(place.path().join(&file)).unwrap();
    place.pipe("pipe");
    for (log, why) in [
        (file.as_str(), "not a log of idshift"),
        ("idshift-runs", "directory"),
        ("pipe", "it is a pipe"),
        ("gone/calls.log", "no such folder"),
        // Only an attempt to create the file shows that this is impossible there.
        ("/proc/calls.log", "cannot be written"),
    ] {
        fs::create_dir_all(place.path().join("idshift-runs")).unwrap();
        let done = place.run(&["apply", &file, "--yes", "--log", log]);
        assert!(done.err.contains(why), "{log}: {}", done.err);
        assert!(done.err.contains("--log"), "{}", done.err);
        done.expect(2);
    }
    assert_eq!(fs::read(place.path().join(&file)).unwrap(), before);
    assert_eq!(place.sandbox.log().len(), 0);
    let runs = place.run(&["runs", "--json"]).expect(0).json();
    assert_eq!(runs["runs"], serde_json::json!([]));
    // An existing run is not damaged either.
    place.run(&["apply", &file, "--yes"]).expect(0);
    let undone = place.run(&["undo", "--yes", "--log=/proc/calls.log"]);
    assert!(undone.err.contains("/proc/calls.log"), "{}", undone.err);
    undone.expect(2);
    place.run(&["undo", "--yes", "--log=calls.log"]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000000");
}

#[test]
fn log_readable_by_other_users_becomes_private_with_a_notice() {
    let place = Place::plume();
    let file = place.moves(3);
    let path = place.path().join("calls.log");
    fs::write(&path, "{\"time\":\"2026-01-01T00:00:00.000Z\"}\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let apply = ["apply", &file, "--yes", "--log", "calls.log"];
    let done = place.run(&apply).expect(0);
    assert!(done.err.contains("mode 0644"), "{}", done.err);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(records(&path)[0]["time"], "2026-01-01T00:00:00.000Z");
    let again = place.run(&apply).expect(0);
    assert!(!again.err.contains("mode"), "{}", again.err);
}

#[test]
fn a_full_log_is_renamed_and_a_new_one_begins() {
    let place = Place::plume();
    let file = place.moves(5);
    let path = place.path().join("calls.log");
    // A sparse file, 200 bytes shorter than the limit.
    let old = fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut &old, b"{\"time\":\"before\"}\n").unwrap();
    old.set_len((64 << 20) - 200).unwrap();
    let apply = ["apply", &file, "--yes", "--log", "calls.log"];
    place.run(&apply).expect(0);
    let renamed = place.path().join("calls.log.1");
    assert!(fs::metadata(&renamed).unwrap().len() <= 64 << 20);
    assert_eq!([mode(&path), mode(&renamed)], [0o600, 0o600]);
    // `log` reads both files.
    let told = place.run(&["log", "--line=3", "--json"]).expect(0).json();
    let calls = told["calls"].as_array().unwrap();
    assert!(calls.iter().any(|call| call["kind"] == "write"), "{told}");
    let told = place.run(&["log", "--json"]).expect(0).json();
    let began = &told["events"][0];
    assert_eq!(began["event"], "session_began", "{told}");
}

#[test]
fn killed_process_leaves_at_most_one_incomplete_log_line() {
    let place = Place::plume();
    let file = place.moves(40);
    let path = place.path().join("calls.log");
    let arguments = ["apply", &file, "--yes", "--log=calls.log", "--rate=40/s"];
    let mut killed = place.command(&arguments).spawn().unwrap();
    let written = || fs::read_to_string(&path).unwrap_or_default();
    while written().matches("PATCH").count() < 5 {
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!records(&path).is_empty());
    // The last line is incomplete, as after a kill in the middle of a write.
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    let told = place.run(&["log", "--line=2", "--json"]).expect(0).json();
    assert!(!told["calls"].as_array().unwrap().is_empty(), "{told}");
    place.run(&["resume", "--log=calls.log"]).expect(0);
    let text = fs::read_to_string(&path).unwrap();
    let broken = text
        .lines()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
    assert_eq!(broken.count(), 1);
    let told = place.run(&["log", "--json"]).expect(0).json();
    let named = |event: &str| {
        let events = told["events"].as_array().unwrap().iter();
        events.filter(|e| e["event"] == event).count()
    };
    assert_eq!([named("session_began"), named("session_ended")], [2, 1]);
}

#[test]
fn the_lines_of_two_processes_do_not_mix() {
    let place = Place::plume();
    let file = place.moves(60);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let verify = || {
        let mut command = place.command(&["verify", "--log=calls.log", "--lookup=each"]);
        command.spawn().unwrap()
    };
    let both = [verify(), verify()];
    for child in both {
        finish(child).expect(0);
    }
    let records = records(&place.path().join("calls.log"));
    assert_eq!(events(&records, "session_ended").len(), 2);
}

#[test]
fn full_log_device_is_reported_once_and_does_not_stop_the_run() {
    let place = Place::plume();
    let file = place.moves(5);
    let done = place.run(&["apply", &file, "--yes", "--log", "/dev/full"]);
    assert_eq!(done.err.matches("/dev/full").count(), 1, "{}", done.err);
    done.expect(0);
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_before_anything_is_sent() {
    let place = Place::plume();
    let file = place.moves(2);
    let done = place.run(&["apply", &file, "--yes", "--log", "gone/calls.log"]);
    assert!(done.err.contains("gone/calls.log"), "{}", done.err);
    assert!(done.err.contains("--log"), "{}", done.err);
    done.expect(2);
    assert_eq!(place.sandbox.log().len(), 0);
}

#[test]
fn log_level_prints_calls_to_stderr_and_creates_no_file() {
    let place = Place::plume();
    let file = place.moves(2);
    let done = place.run_with(&[("LOG", "debug")], &["plan", &file]);
    assert!(
        done.err.contains("find GET /api/Customers 200"),
        "{}",
        done.err
    );
    assert!(!place.path().join("debug").exists());
    let events_only = place.run_with(&[("LOG", "info")], &["plan", &file]);
    assert!(
        events_only.err.contains("session began"),
        "{}",
        events_only.err
    );
    assert!(!events_only.err.contains("GET"), "{}", events_only.err);
    let off = place.run_with(&[("LOG", "off")], &["plan", &file]);
    assert!(!off.err.contains("session began"), "{}", off.err);
}

#[test]
fn printed_calls_contain_no_control_characters() {
    let place = Place::plume();
    let mut bad = customer(0);
    bad.id = "C\u{202e}\u{85}0".into();
    place.with_world(|mut world| world.add_plume(bad));
    let file = place.file("moves.csv", "accountId,newAccountId\nA-000000,B-000000\n");
    let done = place.run(&["apply", &file, "--yes", "-vv", "--lookup", "each"]);
    assert!(done.err.contains("find GET"), "{}", done.err);
    let drives = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!done.err.chars().any(drives), "{:?}", done.err);
}

/// While a progress bar is drawn, each call has its own line.
#[test]
fn calls_are_printed_above_the_progress_bar() {
    let place = Place::plume();
    let file = place.moves(40);
    let arguments = ["apply", &file, "--yes", "-vv", "--rate=200/s"];
    let mut command = place.command(&arguments);
    command.env("TERM", "xterm");
    let has_script = std::process::Command::new("script")
        .arg("--version")
        .output();
    if !has_script.is_ok_and(|output| output.status.success()) {
        return;
    }
    let script = "stty cols 60 2>/dev/null; exec script -qec \"$0 $*\" /dev/null";
    let done = finish(
        begun_by(&place, &command, &["sh"], script)
            .env("TERM", "xterm")
            .spawn()
            .unwrap(),
    );
    let calls = done
        .out
        .split('\n')
        .filter(|line| line.contains("write PATCH"));
    let mut shown = 0;
    for line in calls {
        // The terminal cleared everything before this sequence; nothing follows the line.
        let line = line.rsplit("\u{1b}[J").next().unwrap();
        let (_, id) = line.trim_end().rsplit_once(", correlation ").unwrap();
        assert_eq!(id.len(), 36, "{line:?}");
        assert!(!line.contains('█') && !line.contains('░'), "{line:?}");
        shown += 1;
    }
    assert_eq!(shown, 40, "{}", done.out);
}
