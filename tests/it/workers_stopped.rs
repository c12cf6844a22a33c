use crate::question::on_a_terminal;
use crate::shared_ledger::{Machine, until};
use crate::support::postgres::Server;
use crate::support::{Place, finish};
use crate::workers::{
    all_as_wished, apply, finish_or_terminate, signal, slow, sql, terminate, until_at_work,
    with_lines, worker,
};
use idshift::sandbox::{Fault, Options};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

#[test]
fn ctrl_c_and_drain_stop_all_processes_and_resume_continues() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let leader = apply(&place);
    until_at_work(server, &place, 2);
    signal(&leader, Signal::INT);
    finish(leader).expect(130);
    let open = "SELECT count(*) FROM sessions WHERE ended IS NULL";
    assert_eq!(sql(server, &place, open), "0");
    let calls = place.sandbox.log().len();
    let before = sql(server, &place, "SELECT sum(commits) FROM sessions");
    // The worker waits, and joins the process that resumes the run.
    let resumed = place
        .command(&["resume", "--rate", "200/s"])
        .spawn()
        .unwrap();
    until_at_work(server, &place, 2);
    machine.run(&["drain"]).expect(0);
    let drained = finish(resumed);
    assert_eq!(drained.code, 4, "{}{}", drained.out, drained.err);
    assert!(place.sandbox.log().len() > calls);
    assert_ne!(
        before,
        sql(server, &place, "SELECT sum(commits) FROM sessions")
    );
    place.run(&["resume"]).expect(0);
    all_as_wished(&place, 1_500);
    // The worker tells why it was stopped: first with the one that was interrupted, then by a person.
    let told = terminate(worker).expect(0).err;
    let interrupted = "the process that leads the run was interrupted";
    for words in [
        format!("stopping: {interrupted}"),
        format!("left run {}: {interrupted}", place.newest_id()),
        "stopping: drained: no further line is begun".to_owned(),
    ] {
        assert!(told.contains(&words), "{words}: {told}");
    }
    assert_eq!(told.matches("stopping: drained").count(), 1, "{told}");
}

#[test]
fn control_command_succeeds_only_after_all_processes_followed_it() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "50/s"];
    let leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 2);
    signal(&worker, Signal::STOP);
    let late = machine.run(&["pause"]).expect(2);
    let named = format!("process {} on ", worker.id());
    assert!(late.err.contains(&named), "{}", late.err);
    assert!(late.err.contains("has not followed"), "{}", late.err);
    let status = machine.run(&["status"]).expect(0).out;
    let late = format!("\n  process {} on ", worker.id());
    let (_, late) = status.split_once(&late).unwrap();
    assert!(late.contains("has not followed the last order"), "{status}");
    let late = status.matches("has not followed the last order");
    assert_eq!(late.count(), 1, "{status}");
    signal(&worker, Signal::CONT);
    machine.run(&["pause"]).expect(0);
    // Calls that were under way when the processes followed the order have arrived by now.
    let seen = || place.sandbox.log().len();
    let quiet = |time| {
        let (before, begun) = (seen(), Instant::now());
        until("time has passed", || begun.elapsed() > time);
        seen() - before
    };
    quiet(Duration::from_millis(300));
    assert_eq!(quiet(Duration::from_secs(1)), 0);
    machine.run(&["unpause"]).expect(0);
    machine.run(&["drain"]).expect(0);
    finish(leader).expect(4);
    terminate(worker).expect(0);
    // Orders to earlier processes are void.
    let resume = ["resume", "--rate", "50/s"];
    let resumed = place.command(&resume).spawn().unwrap();
    until_at_work(server, &place, 1);
    let status = machine.run(&["status"]).expect(0).out;
    assert!(status.contains(": running, "), "{status}");
    machine.run(&["drain"]).expect(0);
    finish(resumed).expect(4);
}

/// Begins a run with a worker, which is frozen. Returns the worker and the leading process.
fn beside_a_frozen_worker(server: &Server, place: &Place) -> (Child, Child) {
    let machine = Machine::new(place, "one");
    let worker = worker(&machine);
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "100/s"];
    let leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, place, 2);
    signal(&worker, Signal::STOP);
    (worker, leader)
}

