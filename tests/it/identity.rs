use crate::support::{Asked, Done, Front, Place, clock_library, finish, named};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SWAP: &str = "accountId,newAccountId\nA-000001,A-000002\nA-000002,A-000001\n";

/// Makes two customers, C-1 and C-2.
fn two() -> Place {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "A-000001", &["L-1"]));
        world.add_plume(named("C-2", "A-000002", &["L-2"]));
    });
    place
}

fn accounts(place: &Place) -> [String; 2] {
    ["C-1", "C-2"].map(|id| place.account_of(id))
}

fn assert_swapped(place: &Place) {
    assert_eq!(accounts(place), ["A-000002", "A-000001"]);
}

/// Returns another address of the same system.
fn another_name(place: &Place) -> Front {
    let honest = place.sandbox.base_url();
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        stream.write_all(&asked.honestly(&honest)).is_ok()
    })
}

fn at(place: &Place, base_url: &str, arguments: &[&str]) -> Done {
    place.run_with(&[("BASE_URL", base_url)], arguments)
}

#[test]
fn loopback_names_are_one_target() {
    let place = two();
    let file = place.file("swap.csv", SWAP);
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let address = place.sandbox.base_url().replace("127.0.0.1", host);
        at(&place, &address, &["apply", &file, "--yes"]).expect(0);
        assert_swapped(&place);
    }
    assert_eq!(place.patches(), 3);
}

#[test]
fn swap_is_applied_once_under_two_addresses_of_one_system() {
    let place = two();
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let front = another_name(&place);
    for _ in 0..2 {
        at(&place, &front.base_url(), &["apply", &file, "--yes"]).expect(0);
        assert_eq!(place.verdicts(), ["unchanged/already"; 2]);
        assert_swapped(&place);
    }
    at(&place, &front.base_url(), &["reconcile", &file, "--yes"]).expect(0);
    assert_eq!(place.patches(), 3);
    // The second apply uses the first address again.
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.patches(), 3);
}

#[test]
fn unreachable_address_error_names_the_target_of_an_earlier_run() {
    let place = two();
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let done = at(&place, "http://127.0.0.1:9", &["plan", &file]).expect(2);
    let words = "error: plume at http://127.0.0.1:9: no connection";
    assert!(done.err.contains(words), "{}", done.err);
    let earlier = "an earlier run worked on plume at http://localhost:";
    assert!(done.err.contains(earlier), "{}", done.err);
    assert!(done.err.contains("correct --base-url"), "{}", done.err);
}

#[test]
fn second_run_is_refused_under_another_address_of_the_system() {
    let place = Place::new(idshift::sandbox::Options {
        latency: Duration::from_millis(30),
        ..Default::default()
    });
    let file = place.moves(200);
    // A first run leaves a customer by which the system is recognised.
    let one = place.file("one.csv", "accountId,serviceId\nA-000000,S-1\n");
    place.run(&["apply", &one, "--yes"]).expect(0);
    let front = another_name(&place);
    let first = place
        .command(&["apply", &file, "--yes", "--rate", "20/s"])
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while place.patches() < 5 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    for address in [
        front.base_url(),
        place.sandbox.base_url().replace("127.0.0.1", "localhost"),
    ] {
        let second = at(&place, &address, &["apply", &file, "--yes"]).expect(5);
        assert!(second.err.contains("holds this target"), "{}", second.err);
    }
    finish(first).expect(0);
    place.judge_writes();
}

#[test]
fn second_run_is_refused_under_another_address_before_the_first_has_written() {
    let place = Place::plume();
    let file = place.moves(200);
    let front = another_name(&place);
    let look = ["reconcile", &file, "--yes", "--lookup", "each"];
    let first = place
        .command(&[&look[..], &["--rate", "20/s"]].concat())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while place.sandbox.log().len() < 25 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    let second = at(&place, &front.base_url(), &["apply", &file, "--yes"]).expect(5);
    assert!(second.err.contains("holds this target"), "{}", second.err);
    assert_eq!(place.patches(), 0);
    finish(first).expect(0);
    place.judge_writes();
}

