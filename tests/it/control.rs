use crate::support::{Place, finish};
use idshift::sandbox::Options;
use std::fmt::Write;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Starts a run of 300 lines at this rate.
fn in_progress(place: &Place, rate: &str) -> Child {
    let file = place.moves(300);
    let apply = ["apply", &file, "--yes", "--rate", rate, "--lookup", "each"];
    let child = place.command(&apply).spawn().unwrap();
    wait_for(|| place.patches() > 2);
    child
}

fn wait_for(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::yield_now();
    }
}

/// Returns how many calls arrive during this time.
fn calls_in(place: &Place, time: Duration) -> usize {
    let before = place.sandbox.log().len();
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::thread::yield_now();
    }
    place.sandbox.log().len() - before
}

#[test]
fn paused_run_makes_no_call_until_unpause() {
    let place = Place::plume();
    let child = in_progress(&place, "40/s");
    let run = place.newest_id();
    let paused = place.run(&["pause", &run]).expect(0);
    assert!(paused.out.contains("no call is made"), "{}", paused.out);
    // Calls that were under way when the run followed the order have arrived by now.
    calls_in(&place, Duration::from_millis(300));
    assert_eq!(calls_in(&place, Duration::from_secs(2)), 0);
    let status = place.run(&["status", "--format", "json"]).expect(0).json();
    assert_eq!(
        (&status["paused"], &status["live"]),
        (&true.into(), &true.into()),
        "{status:#}"
    );
    let line = place.run(&["status", &run]).expect(0).out;
    assert!(line.contains(": paused, 300 lines, changed "), "{line}");
    assert!(
        line.contains(", to do ") && !line.contains("skipped"),
        "{line}"
    );
    place.run(&["unpause"]).expect(0);
    finish(child).expect(0);
    assert_eq!(place.account_of("C-299"), "B-000299");
    place.judge_writes();
    let ended = place.run(&["status", &run, "--watch"]).expect(0).out;
    assert!(
        ended.contains(": finished, 300 lines, changed 300"),
        "{ended}"
    );
}

#[test]
fn the_rate_of_a_run_in_progress_is_changed_in_both_directions() {
    let place = Place::plume();
    let child = in_progress(&place, "30/s");
    place.run(&["rate", &place.newest_id(), "2/s"]).expect(0);
    let few = calls_in(&place, Duration::from_secs(3));
    assert!((4..=8).contains(&few), "{few} calls in 3 s at 2/s");
    place.run(&["rate", "200/s"]).expect(0);
    // At 2/s, these calls would take half a minute, however slow the machine is.
    let (before, begun) = (place.sandbox.log().len(), Instant::now());
    while place.sandbox.log().len() < before + 60 {
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(15), "{took:?} at 200/s");
        std::thread::yield_now();
    }
    finish(child).expect(0);
    assert_eq!(place.account_of("C-299"), "B-000299");
}

/// Another program may lock the ledger's file for seconds; the run follows the order in the meantime.
#[test]
fn run_follows_an_order_and_continues_while_the_ledger_is_locked() {
    let place = Place::plume();
    let file = place.moves(300);
    let plan = ["plan", &file, "--rate", "2/s", "--lookup", "each"];
    let child = place.command(&plan).spawn().unwrap();
    wait_for(|| place.sandbox.log().len() > 2);
    let ledger = rusqlite::Connection::open(place.newest().join("ledger.db")).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    let order = "UPDATE orders SET number = number + 1, rate_per_s = 100";
    ledger.execute(order, ()).unwrap();
    ledger.execute_batch("BEGIN IMMEDIATE").unwrap();
    let calls = calls_in(&place, Duration::from_secs(3));
    ledger.execute_batch("ROLLBACK").unwrap();
    assert!(calls > 40, "{calls} calls in 3 s");
    let seen = || ledger.query_row("SELECT seen FROM orders", (), |row| row.get::<_, i64>(0));
    wait_for(|| seen().unwrap() == 1);
    finish(child).expect(0);
}

#[test]
fn drained_run_completes_units_in_progress_and_can_be_resumed() {
    let place = Place::plume();
    let child = in_progress(&place, "30/s");
    // A paused run drains, too.
    place.run(&["pause"]).expect(0);
    place.run(&["drain"]).expect(0);
    let drained = finish(child).expect(4);
    assert!(drained.out.contains("stopped: drained"), "{}", drained.out);
    let shown = place.run(&["runs", "show", &place.newest_id(), "--json"]);
    let shown = shown.expect(0).json();
    assert_eq!(
        (&shown["state"], &shown["stopped_by"]),
        (&"stopped".into(), &"drained".into())
    );
    let left = place.rows("failures.csv").len();
    assert!((1..300).contains(&left), "{left}");
    place.run(&["resume", "--rate", "500/s"]).expect(0);
    assert_eq!(place.account_of("C-299"), "B-000299");
    place.judge_writes();
}

