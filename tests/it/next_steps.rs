use crate::support::{Done, Place, begun_by, customer, finish};
use idshift::sandbox::Options;
use std::io::BufRead as _;

/// Returns the command of the last line, as a user would copy it.
fn printed(done: &Done, command: &str) -> String {
    let last = done.out.trim_end().lines().last().unwrap_or_default();
    let last = last.strip_prefix("next: ").unwrap_or_else(|| {
        panic!("the next step is the last line: {}{}", done.out, done.err);
    });
    let at = last.find(&format!("idshift {command}"));
    let at = at.unwrap_or_else(|| panic!("no idshift {command}: {last}"));
    let ends = ["; ", " tries those lines again", " draws this again"];
    let rest = &last[at..];
    let end = ends.iter().filter_map(|end| rest.find(end)).min();
    rest[..end.unwrap_or(rest.len())].to_owned()
}

/// Adds the program's folder to the shell's path.
const HERE: &str = "PATH=$(dirname \"$0\"):$PATH\n";

/// Runs the line in a shell.
fn typed(place: &Place, line: &str) -> Done {
    let mut idshift = place.command(&[]);
    idshift.env("IDSHIFT_YES", "true");
    let script = format!("{HERE}{line}");
    finish(begun_by(place, &idshift, &["sh"], &script).spawn().unwrap())
}

/// Writes a file with the new IDs in a column of another name, and with a column `newAccountId` that means something else.
fn mapped(place: &Place) -> String {
    place.with_world(|mut world| world.add_plume(customer(0)));
    place.file(
        "moves.csv",
        "accountId,newAccountId,CRM KEY\nA-000000,WRONG-0,B-000000\nA-000001,WRONG-1,B-000001\n",
    )
}

/// Runs that file so that a line fails; returns the file of the failures.
fn with_mapped_failures() -> (Place, String) {
    let place = Place::plume();
    let file = mapped(&place);
    let apply = ["apply", &file, "--yes", "--map", "newAccountId=CRM KEY"];
    place.run(&apply).expect(1);
    let failures = place.newest().join("failures.csv");
    (place, failures.display().to_string())
}

#[test]
fn printed_command_retries_the_failures_of_a_mapped_file() {
    let place = Place::plume();
    let file = mapped(&place);
    let runs = ["--runs-dir", "night runs"];
    let first = ["apply", &file, "--yes", "--map", "newAccountId=CRM KEY"];
    let done = place.run(&[&first[..], &runs].concat()).expect(1);
    place.with_world(|mut world| world.add_plume(customer(1)));
    let again = printed(&done, "apply");
    assert!(again.contains("--map 'newAccountId=CRM KEY'"), "{again}");
    let done = typed(&place, &again).expect(0);
    assert_eq!(place.account_of("C-1"), "B-000001");
    typed(&place, &printed(&done, "verify")).expect(0);
    typed(&place, &printed(&done, "undo")).expect(0);
    assert_eq!(place.account_of("C-1"), "A-000001");
    let runs = std::fs::read_dir(place.path().join("night runs")).unwrap();
    let runs: Vec<String> = runs
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert_eq!(runs.len(), 3, "all of it lies in one folder: {runs:?}");
    assert!(!place.path().join("idshift-runs").exists());
}

#[test]
fn report_of_a_mapped_file_is_read_with_the_mapping_of_its_run() {
    let (place, failures) = with_mapped_failures();
    place.with_world(|mut world| world.add_plume(customer(1)));
    let done = place.run(&["check", &failures]).expect(0);
    assert!(
        done.err.contains("--map 'newAccountId=CRM KEY'"),
        "{}",
        done.err
    );
    place.run(&["plan", &failures]).expect(0);
    assert_eq!(
        place.rows("results.csv")[0]["idshift_account_id_after"],
        "B-000001"
    );
    let done = place
        .run(&["apply", &failures, "--yes", "--json"])
        .expect(0);
    done.json();
    assert!(
        done.err.contains("is read with the input settings of run"),
        "{}",
        done.err
    );
    assert_eq!(place.account_of("C-1"), "B-000001");
    // The results of that run can be read in the same way.
    let results = format!("{}/results.csv", place.newest().display());
    place.run(&["plan", &results]).expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"]);
    // An explicit mapping overrides this.
    let said = ["--map", "newAccountId=newAccountId"];
    place.run(&[&["plan", &results][..], &said].concat());
    assert_ne!(place.verdicts(), ["unchanged/already"]);
}

