use crate::support::{Place, finish};
use std::fmt::Write as _;
use std::fs;

/// Starts a run that is killed at this durable step; returns its ID.
fn killed(place: &Place, arguments: &[&str], at: &str) -> String {
    let mut command = place.command(arguments);
    let done = finish(command.env("IDSHIFT_CRASH_AT", at).spawn().unwrap());
    assert_eq!(done.code, -1, "{}{}", done.out, done.err);
    place.newest_id()
}

fn services(place: &Place, name: &str, value: &str) -> String {
    let mut text = String::from("accountId,serviceId\n");
    (0..60).for_each(|n| writeln!(text, "A-{n:06},{value}-{n}").unwrap());
    place.file(name, &text)
}

#[test]
fn resumed_run_overwrites_no_values_of_a_newer_run() {
    let place = Place::plume();
    place.moves(60);
    let (first, second) = (
        services(&place, "1.csv", "DAY1"),
        services(&place, "2.csv", "DAY2"),
    );
    let slowly = ["apply", &first, "--yes", "--concurrency", "2"];
    let old = killed(&place, &slowly, "30");
    place.run(&["apply", &second, "--yes"]).expect(0);
    let done = place.run(&["resume", &old]).expect(1);
    assert!(done.err.contains(") have changed "), "{}", done.err);
    place.with_world(|world| {
        for customer in world.plume.values() {
            let service = customer.locations[0].service_id.as_deref().unwrap();
            assert!(service.starts_with("DAY2-"), "{}: {service}", customer.id);
        }
    });
    let run = place.path().join("idshift-runs").join(&old);
    let summary = std::fs::read_to_string(run.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert!(
        summary["reasons"]["stale"].as_u64().unwrap() > 20,
        "{summary}"
    );
}

#[test]
fn resumed_run_writes_nothing_after_the_same_file_was_applied_again() {
    let place = Place::plume();
    let file = place.moves(60);
    let old = killed(
        &place,
        &["apply", &file, "--yes", "--concurrency", "2"],
        "30",
    );
    place.run(&["apply", &file, "--yes"]).expect(0);
    let before = place.patches();
    place.run(&["resume", &old]).expect(0);
    assert_eq!(place.patches(), before);
}

#[test]
fn killed_undo_must_be_resumed_before_another_undo() {
    let place = Place::plume();
    let file = place.moves(60);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let parent = place.newest_id();
    let back = killed(
        &place,
        &["undo", &parent, "--yes", "--concurrency", "2"],
        "30",
    );
    let refused = place.run(&["undo", &parent, "--yes"]).expect(2);
    assert!(
        refused.err.contains(&format!("idshift resume {back}")),
        "{}",
        refused.err
    );
    place.run(&["resume", &back]).expect(0);
    (0..60).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
}

/// The lines of an undo name their customers, so it needs no file of another run, also when it is resumed in a swap.
#[test]
fn killed_undo_is_resumed_without_the_input_file_of_its_run() {
    for step in ["8", "10", "12"] {
        let place = Place::plume();
        place.moves(8);
        let swap = "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\nA-000002,B-2\n";
        let file = place.file("swap.csv", swap);
        place.run(&["apply", &file, "--yes"]).expect(0);
        fs::remove_file(place.newest().join("input.csv")).unwrap();
        let slowly = ["undo", "--yes", "--concurrency", "1"];
        let back = killed(&place, &slowly, step);
        place.run(&["resume", &back]).expect(0);
        (0..8).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
    }
}

#[test]
fn an_undo_of_an_older_run_overwrites_nothing_of_a_newer_run() {
    let place = Place::plume();
    let file = place.moves(60);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let back = killed(&place, &["undo", "--yes", "--concurrency", "2"], "30");
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["resume", &back]).expect(1);
    place.with_world(|world| {
        let moved = world
            .plume
            .values()
            .filter(|one| one.account_id.starts_with("B-"));
        assert_eq!(moved.count(), 60);
    });
    place.run(&["apply", &file, "--yes"]).expect(0);
}

