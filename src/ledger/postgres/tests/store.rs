//! The record of runs on a real server: entries are noted once, and by one process at a time.

use super::super::SharedRuns;
use super::*;
use crate::domain::hex;
use crate::domain::{Line, Outcome, Status};
use crate::ledger::tests::{full_outcome, header, intent, rename, runtime};
use crate::ledger::{
    Check, Header, Journal, JournalThread, Ledger, ListedRun, Noted, RunDir, RunId, Runs, Session,
    State, StateDb, WriteRecord,
};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

const INPUT: &str = "accountId,newAccountId\na,b\n";

/// A database of its own with one run, and the folder in which its files are.
pub(super) struct One {
    pub(super) server: &'static Server,
    pub(super) database: String,
    base: TempDir,
    pub(super) runs: SharedRuns,
    pub(super) dir: RunDir,
    pub(super) ledger: Ledger,
}

pub(super) fn connect(address: &str, folder: &Path) -> SharedRuns {
    let state = StateDb::open_in(&folder.join("state")).unwrap();
    SharedRuns::apart(
        &settings(address),
        Duration::from_secs(4),
        folder,
        Some(Arc::new(state)),
    )
}

pub(super) fn one() -> Option<One> {
    Server::shared().map(one_on)
}

fn one_on(server: &'static Server) -> One {
    let database = server.database();
    let base = tempfile::tempdir().unwrap();
    let runs = connect(
        &server.address(ADMIN, &database),
        &base.path().join("first"),
    );
    let run = RunId::new(1_795_213_815_000);
    let (dir, new) = runs.create(&run).unwrap();
    std::fs::write(dir.local_input(), INPUT).unwrap();
    let digest = Sha256::digest(INPUT);
    let header = Header {
        run: run.to_string(),
        input_sha256: hex(&digest),
        ..header()
    };
    let ledger = new.begin(&header, None).unwrap();
    One {
        server,
        database,
        base,
        runs,
        dir,
        ledger,
    }
}

impl One {
    pub(super) fn sql(&self, sql: &str) -> String {
        self.server
            .psql(&self.database, &format!("SET search_path = idshift; {sql}"))
    }

    /// Another machine with the same ledger.
    pub(super) fn elsewhere(&self) -> SharedRuns {
        let address = self.server.address(ADMIN, &self.database);
        connect(&address, &self.base.path().join("second"))
    }

    pub(super) fn target(&self) -> String {
        self.ledger.header().target.clone()
    }

    pub(super) fn journal(&self) -> (Journal, JournalThread) {
        journal(&self.ledger, self.runs.next_epoch(0).unwrap())
    }

    fn lines_noted(&self) -> Vec<Line> {
        let writes = self.ledger.writes().map(Result::unwrap);
        writes.map(|write: WriteRecord| write.intent.line).collect()
    }
}

fn journal(ledger: &Ledger, epoch: u64) -> (Journal, JournalThread) {
    let writing = true;
    ledger.journal(Session { epoch, writing }).unwrap()
}

/// The process has not renewed its lease for long, and no machine knows whether it is gone.
const SILENT: &str = "UPDATE process SET machine = 'another', seen_at = seen_at - interval '1 h', \
                      held_until = held_until - interval '1 h'";

