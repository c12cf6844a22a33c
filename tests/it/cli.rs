use crate::support::{Place, customer, finish};
use idshift::sandbox::Options;
use std::os::unix::fs::PermissionsExt;

#[test]
fn unusable_arguments_or_files_exit_with_2_before_any_call() {
    let place = Place::plume();
    let file = place.file("m.csv", "accountId,newAccountId\nA-000000,B-000000\n");
    place.file("empty.csv", "");
    place.file("header.csv", "accountId,newAccountId\n");
    place.file("binary.csv", "accountId,newAccountId\n\u{0}\u{1}\u{2},x\n");
    for arguments in [
        vec!["apply", "not-there.csv", "--yes"],
        vec!["apply", ".", "--yes"],
        vec!["apply", "empty.csv", "--yes"],
        vec!["apply", "header.csv", "--yes"],
        vec!["apply", "binary.csv", "--yes"],
        vec![
            "apply",
            file.as_str(),
            "--yes",
            "--base-url",
            "http://192.0.2.1",
        ],
        vec![
            "apply",
            file.as_str(),
            "--yes",
            "--base-url",
            "https://nobody.invalid",
        ],
        vec!["apply", file.as_str(), "--yes", "--rate", "fast"],
        vec!["apply", file.as_str(), "--yes", "--profile", "nobody"],
        vec!["apply", file.as_str(), "--no-such-option"],
        vec!["apply", file.as_str()],
        vec!["apply"],
        vec![],
    ] {
        let done = place.run(&arguments);
        assert_eq!(done.code, 2, "{arguments:?}: {}{}", done.out, done.err);
        assert!(!done.err.is_empty(), "{arguments:?}");
    }
    let done = finish(
        place
            .command(&["apply", &file, "--yes"])
            .env_remove("IDSHIFT_TOKEN")
            .spawn()
            .unwrap(),
    );
    assert_eq!(done.code, 2, "{}", done.err);
    assert!(done.err.contains("IDSHIFT_TOKEN"), "{}", done.err);
    assert!(place.sandbox.log().is_empty(), "no call was made");
}

#[test]
fn wrong_token_ends_the_run_and_no_line_fails() {
    let tokens = Some(vec!["another".to_owned()]);
    let place = Place::new(Options {
        tokens,
        ..Options::default()
    });
    place.with_world(|mut world| (0..500).for_each(|n| world.add_plume(customer(n))));
    let mut text = String::from("accountId,newAccountId\n");
    (0..500).for_each(|n| text.push_str(&format!("A-{n:06},B-{n:06}\n")));
    let file = place.file("m.csv", &text);
    let done = place.run(&["apply", &file, "--yes"]).expect(2);
    assert!(
        done.out.contains("refuses the credentials")
            || done.err.contains("refuses the credentials")
    );
    assert!(
        place.sandbox.log().len() < 100,
        "{}",
        place.sandbox.log().len()
    );
    assert!(
        place
            .verdicts()
            .iter()
            .all(|verdict| verdict == "skipped/guard"),
        "no line is to blame"
    );
}