#[test]
fn second_undo_does_not_apply_the_changes_again() {
    let place = Place::plume();
    let file = place.moves(10);
    place.run(&["apply", &file, "--yes"]).expect(0);
    for _ in 0..2 {
        place.run(&["undo", "--yes"]).expect(0);
        (0..10).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
    }
}

#[test]
fn newer_location_writes_do_not_block_renames_of_a_resumed_run() {
    for planned in [false, true] {
        let place = Place::plume();
        let file = place.moves(60);
        let mut text = String::from("customerId,serviceId\n");
        (0..60).for_each(|n| writeln!(text, "C-{n},NEW-{n}").unwrap());
        let other = place.file("services.csv", &text);
        let slowly = ["--yes", "--concurrency", "2"];
        let old = if planned {
            let plan = place.run(&["plan", &file, "--json"]).expect(0).json();
            let plan = plan["run"].as_str().unwrap().to_owned();
            // This happens before the plan is carried out, so that the plan's run is the newer one.
            place.run(&["apply", &file, "--yes"]).expect(0);
            place.run(&["undo", "--yes"]).expect(0);
            let apply = ["apply", "--run", &plan];
            let mut command = place.command(&[&apply[..], &slowly].concat());
            let done = finish(command.env("IDSHIFT_CRASH_AT", "30").spawn().unwrap());
            assert_eq!(done.code, -1, "{}{}", done.out, done.err);
            plan
        } else {
            killed(&place, &[&["apply", &file][..], &slowly].concat(), "30")
        };
        place.run(&["apply", &other, "--yes"]).expect(0);
        place.run(&["resume", &old]).expect(0);
        (0..60).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}")));
    }
}

#[test]
fn unreadable_newer_run_prevents_resume() {
    let place = Place::plume();
    place.moves(60);
    let (first, second) = (
        services(&place, "1.csv", "DAY1"),
        services(&place, "2.csv", "DAY2"),
    );
    let old = killed(
        &place,
        &["apply", &first, "--yes", "--concurrency", "2"],
        "30",
    );
    place.run(&["apply", &second, "--yes"]).expect(0);
    std::fs::write(place.newest().join("ledger.db"), "damaged").unwrap();
    let before = place.patches();
    let refused = place.run(&["resume", &old]).expect(2);
    assert!(
        refused.err.contains("written newer values"),
        "{}",
        refused.err
    );
    assert_eq!(place.patches(), before);
}

#[test]
fn undone_undo_does_not_block_another_undo() {
    let place = Place::plume();
    let file = place.moves(60);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let parent = place.newest_id();
    let back = killed(
        &place,
        &["undo", &parent, "--yes", "--concurrency", "2"],
        "30",
    );
    place
        .run(&["resume", &back, "--max-failures", "1"])
        .expect(0);
    place.run(&["undo", &back, "--yes"]).expect(0);
    place.run(&["undo", &parent, "--yes"]).expect(0);
    (0..60).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
}

#[test]
fn resume_finishes_a_swap_with_a_parked_customer_after_other_runs() {
    let mut aside = 0;
    for step in 4..20 {
        let place = Place::plume();
        place.moves(3);
        let file = place.file(
            "ring.csv",
            "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000002\nA-000002,A-000000\n",
        );
        let other = place.file(
            "services.csv",
            "customerId,serviceId\nC-0,NEW-0\nC-1,NEW-1\nC-2,NEW-2\n",
        );
        let mut command = place.command(&["apply", &file, "--yes"]);
        let killed = command.env("IDSHIFT_CRASH_AT", step.to_string());
        if finish(killed.spawn().unwrap()).code != -1 {
            break;
        }
        let old = place.newest_id();
        let is_aside = |n: u32| place.account_of(&format!("C-{n}")).starts_with("IDS");
        aside += usize::from((0..3).any(is_aside));
        // The newer runs write, or find everything in place.
        place.run(&["apply", &other, "--yes"]).expect(0);
        place.run(&["reconcile", &other, "--yes"]).expect(0);
        place.run(&["resume", &old]).expect(0);
        let now = |n: u32| place.account_of(&format!("C-{n}"));
        assert_eq!(
            [now(0), now(1), now(2)],
            ["A-000001", "A-000002", "A-000000"],
            "{step}"
        );
    }
    assert!(aside > 0, "nobody was ever aside");
}

