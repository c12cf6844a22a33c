//! Several processes on one run in PostgreSQL: `apply` and `worker`, killed, stopped and refused.

use crate::question::on_a_terminal;
use crate::shared_ledger::{Machine, database, shared, until, with_standby};
use crate::support::postgres::{ADMIN, Server};
use crate::support::{Done, Place, catches, customer, finish};
use idshift::sandbox::{Fault, Options};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

/// Writes groups of ten lines: five renames, a chain of three, a swap.
fn file(lines: u32) -> String {
    let mut text = String::from("accountId,newAccountId\n");
    for ten in (0..lines).step_by(10) {
        for n in ten..ten + 5 {
            writeln!(text, "A-{n:06},B-{n:06}").unwrap();
        }
        let id = |n: u32| format!("A-{:06}", ten + n);
        writeln!(text, "{},{}", id(5), id(6)).unwrap();
        writeln!(text, "{},{}", id(6), id(7)).unwrap();
        writeln!(text, "{},B-{:06}", id(7), ten + 7).unwrap();
        writeln!(text, "{},{}", id(8), id(9)).unwrap();
        writeln!(text, "{},{}", id(9), id(8)).unwrap();
    }
    text
}

/// Returns the account ID that customer `n` has at the end.
fn wished(n: u32) -> String {
    match n % 10 {
        5 | 6 | 8 => format!("A-{:06}", n + 1),
        9 => format!("A-{:06}", n - 1),
        _ => format!("B-{n:06}"),
    }
}

fn with_lines(server: &Server, lines: u32, options: Options) -> Place {
    let place = shared(server, options);
    place.with_world(|mut world| (0..lines).for_each(|n| world.add_plume(customer(n))));
    place.file("moves.csv", &file(lines));
    place
}

fn slow() -> Options {
    Options {
        latency: Duration::from_millis(20),
        ..Options::default()
    }
}

fn all_as_wished(place: &Place, lines: u32) {
    for n in 0..lines {
        assert_eq!(
            place.account_of(&format!("C-{n}")),
            wished(n),
            "customer {n}"
        );
    }
    place.judge_writes();
}

/// Checks with the reports of this machine that every line has succeeded.
fn reported(machine: &Machine<'_>, run: &str, lines: u32) {
    machine.run(&["report", run]).expect(0);
    let status = machine.run(&["status", run, "--json"]).expect(0).json();
    assert_eq!(status["state"], "finished", "{status}");
    assert_eq!(status["counts"]["changed"], lines, "{status}");
}

fn worker(machine: &Machine<'_>) -> Child {
    machine.command(&["worker"]).spawn().unwrap()
}

fn apply(place: &Place) -> Child {
    let arguments = ["apply", "moves.csv", "--yes", "--concurrency", "8"];
    place.command(&arguments).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn terminate(child: Child) -> Done {
    signal(&child, Signal::TERM);
    finish(child)
}

fn sql(server: &Server, place: &Place, sql: &str) -> String {
    server.psql(
        database(place),
        &format!("SET search_path = idshift; {sql}"),
    )
}

/// Returns how many processes have written in the run.
fn writers(server: &Server, place: &Place) -> String {
    let writers = "SELECT count(*) FROM sessions WHERE write > 0";
    sql(server, place, writers)
}

/// Waits until this number of processes work on the run and have lines.
fn until_at_work(server: &Server, place: &Place, processes: u32) {
    let at_work = "SELECT count(DISTINCT session) FROM chunk JOIN sessions USING (run, session) \
                   WHERE state = 'leased' AND ended IS NULL";
    let is_so = || {
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'idshift'";
        server.psql(database(place), tables) != "0"
            && sql(server, place, at_work) == processes.to_string()
    };
    until("all are at work", is_so);
}

#[test]
fn workers_do_a_share_of_the_lines_and_end_with_0_when_they_are_told_to() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machines = ["one", "two"].map(|name| Machine::new(&place, name));
    let workers: Vec<Child> = machines.iter().map(worker).collect();
    let leader = apply(&place);
    until_at_work(server, &place, 3);
    let status = place.run(&["status"]).expect(0);
    assert_eq!(
        status.out.matches("\n  process ").count(),
        3,
        "{}",
        status.out
    );
    let status = machines[0].run(&["status", "--json"]).expect(0).json();
    let processes = status["processes"].as_array().unwrap();
    assert!(
        processes.iter().any(|one| one["pid"] == leader.id()),
        "{status}"
    );
    let done = finish(leader).expect(0);
    assert!(done.out.contains("1,500"), "{}", done.out);
    assert!(!done.out.contains("at least"), "{}", done.out);
    assert_eq!(writers(server, &place), "3");
    all_as_wished(&place, 1_500);
    reported(&machines[0], &place.newest_id(), 1_500);
    for one in workers {
        let done = terminate(one).expect(0);
        assert!(done.err.contains("waiting for a run"), "{}", done.err);
    }
}

