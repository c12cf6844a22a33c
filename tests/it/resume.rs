use crate::support::{Asked, Front, Place, customer, finish, good_answer};
use std::io::Write as _;
use std::net::TcpStream;

/// Makes a run of two hundred lines that was stopped after some of them.
fn stopped(more: &[&str]) -> (Place, String) {
    let place = Place::plume();
    let file = place.moves(200);
    let arguments = ["apply", &file, "--yes", "--rate", "50/s", "--until", "1s"];
    place.run(&[&arguments, more].concat()).expect(4);
    let id = place.newest_id();
    let written = place.patches();
    assert!((1..190).contains(&written), "{written} of 200");
    (place, id)
}

fn all_moved(place: &Place) {
    assert_eq!(place.patches(), 200, "each once");
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
}

#[test]
fn max_changes_given_at_resume_is_refused_and_no_line_is_lost() {
    let (place, id) = stopped(&[]);
    let written = place.patches();
    let late = place.run(&["resume", &id, "--max-changes", "5%"]).expect(2);
    assert!(late.err.contains("too late to count"), "{}", late.err);
    assert_eq!(place.patches(), written);
    place.run(&["resume", &id]).expect(0);
    all_moved(&place);
}

#[test]
fn resume_works_with_the_max_changes_limit_of_the_run() {
    let (place, id) = stopped(&["--max-changes", "100%"]);
    place.run(&["resume", &id]).expect(0);
    all_moved(&place);
}

#[test]
fn environment_variable_does_not_move_a_run_to_another_target() {
    let (place, id) = stopped(&[]);
    place.run(&["resume", &id]).expect(0);
    let elsewhere = Place::plume();
    elsewhere.moves(200);
    let (here, there) = (place.sandbox.base_url(), elsewhere.sandbox.base_url());
    for arguments in [&["undo", &id, "--yes"][..], &["resume", &id]] {
        let mut command = place.command(arguments);
        let child = command.env("IDSHIFT_BASE_URL", &there).spawn().unwrap();
        let done = finish(child).expect(2);
        for word in ["IDSHIFT_BASE_URL", &here, &there] {
            assert!(done.err.contains(word), "{arguments:?}: {}", done.err);
        }
    }
    assert!(elsewhere.sandbox.log().is_empty(), "nothing was sent there");
    // An address on the command line is used.
    place.run(&["verify", &id, "--base-url", &there]).expect(3);
    assert!(!elsewhere.sandbox.log().is_empty());
}

fn accounts(place: &Place, customers: u32) -> Vec<String> {
    (0..customers)
        .map(|n| place.account_of(&format!("C-{n}")))
        .collect()
}

const SWAP: &str =
    "accountId,newAccountId\nA-000003,B-000003\nA-000000,A-000001\nA-000001,A-000000\n";

/// Applies the file again, and checks that the swap stays in place.
fn stays_swapped(place: &Place, file: &str, verdicts: &[&str]) {
    place.run(&["apply", file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), verdicts);
    assert_eq!(accounts(place, 2), ["A-000001", "A-000000"]);
}

#[test]
fn swap_is_not_repeated_after_drift_failed_runs_or_edited_lines() {
    let place = Place::plume();
    place.moves(5);
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    // A single line drifts, and a run that corrects it is stopped before it reaches the swap.
    place.with_world(|mut world| world.rename_plume("C-3", "A-000003"));
    place.sandbox.set_faults(
        [
            "read:503:always",
            "search:503:about=A-000000",
            "search:503:about=A-000001",
        ]
        .map(|fault| fault.parse().unwrap())
        .to_vec(),
    );
    let written = place.patches();
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--lookup",
            "each",
            "--concurrency",
            "1",
            "--retries",
            "0",
        ])
        .expect(1);
    assert_eq!(place.verdicts()[0], "changed/");
    assert_eq!(place.patches(), written + 1);
    place.with_world(|mut world| world.rename_plume("C-3", "A-000003"));
    place.sandbox.set_faults(Vec::new());
    stays_swapped(
        &place,
        &file,
        &["changed/", "unchanged/already", "unchanged/already"],
    );
    // The same holds if another line of the file was corrected meanwhile.
    let mended = SWAP
        .replace("B-000003", "D-000003")
        .replace("A-000003", "B-000003");
    place.file("swap.csv", &mended);
    stays_swapped(
        &place,
        &file,
        &["changed/", "unchanged/already", "unchanged/already"],
    );
    // The same holds if another client renamed one of the two: its line reports that, and the other customer's ID is
    // not taken for it.
    place.with_world(|mut world| world.rename_plume("C-0", "Z-000000"));
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts()[1], "failed/mismatch");
    assert_eq!(accounts(&place, 2), ["Z-000000", "A-000000"]);
}