/// The process is frozen, and follows the order as soon as it goes on.
#[test]
fn order_not_yet_followed_remains_and_is_shown_by_status() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = Place::plume();
    let child = in_progress(&place, "30/s");
    let run = place.newest_id();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let status = || place.run(&["status", &run]).expect(0).out;
    let paused = || {
        place.run(&["pause", &run]).expect(0);
        wait_for(|| status().contains(": paused, "));
    };
    let ledger = rusqlite::Connection::open(place.newest().join("ledger.db")).unwrap();
    // A process that is frozen in the middle of a commit keeps its ledger locked.
    let freeze = || {
        wait_for(|| {
            kill_process(pid, Signal::STOP).unwrap();
            let is_free = ledger.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
            if !is_free {
                kill_process(pid, Signal::CONT).unwrap();
            }
            is_free
        });
    };
    paused();
    freeze();
    let late = place.run(&["unpause", &run]).expect(2).err;
    for words in ["the order remains", &format!("`idshift pause {run}`")] {
        assert!(late.contains(words), "{words}: {late}");
    }
    let given = status();
    let words = ": running (ordered: no pause; the last order is not followed yet), ";
    assert!(given.contains(words), "{given}");
    let shown = place.run(&["status", &run, "--json"]).expect(0).json();
    assert_eq!(
        (&shown["paused"], &shown["orders_followed"]),
        (&false.into(), &false.into())
    );
    kill_process(pid, Signal::CONT).unwrap();
    wait_for(|| status().contains(": running, "));
    let shown = place.run(&["status", &run, "--json"]).expect(0).json();
    assert_eq!(shown["orders_followed"], true);
    // A run that is drained ends, also if the command that ordered it has given up.
    paused();
    freeze();
    let late = place.run(&["drain", &run]).expect(2).err;
    assert!(late.contains("cannot be taken back"), "{late}");
    let given = status();
    assert!(given.contains("(ordered: "), "{given}");
    assert!(
        given.contains("drain; the last order is not followed yet), "),
        "{given}"
    );
    kill_process(pid, Signal::CONT).unwrap();
    finish(child).expect(4);
}

/// A process that has taken its run has not begun to read orders: here because its ledger is locked.
#[test]
fn order_to_a_run_that_is_starting_is_accepted() {
    let place = Place::plume();
    let child = in_progress(&place, "30/s");
    place.run(&["drain"]).expect(0);
    finish(child).expect(4);
    let run = place.newest_id();
    let refused = place.run(&["pause", &run]).expect(2);
    assert!(
        refused.err.contains("is not in progress"),
        "{}",
        refused.err
    );
    let none = place.run(&["pause"]).expect(2);
    assert!(none.err.contains("after its file was read"), "{}", none.err);

    let ledger = rusqlite::Connection::open(place.newest().join("ledger.db")).unwrap();
    ledger.execute_batch("BEGIN IMMEDIATE").unwrap();
    let resumed = place
        .command(&["resume", "--rate", "30/s"])
        .spawn()
        .unwrap();
    wait_for(|| place.run(&["status"]).code == 0);
    let mut paused = place.command(&["pause"]).spawn().unwrap();
    let status = place.run(&["status"]).expect(0);
    assert!(status.out.contains(": running, "), "{}", status.out);
    let mut watched = place.command(&["status", "--watch"]).spawn().unwrap();
    let begun = Instant::now();
    wait_for(|| begun.elapsed() > Duration::from_millis(1_500));
    assert!(paused.try_wait().unwrap().is_none(), "it is waited for");
    assert!(watched.try_wait().unwrap().is_none(), "it is in progress");
    ledger.execute_batch("ROLLBACK").unwrap();
    let paused = finish(paused).expect(0);
    assert!(paused.out.contains("no call is made"), "{}", paused.out);
    place.run(&["unpause"]).expect(0);
    place.run(&["rate", "500/s"]).expect(0);
    finish(resumed).expect(0);
    let watched = finish(watched).expect(0);
    assert!(watched.out.contains(": finished, "), "{}", watched.out);
    place.judge_writes();
}