#[test]
fn what_a_worker_is_given_is_not_kept_with_the_run() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 600, slow());
    let machine = Machine::new(&place, "one");
    let given = ["worker", "--rate", "789/s", "--log", "worker.log"];
    let worker = machine.command(&given).spawn().unwrap();
    let leader = apply(&place);
    until_at_work(server, &place, 2);
    finish(leader).expect(0);
    terminate(worker).expect(0);
    let kept = "SELECT coalesce(y.settings, x.settings) FROM run x JOIN progress y USING (run)";
    let kept = sql(server, &place, kept);
    assert!(kept.contains("\"concurrency\":\"8\""), "{kept}");
    assert!(
        !kept.contains("789") && !kept.contains("worker.log"),
        "{kept}"
    );
}

#[test]
fn a_worker_on_an_undo_overwrites_nothing_that_is_newer_than_the_run_it_undoes() {
    const MANY: u32 = 600;
    let Some(server) = Server::shared() else {
        return;
    };
    let place = shared(server, slow());
    let file = place.moves(MANY);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let older = place.newest_id();
    let mut again = String::from("accountId,newAccountId\n");
    for n in 0..MANY / 2 {
        place.with_world(|mut world| {
            let id = format!("C-{n}");
            world.plume.get_mut(id.as_str()).unwrap().account_id = format!("X-{n}").into();
        });
        writeln!(again, "X-{n},B-{n:06}").unwrap();
    }
    let again = place.file("again.csv", &again);
    place.run(&["apply", &again, "--yes"]).expect(0);
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let undo = ["undo", &older, "--yes", "--concurrency", "4"];
    let undo = place.command(&undo).spawn().unwrap();
    until_at_work(server, &place, 2);
    finish(undo).expect(1);
    terminate(worker).expect(0);
    for n in 0..MANY {
        let left = if n < MANY / 2 { "B" } else { "A" };
        assert_eq!(
            place.account_of(&format!("C-{n}")),
            format!("{left}-{n:06}")
        );
    }
}

#[test]
fn when_the_process_that_began_is_killed_the_others_finish_and_close_the_run() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machines = ["one", "two"].map(|name| Machine::new(&place, name));
    let workers: Vec<Child> = machines.iter().map(worker).collect();
    let mut leader = apply(&place);
    until_at_work(server, &place, 3);
    leader.kill().unwrap();
    finish(leader);
    let state = "SELECT state FROM progress";
    until("it is finished", || {
        sql(server, &place, state) == "finished"
    });
    all_as_wished(&place, 1_500);
    reported(&machines[1], &place.newest_id(), 1_500);
    for one in workers {
        terminate(one).expect(0);
    }
    // The target is no longer locked.
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    all_as_wished(&place, 1_500);
}

#[test]
fn what_a_killed_or_stopped_worker_had_is_done_by_the_others() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machines = ["one", "two"].map(|name| Machine::new(&place, name));
    let [mut killed, stopped] = [worker(&machines[0]), worker(&machines[1])];
    let leader = apply(&place);
    until_at_work(server, &place, 3);
    killed.kill().unwrap();
    finish(killed);
    terminate(stopped).expect(0);
    let done = finish(leader).expect(0);
    // The calls of the killed process in its last second are not recorded.
    assert!(done.out.contains("at least"), "{}", done.out);
    let run = place.newest_id();
    let shown = machines[0].run(&["report", &run, "--json"]).expect(0);
    assert_eq!(shown.json()["calls"]["complete"], false, "{}", shown.out);
    all_as_wished(&place, 1_500);
}