#[test]
fn failures_file_is_refused_when_its_run_cannot_be_read() {
    let (place, failures) = with_mapped_failures();
    std::fs::write(place.newest().join("ledger.db"), "no ledger").unwrap();
    let patches = place.patches();
    let done = place.run(&["apply", &failures, "--yes"]).expect(2);
    assert!(done.err.contains("--map"), "{}", done.err);
    assert_eq!(place.patches(), patches);
}

#[test]
fn plan_command_printed_by_check_keeps_the_input_options() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(customer(0)));
    std::fs::write(
        place.path().join("my moves.csv"),
        b"accountId;newAccountId;K\xfcrzel\nA-000000;WRONG-0;B-000000\n;;B-000009\n",
    )
    .unwrap();
    let reading = [
        "--map",
        "newAccountId=Kürzel",
        "--encoding",
        "windows-1252",
        "--delimiter",
        "semicolon",
        "--skip-invalid",
        "--system",
        "plume",
    ];
    let done = place
        .run(&[&["check", "my moves.csv"][..], &reading].concat())
        .expect(0);
    typed(&place, &printed(&done, "plan")).expect(1);
    assert_eq!(place.verdicts(), ["would_change/", "failed/invalid"]);
    let bare = [&["check", "my moves.csv"][..], &reading[..6]].concat();
    let done = place.run(&bare).expect(2);
    assert!(done.out.contains("--skip-invalid"), "{}", done.out);
    // Standard input has no file name that the next command could use.
    let mut check = place.command(&["check", "-"]);
    let input = std::fs::File::open(
        place
            .path()
            .join(place.file("m.csv", "accountId,newAccountId\nA-000000,B-000000\n")),
    );
    let done = finish(check.stdin(input.unwrap()).spawn().unwrap()).expect(0);
    assert!(
        done.out.contains("next: idshift plan FILE, where FILE has"),
        "{}",
        done.out
    );
}

#[test]
fn printed_command_resumes_a_plan_after_its_token_was_refused() {
    let tokens = Some(vec!["canary-token-0123456789".to_owned()]);
    let place = Place::new(Options {
        tokens,
        ..Options::default()
    });
    let file = place.moves(3);
    let done = place.run(&["plan", &file]).expect(0);
    let carry_out = printed(&done, "apply --run");
    let mut idshift = place.command(&[]);
    idshift
        .env("IDSHIFT_YES", "true")
        .env("IDSHIFT_TOKEN", "expired");
    let script = format!("{HERE}{carry_out}");
    let refused = begun_by(&place, &idshift, &["sh"], &script);
    let mut refused = refused;
    let done = finish(refused.spawn().unwrap()).expect(2);
    assert!(done.out.contains("correct the credentials"), "{}", done.out);
    typed(&place, &printed(&done, "resume")).expect(0);
    assert_eq!(place.account_of("C-2"), "B-000002");
}

#[test]
fn printed_command_continues_after_max_changes_stopped_the_run() {
    let place = Place::plume();
    let file = place.moves(39);
    let done = place
        .run(&["apply", &file, "--yes", "--max-changes", "10%"])
        .expect(4);
    assert_eq!(place.patches(), 0);
    assert!(
        done.out.contains("next: if 39 changes are right: "),
        "{}",
        done.out
    );
    let page = std::fs::read_to_string(place.newest().join("report.html")).unwrap();
    let resume = printed(&done, "resume");
    assert!(page.contains(&format!("<code>{resume}</code>")), "{page}");
    typed(&place, &resume).expect(0);
    assert_eq!(place.account_of("C-38"), "B-000038");
}

#[test]
fn json_output_prints_the_next_command_on_standard_error() {
    let place = Place::plume();
    let file = place.moves(39);
    let stopped = place
        .run(&["apply", &file, "--yes", "--max-changes", "10%", "--json"])
        .expect(4);
    assert_eq!(stopped.json()["state"], "stopped");
    let resume = format!("idshift resume {}", place.newest_id());
    let next = stopped.err.lines().find(|line| line.starts_with("next: "));
    assert!(
        next.is_some_and(|next| next.contains(&resume)),
        "{}",
        stopped.err
    );
    let done = place
        .run(&["resume", "--max-changes", "100%", "--json"])
        .expect(0);
    assert!(!done.err.contains("next: "), "{}", done.err);
}

