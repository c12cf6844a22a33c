use crate::support::{Place, customer, finish, named};

/// Makes three customers, and a file with other column names and a title above the header.
fn renamed_columns(place: &Place) -> String {
    place.with_world(|mut world| (0..3).for_each(|n| world.add_plume(customer(n))));
    place.file(
        "export.csv",
        "Account Number,\"New, Number\"\nA-000000,B-000000\nA-000001,B-000001\nA-000002,B-000002\n",
    )
}

#[test]
fn profile_guards_apply_and_are_kept_by_a_plan() {
    let place = Place::plume();
    let file = place.moves(10);
    place.file("idshift.toml", "[profiles.night]\nmax_changes = \"50%\"\n");
    let night = ["apply", &file, "--yes", "--profile", "night"];
    let done = place.run(&night).expect(4);
    assert!(done.out.contains("--max-changes 50%"), "{}", done.out);
    assert_eq!(place.patches(), 0);
    place.run(&["plan", &file, "--profile", "night"]).expect(0);
    let plan = place.newest_id();
    place.file("idshift.toml", "[profiles.night]\n");
    let done = place.run(&["apply", "--run", &plan, "--yes"]).expect(4);
    assert!(done.err.contains("--max-changes 50%"), "{}", done.err);
    assert_eq!(place.patches(), 0);
    // The command line overrides all other values, also the environment.
    let settings = [("MAX_CHANGES", "1")];
    let done = place.run_with(&settings, &["apply", "--run", &plan, "--yes"]);
    assert_eq!(
        done.code, 4,
        "the plan has its own: {}{}",
        done.out, done.err
    );
    let typed = ["apply", "--run", &plan, "--yes", "--max-changes", "100%"];
    place.run_with(&settings, &typed).expect(0);
    assert_eq!(place.patches(), 10);
}

#[test]
fn guard_set_after_writes_began_is_reported_and_ignored() {
    let place = Place::plume();
    let file = place.moves(60);
    let first = ["apply", &file, "--yes", "--rate", "50/s", "--until", "1s"];
    place.run(&first).expect(4);
    assert!(place.patches() > 0);
    let run = place.newest_id();
    let done = place
        .run_with(&[("MAX_CHANGES", "1")], &["resume", &run])
        .expect(0);
    assert!(done.err.contains("max_changes"), "{}", done.err);
    assert_eq!(
        place.patches(),
        60,
        "`until` of the first process does not hold: {}",
        done.err
    );
}

#[test]
fn error_for_an_invalid_value_names_its_option_or_variable() {
    let place = Place::plume();
    let file = place.moves(1);
    for (options, variables, words) in [
        (
            &["--canary", "0"][..],
            &[][..],
            "--canary: `0` is too small; the minimum is 1",
        ),
        (
            &["--canary", "none"],
            &[],
            "--canary: `none` is not a whole number",
        ),
        (
            &["--max-failures", "some"],
            &[],
            "--max-failures: `some` is neither",
        ),
        (
            &["--delimiter", "dot dot"],
            &[],
            "--delimiter: `dot dot`: give comma",
        ),
        (
            &["--map", "newAccountId"],
            &[],
            "--map: `newAccountId`: write it as",
        ),
        (
            &["--skip-rows=-1"],
            &[],
            "--skip-rows: `-1` is not a whole number",
        ),
        (&["--system", "plum"], &[], "'plume'"),
        (
            &[],
            &[("CANARY", "0")],
            "canary (IDSHIFT_CANARY): `0` is too small",
        ),
        (&[], &[("UNTIL", "25:00")], "until (IDSHIFT_UNTIL): "),
        (&[], &[("SYSTEM", "plum")], "is `plume` meant?"),
        (&[], &[("SKIP_INVALID", "maybe")], "neither true nor false"),
        (
            &[],
            &[("MAP", "newAccountId=B,newNumber=C")],
            "map (IDSHIFT_MAP): ",
        ),
    ] {
        let arguments = [&["apply", &file, "--yes"], options].concat();
        let done = place.run_with(variables, &arguments).expect(2);
        assert!(done.err.contains(words), "{arguments:?}: {}", done.err);
    }
    assert_eq!(place.patches(), 0);
}