#[test]
#[ignore = "takes a minute; .ci/nightly runs it"]
fn a_worker_that_is_killed_at_any_durable_step_loses_nothing_and_repeats_nothing() {
    let Some(server) = Server::shared() else {
        return;
    };
    for step in [1, 2, 4, 7, 12] {
        let place = with_lines(server, 1_200, slow());
        let machine = Machine::new(&place, "one");
        let mut command = machine.command(&["worker"]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let mut worker = command.spawn().unwrap();
        let mut leader = apply(&place);
        // A process that has ended disappears only after it was waited for.
        while worker.try_wait().unwrap().is_none() && leader.try_wait().unwrap().is_none() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let done = finish(leader);
        assert_eq!(done.code, 0, "step {step}: {}{}", done.out, done.err);
        let ended = finish_or_terminate(worker);
        assert!(ended.code == -1 || ended.code == 0, "{}", ended.err);
        all_as_wished(&place, 1_200);
    }
}

fn finish_or_terminate(mut child: Child) -> Done {
    match child.try_wait().unwrap() {
        Some(_) => finish(child),
        None => terminate(child),
    }
}

#[test]
fn a_guard_and_ctrl_c_stop_all_processes_and_resume_goes_on() {
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
fn an_order_is_followed_once_every_process_at_work_follows_it() {
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
}

/// The run waits for a frozen process until its lease is over; a second signal ends this wait.
#[test]
fn a_second_signal_ends_the_wait_for_other_processes_and_they_close_the_run() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "100/s"];
    let leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 2);
    signal(&worker, Signal::STOP);
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
fn resume_after_a_second_ctrl_c_goes_on_while_another_process_is_frozen() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "100/s"];
    let leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 2);
    signal(&worker, Signal::STOP);
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
fn beside_a_frozen_worker(server: &Server, progress: &str, deed: impl FnOnce(&Place, &str)) {
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "100/s"];
    let mut leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 2);
    signal(&worker, Signal::STOP);
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
fn resume_beside_a_frozen_worker_asks_on_a_terminal() {
    let Some(server) = Server::shared() else {
        return;
    };
    beside_a_frozen_worker(server, "stopped_by = 'drained'", |place, run| {
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
    beside_a_frozen_worker(server, other, |place, run| {
        let refused = place.run(&["resume", run]).expect(2);
        assert!(refused.err.contains("same version"), "{}", refused.err);
        assert_eq!(sql(server, place, "SELECT draining FROM orders"), "t");
    });
}

#[test]
fn resume_beside_a_frozen_worker_does_not_go_on_after_a_guard_has_stopped_the_run() {
    let Some(server) = Server::shared() else {
        return;
    };
    let guard = "stopped_by = 'max_failures', why = 'too many lines fail'";
    beside_a_frozen_worker(server, guard, |place, run| {
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
fn no_more_lines_fail_than_are_allowed_and_are_under_way_in_all_processes() {
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
fn lines_that_fail_in_a_wave_count_for_all_that_may_fail() {
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
fn a_ledger_that_does_not_say_how_many_lines_may_fail_ends_the_run() {
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

#[test]
fn of_a_small_file_a_third_process_gets_some_lines() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 300, slow());
    let machines = ["one", "two"].map(|name| Machine::new(&place, name));
    let workers: Vec<Child> = machines.iter().map(worker).collect();
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "100/s"];
    let leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 3);
    finish(leader).expect(0);
    all_as_wished(&place, 300);
    for one in workers {
        terminate(one).expect(0);
    }
}

#[test]
fn a_worker_for_which_no_lines_were_left_says_so() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 20, slow());
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "4/s"];
    let leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 1);
    let machine = Machine::new(&place, "one");
    let done = machine.run(&["worker", &place.newest_id()]).expect(0);
    let words = "other processes took all the remaining lines";
    assert!(done.err.contains(words), "{}", done.err);
    finish(leader).expect(0);
    all_as_wished(&place, 20);
}

/// This is the state after two processes have joined an Adobe run at the same moment.
#[test]
fn a_worker_that_stands_by_says_so() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_000, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let slowly = ["apply", "moves.csv", "--yes", "--rate", "100/s"];
    let leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 2);
    sql(server, &place, "UPDATE progress SET alone = true");
    let open = "SELECT count(*) FROM sessions WHERE ended IS NULL";
    until("the worker has left", || sql(server, &place, open) == "1");
    let ended = terminate(worker).expect(0);
    for (words, is_there) in [("only one process at a time", true), ("drained", false)] {
        assert_eq!(ended.err.contains(words), is_there, "{}", ended.err);
    }
    sql(
        server,
        &place,
        "UPDATE orders SET draining = true, number = number + 1",
    );
    finish(leader).expect(4);
}