#[test]
fn run_is_stopped_before_its_writes_by_a_run_begun_at_another_address() {
    let place = two();
    let file = place.file("swap.csv", SWAP);
    let honest = place.sandbox.base_url();
    let (asked, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (is_asked, may_answer) = (Arc::clone(&asked), Arc::clone(&answered));
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        is_asked.store(true, Ordering::SeqCst);
        while !may_answer.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    // Its first look-up waits, so the other run finds nothing by which it could recognise the system.
    let slow = place
        .command(&["reconcile", &file, "--yes"])
        .env("IDSHIFT_BASE_URL", front.base_url())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !asked.load(Ordering::SeqCst) {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_swapped(&place);
    // By now nothing has changed hands, as far as the plan of the slow run shows.
    place.with_world(|mut world| {
        world.rename_plume("C-1", "PARKED");
        world.rename_plume("C-2", "A-000002");
        world.rename_plume("C-1", "A-000001");
    });
    answered.store(true, Ordering::SeqCst);
    let stopped = finish(slow).expect(5);
    let words = "has begun meanwhile, and that is the same system as";
    assert!(stopped.err.contains(words), "{}", stopped.err);
    assert_eq!(place.patches(), 3);
}

#[test]
fn history_of_a_staging_system_is_ignored_on_production() {
    let (staging, production) = (two(), Place::plume());
    production.with_world(|mut world| {
        world.add_plume(named("P-1", "A-000001", &["L-1"]));
        world.add_plume(named("P-2", "A-000002", &["L-2"]));
    });
    let file = staging.file("swap.csv", SWAP);
    staging.run(&["apply", &file, "--yes"]).expect(0);
    assert_swapped(&staging);
    let there = production.sandbox.base_url();
    for _ in 0..2 {
        at(&staging, &there, &["apply", &file, "--yes"]).expect(0);
        assert_eq!(
            ["P-1", "P-2"].map(|id| production.account_of(id)),
            ["A-000002", "A-000001"]
        );
    }
    assert_eq!(production.patches(), 3);
    // One read was enough to decide this.
    let reads = production.sandbox.log();
    let reads = reads.iter().filter(|seen| seen.path.contains("/C-"));
    assert_eq!(reads.count(), 1);
}

#[test]
fn a_swap_is_made_once_from_two_working_directories() {
    let place = two();
    let file = place.file("swap.csv", SWAP);
    let file = place.path().join(file);
    let file = file.to_str().unwrap();
    place.run(&["apply", file, "--yes"]).expect(0);
    for folder in ["elsewhere", "and/there"] {
        let folder = place.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = place.command(&["apply", file, "--yes"]);
        finish(command.current_dir(&folder).spawn().unwrap()).expect(0);
        assert_swapped(&place);
    }
    place
        .run(&["apply", file, "--yes", "--runs-dir", "others"])
        .expect(0);
    assert_swapped(&place);
    assert_eq!(place.patches(), 3);
    // The run is also found from another folder.
    let mut command = place.command(&["undo", "--yes"]);
    let undone = finish(
        command
            .current_dir(place.path().join("elsewhere"))
            .spawn()
            .unwrap(),
    );
    undone.expect(0);
    assert_eq!(accounts(&place), ["A-000001", "A-000002"]);
}

#[test]
fn newest_run_is_chosen_correctly_after_the_clock_was_set_back() {
    let Some(library) = clock_library() else {
        println!("NOT RUN: libfaketime is not installed");
        return;
    };
    let place = Place::plume();
    place.moves(20);
    let rows = |from: u32| -> String {
        let lines = (from..from + 10).map(|n| format!("A-{n:06},B-{n:06}\n"));
        format!("accountId,newAccountId\n{}", lines.collect::<String>())
    };
    let (a, b) = (
        place.file("a.csv", &rows(0)),
        place.file("b.csv", &rows(10)),
    );
    place.run(&["apply", &a, "--yes"]).expect(0);
    let first = place.newest_id();
    let mut command = place.command(&["apply", &b, "--yes"]);
    command.env("LD_PRELOAD", library).env("FAKETIME", "-2d");
    // A clock that is set back does not change how long the machine has been running.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    finish(command.spawn().unwrap()).expect(0);
    assert_eq!(place.newest_id(), first, "the clock was set back");
    let list = place.run(&["runs"]).expect(0);
    let bottom = list.out.trim().lines().last().unwrap().to_owned();
    assert!(bottom.contains("b.csv"), "{}", list.out);
    for command in ["report", "verify"] {
        let done = place.run(&[command]).expect(0);
        assert!(done.err.contains("apply of b.csv"), "{}", done.err);
    }
    let undone = place.run(&["undo", "--yes"]).expect(0);
    assert!(undone.err.contains("apply of b.csv"), "{}", undone.err);
    for n in 0..20 {
        let left = if n < 10 { "B" } else { "A" };
        assert_eq!(
            place.account_of(&format!("C-{n}")),
            format!("{left}-{n:06}")
        );
    }
}

/// The write waits for `Retry-After` when the process is killed; then another client changes the customer.
#[test]
fn write_still_waiting_at_a_kill_is_not_recorded_as_sent() {
    let place = Place::plume();
    let file = place.moves(4);
    place
        .sandbox
        .set_faults(vec!["customer-patch:429=60".parse().unwrap()]);
    let mut child = place
        .command(&["apply", &file, "--yes", "--concurrency", "4"])
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while place.patches() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    // The answer is recorded soon; all other calls wait for a minute.
    let ledger = place.newest().join("ledger.db");
    let open = || -> i64 {
        let connection = rusqlite::Connection::open(&ledger).unwrap();
        let sql = "SELECT count(*) FROM writes WHERE verdict IS NULL";
        connection.query_row(sql, (), |row| row.get(0)).unwrap()
    };
    while open() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "an intent waits");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    finish(child);
    assert_eq!(open(), 0);
    place.sandbox.set_faults(Vec::new());
    place.with_world(|mut world| {
        (0..4).for_each(|n| world.rename_plume(&format!("C-{n}"), &format!("B-{n:06}")));
    });
    place.run(&["resume"]).expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"; 4]);
    let undone = place.run(&["undo", "--yes"]);
    assert!([0, 2].contains(&undone.code), "{}", undone.err);
    (0..4).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}")));
}

