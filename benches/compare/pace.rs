//! How exactly limits are kept, measured with the stand-in's clock.

use crate::process::{Place, StandIn};

pub(crate) fn limits() {
    println!("\n## Pace\n");
    println!("| limit | calls | used | most in one second | allowed |");
    println!("| --- | --- | --- | --- | --- |");
    for rate in [20_u32, 100, 1000, 3000, 5000] {
        let lines = rate * 4;
        let stand_in = StandIn::start(lines, &["log", "bulk"]);
        Place::with_renames(lines).apply(&stand_in.base, &["--rate", &format!("{rate}/s")]);
        let at = times(&stand_in.end());
        let allowed = f64::from(rate) * 1.01 + 1.0;
        println!(
            "| {rate}/s | {} | {:.2} % | {} | {allowed:.0} |",
            at.len(),
            100.0 * used(&at, f64::from(rate)),
            most_within(&at, 1.0)
        );
    }
}

/// Measures searches and writes that each have their own limit.
pub(crate) fn apart() {
    let (find, write) = (400_u32, 200_u32);
    let lines = write * 5;
    let stand_in = StandIn::start(lines, &["log"]);
    let rates = [find, write].map(|rate| format!("{rate}/s"));
    Place::with_renames(lines).apply(
        &stand_in.base,
        &[
            "--find-rate",
            &rates[0],
            "--write-rate",
            &rates[1],
            "--lookup",
            "each",
        ],
    );
    let at = times(&stand_in.end());
    // Each line takes one search and one write, so the lower limit, that of the writes, determines the speed.
    println!(
        "\nSearches at most {find}/s, writes at most {write}/s: {:.2} % of the binding limit used; at most {} calls in one second (allowed {:.0}).",
        100.0 * used(&at, f64::from(2 * write)),
        most_within(&at, 1.0),
        f64::from(find + write) * 1.01 + 2.0
    );
}

/// Measures the rate after one 429 in the middle of a run that asks for two seconds.
pub(crate) fn after_a_refusal() {
    let rate = 1000_u32;
    let lines = rate * 4;
    let stand_in = StandIn::start(lines, &["log", "bulk", "customer-patch:429=2:nth=2000"]);
    Place::with_renames(lines).apply(&stand_in.base, &["--rate", &format!("{rate}/s")]);
    let calls = stand_in.end();
    let refused = calls.iter().find(|(_, status)| *status == 429).unwrap().0;
    let after: Vec<f64> = times(&calls)
        .into_iter()
        .filter(|at| *at > refused + 0.1)
        .collect();
    let in_first = after.iter().filter(|at| **at < after[0] + 1.0).count();
    println!(
        "\nAfter `429 Retry-After: 2` at {rate}/s: the next call came {:.2} s later, {in_first} calls in the second after it, and never more than {} in any.",
        after[0] - refused,
        most_within(&after, 1.0)
    );
}

pub(crate) fn quota() {
    println!("\n## Quota\n");
    let (calls, window, lines) = (200_u32, 4.0, 500_u32);
    let stand_in = StandIn::start(lines, &["log"]);
    let place = Place::with_renames(lines);
    let arguments = [
        "--quota",
        "200/4s",
        "--rate",
        "unlimited",
        "--lookup",
        "each",
    ];
    place.apply(&stand_in.base, &arguments);
    let at = times(&stand_in.end());
    let took = at[at.len() - 1] - at[0];
    // This number of whole windows must pass before the last call may be sent.
    let least = f64::from((u32::try_from(at.len()).unwrap() - 1) / calls) * window;
    println!(
        "{calls} calls in any 4 s; {} calls took {took:.2} s, and {least:.0} s is the least that is possible: {:.1} % used. At most {} in any 4 s.",
        at.len(),
        100.0 * least / took,
        most_within(&at, window)
    );
}

fn times(calls: &[(f64, u16)]) -> Vec<f64> {
    calls.iter().map(|(at, _)| *at).collect()
}

fn used(at: &[f64], rate: f64) -> f64 {
    (at.len() - 1) as f64 / (at[at.len() - 1] - at[0]) / rate
}

/// Returns the most calls in any window of this length.
fn most_within(at: &[f64], seconds: f64) -> usize {
    let mut from = 0;
    let counts = at.iter().enumerate().map(|(to, now)| {
        while now - at[from] >= seconds {
            from += 1;
        }
        to - from + 1
    });
    counts.max().unwrap_or(0)
}