#[test]
fn a_time_limit_holds_for_the_others_when_the_process_that_began_is_killed() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let arguments = ["apply", "moves.csv", "--yes", "--rate", "30/s"];
    let arguments = [&arguments[..], &["--until", "12s"]].concat();
    let mut leader = place.command(&arguments).spawn().unwrap();
    until_at_work(server, &place, 2);
    leader.kill().unwrap();
    finish(leader);
    let state = "SELECT state || ' ' || coalesce(stopped_by, '') FROM progress";
    until("it has ended", || {
        !sql(server, &place, state).starts_with("running")
    });
    assert_eq!(sql(server, &place, state), "stopped until");
    let ended = terminate(worker).expect(0);
    assert!(ended.out.contains("--until was reached"), "{}", ended.out);
    // The time limit belonged to the process that is gone, so it does not hold for the resume.
    place.run(&["resume", "--rate", "1000/s"]).expect(0);
    all_as_wished(&place, 1_500);
}

#[test]
fn resume_beside_workers_whose_leader_is_gone_finishes_the_run_with_them() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let mut leader = apply(&place);
    until_at_work(server, &place, 2);
    let refused = place.run(&["resume", &place.newest_id()]).expect(5);
    let pid = leader.id().to_string();
    assert!(refused.err.contains("is at work"), "{pid}: {}", refused.err);
    leader.kill().unwrap();
    finish(leader);
    let resumed = place.run(&["resume", &place.newest_id()]).expect(0);
    for words in ["works with them", "1,500"] {
        let told = format!("{}{}", resumed.out, resumed.err);
        assert!(told.contains(words), "{words}: {told}");
    }
    all_as_wished(&place, 1_500);
    terminate(worker).expect(0);
}

#[test]
fn a_worker_whose_token_is_refused_ends_with_the_reason_and_the_others_go_on() {
    let Some(server) = Server::shared() else {
        return;
    };
    let options = Options {
        tokens: Some(vec!["canary-token-0123456789".to_owned()]),
        ..slow()
    };
    let place = with_lines(server, 1_500, options);
    let machine = Machine::new(&place, "one");
    let mut command = machine.command(&["worker"]);
    command.env("IDSHIFT_TOKEN", "another-token-0123456789");
    let worker = command.spawn().unwrap();
    let leader = apply(&place);
    let ended = finish(worker);
    assert_eq!(ended.code, 4, "{}", ended.err);
    assert!(ended.err.contains("token"), "{}", ended.err);
    finish(leader).expect(0);
    all_as_wished(&place, 1_500);
}

#[test]
fn a_process_that_finds_other_units_is_refused() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_000, slow());
    let leader = apply(&place);
    until_at_work(server, &place, 1);
    sql(
        server,
        &place,
        "UPDATE progress SET units_digest = 'of another version'",
    );
    let machine = Machine::new(&place, "one");
    let refused = machine.run(&["worker"]).expect(2);
    assert!(refused.err.contains("same version"), "{}", refused.err);
    finish(leader).expect(0);
    all_as_wished(&place, 1_000);
}

#[test]
fn a_worker_for_one_run_ends_with_it_and_without_a_database_there_is_none() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_000, slow());
    let leader = apply(&place);
    until_at_work(server, &place, 1);
    let machine = Machine::new(&place, "one");
    machine.run(&["worker", &place.newest_id()]).expect(0);
    finish(leader).expect(0);
    all_as_wished(&place, 1_000);
    let ended = machine.run(&["worker", &place.newest_id()]).expect(0).err;
    let words = format!("run {} has finished: nothing is left", place.newest_id());
    assert!(ended.contains(&words), "{ended}");
    let unknown = machine.run(&["worker", "nonsense"]).expect(2).err;
    for words in [
        "there is no run `nonsense` in ",
        "the whole ID of a run, such as 2026",
    ] {
        assert!(unknown.contains(words), "{words}: {unknown}");
    }
    let files = Place::plume();
    let refused = files.run(&["worker"]).expect(2);
    assert!(refused.err.contains("--ledger"), "{}", refused.err);
}

#[test]
fn nobody_joins_before_the_waves_are_found_to_be_right() {
    let Some(server) = Server::shared() else {
        return;
    };
    let options = Options {
        faults: vec!["patch:422:first=1".parse::<Fault>().unwrap()],
        ..slow()
    };
    let place = with_lines(server, 1_000, options);
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let arguments = ["apply", "moves.csv", "--yes", "--canary", "5"];
    let done = place.run(&arguments);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert_eq!(writers(server, &place), "1");
    assert!(place.patches() < 40, "{}", place.patches());
    terminate(worker).expect(0);
}

