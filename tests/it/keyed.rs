//! `--key`: a job that is started again goes on with its run.

use crate::shared_ledger::{FILE, Machine, WISHED, apply_slowly, shared, until, with_file};
use crate::support::postgres::Server;
use crate::support::{Done, Place, finish};
use idshift::sandbox::Options;
use std::time::Duration;

const JOB: [&str; 5] = ["apply", "moves.csv", "--yes", "--key", "nightly-2026-11-27"];

/// Runs a test twice: with runs in files, and with runs in a database.
fn each_ledger(test: impl Fn(&Place)) {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut in_files = with_file(server);
    in_files.ledger = None;
    test(&in_files);
    test(&with_file(server));
}

fn runs(place: &Place) -> usize {
    let listed = place.run(&["runs", "--json"]).expect(0).json();
    listed["runs"].as_array().unwrap().len()
}

fn as_wished(place: &Place) {
    for (id, account) in WISHED {
        assert_eq!(place.account_of(id), account);
    }
    place.judge_writes();
}

#[test]
fn killed_job_continues_with_the_same_command_and_then_does_nothing() {
    each_ledger(|place| {
        for step in ["9", "14", "6"] {
            let mut command = place.command(&[&JOB[..], &["--canary", "1"]].concat());
            command.env("IDSHIFT_CRASH_AT", step);
            let done = finish(command.spawn().unwrap());
            assert_eq!(done.code, -1, "{step}: {}{}", done.out, done.err);
            assert_eq!(runs(place), 1, "{step}");
        }
        let done = place
            .run(&[&JOB[..], &["--canary", "1"]].concat())
            .expect(0);
        assert!(done.err.contains("is continued"), "{}", done.err);
        as_wished(place);
        let patches = place.patches();
        let again = place.run(&JOB).expect(0);
        assert!(again.err.contains("nothing is done"), "{}", again.err);
        assert!(again.out.contains("changed"), "{}", again.out);
        let document = place
            .run(&[&JOB[..], &["--json"]].concat())
            .expect(0)
            .json();
        assert_eq!(document["counts"]["changed"], 7, "{document}");
        assert_eq!((place.patches(), runs(place)), (patches, 1));
    });
}

/// A finished job has the same exit code each time that it is started again.
#[test]
fn finished_job_with_failures_returns_the_same_exit_code_again() {
    each_ledger(|place| {
        place.file(
            "moves.csv",
            "accountId,newAccountId\nA-000006,B-000006\nA-000099,B-000099\n",
        );
        place.run(&JOB).expect(1);
        let patches = place.patches();
        let again = place.run(&JOB).expect(1);
        assert!(again.out.contains("not_found"), "{}", again.out);
        assert_eq!((place.patches(), runs(place)), (patches, 1));
    });
}

/// For example, another program has changed the run's record.
#[test]
fn job_with_unknown_result_is_not_a_success() {
    let place = Place::plume();
    place.moves(3);
    place.run(&JOB).expect(0);
    let ledger = rusqlite::Connection::open(place.newest().join("ledger.db")).unwrap();
    ledger
        .execute("UPDATE progress SET exit_code = NULL", ())
        .unwrap();
    drop(ledger);
    place.run(&JOB).expect(4);
}

#[test]
fn key_is_refused_with_another_file_command_target_or_input_option() {
    each_ledger(|place| {
        place.run(&JOB).expect(0);
        let patches = place.patches();
        let refused = |arguments: &[&str], words: &[&str]| -> Done {
            let done = place.run(arguments).expect(2);
            for part in words.iter().chain(&["nightly-2026-11-27"]) {
                assert!(done.err.contains(part), "{part}: {}", done.err);
            }
            done
        };
        let key = ["--yes", "--key", "nightly-2026-11-27"];
        refused(
            &[&["reconcile", "moves.csv"][..], &key].concat(),
            &["apply", "reconcile"],
        );
        refused(
            &[&JOB[..], &["--base-url", "http://127.0.0.1:9"]].concat(),
            &["localhost:9"],
        );
        refused(
            &[&JOB[..], &["--skip-rows", "1"]].concat(),
            &["--skip-rows"],
        );
        place.file("moves.csv", "accountId,newAccountId\nA-000006,B-000006\n");
        refused(&JOB, &["moves.csv (", "digest"]);
        place
            .run(&["apply", "moves.csv", "--yes", "--key", "a b"])
            .expect(2);
        place
            .run(&["apply", "moves.csv", "--yes", "--key", "k", "--sandbox"])
            .expect(2);
        assert_eq!((place.patches(), runs(place)), (patches, 1));
    });
}

