//! Shards, other machines and earlier runs: no change is made twice, and none is left out.

use crate::shards::{SHARD, accounts, mixed, results, run_on, runs_of};
use crate::support::Place;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[test]
fn swaps_are_refused_on_a_machine_that_applied_another_shard() {
    let place = Place::plume();
    let mixed = mixed(&place);
    let apply = |machine, more: &[&str]| run_on(&place, machine, &[SHARD, more].concat());
    for (machine, shard) in [(1, "1/2"), (2, "2/2")] {
        assert!(apply(machine, &[shard]).code <= 1);
    }
    let (after, patches) = (accounts(&place), place.patches());
    for (id, account) in &mixed.goal {
        assert_eq!(&after[id], account, "{id}");
    }
    for (machine, shard) in [(1, "2/2"), (1, "1/3"), (2, "2/3"), (2, "1/1")] {
        let done = apply(machine, &[shard]).expect(2);
        assert!(done.err.contains("carried out shard"), "{}", done.err);
        assert!(done.err.contains("--without-history"), "{}", done.err);
    }
    let whole = ["apply", "moves.csv", "--yes", "--skip-invalid"];
    let done = run_on(&place, 1, &whole).expect(2);
    assert!(done.err.contains("now the whole file"), "{}", done.err);
    assert_eq!((place.patches(), accounts(&place)), (patches, after));
    // A file without chains and swaps is safe on every machine.
    let place = Place::plume();
    place.moves(20);
    let shard = |shard| {
        run_on(
            &place,
            1,
            &["apply", "moves.csv", "--yes", "--shard", shard],
        )
    };
    for one in ["1/2", "2/2", "2/3", "1/1"] {
        shard(one).expect(0);
    }
    assert_eq!(place.patches(), 20);
}

#[test]
fn failures_of_a_shard_are_all_applied_with_the_same_shard_number() {
    let place = Place::plume();
    mixed(&place);
    let faults = ["patch:422:about=NEW-".parse().unwrap()];
    place.sandbox.set_faults(faults.to_vec());
    run_on(
        &place,
        1,
        &[SHARD, &["2/3"], &["--max-failures=100%"]].concat(),
    )
    .expect(1);
    place.sandbox.set_faults(Vec::new());
    let run = runs_of(&place, 1).pop().unwrap();
    let failures = run.join("failures.csv");
    let failures = failures.to_str().unwrap();
    let rows = csv::Reader::from_path(failures).unwrap().records().count();
    assert!(rows > 3, "{rows}");
    let again = |machine: u32, shard: &str| {
        let arguments = [
            "apply",
            failures,
            "--yes",
            "--skip-invalid",
            "--shard",
            shard,
        ];
        run_on(&place, machine, &arguments)
    };
    let done = again(1, "1/3").expect(2);
    assert!(
        done.err.contains("its run is not shard 1/3"),
        "{}",
        done.err
    );
    let done = again(1, "2/3");
    assert!(done.code <= 1, "{}", done.err);
    assert_eq!(results(&place, 1).len(), rows);
    let done = place.run(&[
        "apply",
        "moves.csv",
        "--shard=1/2",
        "--sandbox",
        "--yes",
        "--skip-invalid",
    ]);
    assert!(done.code <= 1, "{}", done.err);
}

#[test]
fn reconcile_supports_shards() {
    let place = Place::plume();
    place.moves(40);
    let night = [
        "reconcile",
        "moves.csv",
        "--yes",
        "--shard=1/2",
        "--incremental",
    ];
    run_on(&place, 1, &night).expect(0);
    let patches = place.patches();
    assert_eq!(results(&place, 1).len(), patches);
    assert!((8..32).contains(&patches), "{patches}");
    run_on(&place, 1, &night).expect(0);
    assert_eq!(place.patches(), patches);
    run_on(
        &place,
        2,
        &["reconcile", "moves.csv", "--yes", "--shard=2/2"],
    )
    .expect(0);
    assert_eq!(place.patches(), 40);
}

#[test]
fn lines_that_name_one_customer_in_two_ways_are_refused_by_both_machines() {
    let place = Place::plume();
    place.moves(24);
    let mut text = String::from("accountId,customerId,newAccountId\n");
    for n in 0..24 {
        writeln!(text, "A-{n:06},,B-{n:06}\n,C-{n},Z-{n:06}").unwrap();
    }
    place.file("moves.csv", &text);
    let mut homes = BTreeMap::new();
    for (machine, shard) in [(1, "1/2"), (2, "2/2")] {
        run_on(
            &place,
            machine,
            &["apply", "moves.csv", "--yes", "--shard", shard],
        )
        .expect(1);
        for (line, row) in results(&place, machine) {
            assert_eq!(row["idshift_status"], "failed", "{row:?}");
            homes.insert(line, machine);
        }
    }
    assert_eq!((homes.len(), place.patches()), (48, 0));
    let split = (2..50)
        .step_by(2)
        .filter(|line| homes[line] != homes[&(line + 1)]);
    assert!(split.count() > 3);
}