#[test]
fn repeated_line_does_not_rename_a_new_owner_of_the_old_id() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("c1", "OLD-0001", &["L-1"])));
    let file = place.file("moves.csv", "accountId,newAccountId\nOLD-0001,CRM-0001\n");
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| {
        world.rename_plume("c1", "MOVED-01");
        world.add_plume(named("c11", "OLD-0001", &["L-11"]));
    });
    let again = place.file("again.csv", "accountId,newAccountId\nOLD-0001,CRM-0001\n");
    for command in ["apply", "reconcile"] {
        for file in [&file, &again] {
            place.run(&[command, file, "--yes"]).expect(1);
            assert_eq!(place.verdicts(), ["failed/mismatch"]);
        }
    }
    assert_eq!(place.account_of("c11"), "OLD-0001");
    // The customer that was renamed has the new ID, so the line is unchanged, whichever customer has the old ID.
    place.with_world(|mut world| world.rename_plume("c1", "CRM-0001"));
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"]);
    // The customer is gone, and another one has its old ID.
    place.with_world(|mut world| {
        world.rename_plume("c1", "MOVED-01");
        world.plume.get_mut("c1").unwrap().hidden = true;
    });
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/mismatch"]);
    // `customerId` says which customer is meant, and another new ID is another request.
    let named = place.file("named.csv", "customerId,newAccountId\nc11,CRM-0011\n");
    place.run(&["apply", &named, "--yes"]).expect(0);
    assert_eq!(place.account_of("c11"), "CRM-0011");
    place.with_world(|mut world| world.rename_plume("c11", "OLD-0001"));
    let other = place.file("other.csv", "accountId,newAccountId\nOLD-0001,CRM-0099\n");
    place.run(&["apply", &other, "--yes"]).expect(0);
    assert_eq!(place.account_of("c11"), "CRM-0099");
}

#[test]
fn lost_state_database_is_rebuilt_from_the_runs_folder() {
    let place = two();
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    std::fs::remove_dir_all(place.path().join("state")).unwrap();
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_swapped(&place);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(accounts(&place), ["A-000001", "A-000002"]);
}