/// Adobe's references need not be unique, so nothing is ordered. But after the run the references in the lines belong
/// to other customers.
#[test]
fn adobe_references_are_not_moved_twice() {
    let place = Place::new(idshift::sandbox::Options {
        kind: idshift::sandbox::Kind::Adobe,
        ..Default::default()
    });
    place.with_world(|mut world| {
        (0..6).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 1));
    });
    let text = "accountId,newAccountId\nREF-0,REF-1\nREF-1,REF-0\nREF-2,REF-3\nREF-3,NEW-3\n";
    let file = place.file("moves.csv", text);
    let references = || {
        place.with_world(|world| {
            let of = |n: u32| {
                let body = &world.adobe[&format!("P{n}")].body;
                body["externalReferenceId"].as_str().unwrap().to_owned()
            };
            (0..6).map(of).collect::<Vec<String>>()
        })
    };
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "k"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
    ];
    let run = |arguments: &[&str]| place.run_with(&settings, arguments);
    let moved = ["REF-1", "REF-0", "REF-3", "NEW-3", "REF-4", "REF-5"];
    // The run is stopped in the middle, and each look-up sees the customers that this run has already moved.
    let slowly = ["--rate", "10/s", "--concurrency", "1", "--max-age", "10ms"];
    let arguments = ["apply", &file, "--yes", "--until", "1s"];
    run(&[&arguments[..], &slowly].concat()).expect(4);
    assert_ne!(references(), moved);
    run(&[&["resume"][..], &slowly].concat()).expect(0);
    assert_eq!(references(), moved);
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
    run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(references(), moved);
    assert!(
        place
            .verdicts()
            .iter()
            .all(|verdict| verdict == "unchanged/already")
    );
}

/// This system accepts an identifier that another customer has, so a swap checks that before each step.
#[test]
fn swap_does_not_assign_an_identifier_that_another_customer_has() {
    let place = Place::new(idshift::sandbox::Options {
        kind: idshift::sandbox::Kind::CloudCockpit,
        ..Default::default()
    });
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    place.with_world(|mut world| {
        for (n, identifier) in [(0, "A-000000"), (1, "A-000001"), (2, "A-000000")] {
            world.add_cockpit(&id(n), "", identifier);
        }
    });
    let text = format!(
        "accountId,newAccountId,customerId\nA-000000,A-000001,{}\nA-000001,A-000000,{}\n",
        id(0),
        id(1)
    );
    let file = place.file("swap.csv", &text);
    let settings = [
        ("SYSTEM", "cloudcockpit"),
        ("TENANT", "portal.example"),
        ("RESELLER_ID", "own"),
    ];
    let world = || place.with_world(|world| format!("{:?}", world.cockpit));
    let before = world();
    for lookup in ["each", "bulk"] {
        let arguments = ["apply", &file, "--yes", "--lookup", lookup];
        place.run_with(&settings, &arguments).expect(1);
        let verdicts = place.verdicts();
        assert!(
            verdicts.contains(&"failed/conflict".to_owned()),
            "{verdicts:?}"
        );
        assert_eq!(world(), before, "{lookup}: everybody is where they were");
    }
}

/// The run is killed around each step of the ledger, and then the swap can no longer be completed: each customer has
/// its former ID, and the undo says that there is nothing to undo instead of refusing for ever.
#[test]
fn killed_swap_that_cannot_be_completed_leaves_nothing_to_undo() {
    for step in 1..12 {
        let place = Place::plume();
        place.with_world(|mut world| (0..2).for_each(|n| world.add_plume(customer(n))));
        let swap = "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n";
        let file = place.file("swap.csv", swap);
        let mut command = place.command(&["apply", &file, "--yes"]);
        let killed = command.env("IDSHIFT_CRASH_AT", step.to_string());
        if finish(killed.spawn().unwrap()).code == 0 {
            break;
        }
        let half = accounts(&place, 2);
        if half[1] != "A-000001" {
            continue;
        }
        place.with_world(|mut world| world.rename_plume("C-1", "Z-000001"));
        let resumed = place.run(&["resume"]);
        assert_eq!(resumed.code, 1, "{step}: {}{}", resumed.out, resumed.err);
        assert_eq!(place.account_of("C-0"), "A-000000", "{step}");
        let undone = place.run(&["undo", "--yes"]);
        // A customer with a recorded but unsent write may have been moved before another program moved it.
        let stale = undone.code == 1 && place.verdicts() == ["failed/stale"];
        let said = [undone.out, undone.err].concat();
        let nothing = undone.code == 2 && said.contains("no run that wrote something");
        assert!(
            undone.code == 0 || stale || nothing,
            "{step}, {half:?}: {said}"
        );
        assert_eq!(accounts(&place, 2), ["A-000000", "Z-000001"], "{step}");
    }
}