/// A job that is started again continues the run with the counts of its guards.
#[test]
fn restarted_job_keeps_the_counts_of_its_guards() {
    each_ledger(|place| {
        let file = place.moves(40);
        let job = [
            "reconcile",
            &file,
            "--yes",
            "--key",
            "k",
            "--max-changes",
            "30",
            "--concurrency",
            "1",
        ];
        let stopped = place.run(&job).expect(4);
        assert!(
            stopped.err.contains("max-changes") || stopped.out.contains("max-changes"),
            "{}",
            stopped.err
        );
        for _ in 0..2 {
            place.run(&job).expect(4);
        }
        assert!(place.patches() <= 30, "{}", place.patches());
    });
}

#[test]
fn job_running_on_another_machine_is_not_started_again() {
    let Some(server) = Server::shared() else {
        return;
    };
    let slow = Options {
        latency: Duration::from_millis(100),
        ..Options::default()
    };
    let place = shared(server, slow);
    let child = apply_slowly(&place, 60, &["--key", "k"]);
    let elsewhere = Machine::new(&place, "elsewhere");
    std::fs::copy(
        place.path().join("moves.csv"),
        elsewhere.folder.join("moves.csv"),
    )
    .unwrap();
    let run = place.newest_id();
    let job = ["apply", "moves.csv", "--yes", "--key", "k"];
    let second = elsewhere.run(&job).expect(5);
    for part in [run.as_str(), "is at work", &child.id().to_string()] {
        assert!(second.err.contains(part), "{part}: {}", second.err);
    }
    finish(child).expect(0);
    elsewhere.run(&job).expect(0);
    assert_eq!((runs(&place), place.patches()), (1, 60));
}

#[test]
fn only_one_of_several_machines_starts_the_run_of_a_job() {
    let Some(server) = Server::shared() else {
        return;
    };
    for _ in 0..4 {
        let place = with_file(server);
        // Creates the tables.
        place.run(&["runs"]).expect(0);
        let machines = ["first", "second", "third"].map(|name| Machine::new(&place, name));
        let children = machines.each_ref().map(|machine| {
            machine.file("moves.csv", FILE);
            machine.command(&JOB).spawn().unwrap()
        });
        let ended = children.map(finish);
        let codes: Vec<i32> = ended.iter().map(|done| done.code).collect();
        assert!(codes.contains(&0), "{codes:?}");
        assert!(codes.iter().all(|code| [0, 5].contains(code)), "{codes:?}");
        assert_eq!(runs(&place), 1, "{codes:?}");
        until("all know its end", || {
            machines.iter().all(|machine| machine.run(&JOB).code == 0)
        });
        assert_eq!((runs(&place), place.patches()), (1, place.patches()));
        as_wished(&place);
    }
}

/// Two runs cannot have the same key, even if both begin at the same time: the database decides.
#[test]
fn imported_run_keeps_its_key_and_the_key_stays_unique() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut place = with_file(server);
    let ledger = place.ledger.take().unwrap();
    place.run(&JOB).expect(0);
    place
        .run(&["import", "idshift-runs", "--ledger", &ledger])
        .expect(0);
    place.ledger = Some(ledger);
    let again = place.run(&JOB).expect(0);
    assert!(again.err.contains("nothing is done"), "{}", again.err);
    let sql = "SELECT count(*) FROM idshift.job j JOIN idshift.run r USING (run) WHERE j.key = 'nightly-2026-11-27'";
    assert_eq!(
        server.psql(crate::shared_ledger::database(&place), sql),
        "1"
    );
    let twice = "INSERT INTO idshift.run SELECT '20990101-000000-aaaa', kind, system, base_url, tenant, target, input_name, \
                 input_sha256, lines, origins, settings, parent, \"user\", host, zone, tool_version, created_at_ms, epoch, \
                 checksum FROM idshift.run; DO $$ BEGIN PERFORM idshift.note_job('20990101-000000-aaaa', \
                 'nightly-2026-11-27'); RAISE 'made twice'; EXCEPTION WHEN raise_exception THEN \
                 IF SQLERRM NOT LIKE 'run % has the key % already' THEN RAISE; END IF; END $$";
    server.psql(crate::shared_ledger::database(&place), twice);
}
