use crate::shared_ledger::{Machine, until};
use crate::support::finish;
use crate::support::postgres::Server;
use crate::workers::{
    adobe, all_as_wished, apply, slow, sql, terminate, until_at_work, with_adobe, with_lines,
    worker, writers,
};
use idshift::sandbox::{Fault, Options};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

#[test]
fn worker_reports_that_no_lines_are_left() {
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
fn worker_reports_that_only_one_process_may_be_active() {
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

/// The leading process is killed, and a worker goes on. `resume` and the other worker wait for it, or go on if it is killed, too.
#[test]
fn resume_of_an_adobe_run_names_the_active_worker() {
    let Some(server) = Server::shared() else {
        return;
    };
    for is_killed in [false, true] {
        let place = with_adobe(server);
        let apply = ["apply", "moves.csv", "--yes", "--accept-welcome-emails"];
        let mut leader = adobe(place.command(&apply));
        until_at_work(server, &place, 1);
        let run = place.newest_id();
        let machine = Machine::new(&place, "one");
        let mut worker = adobe(machine.command(&["worker"]));
        until("some writes", || place.patches() > 20);
        leader.kill().unwrap();
        finish(leader);
        let at_work = |process: &Child| {
            let leased = format!(
                "SELECT count(*) > 0 FROM chunk JOIN sessions USING (run, session) WHERE state = 'leased' AND pid = {}",
                process.id()
            );
            sql(server, &place, &leased) == "t"
        };
        until("the worker is at work", || at_work(&worker));
        let mut resumed = adobe(place.command(&["resume", &run, "--yes"]));
        let (mut said, mut told) = (
            BufReader::new(resumed.stderr.take().unwrap()),
            String::new(),
        );
        let at_work = format!("; at work on run {run}: process {} on ", worker.id());
        while !told.contains(&at_work) {
            assert!(said.read_line(&mut told).unwrap() > 0, "{told}");
        }
        if is_killed {
            worker.kill().unwrap();
        }
        said.read_to_string(&mut told).unwrap();
        let resumed = resumed.wait_with_output().unwrap();
        assert_eq!(resumed.status.code(), Some(0), "{told}");
        for words in [
            "this process takes over if they end before the run does",
            " (only one process at a time may work on a run of this system); ",
            " of 400 lines have ended; ",
            &format!("`idshift status {run}` shows its state"),
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let out = String::from_utf8(resumed.stdout).unwrap();
        assert!(out.contains("400  changed"), "{out}");
        place.judge_writes();
        if is_killed {
            finish(worker);
        } else {
            terminate(worker).expect(0);
        }
    }
}

#[test]
fn worker_with_a_refused_token_ends_and_other_processes_continue() {
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
fn worker_with_a_different_units_digest_is_refused() {
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
fn worker_does_not_join_before_the_waves_are_verified() {
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
fn worker_without_a_named_target_makes_no_call() {
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

/// A worker does not take over a run that cannot be joined: `resume` asks for consent first, and knows what newer runs did.
#[test]
fn worker_does_not_join_during_the_waves_or_after_a_newer_run() {
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
