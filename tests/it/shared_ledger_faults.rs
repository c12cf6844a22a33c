//! Faults with a ledger in PostgreSQL: a database that hangs or accepts no writes, and processes that are killed or frozen.

use crate::shared_ledger::{Machine, at_work, database, until};
use crate::support::finish;
use crate::support::postgres::Server;
use std::process::Command;
use std::time::Duration;

#[test]
fn run_of_a_process_killed_on_another_machine_is_finished_after_a_wait() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, mut child) = at_work(server, 60, &[]);
    child.kill().unwrap();
    let killed = finish(child);
    assert_eq!(killed.code, -1);
    let sql = |sql: &str| {
        server.psql(
            database(&place),
            &format!("SET search_path = idshift; {sql}"),
        )
    };
    // A call may take 2 s, and another second is added.
    sql(
        "UPDATE process SET machine = 'another', seen_at = seen_at - interval '9 s', \
         held_until = clock_timestamp() + interval '1 s'",
    );
    let elsewhere = Machine::new(&place, "elsewhere");
    for (command, code) in [
        (vec!["evidence", &place.newest_id(), "-o", "run.tar"], 5),
        (vec!["resume"], 0),
    ] {
        let done = elsewhere.run(&command).expect(code);
        for part in ["for some seconds", "s"] {
            assert!(done.err.contains(part), "{command:?}: {}", done.err);
        }
    }
    assert_eq!(
        sql("SELECT count(*) FROM sessions WHERE ended LIKE '%has taken it over%'"),
        "1"
    );
    place.judge_writes();
    for n in 0..60 {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
}

/// The process was frozen for longer than its lease, and continues after another machine has finished its run.
#[test]
fn process_frozen_longer_than_its_lease_ends_and_records_nothing() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, child) = at_work(server, 90, &[]);
    let signal = |name: &str| {
        let sent = Command::new("kill")
            .args([name, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let sql = |sql: &str| {
        server.psql(
            database(&place),
            &format!("SET search_path = idshift; {sql}"),
        )
    };
    sql(
        "UPDATE process SET seen_at = seen_at - interval '1 h', held_until = held_until - interval '1 h'",
    );
    let elsewhere = Machine::new(&place, "elsewhere");
    elsewhere.run(&["resume"]).expect(0);
    let record = "SELECT md5(string_agg(o::text, '' ORDER BY line)) FROM outcomes o";
    let (before, state) = (sql(record), sql("SELECT state FROM progress"));
    signal("-CONT");
    let done = finish(child);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!(done.err.contains("has taken it over"), "{}", done.err);
    assert_eq!(
        (sql(record), sql("SELECT state FROM progress")),
        (before, state)
    );
    for n in 0..90 {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
}

#[test]
fn no_write_is_sent_while_the_database_hangs_then_the_run_continues() {
    let Some(server) = Server::start() else {
        return;
    };
    let (place, child) = at_work(&server, 60, &[]);
    server.signal("STOP");
    let calm = || {
        let patches = place.patches();
        std::thread::park_timeout(Duration::from_millis(1500));
        place.patches() == patches
    };
    until("no write", calm);
    let before = place.patches();
    assert!(
        calm() && place.patches() == before,
        "no write without a record"
    );
    assert!(before < 60, "it was stopped too late");
    server.signal("CONT");
    let done = finish(child);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert_eq!(place.patches(), 60);
    place.judge_writes();
}

#[test]
fn a_database_that_accepts_no_writes_stops_the_run_and_resume_finishes_it() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, child) = at_work(server, 60, &["--give-up-after", "3s"]);
    let database = database(&place);
    let read_only = |is_on: bool| {
        let what = if is_on { "SET" } else { "RESET" };
        let value = if is_on { "= on" } else { "" };
        server.psql(
            "postgres",
            &format!("ALTER DATABASE {database} {what} default_transaction_read_only {value}"),
        );
        server.psql("postgres", &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"));
    };
    read_only(true);
    let done = finish(child);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!(done.err.contains("accepts no writes"), "{}", done.err);
    let noted = |sql: &str| server.psql(database, &format!("SET search_path = idshift; {sql}"));
    let intents: usize = noted("SELECT count(*) FROM writes").parse().unwrap();
    assert!(
        place.patches() <= intents && intents < 60,
        "{} {intents}",
        place.patches()
    );
    let refused = place.run(&["apply", "moves.csv", "--yes"]).expect(2);
    assert!(refused.err.contains("accepts no writes"), "{}", refused.err);
    read_only(false);
    place.run(&["resume"]).expect(0);
    place.judge_writes();
    for n in 0..60 {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
}

/// Another user drops the tables while a run is recorded in them.
#[test]
fn dropped_schema_stops_all_writes_and_the_error_explains_it() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, child) = at_work(server, 60, &["--give-up-after", "3s"]);
    server.psql(database(&place), "DROP SCHEMA idshift CASCADE");
    let done = finish(child);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    for words in ["was dropped or changed since", "Restore the database"] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
    assert!(place.patches() < 60, "{}", place.patches());
    place.judge_writes();
}
