//! `--shard i/n`: several machines, each with a share of one file.

use crate::support::{Done, Place, customer, finish};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

/// Returns a command on a machine: with its own state folder and runs folder.
fn on(place: &Place, machine: u32, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    let folder = place.path().join(format!("machine-{machine}"));
    command
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("IDSHIFT_RUNS_DIR", folder.join("runs"));
    command
}

pub(crate) fn run_on(place: &Place, machine: u32, arguments: &[&str]) -> Done {
    finish(on(place, machine, arguments).spawn().unwrap())
}

pub(crate) fn runs_of(place: &Place, machine: u32) -> Vec<std::path::PathBuf> {
    let folder = place.path().join(format!("machine-{machine}/runs"));
    let entries = std::fs::read_dir(folder).unwrap();
    let mut runs: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("ledger.db").exists())
        .collect();
    runs.sort();
    runs
}

/// Returns the rows of results.csv of a machine's newest run, by line.
pub(crate) fn results(place: &Place, machine: u32) -> BTreeMap<u32, BTreeMap<String, String>> {
    let newest = runs_of(place, machine).pop().unwrap();
    let mut reader = csv::Reader::from_path(newest.join("results.csv")).unwrap();
    let rows = reader.deserialize::<BTreeMap<String, String>>();
    rows.map(Result::unwrap)
        .map(|row| (row["idshift_line"].parse().unwrap(), row))
        .collect()
}

/// A file for the customers 0 to 59, with swaps, chains of three, repeated lines, single lines, blank lines and an
/// invalid line; the IDs that the customers should get; and the lines that belong together.
pub(crate) struct Mixed {
    text: String,
    pub(crate) goal: BTreeMap<String, String>,
    together: Vec<Vec<u32>>,
    unreadable: u32,
}

pub(crate) fn mixed(place: &Place) -> Mixed {
    place.with_world(|mut world| (0..60).for_each(|n| world.add_plume(customer(n))));
    let mut mixed = Mixed {
        text: String::from("accountId,newAccountId,note\n"),
        goal: BTreeMap::new(),
        together: Vec::new(),
        unreadable: 0,
    };
    let mut line = 1;
    let mut add = |mixed: &mut Mixed, from: u32, to: String| {
        line += 1;
        if line % 7 == 0 {
            mixed.text.push('\n');
            line += 1;
        }
        writeln!(mixed.text, "A-{from:06},{to},n{line}").unwrap();
        mixed.goal.insert(format!("C-{from}"), to);
        line
    };
    let account = |n: u32| format!("A-{n:06}");
    for first in (0..20).step_by(2) {
        let there = add(&mut mixed, first, account(first + 1));
        let back = add(&mut mixed, first + 1, account(first));
        mixed.together.push(vec![there, back]);
    }
    for first in (20..38).step_by(3) {
        let lines = [
            add(&mut mixed, first, account(first + 1)),
            add(&mut mixed, first + 1, account(first + 2)),
            add(&mut mixed, first + 2, format!("NEW-{first:03}")),
        ];
        mixed.together.push(lines.to_vec());
    }
    for n in 38..59 {
        let once = add(&mut mixed, n, format!("NEW-{n:03}"));
        if n % 4 == 0 {
            let twice = add(&mut mixed, n, format!("NEW-{n:03}"));
            mixed.together.push(vec![once, twice]);
        }
    }
    mixed.unreadable = add(&mut mixed, 59, "#REF!".to_owned());
    mixed.goal.remove("C-59");
    place.file("moves.csv", &mixed.text);
    mixed
}

pub(crate) fn accounts(place: &Place) -> BTreeMap<String, String> {
    let shown = |world: std::sync::MutexGuard<'_, idshift::sandbox::World>| {
        let all = world.plume.iter();
        all.map(|(id, customer)| (id.to_string(), customer.account_id.to_string()))
            .collect()
    };
    place.with_world(shown)
}

pub(crate) const SHARD: &[&str] = &["apply", "moves.csv", "--yes", "--skip-invalid", "--shard"];