/// As in the documents, the answers of this server never show a profile.
#[test]
fn undo_restores_a_profile_that_the_system_never_shows() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(customer(0)));
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = String::from_utf8(asked.honestly(&honest)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
        hide_profiles(&mut body);
        let ok = head.starts_with("HTTP/1.1 200");
        assert!(ok, "{head}");
        stream.write_all(&good_answer(&body.to_string())).is_ok()
    });
    let file = place.file("one.csv", "accountId,profile\nA-000000,smallbusiness\n");
    let base_url = front.base_url();
    let run = |arguments: &[&str]| {
        place.run(
            &[
                arguments,
                &["--yes", "--base-url", &base_url, "--lookup", "each"],
            ]
            .concat(),
        )
    };
    let profile = || place.with_world(|world| world.plume["C-0"].locations[0].profile.clone());
    run(&["apply", &file]).expect(0);
    assert_eq!(&*profile(), "smallbusiness");
    run(&["undo"]).expect(0);
    assert_eq!(place.verdicts(), ["changed/"]);
    assert_eq!(&*profile(), "auto");
}

fn hide_profiles(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("profile");
            fields.values_mut().for_each(hide_profiles);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(hide_profiles),
        _ => {}
    }
}

#[test]
fn incremental_reconcile_applies_undone_changes_again() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    place
        .run(&["reconcile", &file, "--yes", "--incremental"])
        .expect(0);
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
    assert_eq!(accounts(&place, 3), ["B-000000", "B-000001", "B-000002"]);
}

#[test]
fn unreadable_answers_are_an_outage_and_fail_no_line() {
    for (nonsense, lookup) in [("any:empty", "auto"), ("any:deep", "each")] {
        let place = Place::plume();
        let file = place.moves(60);
        place.sandbox.set_faults(vec![nonsense.parse().unwrap()]);
        let arguments = [
            "apply",
            &file,
            "--yes",
            "--give-up-after",
            "2s",
            "--lookup",
            lookup,
        ];
        place.run(&arguments).expect(4);
        let skipped = place.verdicts();
        assert!(
            skipped
                .iter()
                .all(|verdict| verdict.starts_with("skipped/")),
            "{skipped:?}"
        );
        place.sandbox.set_faults(Vec::new());
        place.run(&["resume"]).expect(0);
        assert_eq!(place.patches(), 60);
    }
}

/// The settings with which a plan was carried out hold for its resume, above all the fence.
#[test]
fn resume_keeps_the_settings_with_which_the_plan_was_applied() {
    let place = Place::plume();
    let file = place.moves(39);
    place.run(&["plan", &file]).expect(0);
    let plan = place.newest_id();
    let fenced = ["--tenant-fence", "nobody", "--max-failures", "0"];
    let arguments = ["apply", "--run", &plan, "--yes"];
    place.run(&[&arguments[..], &fenced].concat());
    place.run(&["resume", &plan]);
    assert_eq!(place.patches(), 0, "nobody inside of the fence");
    // A new value holds from then on.
    place.run(&[
        "resume",
        &plan,
        "--tenant-fence",
        "",
        "--max-failures",
        "100%",
    ]);
    let partner = place.with_world(|world| world.plume["C-0"].partner.to_string());
    place.run(&["plan", &file]).expect(0);
    let plan = place.newest_id();
    let arguments = ["apply", "--run", &plan, "--yes", "--tenant-fence", &partner];
    place.run(&arguments).expect(0);
    assert_eq!(place.patches(), 39);
}

#[test]
fn max_changes_stops_the_apply_of_a_plan_and_an_undo() {
    let place = Place::plume();
    let file = place.moves(39);
    place.run(&["plan", &file]).expect(0);
    let plan = place.newest_id();
    let limit = ["--yes", "--max-changes", "5"];
    let refused = place.run(&[&["apply", "--run", &plan][..], &limit].concat());
    let refused = refused.expect(4);
    assert!(refused.err.contains("39 of 39"), "{}", refused.err);
    assert_eq!(place.patches(), 0);
    place
        .run(&["apply", "--run", &plan, "--yes", "--max-changes", "39"])
        .expect(0);
    place.run(&[&["undo"][..], &limit].concat()).expect(4);
    assert_eq!(place.patches(), 39);
    place
        .run(&["undo", "--yes", "--max-changes", "100%"])
        .expect(0);
    assert_eq!(place.patches(), 78);
}

