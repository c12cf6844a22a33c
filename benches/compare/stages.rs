//! Runs every command with one file: CPU, memory, disk, and the time until the first call.

use crate::process::{IDSHIFT, Place, StandIn, high_water, processor_time};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The goals, as the issue states them: every command takes at most this much memory, and makes its first call within a
/// second.
const GOAL: &str = "Goals: 96 MiB, and the first call within a second.";

/// A place, its stand-in, and the table that is printed.
struct Stages {
    place: Place,
    stand_in: StandIn,
    program: String,
    disk: u64,
}

/// A finished command.
struct Measured {
    cpu: Duration,
    took: Duration,
    peak_kib: u64,
    /// The CPU time used so far, by the time since the beginning.
    samples: Vec<(Duration, Duration)>,
    begun: Instant,
}

/// Measures `lines` renames, from the plan to the prune of their runs.
pub(crate) fn run(lines: u32) {
    println!("\n## {lines} lines through every command\n");
    println!("{GOAL}\n");
    println!(
        "| command | took | CPU | peak memory | disk | calls | first call after | CPU until then |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut stages = Stages {
        place: Place::with_renames(lines),
        stand_in: StandIn::start(lines, &["log", "bulk"]),
        // Another build can be measured with the same script.
        program: std::env::var("IDSHIFT_PROGRAM").unwrap_or_else(|_| IDSHIFT.to_owned()),
        disk: 0,
    };
    stages.disk = disk(stages.place.folder.path());
    let night = ["reconcile", "moves.csv", "--yes"];
    let incremental = ["reconcile", "moves.csv", "--yes", "--incremental"];
    stages.row("plan", &["plan", "moves.csv"]);
    stages.row("apply", &["apply", "moves.csv", "--yes"]);
    stages.row("verify", &["verify"]);
    stages.row("report", &["report"]);
    let newest = stages.newest();
    stages.row("evidence", &["evidence", &newest, "-o", "evidence.zip"]);
    stages.row("undo", &["undo", "--yes"]);
    stages.killed("reconcile, killed after half", &night, lines / 2);
    stages.row("resume", &["resume", "--yes"]);
    stages.row("reconcile", &night);
    stages.row("reconcile again", &night);
    stages.row("reconcile --incremental", &incremental);
    stages.row("reconcile --incremental, second night", &incremental);
    stages.row("reconcile --incremental, third night", &incremental);
    let prune = ["runs", "prune", "--older-than", "0s", "--keep-last", "0"];
    stages.row("runs prune", &[&prune[..], &["--yes"]].concat());
    stages.stand_in.end();
}

impl Stages {
    fn command(&self, arguments: &[&str]) -> Command {
        // On all cores, as a user runs it: before its first call, a command works in two threads.
        let mut command = Command::new(&self.program);
        let on_target = !matches!(arguments[0], "runs" | "evidence" | "report");
        command
            .args(arguments)
            .current_dir(self.place.folder.path())
            .env("IDSHIFT_TOKEN", "x")
            .env("XDG_STATE_HOME", self.place.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        if on_target {
            let base = &self.stand_in.base;
            command
                .args(["--system", "plume", "--base-url", base])
                .args(["--rate", "unlimited", "--quiet"]);
        }
        command
    }

    /// Runs a command to its end, and prints what it took.
    fn row(&mut self, title: &str, arguments: &[&str]) {
        // Calls of a process that was killed may have arrived after the last count.
        self.stand_in.take_calls();
        let child = self.command(arguments);
        let measured = measure(child, |_| false);
        self.print(title, &measured);
    }

    /// Does the same with a command that is killed as soon as this customer is renamed.
    fn killed(&mut self, title: &str, arguments: &[&str], customer: u32) {
        let child = self.command(arguments);
        let stand_in = &mut self.stand_in;
        let measured = measure(child, |_| stand_in.is_renamed(customer));
        self.print(title, &measured);
    }

    fn print(&mut self, title: &str, measured: &Measured) {
        let (calls, first) = self.stand_in.take_calls();
        let disk = disk(self.place.folder.path());
        let grown = disk.cast_signed() - self.disk.cast_signed();
        self.disk = disk;
        let first = first.map(|first| first.saturating_duration_since(measured.begun));
        let until_first = first.and_then(|first| {
            let sample = measured.samples.iter().find(|(at, _)| *at >= first);
            sample.map(|(_, cpu)| *cpu)
        });
        let seconds = |time: Option<Duration>| {
            time.map_or_else(
                || "–".to_owned(),
                |time| format!("{:.2} s", time.as_secs_f64()),
            )
        };
        println!(
            "| `{title}` | {} | {} | {:.1} MiB | {:.1} MB | {calls} | {} | {} |",
            seconds(Some(measured.took)),
            seconds(Some(measured.cpu)),
            measured.peak_kib as f64 / 1024.0,
            grown as f64 / 1e6,
            seconds(first),
            seconds(until_first),
        );
    }

    /// Returns the run that began last.
    fn newest(&self) -> String {
        let runs = std::fs::read_dir(self.place.folder.path().join("idshift-runs")).unwrap();
        let names = runs.map(|run| run.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).max().unwrap()
    }
}

/// Runs a process to its end, or kills it when `is_enough` returns `true`.
fn measure(mut command: Command, mut is_enough: impl FnMut(&Child) -> bool) -> Measured {
    let before = children_cpu();
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let (mut peak_kib, mut samples, mut killed) = (0, Vec::new(), false);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let folder = format!("/proc/{}", child.id());
        peak_kib = peak_kib.max(high_water(&Path::new(&folder).join("status")));
        samples.push((begun.elapsed(), processor_time(child.id())));
        if !killed && is_enough(&child) {
            killed = true;
            child.kill().unwrap();
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a sample of memory and CPU, not a condition"
        )]
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = begun.elapsed();
    assert!(killed || status.success(), "{command:?}: {status}");
    Measured {
        cpu: children_cpu().saturating_sub(before),
        took,
        peak_kib,
        samples,
        begun,
    }
}

/// Returns the CPU time of all processes that this process has waited for.
fn children_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks = behind.split_whitespace().skip(13).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the bytes on the disk below a folder; a file with several names counts once.
fn disk(folder: &Path) -> u64 {
    let (mut folders, mut seen, mut bytes) = (vec![folder.to_owned()], HashSet::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else if seen.insert(meta.ino()) {
                bytes += meta.blocks() * 512;
            }
        }
    }
    bytes
}
