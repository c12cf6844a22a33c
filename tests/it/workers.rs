use crate::shared_ledger::{Machine, database, shared, until};
use crate::support::postgres::{ADMIN, Server};
use crate::support::{Done, Place, customer, finish};
use idshift::sandbox::Options;
use rustix::process::Signal;
use std::fmt::Write as _;
use std::process::{Child, Command};
use std::time::Duration;

/// Writes groups of ten lines: five renames, a chain of three, a swap.
pub(crate) fn file(lines: u32) -> String {
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
pub(crate) fn wished(n: u32) -> String {
    match n % 10 {
        5 | 6 | 8 => format!("A-{:06}", n + 1),
        9 => format!("A-{:06}", n - 1),
        _ => format!("B-{n:06}"),
    }
}

pub(crate) fn with_lines(server: &Server, lines: u32, options: Options) -> Place {
    let place = shared(server, options);
    place.with_world(|mut world| (0..lines).for_each(|n| world.add_plume(customer(n))));
    place.file("moves.csv", &file(lines));
    place
}

pub(crate) fn slow() -> Options {
    Options {
        latency: Duration::from_millis(20),
        ..Options::default()
    }
}

pub(crate) fn all_as_wished(place: &Place, lines: u32) {
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
pub(crate) fn reported(machine: &Machine<'_>, run: &str, lines: u32) {
    machine.run(&["report", run]).expect(0);
    let status = machine.run(&["status", run, "--json"]).expect(0).json();
    assert_eq!(status["state"], "finished", "{status}");
    assert_eq!(status["counts"]["changed"], lines, "{status}");
}

pub(crate) fn worker(machine: &Machine<'_>) -> Child {
    machine.command(&["worker"]).spawn().unwrap()
}

pub(crate) fn apply(place: &Place) -> Child {
    let arguments = ["apply", "moves.csv", "--yes", "--concurrency", "8"];
    place.command(&arguments).spawn().unwrap()
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

pub(crate) fn terminate(child: Child) -> Done {
    signal(&child, Signal::TERM);
    finish(child)
}

pub(crate) fn finish_or_terminate(mut child: Child) -> Done {
    match child.try_wait().unwrap() {
        Some(_) => finish(child),
        None => terminate(child),
    }
}

pub(crate) fn sql(server: &Server, place: &Place, sql: &str) -> String {
    server.psql(
        database(place),
        &format!("SET search_path = idshift; {sql}"),
    )
}

/// Returns how many processes have written in the run.
pub(crate) fn writers(server: &Server, place: &Place) -> String {
    let writers = "SELECT count(*) FROM sessions WHERE write > 0";
    sql(server, place, writers)
}

/// Waits until this number of processes work on the run and have lines.
pub(crate) fn until_at_work(server: &Server, place: &Place, processes: u32) {
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
fn workers_share_the_lines_and_exit_with_0_after_sigterm() {
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
fn worker_options_are_not_saved_with_the_run() {
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
fn worker_in_an_undo_overwrites_nothing_newer_than_the_undone_run() {
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
fn third_process_gets_lines_of_a_small_file() {
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
fn worker_for_one_run_ends_with_it_and_needs_a_database() {
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

pub(crate) fn with_adobe(server: &Server) -> Place {
    Place {
        ledger: Some(server.address(ADMIN, &server.database())),
        ..Place::adobe(400)
    }
}

pub(crate) fn adobe(mut command: Command) -> Child {
    command.env("IDSHIFT_SYSTEM", "adobe");
    command.env("IDSHIFT_RESELLER_ID", "R1");
    command.env("IDSHIFT_API_KEY", "key");
    command.env("IDSHIFT_RATE", "100/s");
    command.spawn().unwrap()
}

#[test]
fn adobe_run_has_one_active_process_and_another_finishes_after_a_kill() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_adobe(server);
    let machine = Machine::new(&place, "one");
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
fn restarted_job_with_a_key_finishes_its_run_with_the_workers() {
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
fn quota_is_counted_for_the_named_egress_address() {
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
