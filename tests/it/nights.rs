//! Thirty scheduled runs in a row, each at its date: tokens that expire, drift in both directions, a suppression that
//! ends, a full disk, a killed night, pruning.

use crate::support::{Done, Place, begun_by, clock_library, customer, finish};
use idshift::sandbox::Options;
use serde_json::Value;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const LINES: u32 = 4_000;
const NOTHING_KNOWN: &str = "accountId,until,reason\n";

/// A job, as a timer starts it each night.
struct Job {
    place: Place,
    clock: &'static str,
}

impl Job {
    fn new(clock: &'static str) -> Self {
        // A token is valid for fewer calls than one night needs.
        let place = Place::new(Options {
            token_calls: Some(300),
            ..Options::default()
        });
        place.with_world(|mut world| (0..=LINES).for_each(|n| world.add_plume(customer(n))));
        let script = place.path().join("finished.sh");
        let text = "#!/bin/sh\ncat >summary.json\necho \"$IDSHIFT_EXIT_CODE $IDSHIFT_STATE\" >>finished.log\n";
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        place.file(
            "idshift.toml",
            &format!(
                "[profiles.night]\nkeep = \"5d\"\non_finish = [\"{}\"]\nmetrics_file = \"idshift.prom\"\nsuppress = \"known.csv\"\n\
                 [profiles.night.oauth2]\ntoken_url = \"{}/oauth2/token\"\nclient_id = \"c\"\nclient_secret_env = \"SECRET\"\n",
                script.display(),
                place.sandbox.base_url()
            ),
        );
        place.file("known.csv", NOTHING_KNOWN);
        Self { place, clock }
    }

    /// Writes the CRM's export of tonight.
    fn export(&self, changed: &[(u32, &str)], more: &str) {
        let service = |n: u32| {
            let other = changed.iter().find(|(line, _)| *line == n);
            other.map_or_else(|| format!("S-{n}"), |(_, service)| (*service).to_owned())
        };
        let rows = (0..LINES).fold(String::new(), |mut rows, n| {
            writeln!(rows, "A-{n:06},{}", service(n)).unwrap();
            rows
        });
        let text = format!("accountId,serviceId\n{rows}{more}");
        self.place.file("night.csv", &text);
    }

    fn command(&self, night: u32, more: &[&str]) -> Command {
        let job = [
            "reconcile",
            "night.csv",
            "--yes",
            "--profile",
            "night",
            "--json",
        ];
        let mut command = self.place.command(&[&job, more].concat());
        self.at(&mut command, night);
        command
    }

