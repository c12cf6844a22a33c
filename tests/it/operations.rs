use crate::support::{Place, begun_by, finish, named};
use idshift::sandbox::{Kind, Options};

/// The system has moved. A command with the new address writes there, and the undo works there as well.
#[test]
fn plan_applied_at_another_address_belongs_to_that_address() {
    let (place, other) = (Place::plume(), Place::plume());
    let file = place.moves(5);
    other.moves(5);
    place.run(&["plan", &file]).expect(0);
    let id = place.newest_id();
    let there = other.sandbox.base_url();
    let carry_out = ["apply", "--run", &id, "--base-url", &there, "--yes"];
    let done = place.run(&[&carry_out[..], &["--json"]].concat()).expect(0);
    assert_eq!(done.json()["base_url"], there.as_str());
    assert_eq!(other.account_of("C-1"), "B-000001");
    assert_eq!(place.account_of("C-1"), "A-000001");
    let unset = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        finish(command.env_remove("IDSHIFT_BASE_URL").spawn().unwrap())
    };
    unset(&["verify", &id]).expect(0);
    unset(&["undo", &id, "--yes"]).expect(0);
    assert_eq!(other.account_of("C-1"), "A-000001");
}

#[test]
fn plan_cannot_be_applied_in_the_sandbox_or_with_another_profile() {
    let place = Place::plume();
    let file = place.moves(3);
    let (here, there) = (place.sandbox.base_url(), "http://127.0.0.1:9");
    let profiles = format!(
        "[profiles.staging]\nsystem = \"plume\"\nbase_url = \"{here}\"\n[profiles.prod]\nsystem = \"plume\"\n\
         base_url = \"{there}\"\n"
    );
    place.file("idshift.toml", &profiles);
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        finish(command.env_remove("IDSHIFT_BASE_URL").spawn().unwrap())
    };
    run(&["plan", &file, "--profile", "staging"]).expect(0);
    let id = place.newest_id();
    let refused = run(&["apply", "--run", &id, "--profile", "prod", "--yes"]).expect(2);
    assert!(refused.err.contains("prod"), "{}", refused.err);
    let refused = run(&["apply", "--run", &id, "--sandbox", "--yes"]).expect(2);
    assert!(refused.err.contains("stand-in"), "{}", refused.err);
    assert_eq!(place.patches(), 0);
    run(&["apply", "--run", &id, "--profile", "staging", "--yes"]).expect(0);
}

#[test]
fn verify_with_a_refused_token_reports_no_difference() {
    let place = Place::plume();
    let file = place.moves(20);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.sandbox.set_faults(vec!["any:401".parse().unwrap()]);
    let done = place.run(&["verify"]).expect(4);
    assert!(done.err.contains("refuses the credentials"), "{}", done.err);
    assert!(done.out.is_empty(), "{}", done.out);
}

#[test]
fn resume_ignores_a_run_that_could_not_begin() {
    let place = Place::plume();
    let file = place.moves(3);
    let mut command = place.command(&["apply", &file, "--yes"]);
    command.env_remove("IDSHIFT_TOKEN");
    command.env("IDSHIFT_TOKEN_FILE", "nosuch");
    let done = finish(command.spawn().unwrap()).expect(2);
    assert!(done.err.contains("nosuch"), "{}", done.err);
    place.run(&["resume"]).expect(2);
    assert_eq!(place.patches(), 0);
}

/// The run was killed between its end and its reports: `resume` shows the failures.
#[test]
fn resume_writes_reports_that_are_missing_after_a_kill() {
    let place = Place::plume();
    place.moves(5);
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\nA-000001,B-1\nNOBODY,B-2\n",
    );
    place.run(&["apply", &file, "--yes"]).expect(1);
    let run = place.newest();
    for name in ["results.csv", "failures.csv", "summary.json", "report.html"] {
        std::fs::remove_file(run.join(name)).unwrap();
    }
    let before = place.patches();
    place.run(&["resume"]).expect(1);
    assert_eq!(place.verdicts(), ["changed/", "failed/not_found"]);
    assert_eq!(place.patches(), before);
}