#[test]
fn swaps_are_refused_if_a_registered_run_folder_is_missing() {
    let place = two();
    let file = place.file("swap.csv", SWAP);
    place
        .run(&["apply", &file, "--yes", "--runs-dir", "others"])
        .expect(0);
    std::fs::remove_dir_all(place.path().join("others")).unwrap();
    for command in ["plan", "apply", "reconcile"] {
        let mut arguments = vec![command, file.as_str()];
        if command != "plan" {
            arguments.push("--yes");
        }
        let refused = place.run(&arguments).expect(2);
        assert!(refused.err.contains("others"), "{}", refused.err);
        assert!(refused.err.contains("--without-history"), "{}", refused.err);
    }
    assert_eq!(place.patches(), 3);
    // A single line, and lines that name their customers, do not depend on earlier runs.
    let plain = place.file("plain.csv", "accountId,serviceId\nA-000001,S-1\n");
    place.run(&["apply", &plain, "--yes"]).expect(0);
    let text = "accountId,customerId,newAccountId\nA-000002,C-1,A-000001\nA-000001,C-2,A-000002\n";
    let with_names = place.file("named.csv", text);
    place.run(&["apply", &with_names, "--yes"]).expect(0);
    assert_eq!(accounts(&place), ["A-000001", "A-000002"]);
    // Without the register's entry, lines mean the customers that have their IDs.
    let third = place.file(
        "third.csv",
        "accountId,newAccountId\nA-000001,T-000001\nA-000002,A-000001\n",
    );
    place.run(&["apply", &third, "--yes"]).expect(2);
    let gone = place.path().join("others");
    let gone = std::fs::canonicalize(place.path())
        .unwrap()
        .join(gone.file_name().unwrap());
    let unknown = place
        .run(&["runs", "forget", gone.to_str().unwrap()])
        .expect(2);
    assert!(unknown.err.contains("not registered"), "{}", unknown.err);
    place.run(&["runs", "forget", "--gone"]).expect(0);
    // The second line's new ID was given to C-1, which the first line has renamed meanwhile.
    place.run(&["apply", &third, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["changed/", "failed/mismatch"]);
}

#[test]
fn a_nightly_file_with_swaps_is_carried_out_once() {
    let place = two();
    let file = place.file("nightly.csv", SWAP);
    for night in ["--incremental", "--verbose", "--incremental"] {
        place.run(&["reconcile", &file, "--yes", night]).expect(0);
        assert_swapped(&place);
    }
    assert_eq!(place.patches(), 3);
}

#[test]
fn command_without_a_run_prints_the_run_that_it_uses() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest_id();
    let words = format!(
        "run {run} (apply of moves.csv, plume at {}, 3 lines)",
        place.sandbox.base_url()
    );
    for arguments in [&["verify"][..], &["report"], &["undo", "--yes"]] {
        let done = place.run(arguments).expect(0);
        assert!(
            done.err.contains(&format!("{}: {words}", arguments[0])),
            "{}",
            done.err
        );
    }
    // With runs on two targets, the operator must say which is meant.
    let other = Place::plume();
    other.moves(3);
    at(
        &place,
        &other.sandbox.base_url(),
        &["apply", &file, "--yes"],
    )
    .expect(0);
    let mut command = place.command(&["verify"]);
    let done = finish(command.env_remove("IDSHIFT_BASE_URL").spawn().unwrap()).expect(2);
    for port in [&place, &other].map(|one| one.sandbox.base_url()) {
        let port = port.rsplit(':').next().unwrap();
        assert!(done.err.contains(port), "{}", done.err);
    }
}

/// The stand-in of `--sandbox` ends with its process: no command probes its address, and no other run is treated as one
/// of it.
#[test]
fn sandbox_run_is_not_used_by_commands_without_the_sandbox_option() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes", "--sandbox"]).expect(0);
    let sandbox = place.newest_id();
    for command in ["verify", "undo", "resume"] {
        let done = place.run(&[command]).expect(2);
        assert!(done.err.contains(" in idshift-runs"), "{}", done.err);
        if command != "resume" {
            let done = place.run(&[command, &sandbox]).expect(2);
            assert!(done.err.contains("ended with its process"), "{}", done.err);
            assert!(done.err.contains("--sandbox"), "{}", done.err);
        }
    }
    place.run(&["verify", "--sandbox"]).expect(0);
    place.run(&["apply", &file, "--yes"]).expect(0);
    // With one real target, a run on the sandbox does not make a command ask which target is meant.
    place.run(&["verify"]).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000000");
}

/// Cells with line breaks make the numbers of lines larger than their count.
#[test]
fn a_plan_of_a_file_with_line_breaks_in_cells_is_resumed_to_its_last_line() {
    let place = Place::plume();
    place.moves(40);
    let rows = (0..40).map(|n| format!("A-{n:06},B-{n:06},\"a\nb\nc\nd\ne\"\n"));
    let text = format!("accountId,newAccountId,note\n{}", rows.collect::<String>());
    let file = place.file("moves.csv", &text);
    let mut was_killed = false;
    for step in ["4", "8", "12", "20"] {
        let mut command = place.command(&["plan", &file, "--lookup", "each", "--concurrency", "1"]);
        let done = finish(command.env("IDSHIFT_CRASH_AT", step).spawn().unwrap());
        was_killed |= done.code == -1;
        if done.code == -1 {
            place.run(&["resume", &place.newest_id()]).expect(0);
        }
        assert_eq!(place.verdicts(), ["would_change/"; 40], "{step}");
    }
    assert!(was_killed);
}

/// The message must not say that a token is missing: a stand-in needs none.
#[test]
fn commands_on_an_ended_sandbox_suggest_the_sandbox_option() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes", "--sandbox"]).expect(0);
    let run = place.newest_id();
    for command in ["verify", "undo", "resume"] {
        let without = [("IDSHIFT_TOKEN", ""), ("IDSHIFT_BASE_URL", "")];
        let refused = place.run_with(&without, &[command, &run]).expect(2);
        assert!(
            refused.err.contains("add --sandbox"),
            "{command}: {}",
            refused.err
        );
    }
}