#[test]
fn profile_maps_the_column_names_of_a_file() {
    let place = Place::plume();
    let file = renamed_columns(&place);
    let map =
        "[profiles.night.map]\naccountId = \"Account Number\"\nnewAccountId = \"New, Number\"\n";
    place.file("idshift.toml", map);
    place.run(&["plan", &file, "--profile", "night"]).expect(0);
    let plan = place.newest_id();
    // A run reads its file with its first settings, even if the profile has changed since.
    let other = map
        .replace("accountId", "x")
        .replace("newAccountId", "accountId");
    place.file("idshift.toml", &other.replace("x =", "newAccountId ="));
    place.run(&["apply", "--run", &plan, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-2"), "B-000002");
    place.run(&["verify", &plan]).expect(0);
    place.run(&["undo", &plan, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-2"), "A-000002");
    // The command line overrides the profile, column by column.
    let typed = [
        "--map",
        "accountId=Account Number",
        "--map",
        "newAccountId=New, Number",
    ];
    let apply = ["apply", &file, "--yes", "--profile", "night"];
    place.run(&[&apply[..], &typed].concat()).expect(0);
    assert_eq!(place.account_of("C-2"), "B-000002");
}

#[test]
fn invalid_column_map_in_a_profile_is_reported_with_its_position() {
    let place = Place::plume();
    let file = renamed_columns(&place);
    place.file("idshift.toml", "[profiles.night]\nmap = \"accountId=X\"\n");
    let done = place.run(&["check", &file, "--profile", "night"]).expect(2);
    assert!(
        done.err.contains("idshift.toml:2:1: `map` must be a table"),
        "{}",
        done.err
    );
    place.file(
        "idshift.toml",
        "[profiles.night.map]\naccountNumber = \"X\"\n",
    );
    let done = place.run(&["check", &file, "--profile", "night"]).expect(2);
    assert!(
        done.err
            .contains("idshift.toml:2:1: `accountNumber` is not a setting"),
        "{}",
        done.err
    );
}

#[test]
fn later_input_settings_do_not_change_how_a_run_reads_its_file() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["plan", &file]).expect(0);
    let plan = place.newest_id();
    let later = [
        ("SKIP_ROWS", "1"),
        ("MAP", "accountId=newAccountId"),
        ("CARRY", "accountId"),
    ];
    place
        .run_with(&later, &["apply", "--run", &plan, "--yes"])
        .expect(0);
    place.run(&["verify", &plan]).expect(0);
    assert_eq!(place.verdicts(), ["changed/", "changed/", "changed/"]);
    // The program writes the file of an undo, with its own column names.
    place.run_with(&later, &["undo", &plan, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000000");
}

#[test]
fn run_of_a_file_with_lines_above_its_header_can_be_undone() {
    let place = Place::plume();
    place.with_world(|mut world| (0..2).for_each(|n| world.add_plume(customer(n))));
    let text = "Export of today\n\naccountId,newAccountId\nA-000000,B-000000\nA-000001,B-000001\n";
    let file = place.file("export.csv", text);
    place
        .run(&["apply", &file, "--yes", "--skip-rows", "2"])
        .expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000000");
    assert_eq!(place.account_of("C-1"), "A-000001");
}

#[test]
fn input_settings_of_a_profile_do_not_apply_to_reports() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(customer(0)));
    let text = "Export of today\r\naccountId;newAccountId\r\nA-000000;B-000000\r\nM\u{fc}ller;B-000001\r\n";
    let bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    std::fs::write(place.path().join("export.csv"), bytes).unwrap();
    let profile = "encoding = \"windows-1252\"\ndelimiter = \";\"\nskip_rows = 1\n";
    place.file("idshift.toml", &format!("[profiles.night]\n{profile}"));
    let night = ["--yes", "--profile", "night"];
    let apply = |file: &str| place.run(&[&["apply", file], &night[..]].concat());
    apply("export.csv").expect(1);
    assert_eq!(place.account_of("C-0"), "B-000000");
    // The failures are read in the run's folder, and as a copy elsewhere.
    let failures = place.newest().join("failures.csv");
    std::fs::copy(&failures, place.path().join("again.csv")).unwrap();
    place.with_world(|mut world| world.add_plume(named("C-1", "M\u{fc}ller", &[])));
    apply("again.csv").expect(0);
    assert_eq!(place.account_of("C-1"), "B-000001");
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-1"), "M\u{fc}ller");
    let checked = place.run(&["check", failures.to_str().unwrap(), "--profile", "night"]);
    checked.expect(0);
    apply(failures.to_str().unwrap()).expect(0);
    assert_eq!(place.account_of("C-1"), "B-000001");
}

/// A canary is one wave. If both are set, the value with the higher precedence is used.
#[test]
fn command_line_waves_or_canary_replace_those_of_the_profile() {
    let place = Place::plume();
    let file = place.moves(20);
    place.file("idshift.toml", "[profiles.night]\ncanary = 3\n");
    let night = ["--yes", "--profile", "night"];
    let shown = |more: &[&str]| {
        place
            .run(&[&["apply", &file][..], &night, more].concat())
            .expect(0);
        let show = ["runs", "show", &place.newest_id(), "--json"];
        place.run(&show).expect(0).json()["guards"].clone()
    };
    assert_eq!(shown(&[]), serde_json::json!({"canary": "3"}));
    assert_eq!(
        shown(&["--waves", "2,50%"]),
        serde_json::json!({"waves": "2,50%"})
    );
    place.file(
        "idshift.toml",
        "[profiles.night]\nwaves = \"2,50%\"\nwave_failures = 1\n",
    );
    let guards = shown(&["--canary", "4"]);
    assert_eq!(guards["canary"], "4");
    assert!(guards.get("waves").is_none(), "{guards}");
    // If both are set in the same place, it is not known which is meant.
    place.file(
        "idshift.toml",
        "[profiles.night]\nwaves = \"2\"\ncanary = 3\n",
    );
    let both = place
        .run(&[&["apply", &file][..], &night].concat())
        .expect(2);
    assert!(both.err.contains("not both"), "{}", both.err);
}

#[test]
fn an_undo_has_guards_of_its_own() {
    let place = Place::plume();
    let file = place.moves(4);
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--max-changes",
            "100%",
            "--until",
            "23:59",
        ])
        .expect(0);
    let stopped = place
        .run(&["undo", "--yes", "--max-changes", "50%"])
        .expect(4);
    assert!(stopped.err.contains("--max-changes 50%"), "{}", stopped.err);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-3"), "A-000003");
}