/// The run waits for a frozen process until its lease is over; a second signal ends this wait.
#[test]
fn a_second_signal_ends_the_wait_for_other_processes_and_they_close_the_run() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let (worker, leader) = beside_a_frozen_worker(server, &place);
    signal(&leader, Signal::TERM);
    let draining = "SELECT draining FROM orders";
    until("the run is drained", || {
        sql(server, &place, draining) == "t"
    });
    let begun = Instant::now();
    signal(&leader, Signal::TERM);
    let left = finish(leader).expect(143);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(left.err.contains("resume"), "{}", left.err);
    signal(&worker, Signal::CONT);
    let state = "SELECT state || ' ' || coalesce(stopped_by, '') FROM progress";
    until("it is closed", || {
        sql(server, &place, state) == "stopped drained"
    });
    // Until the worker has ended, it may still hold the target for its reports.
    terminate(worker).expect(0);
    place.run(&["resume", "--rate", "1000/s"]).expect(0);
    all_as_wished(&place, 1_500);
}

/// Of the first signal the order to end is left, which was for the process that is gone.
#[test]
fn resume_after_a_second_ctrl_c_continues_despite_a_frozen_process() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let (worker, leader) = beside_a_frozen_worker(server, &place);
    signal(&leader, Signal::INT);
    let draining = "SELECT draining FROM orders";
    until("the run is drained", || {
        sql(server, &place, draining) == "t"
    });
    signal(&leader, Signal::INT);
    finish(leader).expect(130);
    let resumed = place.run(&["resume", "--rate", "1000/s"]).expect(0);
    assert!(!resumed.err.contains("drained"), "{}", resumed.err);
    all_as_wished(&place, 1_500);
    signal(&worker, Signal::CONT);
    terminate(worker).expect(0);
}

/// Runs `deed` for a drained run whose leading process was killed, beside a frozen worker. `progress`: why the run was stopped.
fn drained_beside_a_frozen_worker(
    server: &Server,
    progress: &str,
    deed: impl FnOnce(&Place, &str),
) {
    let place = with_lines(server, 1_500, slow());
    let (worker, mut leader) = beside_a_frozen_worker(server, &place);
    leader.kill().unwrap();
    finish(leader);
    let stop = format!(
        "UPDATE orders SET number = number + 1, draining = true; \
         UPDATE progress SET changes = changes + 1, {progress}"
    );
    sql(server, &place, &stop);
    deed(&place, &place.newest_id());
    signal(&worker, Signal::CONT);
    finish_or_terminate(worker);
}

#[test]
fn resume_with_a_frozen_worker_asks_on_a_terminal() {
    let Some(server) = Server::shared() else {
        return;
    };
    drained_beside_a_frozen_worker(server, "stopped_by = 'drained'", |place, run| {
        let asked = on_a_terminal(place, "no", &["resume", run]).expect(2);
        for words in ["with the processes that work on it", "not confirmed"] {
            assert!(asked.out.contains(words), "{words}: {}", asked.out);
        }
        assert_eq!(sql(server, place, "SELECT draining FROM orders"), "t");
    });
}

#[test]
fn resume_that_cannot_join_leaves_the_run_drained() {
    let Some(server) = Server::shared() else {
        return;
    };
    let other = "stopped_by = 'drained', units_digest = 'of another version'";
    drained_beside_a_frozen_worker(server, other, |place, run| {
        let refused = place.run(&["resume", run]).expect(2);
        assert!(refused.err.contains("same version"), "{}", refused.err);
        assert_eq!(sql(server, place, "SELECT draining FROM orders"), "t");
    });
}

#[test]
fn resume_with_a_frozen_worker_does_not_override_a_guard_stop() {
    let Some(server) = Server::shared() else {
        return;
    };
    let guard = "stopped_by = 'max_failures', why = 'too many lines fail'";
    drained_beside_a_frozen_worker(server, guard, |place, run| {
        let written = place.patches();
        let stopped = place.run(&["resume", run]).expect(4);
        assert_eq!(place.patches(), written, "{}{}", stopped.out, stopped.err);
        assert!(
            stopped.out.contains("too many lines fail"),
            "{}",
            stopped.out
        );
        let reason = sql(server, place, "SELECT stopped_by FROM progress");
        assert_eq!(reason, "max_failures");
    });
}