#[test]
fn an_adobe_run_has_one_process_at_work_and_another_finishes_it() {
    let Some(server) = Server::shared() else {
        return;
    };
    let address = server.address(ADMIN, &server.database());
    let mut place = Place::adobe(400);
    place.ledger = Some(address);
    let machine = Machine::new(&place, "one");
    let adobe = |mut command: std::process::Command| {
        command.env("IDSHIFT_SYSTEM", "adobe");
        command.env("IDSHIFT_RESELLER_ID", "R1");
        command.env("IDSHIFT_API_KEY", "key");
        command.env("IDSHIFT_RATE", "100/s");
        command.spawn().unwrap()
    };
    let other = Machine::new(&place, "two");
    let workers = [&machine, &other].map(|machine| adobe(machine.command(&["worker"])));
    let mut leader =
        adobe(place.command(&["apply", "moves.csv", "--yes", "--accept-welcome-emails"]));
    until_at_work(server, &place, 1);
    until("some writes", || place.patches() > 20);
    until("its calls are on record", || writers(server, &place) == "1");
    leader.kill().unwrap();
    finish(leader);
    let state = "SELECT state FROM progress";
    until("it is finished", || {
        sql(server, &place, state) == "finished"
    });
    place.judge_writes();
    let changed = "SELECT count(*) FROM outcomes WHERE status = 'changed'";
    assert_eq!(sql(server, &place, changed), "400");
    for one in workers {
        terminate(one).expect(0);
    }
}

#[test]
fn a_job_with_a_key_that_is_started_again_finishes_its_run_with_the_workers() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 1_500, slow());
    let machine = Machine::new(&place, "one");
    let worker = worker(&machine);
    let job = [
        "apply",
        "moves.csv",
        "--yes",
        "--key",
        "night-1",
        "--concurrency",
        "8",
    ];
    let mut first = place.command(&job).spawn().unwrap();
    until_at_work(server, &place, 2);
    place.run(&job).expect(5);
    first.kill().unwrap();
    finish(first);
    let again = place.run(&job).expect(0);
    assert!(again.out.contains("1,500"), "{}{}", again.out, again.err);
    assert_eq!(sql(server, &place, "SELECT count(*) FROM run"), "1");
    all_as_wished(&place, 1_500);
    terminate(worker).expect(0);
}

#[test]
fn a_worker_sends_its_token_to_no_target_that_was_not_named() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 20, Options::default());
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    let calls = place.sandbox.log().len();
    let machine = Machine::new(&place, "one");
    let mut command = machine.command(&["worker"]);
    command
        .env_remove("IDSHIFT_BASE_URL")
        .env_remove("IDSHIFT_SYSTEM");
    let refused = finish(command.spawn().unwrap()).expect(2);
    assert!(
        refused.err.contains("no target is named"),
        "{}",
        refused.err
    );
    assert_eq!(place.sandbox.log().len(), calls);
}

#[test]
fn a_worker_whose_ledger_is_away_ends_with_4_so_that_it_is_started_again() {
    let place = Place {
        ledger: Some("postgres://u@127.0.0.1:9/d".to_owned()),
        ..Place::plume()
    };
    let away = place.run(&["worker"]).expect(4);
    assert!(away.err.contains("start the worker again"), "{}", away.err);
    let Some(server) = Server::shared() else {
        return;
    };
    // An error that remains after a restart is a wrong configuration.
    let place = Place {
        ledger: Some(server.address("role_that_is_not_there", &server.database())),
        ..Place::plume()
    };
    let refused = place.run(&["worker"]).expect(2);
    assert!(
        refused.err.contains("role_that_is_not_there"),
        "{}",
        refused.err
    );
}

/// A worker without calls under way does not wait for an answer.
#[test]
fn a_worker_that_waits_ends_when_it_is_told_to_also_while_its_database_does_not_answer() {
    let Some(server) = Server::start() else {
        return;
    };
    let place = shared(&server, Options::default());
    let waits = worker(&Machine::new(&place, "one"));
    until("it waits", || catches(waits.id(), 15));
    server.signal("STOP");
    let frozen = Instant::now();
    until("a question has no answer", || {
        frozen.elapsed() > Duration::from_secs(2)
    });
    let done = terminate(waits);
    server.signal("CONT");
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
}