/// After a failed canary, a resume checks a canary again.
#[test]
fn resume_after_a_failed_canary_begins_with_a_canary() {
    let place = Place::plume();
    let file = place.moves(39);
    let honest = place.sandbox.base_url();
    let lying = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" {
            // The front answers with success and changes nothing.
            let id = asked.path.rsplit('/').next().unwrap();
            let n = id.trim_start_matches("C-").parse::<u32>().unwrap();
            let body = serde_json::json!({"id": id, "accountId": format!("B-{n:06}")});
            return stream.write_all(&good_answer(&body.to_string())).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let elsewhere = ["--base-url", &lying.base_url()];
    let apply = ["apply", &file, "--yes", "--canary", "3"];
    place.run(&[&apply[..], &elsewhere].concat()).expect(4);
    let told = |place: &Place| place.verdicts().iter().filter(|v| *v == "changed/").count();
    let first = told(&place);
    assert!(first <= 6, "{first}");
    // A value that did not persist stays a failure after a resume.
    assert_eq!(place.verdicts()[0], "failed/bad_answer");
    let after = &place.rows("results.csv")[0]["idshift_account_id_after"];
    assert_eq!(after, "A-000000", "as it is");
    place.run(&[&["resume"][..], &elsewhere].concat()).expect(4);
    assert!(told(&place) < 20, "a second canary");
    let honest = place.sandbox.base_url();
    // A resume on another target than the run's must name the run.
    let run = place.newest_id();
    let unnamed = place.run(&["resume", "--base-url", &honest]).expect(2);
    assert!(unnamed.err.contains(&run), "{}", unnamed.err);
    place
        .run(&["resume", &run, "--base-url", &honest])
        .expect(1);
    assert_eq!(place.verdicts()[0], "failed/bad_answer");
    assert_eq!(accounts(&place, 1), ["A-000000"]);
}

#[test]
fn run_that_never_began_does_not_block_undo() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let good = place.newest_id();
    for arguments in [&["undo", "--yes"][..], &["apply", &file, "--yes"]] {
        let mut command = place.command(arguments);
        let child = command.env_remove("IDSHIFT_TOKEN").spawn().unwrap();
        let done = finish(child).expect(2);
        assert!(done.err.contains("IDSHIFT_TOKEN"), "{}", done.err);
        assert_eq!(place.newest_id(), good, "no run was made");
    }
    // This run ends before it begins, because a setting is found to be wrong.
    let mut command = place.command(&["apply", &file, "--yes", "--ca-cert", "no-such.pem"]);
    finish(command.spawn().unwrap()).expect(2);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(accounts(&place, 3), ["A-000000", "A-000001", "A-000002"]);
}

#[test]
fn undo_reports_each_line_that_it_cannot_restore() {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..3 {
            let mut customer = crate::support::customer(n);
            customer
                .locations
                .iter_mut()
                .for_each(|location| location.service_id = None);
            world.add_plume(customer);
        }
    });
    let text = "accountId,newAccountId,serviceId,profile\n\
        A-000000,B-000000,S-0,\nA-000001,,S-1,smallbusiness\nA-000002,B-000002,,\n";
    let file = place.file("first.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["undo", "--yes"]).expect(1);
    let mut verdicts = place.verdicts();
    verdicts.sort();
    assert_eq!(
        verdicts,
        [
            "changed/",
            "changed/",
            "changed/",
            "failed/rejected",
            "failed/rejected"
        ]
    );
    let failed = place.rows("failures.csv");
    assert!(
        failed
            .iter()
            .all(|row| row["idshift_message"].contains("service ID"))
    );
    assert_eq!(accounts(&place, 3), ["A-000000", "A-000001", "A-000002"]);
}

#[test]
fn line_that_fails_in_a_plan_is_not_reported_as_renamed() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(crate::support::named("C-0", "A-000000", &["L-0", "L-1"]));
    });
    let text = "accountId,newAccountId,serviceId\nA-000000,B-000000,S-0\n";
    let file = place.file("two.csv", text);
    let plan = place.run(&["plan", &file, "--json"]).expect(1).json();
    assert_eq!(place.verdicts(), ["failed/ambiguous"]);
    assert_eq!(
        place.rows("results.csv")[0]["idshift_account_id_after"],
        "A-000000"
    );
    assert_eq!(plan["forecast"]["writes"], 0, "{plan}");
}