#[test]
fn printed_commands_of_a_sandbox_run_stay_in_the_sandbox() {
    let place = Place::plume();
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\nA-000001,B-000001\nA-000002,B-000002\n",
    );
    place.file("night.toml", "timeout = \"9s\"\n");
    let inside = ["--sandbox", "--config", "night.toml"];
    let done = place
        .run(&[&["plan", &file][..], &inside].concat())
        .expect(0);
    let done = typed(&place, &printed(&done, "apply --run")).expect(0);
    let verify = printed(&done, "verify");
    assert!(verify.contains("--config night.toml --sandbox"), "{verify}");
    typed(&place, &verify).expect(0);
    typed(&place, &printed(&done, "undo")).expect(0);
    assert!(
        place.sandbox.log().is_empty(),
        "the other system is left alone"
    );
}

#[test]
fn command_printed_by_sandbox_works() {
    let place = Place::plume();
    // A repeated line, and a location that only the second line of a customer changes.
    place.file(
        "moves.csv",
        "accountId,newAccountId,serviceId\nA-000001,B-000001,S-1\nA-000001,B-000001,S-1\nA-000002,B-000002,\nA-000002,,S-2\n",
    );
    place.file(
        "plain.csv",
        "accountId,newAccountId\nA-000001,B-000001\nA-000001,B-000001\n",
    );
    for (system, file) in [
        ("plume", "moves.csv"),
        ("adobe", "plain.csv"),
        ("cloudcockpit", "plain.csv"),
    ] {
        let mut sandbox = place
            .command(&["sandbox", "--system", system, "--from", file])
            .spawn()
            .unwrap();
        let said = std::io::BufReader::new(sandbox.stderr.take().unwrap());
        let line = said.lines().map(Result::unwrap);
        let line = line.skip_while(|line| !line.contains("idshift apply"));
        let line = line.take(1).collect::<String>();
        let done = typed(&place, line.trim());
        sandbox.kill().unwrap();
        sandbox.wait().unwrap();
        let done = done.expect(0);
        assert!(done.out.contains("finished"), "{system}: {}", done.out);
        let changed = place.verdicts().iter().all(|verdict| verdict == "changed/");
        assert!(changed, "{system}: {:?}", place.verdicts());
    }
}

/// Where all runs were rehearsals on a stand-in, some have written something, and the command that is printed works.
#[test]
fn verify_and_undo_report_when_all_runs_were_in_the_sandbox() {
    let place = Place::plume();
    let file = place.moves(3);
    let nothing = place.run(&["verify"]).expect(2);
    assert!(
        nothing.err.contains("no run that wrote something in "),
        "{}",
        nothing.err
    );
    place.run(&["apply", &file, "--yes", "--sandbox"]).expect(0);
    let id = place.newest_id();
    for command in ["verify", "undo"] {
        let said = place.run(&[command]).expect(2).err;
        assert!(said.contains("but on a stand-in (--sandbox)"), "{said}");
        let next = format!("idshift {command} {id} --sandbox");
        assert!(said.contains(&format!("`{next}`")), "{said}");
        typed(&place, &next).expect(0);
    }
    let said = place
        .run(&["verify", "--sandbox", "--system", "adobe"])
        .expect(2)
        .err;
    assert!(said.contains("on this target"), "{said}");
}

#[test]
fn verify_reports_that_a_plan_wrote_nothing() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["plan", &file]).expect(0);
    let run = place.newest_id();
    let calls = place.sandbox.log().len();
    let unnamed = place.run(&["verify"]).expect(2).err;
    assert!(unnamed.contains("no run that wrote something"), "{unnamed}");
    let refused = place.run(&["verify", &run]).expect(2);
    let words = format!("run {run} is a plan and wrote nothing");
    assert!(refused.err.contains(&words), "{}", refused.err);
    let carries_out = format!("`idshift apply --run {run}` carries it out");
    assert!(refused.err.contains(&carries_out), "{}", refused.err);
    assert_eq!(place.sandbox.log().len(), calls);
    place.run(&["apply", "--run", &run, "--yes"]).expect(0);
    let verified = place.run(&["verify", &run]).expect(0).out;
    assert!(verified.contains("all 3 lines are as"), "{verified}");
}

#[test]
fn verify_reports_that_no_line_can_be_compared() {
    let place = Place::plume();
    let file = place.file("moves.csv", "accountId,newAccountId\nA-9,B-9\n");
    place.run(&["apply", &file, "--yes"]).expect(1);
    let verified = place.run(&["verify", &place.newest_id()]).expect(0).out;
    let words = "the run has changed nothing, and found no requested value in place";
    assert!(verified.contains(words), "{verified}");
}