#[test]
fn group_with_lost_answer_is_recorded_once_and_waits_for_standby() {
    let Some(server) = Server::start() else {
        return;
    };
    // Lives as long as the test's process.
    let one = one_on(Box::leak(Box::new(server)));
    let (journal, thread) = one.journal();
    one.server.set("synchronous_standby_names", "ghost");
    let waiting = || {
        one.server.psql(
            "postgres",
            "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        )
    };
    let next_waiting = |before: &str| loop {
        let now = waiting();
        if now != "0" && now != before {
            return now;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    };
    std::thread::scope(|scope| {
        let noted = scope
            .spawn(|| runtime().block_on(journal.intend(intent(2, 2, "c1", rename("a", "b")))));
        let first = next_waiting("0");
        one.server.psql(
            "postgres",
            &format!("SELECT pg_terminate_backend({first}, 5000)"),
        );
        let second = next_waiting(&first);
        assert!(!noted.is_finished(), "the repetition waits, too");
        one.server.psql(
            "postgres",
            &format!("SELECT pg_terminate_backend({second}, 5000)"),
        );
        next_waiting(&second);
        one.server.set("synchronous_standby_names", "");
        noted.join().unwrap().unwrap();
    });
    runtime()
        .block_on(journal.intend(intent(3, 3, "c1", rename("a", "b"))))
        .unwrap();
    drop(journal);
    thread.join();
    assert_eq!(one.lines_noted(), [2, 3]);
    assert_eq!(one.ledger.commits().unwrap(), 2);
}

#[test]
fn a_group_that_comes_late_or_out_of_turn_changes_nothing() {
    let Some(one) = one() else {
        return;
    };
    let (journal, _thread) = one.journal();
    journal.blocking_outcome(full_outcome(2)).unwrap();
    runtime().block_on(journal.flush()).unwrap();
    journal.blocking_outcome(full_outcome(3)).unwrap();
    runtime().block_on(journal.flush()).unwrap();
    let note = |group| {
        let run = one.dir.run();
        one.sql(&format!(
            "SELECT refused FROM note('{run}', 1, {group}, NULL, '{{}}', '{{}}', '{{2,3}}', '{{}}', '{{}}', '{{}}', NULL)"
        ))
    };
    assert!(note(1).contains("a later group"));
    assert_eq!(note(2), "", "a repetition is acknowledged");
    assert!(note(4).contains("a later group"));
    assert_eq!(one.ledger.done().unwrap().len(), 2, "and has no effect");
}

#[test]
fn process_with_expired_lease_cannot_record_after_target_is_taken() {
    let Some(one) = one() else {
        return;
    };
    let hold = one
        .runs
        .hold(&[&one.target()], one.dir.run().as_str())
        .unwrap();
    let (journal, thread) = one.journal();
    runtime()
        .block_on(journal.intend(intent(2, 2, "c1", rename("a", "b"))))
        .unwrap();
    let elsewhere = one.elsewhere();
    let take = || elsewhere.hold(&[&one.target()], "20261120-223016-aaaa");
    // The first process renews its lease each second.
    let taken = loop {
        one.sql(SILENT);
        if let Ok(taken) = take() {
            break taken;
        }
    };
    let why = runtime()
        .block_on(journal.intend(intent(3, 3, "c1", rename("a", "b"))))
        .unwrap_err();
    assert!(
        why.to_string()
            .contains("has taken it over for run 20261120-223016-aaaa"),
        "{why}"
    );
    assert!(matches!(why.root(), LedgerError::TakenOver { .. }));
    drop(journal);
    thread.join();
    let mut progress = one.ledger.progress().unwrap();
    progress.state = State::Finished;
    let why = one.ledger.set_progress(&progress).unwrap_err();
    assert!(matches!(why, LedgerError::TakenOver { .. }), "{why}");
    assert_eq!(one.lines_noted(), [2]);
    // Dropping its hold does not free the hold of the other process.
    drop(hold);
    let third = one.elsewhere().hold(&[&one.target()], "third").unwrap_err();
    assert!(
        third.to_string().contains("20261120-223016-aaaa"),
        "{third}"
    );
    drop(taken);
}

#[test]
fn write_recorded_under_expired_lease_is_not_sent_after_renewal() {
    let Some(one) = one() else {
        return;
    };
    let (journal, _thread) = one.journal();
    let noted = |line| {
        let noted = runtime().block_on(journal.intend(intent(line, line, "c1", rename("a", "b"))));
        match noted.unwrap() {
            Noted::Granted(_, lease) => lease,
            Noted::Taken => panic!("no other process has it"),
        }
    };
    let first = noted(2);
    assert!(first.holds());
    let renewals = || one.sql("SELECT max(lapses), max(seen_at) FROM process");
    let before = renewals();
    while renewals() == before {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(first.holds(), "it is renewed each second");
    one.sql("UPDATE process SET held_until = held_until - interval '1 h'");
    while first.holds() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(noted(3).holds(), "what is noted from now on departs");
    assert!(!first.holds());
    assert_eq!(one.sql("SELECT lapses FROM process"), "1");
}

#[test]
fn new_session_ends_the_right_of_the_previous_one_to_record() {
    let Some(one) = one() else {
        return;
    };
    let (first, thread) = one.journal();
    drop(first);
    thread.join();
    one.ledger.set_plan_digest("by the first").unwrap();
    let there = one.elsewhere().open(&one.dir, Check::Whole).unwrap();
    let (second, _thread) = journal(&there, 9);
    assert!(one.ledger.is_live());
    let why = one
        .ledger
        .set_plan_digest("by the first again")
        .unwrap_err();
    assert!(
        why.to_string().contains("another process works on it"),
        "{why}"
    );
    there.set_plan_digest("by the second").unwrap();
    assert_eq!(
        one.ledger.plan_digest().unwrap().as_deref(),
        Some("by the second")
    );
    drop(second);
}

#[test]
fn concurrent_processes_all_record_their_outcomes() {
    let Some(one) = one() else {
        return;
    };
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let one = &one;
            scope.spawn(move || {
                let mut ledger = one.elsewhere().open(&one.dir, Check::Whole).unwrap();
                for n in 0..20 {
                    let line = 2 + thread * 100 + n;
                    ledger.seed([full_outcome(line)]).unwrap();
                }
            });
        }
    });
    assert_eq!(one.ledger.done().unwrap().len(), 60);
    assert_eq!(one.sql("SELECT changes FROM progress"), "60");
}