#[test]
fn undone_run_cannot_be_resumed() {
    let (place, id) = stopped(&[]);
    place.run(&["undo", &id, "--yes"]).expect(0);
    let undo = place.newest_id();
    let written = place.patches();
    let refused = place.run(&["resume", &id]).expect(2);
    assert!(refused.err.contains(&undo), "{}", refused.err);
    assert_eq!(place.patches(), written);
}

/// The first line of a chain is renamed and then fails at its location. The line that waits for its old ID is carried
/// out anyway, also if the run was stopped in between.
#[test]
fn chain_continues_after_a_renamed_line_failed_at_its_location() {
    let place = Place::plume();
    place.with_world(|mut world| (0..2).for_each(|n| world.add_plume(crate::support::customer(n))));
    let text = "accountId,newAccountId,locationId,serviceId\n\
        A-000000,A-000001,,\nA-000001,B-000001,,S-1\n";
    let file = place.file("chain.csv", text);
    // The second write is refused all the time, and the run gives up.
    place.sandbox.set_faults(
        ["customer-patch:503=60:nth=2", "location-patch:403"]
            .map(|fault| fault.parse().unwrap())
            .to_vec(),
    );
    let first = place.run(&[
        "apply",
        &file,
        "--yes",
        "--give-up-after",
        "1s",
        "--lookup",
        "each",
    ]);
    assert_eq!(first.code, 4, "{}{}", first.out, first.err);
    assert_eq!(accounts(&place, 2), ["A-000000", "B-000001"]);
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume"]).expect(1);
    assert_eq!(place.verdicts(), ["changed/", "failed/forbidden"]);
    assert_eq!(accounts(&place, 2), ["A-000001", "B-000001"]);
}

/// Each write was answered with "not now", so no line is in doubt.
#[test]
fn write_answered_with_429_is_not_in_doubt() {
    let place = Place::plume();
    let file = place.moves(5);
    place
        .sandbox
        .set_faults(vec!["customer-patch:429".parse().unwrap()]);
    let apply = ["apply", &file, "--yes", "--give-up-after", "2s"];
    place.run(&apply).expect(4);
    let skipped = |verdict: &String| verdict == "skipped/guard";
    assert!(
        place.verdicts().iter().all(skipped),
        "{:?}",
        place.verdicts()
    );
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume"]).expect(0);
    assert_eq!(accounts(&place, 2), ["B-000000", "B-000001"]);
}

/// The time is reached while the last lines are under way: they are finished, and no line is left to resume.
#[test]
fn until_time_reached_after_the_last_unit_began_stops_nothing() {
    let place = Place::new(idshift::sandbox::Options {
        latency: std::time::Duration::from_millis(1500),
        ..Default::default()
    });
    let file = place.moves(4);
    let until = ["apply", &file, "--yes", "--until", "2s"];
    place.run(&until).expect(0);
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
}

/// The undo is killed after its ledger was made, before it was begun.
#[test]
fn undo_that_never_began_is_repeated_instead_of_resumed() {
    let place = Place::plume();
    let file = place.moves(5);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let applied = place.newest_id();
    let mut undo = place.command(&["undo", "--yes"]);
    let killed = finish(undo.env("IDSHIFT_CRASH_AT", "1").spawn().unwrap());
    assert_eq!(killed.code, -1);
    let undo = place.newest_id();
    let ledger = rusqlite::Connection::open(place.newest().join("ledger.db")).unwrap();
    ledger
        .execute_batch("DELETE FROM outcomes; UPDATE progress SET phase = 'created'")
        .unwrap();
    drop(ledger);
    let refused = place.run(&["resume", &undo]).expect(2);
    let begin = format!("idshift undo {applied}");
    assert!(refused.err.contains(&begin), "{}", refused.err);
    place.run(&["undo", &applied, "--yes"]).expect(0);
    assert_eq!(accounts(&place, 2), ["A-000000", "A-000001"]);
    // A `resume` without a run does not choose this undo as an unfinished run.
    let nothing = place.run(&["resume"]).expect(2);
    assert!(nothing.err.contains("no unfinished run"), "{}", nothing.err);
}

/// The variable was set from the beginning, and the command line overrode it.
#[test]
fn resume_keeps_the_rate_of_the_run_despite_an_environment_variable() {
    let (place, id) = stopped(&[]);
    place.run(&["resume", &id]).expect(0);
    let at: Vec<_> = place.sandbox.log().iter().map(|seen| seen.at).collect();
    let second = std::time::Duration::from_secs(1);
    for from in &at {
        let calls = at.iter().filter(|at| *at >= from && **at < *from + second);
        assert!(calls.count() <= 52);
    }
}
