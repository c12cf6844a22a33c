use crate::support::{Place, named};

const EXPORT: &str = "Account Number,Name,New_Account_ID__c,Wifi\n\
    10001,Ada,N-10001,auto\n10002,Bob,N-10002,smallbusiness\n10003,Cy,N-10003,auto\n10004,Di,N-10004,auto\n";

fn place() -> (Place, String) {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 1..=4 {
            world.add_plume(named(
                &format!("C-{n}"),
                &format!("1000{n}"),
                &[&format!("L-{n}")],
            ));
        }
    });
    let file = place.file("export.csv", EXPORT);
    (place, file)
}

#[test]
fn each_column_is_shown_with_its_meaning_and_three_values() {
    let (place, file) = place();
    let done = place.run(&["map", &file]).expect(0);
    let lines: Vec<&str> = done.out.lines().collect();
    let expected = [
        "Account Number → accountId         10001, 10002, 10003",
        "Name → carried through             Ada, Bob, Cy",
        "New_Account_ID__c → newAccountId   N-10001, N-10002, N-10003",
        "Wifi → profile                     auto, smallbusiness",
    ];
    assert_eq!(lines[..4], expected, "{}", done.out);
    assert!(
        lines[4].starts_with("next: idshift map export.csv --save PROFILE"),
        "{}",
        done.out
    );
    let json = place
        .run(&["map", &file, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(json["columns"][0]["header"], "Account Number");
    assert_eq!(json["columns"][0]["meaning"], "accountId");
    assert_eq!(json["columns"][0]["samples"][2], "10003");
    assert_eq!(json["columns"][1]["meaning"], serde_json::Value::Null);
    assert_eq!(json["map"]["newAccountId"], "New_Account_ID__c");
    assert_eq!(json["exit_code"], 0);
    assert!(place.sandbox.log().is_empty(), "it asks no system");
    // No run uses a guess.
    let refused = place.run(&["check", &file]).expect(2);
    assert!(
        refused.err.contains("is nearly newAccountId"),
        "{}",
        refused.err
    );
}

#[test]
fn saved_mapping_is_used_by_every_command_that_reads_a_file() {
    let (place, file) = place();
    let before = "# our settings\ntimeout = '5s' # long enough\n\n[profiles.night] # nightly\nlookup = \"each\"\n";
    place.file("idshift.toml", before);
    let done = place.run(&["map", &file, "--save", "night"]).expect(0);
    assert!(
        done.out
            .contains("next: idshift plan export.csv --profile night"),
        "{}",
        done.out
    );
    // Each command shows the next one with the profile, and without the saved columns.
    for (command, next) in [("map", "check"), ("check", "plan")] {
        let done = place.run(&[command, &file, "--profile", "night"]).expect(0);
        let next = format!("next: idshift {next} export.csv --profile night\n");
        assert!(done.out.contains(&next), "{}", done.out);
    }
    let text = std::fs::read_to_string(place.path().join("idshift.toml")).unwrap();
    assert!(text.starts_with(before), "{text}");
    let map = "[profiles.night.map]\naccountId = \"Account Number\"\nnewAccountId = \"New_Account_ID__c\"\nprofile = \"Wifi\"\n";
    assert!(text.ends_with(map), "{text}");
    place.run(&["check", &file]).expect(2);
    for command in [&["check"][..], &["plan"], &["apply", "--yes"]] {
        place
            .run(&[command, &[&file, "--profile", "night"]].concat())
            .expect(0);
    }
    assert_eq!(place.account_of("C-3"), "N-10003");
    // The run keeps its mapping: it need not be given again, and a later change of the configuration does not affect the run.
    place.file(
        "idshift.toml",
        "[profiles.night.map]\naccountId = \"Other\"\n",
    );
    place.run(&["verify", "--profile", "night"]).expect(0);
    place
        .run(&["undo", "--yes", "--profile", "night"])
        .expect(0);
    assert_eq!(place.account_of("C-3"), "10003");
    place.run(&["report", "--profile", "night"]).expect(0);
}

#[test]
fn map_option_overrides_profile_map_which_overrides_top_level_map() {
    let (place, _) = place();
    let file = place.file("two.csv", "K1,K2,K3,K4\n10001,10002,10003,N-1\n");
    place.file(
        "idshift.toml",
        "[map]\naccountId = \"K1\"\nnewAccountId = \"K4\"\n[profiles.b.map]\naccountId = \"K2\"\n",
    );
    let planned = |more: &[&str]| {
        let plan = [&["plan", &file, "--format", "json"][..], more].concat();
        let json = place.run(&plan).expect(0).json();
        json["changes"][0]["account_id_before"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(planned(&[]), "10001");
    assert_eq!(planned(&["--profile", "b"]), "10002");
    assert_eq!(
        planned(&["--profile", "b", "--map", "accountId=K3"]),
        "10003"
    );
    let missing = place
        .run(&["plan", &file, "--map", "accountId=K9"])
        .expect(2);
    assert!(missing.err.contains("`K9`"), "{}", missing.err);
}

#[test]
fn every_known_column_can_be_mapped_in_the_configuration_file() {
    let place = Place::plume();
    let columns = [
        "accountId",
        "newAccountId",
        "customerId",
        "locationId",
        "serviceId",
        "profile",
        "resellerId",
    ];
    let map: String = columns
        .map(|column| format!("{column} = \"X {column}\"\n"))
        .concat();
    place.file("idshift.toml", &format!("[map]\n{map}"));
    let shown = place.run(&["config", "--format", "json"]).expect(0).json();
    for column in columns {
        let setting = &shown[format!("map.{column}")];
        assert_eq!(setting["value"], format!("X {column}"));
        assert_eq!(setting["origin"], "file");
    }
    let names: Vec<String> = columns.map(|column| format!("X {column}")).into();
    let file = place.file(
        "all.csv",
        &format!("{}\nA,B,C,L,S,auto,own\n", names.join(",")),
    );
    place.run(&["check", &file]).expect(0);
}

/// The columns of a report are read as in its run, even if the profile has changed.
#[test]
fn report_is_read_with_the_mapping_of_its_run_not_of_the_profile() {
    let (place, _) = place();
    let file = place.file(
        "mixed.csv",
        "A,accountId,newAccountId\n10001,77777,N-1\n10002,77778,N-2\n",
    );
    place.run(&["apply", &file, "--yes"]).expect(1);
    let failures = place.newest().join("failures.csv").display().to_string();
    place.file("idshift.toml", "[map]\naccountId = \"A\"\n");
    place.run(&["apply", &failures, "--yes"]).expect(1);
    assert_eq!(place.patches(), 0, "10001 is not what the run was about");
}

#[test]
fn ambiguous_columns_are_saved_only_after_an_explicit_map_option() {
    let place = Place::plume();
    let file = place.file(
        "two.csv",
        "Account Number;Kundennummer;Neue Kundennummer\n1001;9001;5001\n1002;9002;5002\n1003;9003;5003\n",
    );
    let shown = place.run(&["map", &file]).expect(0).out;
    assert!(shown.contains("Account Number → accountId? "), "{shown}");
    assert!(shown.contains("Kundennummer → accountId? "), "{shown}");
    assert!(
        shown.contains(
            "accountId is not decided: `Account Number` and `Kundennummer` may each be it"
        ),
        "{shown}"
    );
    let next =
        "next: idshift map two.csv --map accountId=NAME --save PROFILE, where NAME is the column";
    assert!(shown.contains(next), "{shown}");
    place.run(&["map", &file, "--save", "x"]).expect(0);
    let saved = || std::fs::read_to_string(place.path().join("idshift.toml")).unwrap();
    assert_eq!(
        saved(),
        "[profiles.x.map]\nnewAccountId = \"Neue Kundennummer\"\n"
    );
    place
        .run(&[
            "map",
            &file,
            "--save",
            "x",
            "--map",
            "accountId=Kundennummer",
        ])
        .expect(0);
    assert!(
        saved().contains("accountId = \"Kundennummer\""),
        "{}",
        saved()
    );
    place.run(&["check", &file, "--profile", "x"]).expect(0);
    // A column that was set is not guessed again.
    let again = place.run(&["map", &file, "--profile", "x"]).expect(0).out;
    assert!(again.contains("Kundennummer → accountId "), "{again}");
    assert!(
        again.contains("Account Number → carried through"),
        "{again}"
    );
}

#[test]
fn missing_header_and_lines_above_the_header_are_recognised() {
    let place = Place::plume();
    for (name, text) in [
        ("numbers.csv", "1001,5001\n1002,5002\n1003,5003\n"),
        ("mixed.csv", "A-1;B-1;auto\nA-2;B-2;auto\n"),
        ("one.csv", "1001,5001\n"),
        ("names.csv", "1001,5001,Ada Lovelace\n1002,5002,Bob Bar\n"),
        (
            "keys.csv",
            "0b6ff5a2-5a0b-4f5e-9f77-0d5f0c1e2a3b,K1\n1c6ff5a2-5a0b-4f5e-9f77-0d5f0c1e2a3b,K2\n",
        ),
    ] {
        let file = place.file(name, text);
        let done = place.run(&["map", &file, "--save", "x"]).expect(2);
        assert!(done.err.contains(":1: no header: "), "{name}: {}", done.err);
        assert!(done.err.contains("are values"), "{name}: {}", done.err);
        assert!(
            done.err.contains("add a header line above it"),
            "{name}: {}",
            done.err
        );
    }
    assert!(!place.path().join("idshift.toml").exists());
    let file = place.file("title.csv", &format!("Export of 2026-11-20\n\n{EXPORT}"));
    let done = place.run(&["map", &file]).expect(2);
    assert!(
        done.err.contains("line 3 looks like the header"),
        "{}",
        done.err
    );
    assert!(done.err.contains("--skip-rows 2"), "{}", done.err);
    let done = place.run(&["map", &file, "--skip-rows", "2"]).expect(0);
    assert!(
        done.out.contains("Account Number → accountId"),
        "{}",
        done.out
    );
    // Column names without a recognisable meaning are kept as names.
    let file = place.file("strange.csv", "foo,bar\n1001,5001\n1002,5002\n");
    let done = place.run(&["map", &file]).expect(0);
    assert!(done.out.contains("foo → carried through"), "{}", done.out);
    assert!(done.out.contains("--map accountId=NAME"), "{}", done.out);
}

#[test]
fn invalid_configuration_file_is_not_modified_by_save() {
    let (place, file) = place();
    for (text, words) in [
        ("[profiles.x\n", "unclosed table"),
        (
            "[profiles.x]\nbase_ulr = \"y\"\n",
            "`base_ulr` is not a setting",
        ),
        ("profiles = 3\n", "must be tables"),
        (
            "[profiles.x.map]\nacountId = \"y\"\n",
            "is `accountId` meant?",
        ),
    ] {
        place.file("idshift.toml", text);
        let done = place.run(&["map", &file, "--save", "x"]).expect(2);
        assert!(done.err.contains(words), "{text}: {}", done.err);
        let after = std::fs::read_to_string(place.path().join("idshift.toml")).unwrap();
        assert_eq!(after, text);
    }
    std::fs::remove_file(place.path().join("idshift.toml")).unwrap();
    place
        .run(&["map", &file, "--save", "x", "--config", "night.toml"])
        .expect(0);
    assert!(place.path().join("night.toml").exists());
    place
        .run(&["check", &file, "--profile", "x", "--config", "night.toml"])
        .expect(0);
}