/// Not a test of its own: holds a target until it is killed.
#[test]
fn child_that_holds_a_target() {
    let Some(address) = std::env::var_os("IDSHIFT_TEST_LEDGER") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let runs = connect(address.to_str().unwrap(), folder.path());
    let _hold = runs
        .hold(&["plume https://x"], "20261120-223015-k3f9")
        .unwrap();
    println!("held");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[test]
fn killed_process_frees_its_target_immediately_only_on_its_machine() {
    let Some(one) = one() else {
        return;
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "ledger::postgres::tests::store::child_that_holds_a_target",
        ])
        .env(
            "IDSHIFT_TEST_LEDGER",
            one.server.address(ADMIN, &one.database),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap().contains("held")));
    let again = || one.runs.hold(&["plume https://x"], "20261120-223016-aaaa");
    let held = |free: bool| match again() {
        Err(LedgerError::Held {
            holder, free_in, ..
        }) => {
            assert_eq!(holder.pid, child.id());
            assert_eq!(free_in.is_some(), free, "{free_in:?}");
        }
        other => panic!("{other:?}"),
    };
    held(false);
    child.kill().unwrap();
    child.wait().unwrap();
    let by_child = format!("WHERE pid = {}", child.id());
    let machine = one.sql(&format!("SELECT machine FROM process {by_child}"));
    one.sql(&format!(
        "UPDATE process SET machine = 'another', seen_at = seen_at - interval '10 s', held_until = clock_timestamp() {by_child}"
    ));
    let said = again().unwrap_err().to_string();
    assert!(said.contains("the target is free in 5 s"), "{said}");
    one.sql(&format!(
        "UPDATE process SET machine = '{machine}' {by_child}"
    ));
    again().expect("this machine sees that it is gone");
}

#[test]
fn run_files_are_recreated_unchanged_on_another_machine() {
    let Some(one) = one() else {
        return;
    };
    let there = one.elsewhere();
    let [ListedRun::There(dir, _)] = &there.list().unwrap()[..] else {
        panic!("one run");
    };
    assert!(dir.path().starts_with(one.base.path().join("second")) && !dir.path().exists());
    there.input(dir).unwrap();
    there.input(dir).unwrap();
    assert_eq!(std::fs::read_to_string(dir.local_input()).unwrap(), INPUT);
    std::fs::remove_file(dir.local_input()).unwrap();
    one.sql("UPDATE piece SET bytes = substr(bytes, 1, length(bytes) - 1)");
    let why = there.input(dir).unwrap_err().to_string();
    assert!(why.contains("was altered, or is not whole"), "{why}");
    assert!(!dir.local_input().exists());
}

#[test]
fn a_changed_letter_is_noticed_and_the_database_is_named() {
    let Some(mut one) = one() else {
        return;
    };
    one.ledger.seed([full_outcome(2)]).unwrap();
    one.sql("UPDATE outcomes SET account_id_after = 'other'");
    let why = one
        .ledger
        .outcomes()
        .next()
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("the outcome of line 2 was altered") && why.contains(&one.database),
        "{why}"
    );
    one.sql("UPDATE run SET input_name = 'other'");
    let why = one
        .runs
        .open(&one.dir, Check::Whole)
        .unwrap_err()
        .to_string();
    assert!(why.contains("the header of the run was altered"), "{why}");
}

#[test]
fn abandoned_draft_is_removed_after_one_day() {
    let Some(one) = one() else {
        return;
    };
    let killed = RunId::new(1_795_213_816_000);
    let (_dir, mut draft) = one.runs.create(&killed).unwrap();
    for line in 2..5000 {
        draft
            .put(&Outcome::bare(line, Status::WouldChange))
            .unwrap();
    }
    // As a killed process leaves it.
    std::mem::forget(draft);
    let left = || {
        one.sql(&format!(
            "SELECT count(*) FROM outcomes WHERE run = '{killed}'"
        ))
    };
    let make = |millisecond| drop(one.runs.create(&RunId::new(millisecond)).unwrap());
    assert_eq!(left(), "4000");
    make(1_795_213_817_000);
    assert_eq!(left(), "4000");
    one.sql("UPDATE draft SET made_at = made_at - interval '25 h'");
    make(1_795_213_818_000);
    assert_eq!(left(), "0");
}
