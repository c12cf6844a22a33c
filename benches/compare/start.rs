//! The time until idshift has started, and until its first call.

use crate::median;
use crate::process::{Place, StandIn, client};
use std::time::Instant;

pub(crate) fn run() {
    println!("\n## Start\n");
    let idshift = env!("CARGO_BIN_EXE_idshift");
    let help = (0..30).map(|_| {
        let begun = Instant::now();
        let done = client(idshift).arg("--help").output().unwrap();
        assert!(done.status.success());
        begun.elapsed().as_secs_f64() * 1000.0
    });
    let nothing = (0..30).map(|_| {
        let begun = Instant::now();
        client("true").output().unwrap();
        begun.elapsed().as_secs_f64() * 1000.0
    });
    println!(
        "`idshift --help`: {:.1} ms (`true`, started the same way: {:.1} ms); goal 10 ms.",
        median(help.collect()),
        median(nothing.collect())
    );
    let first_call = (0..10).map(|_| {
        let stand_in = StandIn::start(10, &["log", "bulk"]);
        let place = Place::with_renames(10);
        let before = stand_in.began().elapsed().as_secs_f64();
        place.apply(&stand_in.base, &["--rate", "unlimited"]);
        (stand_in.end()[0].0 - before) * 1000.0
    });
    println!(
        "`idshift apply` until its first call arrives: {:.1} ms; goal 50 ms.",
        median(first_call.collect())
    );
}