    fn at(&self, command: &mut Command, night: u32) {
        command
            .env_remove("IDSHIFT_TOKEN")
            .env("SECRET", "s")
            .env("LD_PRELOAD", self.clock)
            .env("FAKETIME", format!("@2027-01-{night:02} 22:00:00"))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    fn night(&self, night: u32, more: &[&str]) -> Done {
        finish(self.command(night, more).spawn().unwrap())
    }

    /// Runs a night, checks its exit code and its drift, and returns its summary and its messages.
    fn expect(&self, night: u32, code: i32, causes: &[(&str, u64)]) -> (Value, String) {
        let done = self.night(night, &[]);
        assert_eq!(done.code, code, "night {night}: {}{}", done.out, done.err);
        let summary = done.json();
        assert_eq!(drift(&summary), is(causes), "night {night}");
        (summary, done.err)
    }

    /// Changes the service ID of these customers, as another program would.
    fn others_write(&self, customers: std::ops::Range<u32>, service: &str) {
        self.place.with_world(|mut world| {
            for n in customers {
                let customer = world.plume.get_mut(format!("C-{n}").as_str()).unwrap();
                customer.locations[0].service_id = Some(service.into());
            }
        });
    }

    fn service_of(&self, n: u32) -> Option<String> {
        self.place.with_world(|world| {
            let customer = &world.plume[format!("C-{n}").as_str()];
            customer.locations[0]
                .service_id
                .as_deref()
                .map(str::to_owned)
        })
    }
}

/// Returns the number of lines by cause, without zeros.
fn drift(summary: &Value) -> Vec<(String, u64)> {
    let causes = summary["drift"].as_object().unwrap().iter();
    causes
        .map(|(cause, lines)| (cause.clone(), lines.as_u64().unwrap()))
        .filter(|(_, lines)| *lines > 0)
        .collect()
}

fn is(causes: &[(&str, u64)]) -> Vec<(String, u64)> {
    let causes = causes.iter();
    causes.map(|(cause, n)| ((*cause).to_owned(), *n)).collect()
}

/// Returns the size of a folder on the disk, in KiB; a file with several names counts once.
fn disk(folder: &Path) -> u64 {
    let du = Command::new("du").arg("-sk").arg(folder).output().unwrap();
    let text = String::from_utf8(du.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "takes two minutes; .ci/nightly runs it"]
fn thirty_nightly_reconciles_recover_from_drift_full_disk_and_kill() {
    let Some(clock) = clock_library() else {
        println!("NOT RUN: libfaketime is not installed");
        return;
    };
    let job = Job::new(clock);
    let runs = job.place.path().join("idshift-runs");
    let mut one_night = 0;
    job.export(&[], "");
    for night in 1..=30 {
        if night <= 11 {
            first_nights(&job, night);
        } else {
            later_nights(&job, night);
        }
        if night == 1 {
            one_night = disk(&runs);
        }
    }
    for n in 0..=LINES {
        let wanted = if n == 3 {
            "S-3-new".to_owned()
        } else {
            format!("S-{n}")
        };
        assert_eq!(job.service_of(n), Some(wanted), "C-{n}");
    }
    let at_the_end = disk(&runs);
    println!("{at_the_end} KiB; one night {one_night}");
    assert!(
        at_the_end < 3 * one_night,
        "{at_the_end} KiB; one night {one_night}"
    );
    let read = |name: &str| std::fs::read_to_string(job.place.path().join(name)).unwrap();
    let finished = read("finished.log");
    let ends: Vec<&str> = finished.lines().collect();
    // Each night except the killed one, and the resume.
    assert_eq!(ends.len(), 30, "{finished}");
    assert_eq!(ends.last(), Some(&"0 finished"));
    assert!(
        ends.contains(&"4 stopped") && ends.contains(&"1 finished"),
        "{finished}"
    );
    let last = "2027-01-30T22:00:00Z"
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_second();
    let success = read("idshift.prom");
    let success = success.lines().find_map(|line| {
        let value = line.strip_prefix("idshift_last_success_timestamp_seconds ")?;
        value.split('.').next()?.parse::<i64>().ok()
    });
    assert!(
        (last..last + 600).contains(&success.unwrap()),
        "{success:?}"
    );
}

/// New, changed, reverted, suppressed and never applied lines.
fn first_nights(job: &Job, night: u32) {
    let new = format!("A-{LINES:06},S-{LINES}\n");
    match night {
        1 => {
            job.expect(night, 0, &[("new in the file", LINES.into())]);
            assert!(job.place.with_world(|world| world.tokens.count()) > 2);
        }
        3 => {
            job.others_write(1..2, "old");
            job.expect(night, 0, &[("reverted", 1)]);
        }
        4 => {
            job.others_write(2..3, "other");
            job.expect(night, 0, &[("changed by others", 1)]);
        }
        5 => {
            job.export(&[(3, "S-3-new")], &new);
            let causes = [("changed in the file", 1), ("new in the file", 1)];
            job.expect(night, 0, &causes);
        }
        6..=8 => {
            job.others_write(4..5, "old");
            let known = format!("{NOTHING_KNOWN}A-000004,2027-01-08,ticket 7\n");
            job.place.file("known.csv", &known);
            let (summary, _) = job.expect(night, 0, &[]);
            assert_eq!(summary["counts"]["skipped"], 1);
            assert_eq!(job.service_of(4).as_deref(), Some("old"));
        }
        9 => {
            let (_, told) = job.expect(night, 0, &[("reverted", 1)]);
            assert!(told.contains("A-000004 ended on 2027-01-08"), "{told}");
            assert_eq!(job.service_of(4).as_deref(), Some("S-4"));
            job.place.file("known.csv", NOTHING_KNOWN);
        }
        10 => {
            job.export(&[(3, "S-3-new")], &format!("{new}NOBODY,S-9\n"));
            job.expect(night, 1, &[("new in the file", 1)]);
        }
        11 => {
            job.expect(night, 1, &[("never applied", 1)]);
            let rows = job.place.rows("results.csv");
            assert_eq!(rows.last().unwrap()["idshift_drift_nights"], "2");
            job.export(&[(3, "S-3-new")], &new);
        }
        _ => {
            job.expect(night, 0, &[]);
        }
    }
}

/// A full disk, a killed and a stopped night.
fn later_nights(job: &Job, night: u32) {
    match night {
        13 => {
            job.others_write(5..60, "old");
            full_disk(job, night);
        }
        14 => {
            job.expect(night, 0, &[("reverted", 55)]);
        }
        15 => {
            job.others_write(60..120, "other");
            killed(job, night);
        }
        16 => {
            let (summary, _) = expect_any(job, night);
            let left = summary["drift"]["changed by others"].as_u64().unwrap();
            assert!((1..60).contains(&left), "{left}");
        }
        17 => {
            job.others_write(10..60, "old");
            let done = job.night(night, &["--max-changes", "10"]);
            assert_eq!(done.code, 4, "{}{}", done.out, done.err);
            assert_eq!(drift(&done.json()), is(&[("reverted", 50)]));
        }
        18 => {
            // The operator has checked the changes, and continues the run.
            let mut resume = job
                .place
                .command(&["resume", "--max-changes", "50", "--json"]);
            job.at(&mut resume, night);
            assert_eq!(finish(resume.spawn().unwrap()).code, 0);
            job.expect(night, 0, &[]);
        }
        24 => {
            job.others_write(7..8, "old");
            job.expect(night, 0, &[("reverted", 1)]);
        }
        _ => {
            job.expect(night, 0, &[]);
        }
    }
}

fn expect_any(job: &Job, night: u32) -> (Value, String) {
    let done = job.night(night, &[]);
    assert_eq!(done.code, 0, "night {night}: {}{}", done.out, done.err);
    (done.json(), done.err)
}

/// Runs a night with a limit for the size of files that is too small for it.
fn full_disk(job: &Job, night: u32) {
    let command = job.command(night, &[]);
    let words = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
    let mut command = begun_by(&job.place, &command, &["sh"], words);
    job.at(&mut command, night);
    let done = finish(command.spawn().unwrap());
    assert!(
        matches!(done.code, 2 | 4),
        "{}: {}{}",
        done.code,
        done.out,
        done.err
    );
}

fn killed(job: &Job, night: u32) {
    let before = job.place.patches();
    let slowly = ["--rate", "20/s", "--concurrency", "1"];
    let mut child = job.command(night, &slowly).spawn().unwrap();
    let begun = Instant::now();
    while job.place.patches() <= before + 5 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no write");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