/// The order ends look-ups that are under way, but not units that are under way.
#[test]
fn drained_run_completes_a_waiting_swap_during_lookups() {
    let place = Place::plume();
    place.moves(600);
    let mut text = String::from("accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n");
    (2..600).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("swap.csv", &text);
    place
        .sandbox
        .set_faults(vec!["patch:429=3:nth=2".parse().unwrap()]);
    let apply = ["apply", &file, "--yes", "--rate", "20/s"];
    let child = place.command(&apply).spawn().unwrap();
    wait_for(|| place.patches() == 2);
    place.run(&["drain"]).expect(0);
    let drained = finish(child).expect(4);
    assert!(drained.out.contains("stopped: drained"), "{}", drained.out);
    assert_eq!(place.verdicts()[..2], ["changed/", "changed/"]);
    assert_eq!(place.account_of("C-0"), "A-000001");
    assert_eq!(place.account_of("C-1"), "A-000000");
}

#[test]
fn orders_need_a_run_in_progress_and_end_with_its_process() {
    let place = Place::plume();
    let mut child = in_progress(&place, "30/s");
    let run = place.newest_id();
    for (arguments, words) in [
        (&["rate", &run[..], "fast"][..], "rate: "),
        (&["rate", "unlimited"], "number of calls"),
        (&["pause", "19990101"], "19990101"),
    ] {
        let refused = place.run(arguments).expect(2);
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    place.run(&["pause"]).expect(0);
    child.kill().unwrap();
    child.wait().unwrap();
    let refused = place.run(&["unpause", &run]).expect(2);
    assert!(
        refused.err.contains("is not in progress"),
        "{}",
        refused.err
    );
    let none = place.run(&["drain"]).expect(2);
    assert!(none.err.contains("no run in progress"), "{}", none.err);
    place.run(&["resume", "--rate", "500/s"]).expect(0);
    assert_eq!(place.account_of("C-299"), "B-000299");
}

/// A higher rate needs more calls in flight: with the former number the rate could not be reached.
#[test]
fn raised_rate_is_reached_even_with_slow_calls() {
    let place = Place::new(Options {
        latency: Duration::from_secs(1),
        ..Options::default()
    });
    let child = in_progress(&place, "3/s");
    place.run(&["rate", "200/s"]).expect(0);
    let begun = Instant::now();
    finish(child).expect(0);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(40), "{took:?}");
}

#[test]
fn signal_ends_the_wait_for_a_slow_rate() {
    for signal in ["-INT", "-TERM"] {
        let place = Place::plume();
        let file = place.moves(3);
        let slowly = ["--rate", "1/m", "--lookup", "each"];
        let apply = [&["apply", &file, "--yes"][..], &slowly].concat();
        let child = place.command(&apply).spawn().unwrap();
        wait_for(|| !place.sandbox.log().is_empty());
        let id = child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
        let begun = Instant::now();
        let code = finish(child).code;
        assert_eq!(code, if signal == "-INT" { 130 } else { 143 });
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{signal}: {took:?}");
    }
}

#[test]
fn runs_forget_refuses_a_run_in_progress() {
    let place = Place::plume();
    let child = in_progress(&place, "30/s");
    let folder = place.newest();
    let path = folder.to_str().unwrap();
    let refused = place.run(&["runs", "forget", path]).expect(5);
    let process = child.id().to_string();
    assert!(refused.err.contains(&process), "{}", refused.err);
    place.run(&["rate", "500/s"]).expect(0);
    finish(child).expect(0);
    place.run(&["runs", "forget", path]).expect(0);
}

/// The folder of the run is missing only at its former place.
#[test]
fn runs_forget_refuses_a_run_in_progress_with_a_moved_folder() {
    let place = Place::plume();
    let child = in_progress(&place, "30/s");
    let folder = place.newest();
    let moved = folder.with_file_name("elsewhere");
    // The run would end as soon as it notices that its ledger was moved.
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    std::fs::rename(&folder, &moved).unwrap();
    let path = folder.to_str().unwrap();
    let refused = place.run(&["runs", "forget", path]).expect(5);
    let process = child.id().to_string();
    assert!(refused.err.contains(&process), "{}", refused.err);
    let kept = place.run(&["runs", "forget", "--gone"]).expect(0);
    assert!(kept.out.contains("no registered folder"), "{}", kept.out);
    assert!(kept.err.contains(&process), "{}", kept.err);
    let mut child = child;
    child.kill().unwrap();
    finish(child);
    let gone = place.run(&["runs", "forget", "--gone"]).expect(0);
    assert!(gone.out.contains(path), "{}", gone.out);
}