#[test]
fn parallel_shards_apply_each_line_once_and_undo_only_their_own_lines() {
    let place = Place::plume();
    let mixed = mixed(&place);
    let before = accounts(&place);
    let shards = ["1/3", "2/3", "3/3"];
    let machines: Vec<_> = (1..)
        .zip(shards)
        .map(|(machine, shard)| {
            on(&place, machine, &[SHARD, &[shard]].concat())
                .spawn()
                .unwrap()
        })
        .collect();
    let codes: Vec<i32> = machines
        .into_iter()
        .map(|child| finish(child).code)
        .collect();
    // The shard with the invalid line ends with 1.
    assert_eq!(codes.iter().sum::<i32>(), 1, "{codes:?}");
    place.judge_writes();
    let after = accounts(&place);
    for (id, account) in &mixed.goal {
        assert_eq!(&after[id], account, "{id}");
    }
    let lines: Vec<&str> = mixed.text.lines().collect();
    let mut seen = BTreeMap::new();
    for machine in 1..=3 {
        let results = results(&place, machine);
        assert!(results.len() > 5, "machine {machine}: {}", results.len());
        for (line, row) in &results {
            let own = [&*row["accountId"], &*row["newAccountId"], &*row["note"]].join(",");
            assert_eq!(lines[*line as usize - 1], own);
            let wanted = if *line == mixed.unreadable {
                "failed"
            } else {
                "changed"
            };
            assert!(
                row["idshift_status"] == wanted || row["idshift_status"] == "unchanged",
                "{row:?}"
            );
            assert_eq!(seen.insert(*line, machine), None, "line {line} twice");
        }
        let run = runs_of(&place, machine).pop().unwrap();
        let summary = std::fs::read_to_string(run.join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["counts"]["lines"], results.len());
        assert_eq!(summary["shard"], shards[machine as usize - 1]);
    }
    let filled = lines.iter().filter(|line| !line.is_empty()).count();
    assert_eq!(seen.len(), filled - 1);
    for together in &mixed.together {
        let homes: BTreeSet<u32> = together.iter().map(|line| seen[line]).collect();
        assert_eq!(homes.len(), 1, "{together:?}");
    }
    // A second run writes nothing.
    let patches = place.patches();
    for (machine, shard) in (1..).zip(shards) {
        let again = run_on(&place, machine, &[SHARD, &[shard]].concat());
        assert!(again.code <= 1, "{}", again.err);
        run_on(&place, machine, &["verify"]).expect(0);
    }
    assert_eq!(place.patches(), patches);
    // A machine undoes only its own changes.
    let first = runs_of(&place, 2).remove(0);
    let id = first.file_name().unwrap().to_str().unwrap();
    run_on(&place, 2, &["undo", id, "--yes"]).expect(0);
    let undone = accounts(&place);
    let own: BTreeSet<String> = results_of(&first);
    for (id, account) in &undone {
        let wanted = if own.contains(id) {
            &before[id]
        } else {
            &after[id]
        };
        assert_eq!(account, wanted, "{id}");
    }
    assert!(own.len() > 5);
}

/// Returns the customers of a run.
fn results_of(run: &std::path::Path) -> BTreeSet<String> {
    let mut reader = csv::Reader::from_path(run.join("results.csv")).unwrap();
    let rows = reader.deserialize::<BTreeMap<String, String>>();
    let ids = rows.map(|row| row.unwrap()["idshift_customer_id"].clone());
    ids.filter(|id| !id.is_empty()).collect()
}

#[test]
fn resumed_shard_keeps_its_lines_and_another_shard_is_refused() {
    let place = Place::plume();
    place.moves(200);
    let mut child = on(
        &place,
        1,
        &["apply", "moves.csv", "--yes", "--rate=80/s", "--shard=1/2"],
    )
    .spawn()
    .unwrap();
    while place.patches() < 20 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    finish(child);
    let patches = place.patches();
    for other in ["--shard=2/2", "--shard=1/3", "--shard=1/1"] {
        let done = run_on(&place, 1, &["resume", "--yes", other]).expect(2);
        assert!(
            done.err.contains("is shard 1/2 of its file"),
            "{}",
            done.err
        );
    }
    assert_eq!(place.patches(), patches);
    let shown = run_on(&place, 1, &["report"]);
    assert!(shown.code != 2, "{}", shown.err);
    let own = results(&place, 1).len();
    assert!((60..140).contains(&own), "{own}");
    // The shard in the environment does not apply to this run.
    let mut resume = on(&place, 1, &["resume", "--yes", "--rate=unlimited"]);
    finish(resume.env("IDSHIFT_SHARD", "2/2").spawn().unwrap()).expect(0);
    let results = results(&place, 1);
    assert_eq!(results.len(), own);
    assert!(
        results
            .values()
            .all(|row| row["idshift_status"] == "changed")
    );
    let changed = accounts(&place);
    let changed = changed.values().filter(|id| id.starts_with("B-"));
    assert_eq!(changed.count(), own);
    run_on(&place, 2, &["apply", "moves.csv", "--yes", "--shard=2/2"]).expect(0);
    assert!(accounts(&place).values().all(|id| id.starts_with("B-")));
    place.judge_writes();
}