#[test]
fn help_shows_only_used_options_and_shared_options_are_accepted() {
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
        "sandbox",
        "doctor",
        "config",
        "man",
        "init",
        "completions",
        "status",
        "pause",
        "unpause",
        "rate",
        "drain",
        "map",
    ] {
        for help in ["--help", "-h"] {
            let text = place.run(&[command, help]).expect(0).out;
            let wide = text.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{command} {help}");
        }
    }
    let check = place.run(&["check", "--help"]).expect(0).out;
    assert!(check.lines().count() < 130, "{}", check.lines().count());
    for hidden in ["--rate ", "--yes", "--timeout", "--send", "--progress"] {
        assert!(!check.contains(hidden), "{hidden}");
    }
    let apply = place.run(&["apply", "--help"]).expect(0).out;
    for shown in [
        "--timeout 30s",
        "[default: 30s]",
        "[idshift.toml: max_changes]",
        "[env: IDSHIFT_MAP]",
    ] {
        assert!(apply.contains(shown), "{shown}");
    }
    let file = place.moves(1);
    place
        .run(&[
            "check",
            &file,
            "--rate",
            "5/s",
            "--yes",
            "--progress",
            "none",
        ])
        .expect(0);
    place
        .run(&["runs", "--system", "plume", "--accept", "x", "-v"])
        .expect(0);
    for other in [
        &["init"][..],
        &["completions", "bash"],
        &["man"],
        &["man", "apply"],
    ] {
        let shared = [
            "--system", "plume", "--rate", "5/s", "--color", "never", "-v",
        ];
        place.run(&[other, &shared].concat()).expect(0);
    }
    // A command has no option for a guard that it does not use.
    place.run(&["check", &file, "--canary", "5"]).expect(2);
    place.run(&["verify", "--until", "06:00"]).expect(2);
}

