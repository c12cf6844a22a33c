//! A shared ledger compared with files, on the same work; and several processes on one run: their calls and their rate.

use crate::median;
use crate::per_second;
use crate::process::{IDSHIFT, Place, StandIn};
use postgres::{ADMIN, Server};
use std::process::{Child, Command, Stdio};

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../../src/ledger/postgres/tests/server.rs"]
mod postgres;

const LINES: u32 = 20_000;
const ROUNDS: u32 = 3;
/// Processes on a run, with the process that begins it.
const PROCESSES: usize = 4;
/// Seconds at the beginning and at the end of a run in which its rate is not steady.
const EDGE: u32 = 2;

pub(crate) fn run() {
    println!("\n## Shared ledger\n");
    let Some(server) = Server::start() else {
        println!("PostgreSQL is not installed.");
        return;
    };
    println!(
        "{LINES} renames without a limit, in bulk, not pinned; for each round a database in which nothing was made yet.\n"
    );
    println!(
        "| round | files | PostgreSQL, one process | ratio | {PROCESSES} processes | ratio | calls per write |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (files, _) = lines_per_second(None, 1);
        let (one, _) = lines_per_second(Some(&server), 1);
        let (several, calls) = lines_per_second(Some(&server), PROCESSES);
        println!(
            "| {round} | {files:.0} lines/s | {one:.0} lines/s | {:.2} | {several:.0} lines/s | {:.2} | {calls:.3} |",
            one / files,
            several / files
        );
        alone.push(one / files);
        together.push(several / files);
    }
    println!(
        "| median | | | {:.2} | | {:.2} | |",
        median(alone),
        median(together)
    );
    println!(
        "\n| rate, {PROCESSES} processes | fullest second | mean of the seconds without the first {EDGE} and the last {EDGE} |"
    );
    println!("| --- | --- | --- |");
    rate(&server, 20, 400);
    rate(&server, 500, 8_000);
}

/// Carries a file out; returns lines per second, and calls per write.
fn lines_per_second(server: Option<&Server>, processes: usize) -> (f64, f64) {
    let stand_in = StandIn::start(LINES, &["bulk"]);
    let place = Place::with_renames(LINES);
    let ledger = server.map(|server| server.address(ADMIN, &server.database()));
    let workers = workers(&place, &stand_in.base, ledger.as_deref(), processes - 1);
    let mut arguments = vec!["--rate", "unlimited"];
    if let Some(ledger) = &ledger {
        arguments.extend(["--ledger", ledger.as_str()]);
    }
    let (done, summary) = place.apply_freely(&stand_in.base, &arguments);
    end(workers);
    stand_in.end();
    assert_eq!(summary["counts"]["changed"], LINES);
    let calls = summary["calls"]["per_write"].as_f64().unwrap();
    (per_second(LINES, done.took), calls)
}

fn rate(server: &Server, rate: u32, lines: u32) {
    let stand_in = StandIn::start(lines, &["log"]);
    let place = Place::with_renames(lines);
    let ledger = server.address(ADMIN, &server.database());
    let workers = workers(&place, &stand_in.base, Some(&ledger), PROCESSES - 1);
    let said = format!("{rate}/s");
    let arguments = ["--rate", &said, "--lookup", "each", "--ledger", &ledger];
    place.apply_freely(&stand_in.base, &arguments);
    end(workers);
    let calls: Vec<f64> = stand_in.end().into_iter().map(|(at, _)| at).collect();
    let within = |from: usize| {
        calls[from..]
            .iter()
            .take_while(|at| **at < calls[from] + 1.0)
            .count()
    };
    let fullest = (0..calls.len()).map(within).max().unwrap_or(0);
    let mean = steady_mean(&calls);
    println!(
        "| {rate}/s | {fullest} ({:.1} %) | {mean:.1}/s ({:.1} %) |",
        100.0 * fullest as f64 / f64::from(rate),
        100.0 * mean / f64::from(rate)
    );
}

/// Returns the calls per second in the full seconds of the steady state, without the seconds in which the processes
/// begin or end.
fn steady_mean(calls: &[f64]) -> f64 {
    let first = calls[0] + f64::from(EDGE);
    let seconds = (calls[calls.len() - 1] - f64::from(EDGE) - first).floor();
    assert!(seconds >= 1.0, "too few calls");
    let counted = calls
        .iter()
        .filter(|at| (first..first + seconds).contains(*at));
    counted.count() as f64 / seconds
}

/// Starts processes that wait for the run, each with its own state folder, as on its own machine.
fn workers(place: &Place, base: &str, ledger: Option<&str>, many: usize) -> Vec<Child> {
    let begin = |n: usize| {
        let home = place.folder.path().join(format!("worker-{n}"));
        std::fs::create_dir(&home).unwrap();
        Command::new(IDSHIFT)
            .args(["worker", "--system", "plume", "--base-url", base])
            .args(["--ledger", ledger.unwrap()])
            .env("IDSHIFT_TOKEN", "x")
            .env("XDG_STATE_HOME", &home)
            .current_dir(&home)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    (0..many).map(begin).collect()
}

fn end(workers: Vec<Child>) {
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}
