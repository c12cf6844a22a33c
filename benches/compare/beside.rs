//! This build beside another one, for example the one before a change: lines a second, processor time and peak memory.

use crate::process::{Done, IDSHIFT, Place, StandIn, client};
use crate::{median, per_second};
use std::path::Path;

const LINES: u32 = 60_000;
const ROUNDS: u32 = 9;

/// Both apply the same file, in turns. `other`: the program of the other build.
pub(crate) fn run(other: &str) {
    assert!(Path::new(other).is_file(), "{other}: no such program");
    println!("\n## This build beside another one\n");
    println!(
        "`idshift apply` of {LINES} renames without a limit, {ROUNDS} rounds in turns; medians of this build's value divided by the other's.\n"
    );
    println!("| customers are | lines/s | processor time | peak memory |");
    println!("| --- | --- | --- | --- |");
    for (words, options, lookup) in [
        ("searched singly", &[][..], "each"),
        ("found in bulk", &["bulk"][..], "bulk"),
    ] {
        let [mut rate, mut processor, mut memory] = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            let apply = |program| apply(program, options, lookup);
            // The order alternates: the first of a round may run on a cooler machine.
            let (this, that) = if round % 2 == 0 {
                let this = apply(IDSHIFT);
                (this, apply(other))
            } else {
                let that = apply(other);
                (apply(IDSHIFT), that)
            };
            rate.push(per_second(LINES, this.took) / per_second(LINES, that.took));
            processor.push(this.processor.as_secs_f64() / that.processor.as_secs_f64());
            memory.push(this.peak_mib / that.peak_mib);
        }
        println!(
            "| {words} | {:.3} | {:.3} | {:.3} |",
            median(rate),
            median(processor),
            median(memory)
        );
    }
}

fn apply(program: &str, options: &[&str], lookup: &str) -> Done {
    let stand_in = StandIn::start(LINES, options);
    let place = Place::with_renames(LINES);
    let arguments = ["--rate", "unlimited", "--lookup", lookup];
    let (done, summary) = place.apply_as(client(program), &stand_in.base, &arguments);
    stand_in.end();
    assert_eq!(summary["counts"]["changed"], LINES, "{program}");
    done
}