#[test]
fn plan_of_a_shard_is_applied_only_with_the_same_shard() {
    let place = Place::plume();
    place.moves(60);
    run_on(&place, 1, &["plan", "moves.csv", "--shard=2/3"]).expect(0);
    let planned = results(&place, 1).len();
    let run = runs_of(&place, 1).pop().unwrap();
    let id = run.file_name().unwrap().to_str().unwrap();
    let other = ["apply", "--run", id, "--yes", "--shard=1/3"];
    let done = run_on(&place, 1, &other).expect(2);
    assert!(
        done.err.contains("is shard 2/3 of its file"),
        "{}",
        done.err
    );
    run_on(&place, 1, &["apply", "--run", id, "--yes", "--shard=2/3"]).expect(0);
    assert_eq!(place.patches(), planned);
    assert_eq!(results(&place, 1).len(), planned);
    run_on(&place, 2, &["plan", "moves.csv"]).expect(0);
    let run = runs_of(&place, 2).pop().unwrap();
    let id = run.file_name().unwrap().to_str().unwrap();
    let done = run_on(&place, 2, &["apply", "--run", id, "--yes", "--shard=1/3"]).expect(2);
    assert!(done.err.contains("is about all lines"), "{}", done.err);
}

#[test]
fn rate_and_quota_are_divided_by_the_number_of_shards() {
    let place = Place::plume();
    place.moves(30);
    let apply = [
        "apply",
        "moves.csv",
        "--yes",
        "--rate=60/s",
        "--quota=3000/5m",
        "--shard=3/3",
    ];
    let done = run_on(&place, 1, &apply).expect(0);
    assert!(done.err.contains("shard 3/3: "), "{}", done.err);
    assert!(
        done.err.contains("of 30 lines at 20/s and 1000/5m"),
        "{}",
        done.err
    );
    let limit = |machine: u32| {
        let run = runs_of(&place, machine).pop().unwrap();
        let text = std::fs::read_to_string(run.join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
        summary["pace"]["limit_per_s"].as_f64()
    };
    assert_eq!(limit(1), Some(20.0));
    run_on(&place, 1, &["undo", "--yes"]).expect(0);
    assert_eq!(limit(1), Some(20.0));
    let few = ["apply", "moves.csv", "--yes", "--quota=2/5m", "--shard=3/3"];
    let done = run_on(&place, 2, &few).expect(2);
    assert!(
        done.err.contains("3 shards cannot share the quota of 2/5m"),
        "{}",
        done.err
    );
}

#[test]
fn invalid_shard_is_refused_and_shard_1_of_1_is_the_whole_file() {
    let place = Place::plume();
    place.moves(5);
    for wrong in [
        "0/3",
        "4/3",
        "1/0",
        "0/0",
        "3",
        "1/2/3",
        "-1/3",
        "1/1001",
        "1/99999999999",
    ] {
        let shard = format!("--shard={wrong}");
        let done = place
            .run(&["apply", "moves.csv", "--yes", &shard])
            .expect(2);
        let words = format!("`{wrong}` is not a shard");
        assert!(done.err.contains(&words), "{}", done.err);
    }
    assert_eq!(place.sandbox.log().len(), 0);
    // There are more shards than lines, so some have no lines.
    let mut lines = 0;
    for number in 1..=8 {
        let shard = format!("--shard={number}/8");
        run_on(&place, number, &["apply", "moves.csv", "--yes", &shard]).expect(0);
        lines += results(&place, number).len();
    }
    assert_eq!((lines, place.patches()), (5, 5));
    run_on(&place, 9, &["apply", "moves.csv", "--yes", "--shard=1/1"]).expect(0);
    assert_eq!(results(&place, 9).len(), 5);
}

#[test]
fn two_shards_in_parallel_on_one_machine_are_refused() {
    let place = Place::plume();
    place.moves(200);
    let slow = ["apply", "moves.csv", "--yes", "--rate=20/s", "--shard=1/2"];
    let mut child = on(&place, 1, &slow).spawn().unwrap();
    while place.patches() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    let second = ["apply", "moves.csv", "--yes", "--shard=2/2"];
    run_on(&place, 1, &second).expect(5);
    child.kill().unwrap();
    finish(child);
}
