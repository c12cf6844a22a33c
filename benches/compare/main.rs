//! Compares idshift with other tools and with a bare client loop, on the same work, in one run. Prints tables for
//! `docs/performance.md`. The ratios are valid on other machines; the absolute figures are valid on this machine only.
//!
//! `cargo bench --bench compare` runs everything (a quarter of an hour). `cargo bench --bench compare -- pace quota`
//! runs only the named parts; the parts are: throughput, pace, quota, memory, planning, start, ledger. With `fifty`,
//! long files have up to fifty million lines (2.7 GB on the disk, some minutes more). `-- stages 1000000` runs every
//! command, one after another, on a file with that number of lines; `IDSHIFT_PROGRAM` names another build to measure.
//! `-- beside PROGRAM` compares this build with another one.
//!
//! If there are two cores, clients are pinned to one and the stand-in to the other (`taskset`). Tools that are not
//! installed are left out with a message; `-- install` fetches them from their package registries first.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::cast_precision_loss, reason = "figures for a table")]

mod bare;
mod beside;
mod files;
mod ledger;
mod pace;
mod process;
mod stages;
mod start;
mod throughput;
mod tools;

use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // This program also runs as its own helper processes, which can be pinned.
        ["stand-in", lines, options @ ..] => process::be_stand_in(lines.parse().unwrap(), options),
        ["stages", lines, ..] => {
            process::describe_machine();
            stages::run(lines.parse().unwrap());
        }
        ["beside", other, ..] => {
            process::describe_machine();
            beside::run(other);
        }
        ["bare", base, lines] => bare::run(base, lines.parse().unwrap()),
        _ => compare(&words),
    }
}

fn compare(words: &[&str]) {
    let words: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let all = words.iter().all(|word| ["install", "fifty"].contains(word));
    let asked = |section: &str| words.contains(&section) || all;
    if words.contains(&"install") {
        tools::install();
    }
    process::describe_machine();
    if asked("start") {
        start::run();
    }
    if asked("throughput") {
        throughput::run();
    }
    if asked("pace") {
        pace::limits();
        pace::apart();
        pace::after_a_refusal();
    }
    if asked("quota") {
        pace::quota();
    }
    if asked("ledger") {
        ledger::run();
    }
    if asked("memory") {
        files::memory();
    }
    if asked("planning") {
        files::planning(if words.contains(&"fifty") { 50 } else { 20 });
    }
}

/// Returns the median; of an even number of values the upper of the two in the middle.
fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

fn per_second(lines: u32, took: Duration) -> f64 {
    f64::from(lines) / took.as_secs_f64()
}