/// The run was killed twice: the reports of the first process exist, and the second process carried out the rest.
#[test]
fn resume_replaces_reports_left_by_an_earlier_process() {
    let place = Place::plume();
    let file = place.moves(9);
    let slowly = ["apply", &file, "--yes", "--concurrency", "1"];
    let mut command = place.command(&slowly);
    command.env("IDSHIFT_CRASH_AT", "8");
    finish(command.spawn().unwrap());
    place.run(&["report"]).expect(0);
    let reports = ["results.csv", "failures.csv", "summary.json", "report.html"];
    let run = place.newest();
    let earlier = reports.map(|name| std::fs::read(run.join(name)).unwrap());
    assert!(!place.rows("failures.csv").is_empty());
    place.run(&["resume"]).expect(0);
    for (name, bytes) in reports.iter().zip(earlier) {
        std::fs::write(run.join(name), bytes).unwrap();
    }
    let before = place.patches();
    place.run(&["resume"]).expect(0);
    assert_eq!(place.verdicts(), ["changed/"; 9]);
    assert_eq!(place.patches(), before);
    place.run(&["resume"]).expect(2);
}

#[test]
fn check_reports_a_misspelled_column_name() {
    let place = Place::plume();
    place.moves(3);
    let file = place.file(
        "moves.csv",
        "accountId,newAcountId,serviceId,remark\nA-000001,B-1,S-1,x\n",
    );
    let done = place.run(&["check", &file]).expect(2);
    let said = [&*done.out, &*done.err].concat();
    assert!(said.contains("newAcountId"), "{said}");
    assert!(said.contains("newAccountId"), "{said}");
    assert!(!said.contains("remark"), "{said}");
}

#[test]
fn a_plan_that_was_stopped_makes_no_forecast() {
    let place = Place::plume();
    let file = place.moves(30);
    place.sandbox.set_faults(vec!["any:503".parse().unwrap()]);
    let stopped = ["plan", &file, "--give-up-after", "2s"];
    let done = place.run(&stopped).expect(4);
    assert!(!done.out.contains("would take"), "{}", done.out);
}

#[test]
fn next_command_of_an_adobe_plan_includes_the_consent_option() {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        ..Options::default()
    });
    place.with_world(|mut world| world.add_adobe("P1", "REF-1", "R1", 1));
    let file = place.file("moves.csv", "accountId,newAccountId\nREF-1,NEW-1\n");
    let settings = [("SYSTEM", "adobe"), ("API_KEY", "k"), ("RESELLER_ID", "R1")];
    let done = place.run_with(&settings, &["plan", &file]).expect(0);
    let next = done.out.lines().last().unwrap();
    assert!(next.contains("--accept-welcome-emails"), "{next}");
}

#[test]
fn exit_code_is_4_when_standard_output_cannot_be_written() {
    let place = Place::plume();
    let file = place.moves(3);
    for arguments in [
        &["check", &file, "--json"][..],
        &["apply", &file, "--yes", "--json"],
        &["verify", "--json"],
        &["runs"],
        &["completions", "bash"],
    ] {
        let idshift = place.command(arguments);
        let mut lost = begun_by(&place, &idshift, &["sh"], "exec \"$0\" \"$@\" > /dev/full");
        let done = finish(lost.spawn().unwrap()).expect(4);
        assert!(done.err.contains("standard output"), "{}", done.err);
    }
    assert_eq!(place.account_of("C-1"), "B-000001");
}

#[test]
fn profile_without_a_config_file_suggests_idshift_init() {
    let place = Place::plume();
    let file = place.moves(3);
    let done = place.run(&["plan", &file, "--profile", "night"]).expect(2);
    assert!(done.err.contains("idshift init"), "{}", done.err);
}

/// `doctor` finds a runs folder that cannot be written, before a night fails.
#[test]
fn doctor_checks_that_the_runs_folder_is_writable() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &[])));
    std::fs::create_dir(place.path().join("ro")).unwrap();
    let idshift = place.command(&["doctor", "--runs-dir", "ro/runs"]);
    let mount = "mkdir ro/runs && chmod 700 ro/runs && mount -t tmpfs -o ro,mode=700 none ro/runs";
    let Some(mut command) = crate::support::in_a_namespace(&place, &idshift, mount) else {
        return;
    };
    let done = finish(command.spawn().unwrap()).expect(2);
    assert!(done.out.contains("BAD   runs"), "{}{}", done.out, done.err);
}