/// The same system under two names.
#[test]
fn run_resumed_at_another_address_overwrites_no_newer_values_there() {
    let place = Place::plume();
    place.moves(60);
    let (first, second) = (
        services(&place, "1.csv", "DAY1"),
        services(&place, "2.csv", "DAY2"),
    );
    let slowly = ["apply", &first, "--yes", "--concurrency", "2"];
    let old = killed(&place, &slowly, "30");
    let there = place.sandbox.base_url().replace("127.0.0.1", "localhost");
    place
        .run(&["apply", &second, "--yes", "--base-url", &there])
        .expect(0);
    place.run(&["resume", &old, "--base-url", &there]).expect(1);
    place.with_world(|world| {
        for customer in world.plume.values() {
            let service = customer.locations[0].service_id.as_deref().unwrap();
            assert!(service.starts_with("DAY2-"), "{}: {service}", customer.id);
        }
    });
}

/// The writes of a run had no effect, and another run made the changes: the values belong to the other run.
#[test]
fn older_run_does_not_claim_or_undo_writes_of_a_newer_run() {
    let place = Place::plume();
    let file = place.moves(5);
    let nothing = "patch:500".parse().unwrap();
    place.sandbox.set_faults(vec![nothing]);
    let shortly = [
        "--retries",
        "0",
        "--max-failures",
        "1",
        "--concurrency",
        "1",
    ];
    let done = place.run(&[&["apply", &file, "--yes"][..], &shortly].concat());
    assert_ne!(done.code, 0);
    let old = place.newest_id();
    place.sandbox.set_faults(Vec::new());
    place.run(&["apply", &file, "--yes"]).expect(0);
    let new = place.newest_id();
    place.run(&["resume", &old, "--max-failures", "100"]);
    place.run(&["undo", &old, "--yes"]);
    for n in 0..5 {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
    place.run(&["verify", &new]).expect(0);
    place.run(&["undo", &new, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-3"), "A-000003");
}

/// A run was undone, and another run made its changes again: the first run has nothing left to undo.
#[test]
fn second_undo_of_a_run_does_not_overwrite_a_newer_run() {
    let place = Place::plume();
    let file = place.moves(5);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let first = place.newest_id();
    place.run(&["undo", &first, "--yes"]).expect(0);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let second = place.newest_id();
    place.run(&["undo", &first, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), vec!["failed/stale"; 5]);
    place.run(&["verify", &second]).expect(0);
    // In the reverse order of the runs, all of them can be undone.
    place.run(&["undo", &second, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-3"), "A-000003");
}

#[test]
fn runs_are_undone_in_reverse_order() {
    let place = Place::plume();
    let file = place.moves(5);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let first = place.newest_id();
    let mut text = String::from("accountId,newAccountId\n");
    (0..5).for_each(|n| writeln!(text, "B-{n:06},C-{n:06}").unwrap());
    let next = place.file("next.csv", &text);
    place.run(&["apply", &next, "--yes"]).expect(0);
    let second = place.newest_id();
    place.run(&["undo", &second, "--yes"]).expect(0);
    place.run(&["undo", &first, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-3"), "A-000003");
}

/// A run that looks everything up before it writes is killed during this, and a newer run changes the same customers.
#[test]
fn run_interrupted_during_lookups_overwrites_nothing_newer() {
    let place = Place::plume();
    place.moves(60);
    let (first, second) = (
        services(&place, "1.csv", "DAY1"),
        services(&place, "2.csv", "DAY2"),
    );
    let slowly = [
        "--rate",
        "20/s",
        "--lookup",
        "each",
        "--max-changes",
        "100%",
    ];
    let mut command = place.command(&[&["apply", &first, "--yes"][..], &slowly].concat());
    let child = command.spawn().unwrap();
    while place.sandbox.log().len() < 10 {
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    let signalled = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(signalled.unwrap().success());
    assert_eq!(finish(child).code, 130);
    assert_eq!(place.patches(), 0);
    let old = place.newest_id();
    place.run(&["apply", &second, "--yes"]).expect(0);
    place
        .run(&["resume", &old, "--rate", "unlimited"])
        .expect(1);
    place.with_world(|world| {
        for customer in world.plume.values() {
            let service = customer.locations[0].service_id.as_deref().unwrap();
            assert!(service.starts_with("DAY2-"), "{}: {service}", customer.id);
        }
    });
}

/// The clock does not decide which of two runs is newer.
#[test]
fn clock_set_back_does_not_change_the_order_of_runs() {
    let place = Place::plume();
    place.moves(60);
    let (first, second) = (
        services(&place, "1.csv", "DAY1"),
        services(&place, "2.csv", "DAY2"),
    );
    let slowly = ["apply", &first, "--yes", "--concurrency", "2"];
    let mut command = place.command(&slowly);
    let done = finish(command.env("IDSHIFT_CRASH_AT", "30").spawn().unwrap());
    assert_eq!(done.code, -1, "{}{}", done.out, done.err);
    let (old, ledger) = (place.newest_id(), place.newest().join("ledger.db"));
    // The run looks as if it had begun while the clock was an hour ahead.
    let connection = rusqlite::Connection::open(ledger).unwrap();
    let moved = "UPDATE progress SET started_at_ms = started_at_ms + 3600000";
    assert_eq!(connection.execute(moved, ()).unwrap(), 1);
    drop(connection);
    place.run(&["apply", &second, "--yes"]).expect(0);
    place.run(&["resume", &old]).expect(1);
    place.with_world(|world| {
        for customer in world.plume.values() {
            let service = customer.locations[0].service_id.as_deref().unwrap();
            assert!(service.starts_with("DAY2-"), "{}: {service}", customer.id);
        }
    });
}

/// Without RUN, a command takes the run that wrote last, and not the one that was made last.
#[test]
fn plan_carried_out_after_another_run_is_the_newest_run() {
    let place = Place::plume();
    place.moves(2);
    let first = place.file("p.csv", "accountId,newAccountId\nA-000000,P-0\n");
    let second = place.file("q.csv", "accountId,newAccountId\nA-000001,Q-1\n");
    let plan = place.run(&["plan", &first, "--json"]).expect(0).json();
    let plan = plan["run"].as_str().unwrap();
    place.run(&["apply", &second, "--yes"]).expect(0);
    place.run(&["apply", "--run", plan, "--yes"]).expect(0);
    let runs = place.run(&["runs", "--json"]).expect(0).json();
    let runs = runs["runs"].as_array().unwrap();
    assert_eq!(runs[1]["run"], plan);
    assert!(runs[0]["epoch"].as_u64() < runs[1]["epoch"].as_u64());
    let verified = place.run(&["verify", "--json"]).expect(0).json();
    assert_eq!(verified["run"], plan);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000000");
    assert_eq!(place.account_of("C-1"), "Q-1");
}

/// If the state database is lost, new epochs are higher than those of the ledgers.
#[test]
fn lost_state_database_does_not_change_the_order_of_runs() {
    let place = Place::plume();
    place.moves(60);
    let file = services(&place, "1.csv", "DAY1");
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["apply", &file, "--yes"]).expect(0);
    std::fs::remove_dir_all(place.path().join("state")).unwrap();
    let file = services(&place, "2.csv", "DAY2");
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "2"]);
    let done = finish(command.env("IDSHIFT_CRASH_AT", "30").spawn().unwrap());
    assert_eq!(done.code, -1, "{}{}", done.out, done.err);
    place.run(&["resume"]).expect(0);
    assert_eq!(place.verdicts(), vec!["changed/"; 60]);
}

/// If the state database is lost after a plan was carried out in part, new runs are still newer than this part.
#[test]
fn lost_state_database_does_not_make_newer_runs_older_than_a_plan_in_progress() {
    let place = Place::plume();
    place.moves(20);
    let rows = (0..20).fold(String::new(), |rows, n| format!("{rows}C-{n},B-{n:06}\n"));
    let file = place.file("older.csv", &format!("customerId,newAccountId\n{rows}"));
    let plan = place.run(&["plan", &file, "--json"]).expect(0).json();
    let plan = plan["run"].as_str().unwrap();
    let slowly = ["--rate", "5/s", "--concurrency", "1", "--until", "1s"];
    let apply = ["apply", "--run", plan, "--yes"];
    place.run(&[&apply[..], &slowly].concat()).expect(4);
    std::fs::remove_dir_all(place.path().join("state")).unwrap();
    let newer = place.file("newer.csv", "customerId,newAccountId\nC-19,A-000019\n");
    place.run(&["apply", &newer, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"]);
    place.run(&["resume", plan, "--rate", "500/s"]).expect(1);
    assert_eq!(place.account_of("C-19"), "A-000019");
    assert_eq!(place.account_of("C-18"), "B-000018");
}

/// A plan that is carried out after the undo of another run counts as newer than this undo.
#[test]
fn undo_after_a_later_plan_does_not_report_that_all_was_restored() {
    let place = Place::plume();
    let file = place.moves(3);
    let plan = place.run(&["plan", &file, "--json"]).expect(0).json();
    let plan = plan["run"].as_str().unwrap();
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest_id();
    place.run(&["undo", &run, "--yes"]).expect(0);
    place.run(&["apply", "--run", plan, "--yes"]).expect(0);
    let again = place.run(&["undo", &run, "--yes"]).expect(1);
    assert!(!again.err.contains("has restored"), "{}", again.err);
    (0..3).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}")));
}

/// A newer run repeated the first rename of customers that another program had changed in between. The undo of the
/// newer run could restore only some of them.
#[test]
fn undo_skips_customers_that_the_undo_of_a_newer_run_skipped() {
    let place = Place::plume();
    let file = place.moves(6);
    let set = |n: u32, account: &str| {
        place.with_world(|mut world| {
            let id = format!("C-{n}");
            world.plume.get_mut(id.as_str()).unwrap().account_id = account.into();
        });
    };
    place.run(&["apply", &file, "--yes"]).expect(0);
    let older = place.newest_id();
    (0..6).for_each(|n| set(n, &format!("X-{n}")));
    let mut text = String::from("accountId,newAccountId\n");
    (0..6).for_each(|n| writeln!(text, "X-{n},B-{n:06}").unwrap());
    let again = place.file("again.csv", &text);
    place.run(&["apply", &again, "--yes"]).expect(0);
    let newer = place.newest_id();
    // The undo leaves these customers, because they are not as the run left them.
    (0..3).for_each(|n| set(n, &format!("Y-{n}")));
    place.run(&["undo", &newer, "--yes"]).expect(1);
    (0..3).for_each(|n| set(n, &format!("B-{n:06}")));
    (3..6).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("X-{n}")));
    (3..6).for_each(|n| set(n, &format!("B-{n:06}")));
    place.run(&["undo", &older, "--yes"]).expect(1);
    (0..3).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}")));
    (3..6).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
}

/// The undo of a newer run was itself undone, so it has restored nothing.
#[test]
fn undo_skips_values_of_a_newer_run_whose_undo_was_undone() {
    let place = Place::plume();
    let file = place.moves(4);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let older = place.newest_id();
    place.run(&["undo", "--yes"]).expect(0);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    let back = place.newest_id();
    place.run(&["undo", &back, "--yes"]).expect(0);
    place.run(&["undo", &older, "--yes"]).expect(1);
    (0..4).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}")));
}

/// One run renamed customers. Another program changed the second half, and a newer run renamed that half to the same
/// IDs again. The undo of the older run was killed while it restored the first half.
fn half_renamed_again(place: &Place, file: &str) -> String {
    place.run(&["apply", file, "--yes"]).expect(0);
    let older = place.newest_id();
    let mut text = String::from("accountId,newAccountId\n");
    for n in 30..60 {
        place.with_world(|mut world| {
            let id = format!("C-{n}");
            world.plume.get_mut(id.as_str()).unwrap().account_id = format!("X-{n}").into();
        });
        writeln!(text, "X-{n},B-{n:06}").unwrap();
    }
    let again = place.file("again.csv", &text);
    place.run(&["apply", &again, "--yes"]).expect(0);
    older
}

#[test]
fn resumed_undo_overwrites_nothing_newer_than_the_undone_run() {
    let place = Place::plume();
    let file = place.moves(60);
    let older = half_renamed_again(&place, &file);
    let back = killed(
        &place,
        &["undo", &older, "--yes", "--concurrency", "2"],
        "30",
    );
    place.run(&["resume", &back]).expect(1);
    for n in 0..60 {
        let wished = if n < 30 { "A" } else { "B" };
        assert_eq!(
            place.account_of(&format!("C-{n}")),
            format!("{wished}-{n:06}")
        );
    }
}

/// The undo of an undo reverses what it restored. A new undo of the first run then writes these values again.
#[test]
fn an_undo_of_an_undo_overwrites_nothing_that_a_newer_undo_wrote() {
    let place = Place::plume();
    let file = place.moves(6);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest_id();
    place.run(&["undo", &run, "--yes"]).expect(0);
    let first = place.newest_id();
    place.run(&["undo", &first, "--yes"]).expect(0);
    place.run(&["undo", &run, "--yes"]).expect(0);
    place.run(&["undo", &first, "--yes"]).expect(1);
    (0..6).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
}

/// The undo of a newer run restored the service ID of a location, and could not restore its profile.
#[test]
fn undo_skips_values_that_a_pruned_undo_of_a_newer_run_could_not_restore() {
    for is_pruned in [false, true] {
        let place = Place::plume();
        place.moves(1);
        let profile = |new: &str| {
            place.with_world(|mut world| {
                world.plume.get_mut("C-0").unwrap().locations[0].profile = new.into();
            });
        };
        profile("smallbusiness");
        let elsewhere = ["--runs-dir", "older"];
        let file = place.file("older.csv", "accountId,profile\nA-000000,auto\n");
        place
            .run(&[&["apply", &file, "--yes"][..], &elsewhere].concat())
            .expect(0);
        profile("custom");
        let newer = "accountId,serviceId,profile\nA-000000,NEW,auto\n";
        let newer = place.file("newer.csv", newer);
        place.run(&["apply", &newer, "--yes"]).expect(0);
        place.run(&["undo", "--yes"]).expect(1);
        let mut verdicts = place.verdicts();
        verdicts.sort();
        assert_eq!(verdicts, ["changed/", "failed/rejected"]);
        if is_pruned {
            let prune = ["runs", "prune", "--older-than", "0s", "--keep-last", "0"];
            place.run(&[&prune[..], &["--yes"]].concat()).expect(0);
        }
        let before = place.patches();
        let undo = [&["undo", "--yes"][..], &elsewhere].concat();
        place.run(&undo).expect(1);
        assert_eq!(place.patches(), before);
    }
}