#[test]
fn failures_are_counted_over_all_processes() {
    let Some(server) = Server::shared() else {
        return;
    };
    // Each refusal concerns only its customer, so only the guard stops the run.
    let options = Options {
        faults: vec!["patch:422:every=4".parse::<Fault>().unwrap()],
        ..slow()
    };
    let place = with_lines(server, 1_500, options);
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let arguments = [
        "apply",
        "moves.csv",
        "--yes",
        "--max-failures",
        "200",
        "--concurrency",
        "8",
        "--rate",
        "400/s",
    ];
    let leader = place.command(&arguments).spawn().unwrap();
    until_at_work(server, &place, 2);
    let done = finish(leader).expect(4);
    assert!(done.out.contains("--max-failures 200"), "{}", done.out);
    let failed = "SELECT count(*) FROM outcomes WHERE status IN ('failed', 'in_doubt')";
    let failed: u32 = sql(server, &place, failed).parse().unwrap();
    // Lines that are under way in the second until the other processes learn of it may fail, too.
    assert!((201..400).contains(&failed), "{failed}");
    terminate(worker).expect(0);
}

/// Beyond the limit, only lines that are already under way in some process may fail.
#[test]
fn max_failures_is_exceeded_only_by_lines_already_in_progress() {
    const UNITS: u32 = 8;
    let Some(server) = Server::shared() else {
        return;
    };
    let options = Options {
        // Less than half of the writes fail: half of them at one process would be another reason to stop.
        faults: vec!["patch:422:every=3".parse::<Fault>().unwrap()],
        ..slow()
    };
    let place = with_lines(server, 1_500, options);
    let mut text = String::from("accountId,newAccountId\n");
    (0..1_500).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    place.file("moves.csv", &text);
    let machines = ["one", "two"].map(|name| Machine::new(&place, name));
    let begin = |machine: &Machine<'_>| {
        let mut command = machine.command(&["worker"]);
        command.env("IDSHIFT_CONCURRENCY", UNITS.to_string());
        command.spawn().unwrap()
    };
    let workers: Vec<Child> = machines.iter().map(begin).collect();
    let (most, units) = ("200", UNITS.to_string());
    let arguments = ["apply", "moves.csv", "--yes", "--max-failures", most];
    let arguments = [&arguments[..], &["--concurrency", &units]].concat();
    let leader = place.command(&arguments).spawn().unwrap();
    until_at_work(server, &place, 3);
    finish(leader).expect(4);
    let failed = "SELECT count(*) FROM outcomes WHERE status IN ('failed', 'in_doubt')";
    let failed: u32 = sql(server, &place, failed).parse().unwrap();
    assert!((201..=200 + 3 * UNITS).contains(&failed), "{failed}");
    for one in workers {
        terminate(one);
    }
}

#[test]
fn failures_in_a_wave_count_towards_max_failures() {
    const UNITS: u32 = 8;
    let Some(server) = Server::shared() else {
        return;
    };
    let options = Options {
        faults: vec!["patch:422:every=4".parse::<Fault>().unwrap()],
        ..slow()
    };
    let place = with_lines(server, 600, options);
    let mut text = String::from("accountId,newAccountId\n");
    (0..600).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    place.file("moves.csv", &text);
    let units = UNITS.to_string();
    let apply = ["apply", "moves.csv", "--yes", "--concurrency", &units];
    let waves = ["--waves", "100", "--wave-failures", "100%"];
    let most = ["--max-failures", "40"];
    let stopped = [&apply[..], &waves, &most].concat();
    let stopped = place.run(&stopped).expect(4);
    assert!(stopped.out.contains("--max-failures 40"), "{}", stopped.out);
    let failed = "SELECT count(*) FROM outcomes WHERE status IN ('failed', 'in_doubt')";
    let failed: u32 = sql(server, &place, failed).parse().unwrap();
    assert!((41..=40 + UNITS).contains(&failed), "{failed}");
}

/// A process begins no unit before it knows how many lines may fail there.
#[test]
fn run_stops_when_the_ledger_does_not_return_the_failure_limit() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 100, Options::default());
    place.run(&["plan", "moves.csv"]).expect(0);
    sql(server, &place, "ALTER FUNCTION tell RENAME TO not_there");
    let apply = ["apply", "moves.csv", "--yes", "--max-failures", "10"];
    let ended = place.run(&apply).expect(4);
    assert!(ended.out.contains("tell"), "{}{}", ended.out, ended.err);
    let stopped =
        "SELECT state || ' ' || stopped_by FROM progress WHERE run = (SELECT max(run) FROM run)";
    assert_eq!(sql(server, &place, stopped), "stopped ledger");
    assert_eq!(place.patches(), 0);
    sql(server, &place, "ALTER FUNCTION not_there RENAME TO tell");
    place.run(&["resume"]).expect(0);
    all_as_wished(&place, 100);
}