/// A state database that cannot be used would stop every run.
#[test]
fn doctor_opens_the_state_database() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &[])));
    let good = place.run(&["doctor"]).expect(0);
    assert!(good.out.contains("state/idshift/state.db"), "{}", good.out);
    let database = place.path().join("state/idshift/state.db");
    std::fs::write(&database, "this is no database".repeat(300)).unwrap();
    let done = place.run(&["doctor"]).expect(2);
    assert!(done.out.contains("BAD   state"), "{}{}", done.out, done.err);
}

/// A conflict is reported only for the lines with the same new ID.
#[test]
fn conflict_is_reported_only_for_the_lines_involved() {
    let place = Place::plume();
    let text = "accountId,newAccountId\nA-2,B-2\nA-3,B-2\nA-2,B-9\n";
    let file = place.file("moves.csv", text);
    let done = place.run(&["check", &file, "--json"]).expect(2).json();
    let clashes = done["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|problem| {
            let message = problem["message"].as_str().unwrap();
            message.contains("two accounts would get")
        });
    assert!(clashes.clone().count() > 0, "{done}");
    for clash in clashes {
        assert_ne!(clash["line"], 4, "{clash}");
        let words = clash["message"].as_str().unwrap();
        assert!(!words.contains("line 4"), "{clash}");
    }
}

/// A mistyped address neither loses the run nor its records.
#[test]
fn resume_at_an_unreachable_address_does_not_move_the_run() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "A-1", &[]));
        world.add_plume(named("C-2", "A-2", &[]));
        world.add_plume(named("C-3", "A-3", &[]));
    });
    let text = "accountId,newAccountId\nA-1,A-2\nA-2,A-1\nA-3,B-3\n";
    let file = place.file("swap.csv", text);
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "1"]);
    let done = finish(command.env("IDSHIFT_CRASH_AT", "12").spawn().unwrap());
    assert_eq!(done.code, -1, "{}{}", done.out, done.err);
    let wrong = [
        "resume",
        "--base-url",
        "http://127.0.0.1:9",
        "--give-up-after",
        "1s",
    ];
    assert_ne!(place.run(&wrong).code, 0);
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-1"), "A-2");
    assert_eq!(place.account_of("C-2"), "A-1");
    assert_eq!(place.account_of("C-3"), "B-3");
}

/// Another program made the changes that the run had tried, and that were refused each time.
#[test]
fn undo_keeps_changes_made_by_another_client() {
    let place = Place::plume();
    let file = place.moves(3);
    place
        .sandbox
        .set_faults(vec!["customer-patch:429=1".parse().unwrap()]);
    let stopped = ["apply", &file, "--yes", "--concurrency", "1"];
    let child = place.command(&stopped).spawn().unwrap();
    let id = child.id().to_string();
    while place.patches() == 0 {
        std::thread::yield_now();
    }
    // The signal is sent while all calls are held.
    let stopped = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(stopped.unwrap().success());
    assert_eq!(finish(child).code, 130);
    place.with_world(|mut world| world.rename_plume("C-0", "B-000000"));
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume"]).expect(0);
    assert_eq!(place.account_of("C-1"), "B-000001");
    let mut told = place.verdicts();
    told.sort();
    assert_eq!(told, ["changed/", "changed/", "unchanged/already"]);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "B-000000");
    assert_eq!(place.account_of("C-1"), "A-000001");
}

#[test]
fn base_url_in_another_spelling_is_the_same_target() {
    let place = Place::plume();
    let file = place.moves(3);
    let port = place
        .sandbox
        .base_url()
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let profile =
        format!("[profiles.prod]\nsystem = \"plume\"\nbase_url = \"http://LOCALHOST:{port}/\"\n");
    place.file("idshift.toml", &profile);
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        finish(command.env_remove("IDSHIFT_BASE_URL").spawn().unwrap())
    };
    run(&["apply", &file, "--profile", "prod", "--yes"]).expect(0);
    run(&["undo", "--profile", "prod", "--yes"]).expect(0);
    // In both runs the environment overrides the profile.
    place
        .run(&["apply", &file, "--profile", "prod", "--yes"])
        .expect(0);
    place.run(&["undo", "--profile", "prod", "--yes"]).expect(0);
}