#[test]
fn config_shows_guards_and_columns_with_their_origin() {
    let place = Place::plume();
    let text = "carry = [\"a, b\", \"c\"]\n[profiles.night]\ncanary = 5\n[profiles.night.map]\naccountId = \"K\"\n";
    place.file("idshift.toml", text);
    let shown = place.run_with(
        &[("UNTIL", "06:00")],
        &["config", "--json", "--profile", "night"],
    );
    let shown = shown.expect(0).json();
    for (name, value, origin) in [
        ("canary", "5", "profile night"),
        ("map.accountId", "K", "profile night"),
        ("carry", "a, b c", "file"),
        ("until", "06:00", "IDSHIFT_UNTIL"),
        ("profile", "night", "command line"),
        ("timeout", "2s", "IDSHIFT_TIMEOUT"),
        ("max_age", "10m", "built in"),
    ] {
        assert_eq!(shown[name]["value"], value, "{name}");
        assert_eq!(shown[name]["origin"], origin, "{name}");
    }
    for never in ["no_input", "without_history"] {
        assert!(shown.get(never).is_none(), "{never}");
        place.file("idshift.toml", &format!("{never} = true\n"));
        let refused = place.run(&["config"]).expect(2);
        assert!(refused.err.contains("is not a setting"), "{}", refused.err);
    }
}

#[test]
fn doctor_and_config_show_the_config_file_and_its_profiles() {
    let place = Place::plume();
    let none = place.run(&["config"]).expect(0).out;
    assert!(none.contains("there is no idshift.toml here"), "{none}");
    place.file(
        "idshift.toml",
        "[profiles.fiber]\nrate = \"5/s\"\n[profiles.staging]\nrate = \"2/s\"\n",
    );
    let words = "idshift.toml has the profiles fiber, staging";
    let config = place.run(&["config"]).expect(0).out;
    assert!(
        config.starts_with("config") && config.contains(words),
        "{config}"
    );
    let document = place.run(&["config", "--format", "json"]).expect(0).json();
    assert_eq!(document["config"]["value"], "idshift.toml");
    assert_eq!(document["config"]["origin"], words);
    let doctor = place.run(&["doctor", "--profile", "fiber"]).expect(0).out;
    let in_use = format!("{words}; profile fiber is in use");
    assert!(doctor.contains(&in_use), "{doctor}");
    // The line is also printed if `doctor` cannot continue.
    let mut command = place.command(&["doctor"]);
    command.env_remove("IDSHIFT_SYSTEM");
    let missing = finish(command.spawn().unwrap()).expect(2);
    assert!(missing.out.contains(words), "{}", missing.out);
    assert!(
        missing.err.contains("the system is missing"),
        "{}",
        missing.err
    );
    let help = format!("help: --profile NAME chooses a profile; {words}");
    assert!(missing.err.contains(&help), "{}", missing.err);
    command.args(["--format", "json"]);
    let missing = finish(command.spawn().unwrap()).expect(2).json();
    assert_eq!(missing["findings"][1]["what"], "settings");
    assert_eq!(missing["findings"][1]["good"], false);
}