#[test]
fn check_names_every_damaged_line() {
    let place = Place::plume();
    let file = place.file(
        "damaged.csv",
        "accountId,newAccountId,customerId,locationId,serviceId,profile\n\
         ACC-1,1.23457E+11,,,,\n\
         ACC-2,null,,,,\n\
         ACC-3,NEW-3000,,,,large\n\
         ACC-4,#N/A,,,,\n\
         ACC-5,1-Mar,,,,\n\
         ,NEW-6000,,,,\n\
         ACC-7,NEW-7000,,,,,one too many\n\
         ACC-8,..,,,,\n\
         ACC-9,NEW-9000,,,,\n\
         ACC-9,NEW-9001,,,,\n\
         ACC-10,SAME-1000,,,,\n\
         ACC-11,SAME-1000,,,,\n\
         ACC-12,,,L-1,S-1,\n\
         ACC-12,,,L-1,S-2,\n\
         ACC-13,,,L-2,,\n\
         ACC-14,NEW\u{200b}-1400,,,,\n",
    );
    let document = place
        .run(&["check", &file, "--format", "json"])
        .expect(2)
        .json();
    let problems = document["problems"].as_array().unwrap();
    let lines: std::collections::BTreeSet<u64> = problems
        .iter()
        .filter(|problem| problem["severity"] == "error")
        .map(|problem| problem["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, (2..=17).collect(), "{document:#}");
    let codes: std::collections::BTreeSet<&str> = problems
        .iter()
        .map(|problem| problem["code"].as_str().unwrap())
        .collect();
    assert!(codes.len() >= 10, "{codes:?}");
    for problem in problems {
        for field in ["column", "value", "code", "message", "help"] {
            assert!(problem[field].is_string(), "{problem}");
        }
    }
    assert!(place.sandbox.log().is_empty());
}

#[test]
fn token_is_never_printed_or_stored_and_files_are_private() {
    let place = Place::plume();
    place.with_world(|mut world| (0..5).for_each(|n| world.add_plume(customer(n))));
    let file = place.file(
        "m.csv",
        "accountId,newAccountId\nA-000000,B-000000\nA-000001,nobody-1\nA-9,B-9\n",
    );
    let done = place.run(&["apply", &file, "--yes", "-vv"]);
    let said = [done.out, done.err].concat();
    assert!(!said.contains("canary-token"));
    let mut seen = 0;
    for entry in std::fs::read_dir(place.newest()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            !bytes.windows(12).any(|window| window == b"canary-token"),
            "{}",
            path.display()
        );
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
        seen += 1;
    }
    assert!(seen >= 6);
    let mut folders = vec![place.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&text);
                assert!(!text.contains("canary-token"), "{}", path.display());
            }
        }
    }
    assert_eq!(
        place.newest().metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn help_completions_man_and_config_commands_work() {
    let place = Place::plume();
    for command in [
        "check",
        "plan",
        "apply",
        "resume",
        "verify",
        "undo",
        "reconcile",
        "report",
        "runs",
        "status",
        "pause",
        "unpause",
        "rate",
        "drain",
        "sandbox",
        "doctor",
        "init",
        "config",
        "completions",
        "man",
    ] {
        let help = place.run(&[command, "--help"]).expect(0);
        assert!(help.out.contains("Usage:"), "{command}");
    }
    assert!(
        place
            .run(&["completions", "bash"])
            .expect(0)
            .out
            .contains("idshift")
    );
    assert!(place.run(&["man"]).expect(0).out.contains(".TH IDSHIFT 1"));
    place.run(&["doctor"]).expect(0);
    place.run(&["init"]).expect(0);
    place.run(&["init"]).expect(2);
    assert!(place.run(&["config", "--json"]).expect(0).json()["rate"]["origin"] == "IDSHIFT_RATE");
    place.file("idshift.toml", "[profiles.x]\nbase_ulr = \"https://x\"\n");
    let typo = place.run(&["config"]).expect(2);
    assert!(typo.err.contains("base_url"), "{}", typo.err);
}

#[test]
fn format_json_prints_one_document_on_standard_output() {
    let place = Place::plume();
    place.with_world(|mut world| (0..5).for_each(|n| world.add_plume(customer(n))));
    let file = place.file(
        "m.csv",
        "accountId,newAccountId\nA-000000,B-000000\nA-9,B-9\n",
    );
    for (arguments, code) in [
        (vec!["check", &file], 0),
        (vec!["plan", &file], 1),
        (vec!["apply", &file, "--yes"], 1),
        (vec!["verify"], 0),
        (vec!["undo", "--yes"], 0),
        (vec!["doctor"], 0),
        (vec!["report"], 0),
        (vec!["config"], 0),
        (vec!["reconcile", &file, "--yes"], 1),
    ] {
        let arguments = [arguments, vec!["--format", "json"]].concat();
        let done = place.run(&arguments);
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        assert!(done.json().is_object(), "{arguments:?}: {}", done.out);
    }
    for line in place.run(&["runs", "--json"]).expect(0).out.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{line}");
    }
}

#[test]
fn unwritable_runs_folder_is_reported_before_any_write() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(customer(0)));
    let file = place.file("m.csv", "accountId,newAccountId\nA-000000,B-000000\n");
    place.file("a-file", "");
    for runs in ["a-file", "a-file/below", "/proc/nowhere"] {
        let done = place
            .run(&["apply", &file, "--yes", "--runs-dir", runs])
            .expect(2);
        assert!(done.err.contains(runs), "names it: {}", done.err);
    }
    assert_eq!(place.patches(), 0);
}

#[test]
fn command_line_error_is_a_json_document_if_json_is_requested() {
    let place = Place::plume();
    for arguments in [
        &["apply", "m.csv", "--no-such-option", "--json"][..],
        &["apply", "--format", "json"],
        &["plan", "--format=json"],
        &["apply", "m.csv", "--json", "--canary", "none"],
    ] {
        let done = place.run(arguments).expect(2);
        let document = done.json();
        assert_eq!(document["exit_code"], 2, "{document}");
        let error = document["error"].as_str().unwrap();
        assert!(!error.is_empty() && !error.contains("Usage"), "{error}");
        assert!(
            done.err.contains(error.lines().next().unwrap()),
            "{}",
            done.err
        );
    }
    let mut command = place.command(&["plan"]);
    let done = finish(command.env("IDSHIFT_FORMAT", "json").spawn().unwrap()).expect(2);
    assert_eq!(done.json()["exit_code"], 2);
    assert_eq!(place.run(&["plan"]).expect(2).out, "");
}

#[test]
fn help_shows_examples_and_variables_without_markup() {
    let place = Place::plume();
    let help = place.run(&["apply", "--help"]).expect(0).out;
    assert!(
        help.contains("Example: --base-url https://api.example.com\n"),
        "{help}"
    );
    assert!(help.contains("[env: IDSHIFT_PROFILE]\n") && help.contains("[env: IDSHIFT_CONFIG]\n"));
    for line in help.lines().filter(|line| line.contains("Example: ")) {
        assert!(line.trim_start().starts_with("Example: "), "{line}");
    }
    assert!(
        !help.contains("<http") && !help.contains("[env: `"),
        "{help}"
    );
}

#[test]
fn token_given_as_an_option_is_refused_with_the_ways_to_give_it() {
    let place = Place::plume();
    let done = place
        .run(&["plan", "moves.csv", "--token", "hunter2"])
        .expect(2);
    assert!(
        done.err.contains("there is no option --token"),
        "{}",
        done.err
    );
    assert!(done.err.contains("IDSHIFT_TOKEN"), "{}", done.err);
    assert!(!done.err.contains("hunter2"), "{}", done.err);
}
