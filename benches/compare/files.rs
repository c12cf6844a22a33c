//! Long files: how much memory a run takes, and how long reading, checking and planning do.

use crate::process::{Place, StandIn, client, timed};
use crate::{per_second, tools};
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;

pub(crate) fn memory() {
    println!("\n## Memory\n");
    println!("| lines without a limit | command | lines/s | peak memory | goal |");
    println!("| --- | --- | --- | --- | --- |");
    for lines in [60_000, 1_000_000] {
        let stand_in = StandIn::start(lines, &["bulk"]);
        let place = Place::with_renames(lines);
        let applied = place.apply(&stand_in.base, &["--rate", "unlimited"]);
        let undone = place.undo(&stand_in.base);
        stand_in.end();
        for (command, (done, summary)) in [("apply", applied), ("undo", undone)] {
            assert_eq!(summary["counts"]["changed"], lines);
            println!(
                "| {lines} | `{command}` | {:.0} | {:.1} MiB | 96 MiB |",
                per_second(lines, done.took),
                done.peak_mib
            );
        }
    }
}

/// Four columns, 55 bytes a line.
fn long_file(path: &Path, lines: u32) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let mut line = String::from("accountId,newAccountId,locationId,serviceId\n");
    for n in 0..lines {
        writeln!(line, "A-{n:09},B-{n:09},loc-{n:09},svc-{n:010}").unwrap();
        file.write_all(line.as_bytes()).unwrap();
        line.clear();
    }
    file.flush().unwrap();
}

/// Reading, checking and ordering; every core, as whoever uses it has it.
pub(crate) fn planning() {
    println!("\n## Long files\n");
    println!("| lines | file | `idshift check` | lines/s | peak memory |");
    println!("| --- | --- | --- | --- | --- |");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.csv");
    let check = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_idshift"));
        timed(
            command
                .args(["check", "long.csv", "--json"])
                .current_dir(folder.path()),
        )
    };
    for millions in [1, 2, 5, 10, 20] {
        let lines = millions * 1_000_000;
        long_file(&path, lines);
        let megabytes = path.metadata().unwrap().len() / 1_000_000;
        let mut runs = [check(), check(), check()];
        runs.sort_by_key(|run| run.took);
        let [_, done, _] = runs;
        println!(
            "| {millions} million | {megabytes} MB | {:.2} s | {:.1} million | {:.0} MiB |",
            done.took.as_secs_f64(),
            per_second(lines, done.took) / 1e6,
            done.peak_mib
        );
        if millions == 5 {
            beside_qsv(folder.path(), done.took.as_secs_f64());
        }
    }
}

fn beside_qsv(folder: &Path, ours: f64) {
    let Some(qsv) = tools::qsv() else {
        println!("| | | qsv: not installed | | |");
        return;
    };
    let mut command = client(&qsv);
    if let Ok(all) = std::thread::available_parallelism() {
        // Not pinned: it may use what it can.
        command = std::process::Command::new(&qsv);
        command.env("QSV_MAX_JOBS", all.to_string());
    }
    let done = timed(
        command
            .args(["extdedup", "-s", "accountId", "long.csv", "unique.csv"])
            .current_dir(folder),
    );
    println!(
        "| the same 5 million | | `qsv extdedup -s accountId`: {:.2} s, {:.1} times as long | | {:.0} MiB |",
        done.took.as_secs_f64(),
        done.took.as_secs_f64() / ours,
        done.peak_mib
    );
}
