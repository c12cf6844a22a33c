//! Long files: the memory of a run, and the time for reading, checking and planning.

use crate::process::{Done, Place, StandIn, client, timed};
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

/// Writes a file with four columns and 55 bytes per line.
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

/// Measures reading, checking and ordering of files with up to `most` million lines, on all cores, as a user runs it.
/// `DuckDB` answers questions about the same file in the same round.
pub(crate) fn planning(most: u32) {
    println!("\n## Long files\n");
    println!(
        "| lines | file | `idshift check` | lines/s | processor time | peak memory | processor time and memory of DuckDB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
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
    for millions in [1, 2, 5, 10, 20, 50] {
        if millions > most {
            break;
        }
        let lines = millions * 1_000_000;
        long_file(&path, lines);
        let megabytes = path.metadata().unwrap().len() / 1_000_000;
        let mut runs: Vec<(Done, Option<Done>)> = Vec::new();
        let rounds = if millions > 10 { 1 } else { 3 };
        runs.resize_with(rounds, || (check(), beside_duckdb(folder.path())));
        runs.sort_by_key(|(run, _)| run.processor);
        let (done, other) = &runs[rounds / 2];
        let other = other.as_ref().map_or("not installed".to_owned(), |other| {
            let ratio = done.processor.as_secs_f64() / other.processor.as_secs_f64();
            format!(
                "{:.2} s ({ratio:.2}), {:.0} MiB",
                other.processor.as_secs_f64(),
                other.peak_mib
            )
        });
        println!(
            "| {millions} million | {megabytes} MB | {:.2} s | {:.1} million | {:.2} s | {:.0} MiB | {other} |",
            done.took.as_secs_f64(),
            per_second(lines, done.took) / 1e6,
            done.processor.as_secs_f64(),
            done.peak_mib
        );
        if millions == 5 {
            beside_qsv(folder.path(), done.took.as_secs_f64());
        }
    }
}

/// Asks the same questions about related lines, in SQL.
fn beside_duckdb(folder: &Path) -> Option<Done> {
    let python = tools::python_with("duckdb")?;
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/benches/compare/duckdb_check.py"
    );
    let mut command = std::process::Command::new(python);
    Some(timed(
        command.args([script, "long.csv"]).current_dir(folder),
    ))
}

fn beside_qsv(folder: &Path, ours: f64) {
    let Some(qsv) = tools::qsv() else {
        println!("| | | qsv: not installed | | | | |");
        return;
    };
    let mut command = client(&qsv);
    if let Ok(all) = std::thread::available_parallelism() {
        // qsv is not pinned, so that it can use all cores.
        command = std::process::Command::new(&qsv);
        command.env("QSV_MAX_JOBS", all.to_string());
    }
    let done = timed(
        command
            .args(["extdedup", "-s", "accountId", "long.csv", "unique.csv"])
            .current_dir(folder),
    );
    println!(
        "| the same 5 million | | `qsv extdedup -s accountId`: {:.2} s, {:.1} times as long | | {:.2} s | {:.0} MiB | |",
        done.took.as_secs_f64(),
        done.took.as_secs_f64() / ours,
        done.processor.as_secs_f64(),
        done.peak_mib
    );
}