/// A worker does not take over a run that cannot be joined: `resume` asks for consent first, and knows what newer runs did.
#[test]
fn a_run_is_not_joined_before_its_pass_or_once_another_run_has_the_target() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 600, slow());
    let machine = Machine::new(&place, "one");
    let waves = [
        "apply",
        "moves.csv",
        "--yes",
        "--waves",
        "300",
        "--rate",
        "50/s",
    ];
    let mut leader = place.command(&waves).spawn().unwrap();
    until("some writes", || place.patches() > 20);
    leader.kill().unwrap();
    finish(leader);
    let run = place.newest_id();
    let refused = machine.run(&["worker", &run]).expect(4);
    assert!(refused.err.contains("resume"), "{}", refused.err);
    let mut leader = place
        .command(&["resume", &run, "--rate", "200/s"])
        .spawn()
        .unwrap();
    until_at_work(server, &place, 1);
    leader.kill().unwrap();
    finish(leader);
    place.file("other.csv", "accountId,newAccountId\nA-000590,D-000590\n");
    place.run(&["apply", "other.csv", "--yes"]).expect(0);
    let patches = place.patches();
    machine.run(&["worker", &run]).expect(4);
    assert_eq!(place.patches(), patches);
}

#[test]
fn the_quota_is_counted_for_the_named_address() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, 20, Options::default());
    let apply = ["apply", "moves.csv", "--yes", "--quota", "1000/5m"];
    place
        .run(&[&apply[..], &["--egress", "site-b"]].concat())
        .expect(0);
    let counted = "SELECT egress FROM taken GROUP BY egress HAVING sum(calls) > 20";
    assert_eq!(sql(server, &place, counted), "site-b");
    place
        .run(&[&apply[..], &["--egress", "10.0.0.1o"]].concat())
        .expect(2);
    let files = Place::plume();
    files.file("moves.csv", &file(10));
    let refused = files.run(&["apply", "moves.csv", "--yes", "--egress", "site-b"]);
    assert!(refused.expect(2).err.contains("not an IP address"));
}

/// Returns the most calls in any second, as the system received them.
fn peak(place: &Place) -> usize {
    let log = place.sandbox.log();
    let mut times: Vec<Duration> = log.iter().map(|seen| seen.at).collect();
    times.sort_unstable();
    let second = Duration::from_secs(1);
    let within = |from: usize| {
        times[from..]
            .iter()
            .take_while(|at| **at < times[from] + second)
            .count()
    };
    (0..times.len()).map(within).max().unwrap_or(0)
}

/// The final proof: workers, the process that began the run, and the server are killed at random.
#[test]
#[ignore = "takes a second server and minutes; .ci/nightly runs it"]
fn twenty_thousand_lines_are_right_whoever_is_killed() {
    const LINES: u32 = 20_000;
    let Some((primary, standby, database, address)) = with_standby() else {
        return;
    };
    let place = Place {
        ledger: Some(address),
        ..Place::new(Options::default())
    };
    place.with_world(|mut world| (0..LINES).for_each(|n| world.add_plume(customer(n))));
    place.file("moves.csv", &file(LINES));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let machines = ["one", "two", "three"].map(|name| Machine::new(&place, name));
    let begin = |n: usize| {
        let mut command = machines[n].command(&["worker"]);
        command.env("IDSHIFT_RATE", "500/s").spawn().unwrap()
    };
    let mut workers: Vec<Child> = (0..3).map(begin).collect();
    let mut leader = place
        .command(&["apply", "moves.csv", "--yes", "--rate", "500/s"])
        .spawn()
        .unwrap();
    let mut next = 1_000;
    let mut kill = 0;
    while next < 18_000 {
        until("further writes", || place.patches() >= next);
        match kill {
            3 => leader.kill().unwrap(),
            6 => {
                primary.signal("KILL");
                standby.promote();
            }
            _ => {
                let n = random.usize(0..3);
                workers[n].kill().unwrap();
                finish(std::mem::replace(&mut workers[n], begin(n)));
            }
        }
        kill += 1;
        next += random.usize(1_000..1_500);
    }
    assert!(kill > 6, "{kill}");
    finish(leader);
    let run = place.newest_id();
    let ended = || {
        let state = "SELECT state FROM idshift.progress";
        standby.psql(&database, state) == "finished"
    };
    until("it is finished", ended);
    all_as_wished(&place, LINES);
    let peak = peak(&place);
    assert!(peak <= 505, "{peak} calls in a second");
    println!("{kill} kills, at most {peak} calls in a second");
    reported(&Machine::new(&place, "elsewhere"), &run, LINES);
    for one in workers {
        terminate(one);
    }
}
