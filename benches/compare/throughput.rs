//! The greatest speed: the whole process, from its start to its end, without a limit.

use crate::process::{Done, Place, StandIn, account, client, own, timed};
use crate::{median, per_second, tools};

const LINES: u32 = 30_000;
/// The lines for Python, which is slower; its rate does not depend on the number.
const FEWER: u32 = 8_000;
const ROUNDS: u32 = 5;

type Apply = fn(&Place, &str, &[&str]) -> (Done, serde_json::Value);

pub(crate) fn run() {
    println!("\n## Throughput\n");
    println!(
        "Renames without a limit, the whole process; idshift plans, keeps its durable ledger, writes its reports.\n"
    );
    println!(
        "| round | bare reqwest loop | idshift, searching singly | ratio | the same, not pinned | ratio | idshift, in bulk | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let (mut singly, mut freely, mut in_bulk) = (Vec::new(), Vec::new(), Vec::new());
    let mut paces = Vec::new();
    let mut per_write = [0.0; 2];
    for round in 1..=ROUNDS {
        let bare = bare();
        let (each, calls) = idshift(&[], "each", Place::apply);
        per_write[0] = calls;
        let (free, _) = idshift(&[], "each", Place::apply_freely);
        let (bulk, calls) = idshift(&["bulk"], "bulk", Place::apply);
        per_write[1] = calls;
        println!(
            "| {round} | {bare:.0} lines/s | {each:.0} lines/s | {:.2} | {free:.0} lines/s | {:.2} | {bulk:.0} lines/s | {:.2} |",
            each / bare,
            free / bare,
            bulk / bare
        );
        singly.push(each / bare);
        freely.push(free / bare);
        in_bulk.push(bulk / bare);
        paces.push(each);
    }
    println!(
        "| median | | | {:.2} | | {:.2} | | {:.2} |",
        median(singly),
        median(freely),
        median(in_bulk)
    );
    println!(
        "\nCalls per write: {:.3} searching singly, {:.3} in bulk.\n",
        per_write[0], per_write[1]
    );
    println!("| other tool | work | result |");
    println!("| --- | --- | --- |");
    aiohttp(median(paces));
    wrk();
}

fn bare() -> f64 {
    let stand_in = StandIn::start(LINES, &[]);
    let done = timed(client(&own()).args(["bare", &stand_in.base, &LINES.to_string()]));
    stand_in.end();
    per_second(LINES, done.took)
}

/// Runs the whole of `idshift apply`, pinned or not; returns lines per second, and calls per write.
fn idshift(options: &[&str], lookup: &str, apply: Apply) -> (f64, f64) {
    let stand_in = StandIn::start(LINES, options);
    let place = Place::with_renames(LINES);
    let arguments = ["--rate", "unlimited", "--lookup", lookup];
    let (done, summary) = apply(&place, &stand_in.base, &arguments);
    stand_in.end();
    assert_eq!(summary["counts"]["changed"], LINES);
    let calls = summary["calls"]["per_write"].as_f64().unwrap();
    (per_second(LINES, done.took), calls)
}

fn aiohttp(ours: f64) {
    let Some(python) = tools::python_with("aiohttp") else {
        println!("| aiohttp | | not installed |");
        return;
    };
    let stand_in = StandIn::start(FEWER, &[]);
    let place = Place::with_renames(FEWER);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/benches/compare/aiohttp_loop.py"
    );
    let done = timed(
        client(&python)
            .args([script, &stand_in.base])
            .current_dir(place.folder.path()),
    );
    stand_in.end();
    let theirs = per_second(FEWER, done.took);
    println!(
        "| aiohttp, 64 tasks, results to CSV | search, then PATCH, for each line | {theirs:.0} lines/s; idshift {:.1} times as many |",
        ours / theirs
    );
}

fn wrk() {
    let Some(wrk) = tools::wrk() else {
        println!("| wrk | | not installed |");
        return;
    };
    let stand_in = StandIn::start(1, &[]);
    let url = format!(
        "{}/api/Partners/customers/search/{}?field=accountId&exactMatch=true",
        stand_in.base,
        account(0)
    );
    let done =
        timed(client(&wrk).args(["-t1", "-c64", "-d3", "-H", "Authorization: Bearer x", &url]));
    stand_in.end();
    let text = String::from_utf8_lossy(&done.out).into_owned();
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .map_or("?", str::trim);
    println!("| wrk, 64 connections | GET search: what the stand-in can answer | {rate} calls/s |");
}
