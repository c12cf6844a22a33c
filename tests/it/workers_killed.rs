use crate::shared_ledger::{Machine, shared, until, with_standby};
use crate::support::postgres::Server;
use crate::support::{Place, catches, customer, finish};
use crate::workers::{
    all_as_wished, apply, file, finish_or_terminate, reported, slow, sql, terminate, until_at_work,
    with_lines, worker,
};
use idshift::sandbox::Options;
use std::process::Child;
use std::time::{Duration, Instant};

#[test]
fn workers_finish_and_close_the_run_when_the_leader_is_killed() {
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
fn lines_of_a_killed_or_stopped_worker_are_done_by_other_processes() {
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
fn worker_killed_at_any_durable_step_loses_and_repeats_nothing() {
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

#[test]
fn time_limit_still_applies_to_workers_when_the_leader_is_killed() {
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
fn resume_finishes_the_run_with_workers_whose_leader_was_killed() {
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
fn worker_exits_with_4_when_its_ledger_is_unreachable() {
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
fn waiting_worker_ends_on_sigterm_while_its_database_hangs() {
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
fn twenty_thousand_lines_are_correct_after_random_kills() {
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
