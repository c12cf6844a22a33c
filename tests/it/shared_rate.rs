//! Runs that are kept in PostgreSQL take their turns from there: all processes that work on a target share one rate.

use crate::shared_ledger::{Machine, shared, until};
use crate::support::postgres::Server;
use crate::support::{Place, customer, finish};
use idshift::sandbox::Options;
use std::fmt::Write;
use std::process::Child;
use std::time::{Duration, Instant};

/// The lines of the run that is verified, and of the run that is in progress meanwhile.
const COMPARED: u32 = 60;
const AT_WORK: u32 = 90;

/// Writes a file for the customers `from` up to `to`.
fn moves(place: &Place, name: &str, from: u32, to: u32) {
    let mut text = String::from("accountId,newAccountId\n");
    (from..to).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    place.file(name, &text);
}

/// Makes a complete run, and starts another one at this rate. Each customer needs its own call.
fn at_work(server: &Server, rate: &str) -> (Place, String, Child) {
    let place = shared(
        server,
        Options {
            bulk: false,
            ..Options::default()
        },
    );
    place.with_world(|mut world| {
        (0..COMPARED + AT_WORK).for_each(|n| world.add_plume(customer(n)));
    });
    moves(&place, "first.csv", 0, COMPARED);
    moves(&place, "second.csv", COMPARED, COMPARED + AT_WORK);
    place.run(&["apply", "first.csv", "--yes"]).expect(0);
    let first = place.newest_id();
    let before = place.patches();
    let apply = ["apply", "second.csv", "--yes", "--rate", rate];
    let child = place.command(&apply).spawn().unwrap();
    until("a write", || place.patches() > before + 1);
    (place, first, child)
}

/// Returns when the calls arrived, from this one on.
fn times(place: &Place, from: usize) -> Vec<Duration> {
    let log = place.sandbox.log();
    let mut times: Vec<Duration> = log[from..].iter().map(|seen| seen.at).collect();
    times.sort();
    times
}

fn most_in_a_second(times: &[Duration]) -> usize {
    let within = |from: &Duration| {
        let second = *from..*from + Duration::from_secs(1);
        times.iter().filter(|at| second.contains(*at)).count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

#[test]
fn run_and_verify_on_two_machines_share_one_rate_limit() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, first, child) = at_work(server, "20/s");
    let elsewhere = Machine::new(&place, "elsewhere");
    let before = place.sandbox.log().len();
    let verify = ["verify", &first, "--rate", "20/s"];
    let verified = elsewhere.run(&verify).expect(0);
    let both = times(&place, before);
    finish(child).expect(0);
    assert!(verified.out.contains("60"), "{}", verified.out);
    assert!(both.len() > 80, "{} calls of both", both.len());
    let most = most_in_a_second(&both);
    // A call may arrive some milliseconds after its turn.
    assert!(most <= 22, "{most} calls in a second");
    place.judge_writes();
}

#[test]
fn rate_command_applies_to_all_processes_on_the_target() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, first, mut child) = at_work(server, "40/s");
    let elsewhere = Machine::new(&place, "elsewhere");
    let verify = ["verify", &first, "--rate", "40/s"];
    let mut verifying = elsewhere.command(&verify).spawn().unwrap();
    let reads = |place: &Place| {
        let log = place.sandbox.log();
        log.iter()
            .filter(|seen| seen.path.ends_with("/C-1"))
            .count()
    };
    let before = reads(&place);
    until("a reading of verify", || reads(&place) > before);
    let second = place.newest_id();
    elsewhere.run(&["rate", &second, "5/s"]).expect(0);
    let (from, begun) = (place.sandbox.log().len(), Instant::now());
    while begun.elapsed() < Duration::from_secs(4) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let slowed = times(&place, from);
    for child in [&mut child, &mut verifying] {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
    }
    // Calls that were under way may arrive in the first moment.
    assert!(
        (12..=28).contains(&slowed.len()),
        "{} calls in 4 s at 5/s",
        slowed.len()
    );
    elsewhere.run(&["rate", &second, "500/s"]).expect(0);
    finish(verifying).expect(0);
    finish(child).expect(0);
    place.judge_writes();
}

#[test]
fn rate_of_an_ended_or_killed_process_no_longer_applies() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = shared(
        server,
        Options {
            bulk: false,
            latency: Duration::from_millis(20),
            ..Options::default()
        },
    );
    place.with_world(|mut world| (0..220).for_each(|n| world.add_plume(customer(n))));
    moves(&place, "first.csv", 0, 10);
    moves(&place, "second.csv", 10, 190);
    place
        .run(&["apply", "first.csv", "--yes", "--rate", "10/s"])
        .expect(0);
    // A killed process has not ended its session.
    moves(&place, "third.csv", 190, 220);
    let slowly = ["apply", "third.csv", "--yes", "--rate", "5/s"];
    let (mut killed, before) = (place.command(&slowly).spawn().unwrap(), place.patches());
    until("a write", || place.patches() > before);
    killed.kill().unwrap();
    finish(killed);
    let second = ["apply", "second.csv", "--yes", "--rate", "60/s"];
    let begun = Instant::now();
    let done = place.run(&second).expect(0);
    assert!(!done.err.contains("another process"), "{}", done.err);
    // At 60/s, the calls take 6 s; at 10/s, they would take 36 s, and at 5/s twice as long.
    assert!(begun.elapsed() < Duration::from_secs(30));
}
