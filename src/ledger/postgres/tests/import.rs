//! An import brings a run from files into a database unchanged, whatever is on record of it.

use super::store::connect;
use super::*;
use crate::domain::{CustomerId, Drift, Line, Outcome, Shard, Status};
use crate::ledger::store::{Fact, Put};
use crate::ledger::tests::{account, full_outcome, header, intent, rename, runtime, spot};
use crate::ledger::{
    Calls, Check, DriftedLine, Header, Ledger, LineSet, LocalRuns, MovingRun, Pruned, Remains,
    RemovedFile, RunDir, RunId, Runs, Session, StateDb, Unlooked, UnlookedLine, Verdict, Write,
    WriteVerdict,
};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const MANY: Line = 5_000;

/// Makes a run in files with every kind of row, and with more than a page of most kinds.
fn everything(runs_dir: &Path) -> RunDir {
    let state = StateDb::open_in(&runs_dir.join("state")).unwrap();
    let runs = LocalRuns::of(runs_dir, false, Some(Arc::new(state)));
    let run = RunId::new(1_795_213_815_000);
    let (dir, mut new) = runs.create(&run).unwrap();
    std::fs::write(dir.local_input(), "accountId,newAccountId\na,b\n").unwrap();
    new.put(&Outcome::bare(2, Status::WouldChange)).unwrap();
    let header = Header {
        run: run.to_string(),
        origins: vec!["/a".to_owned(), "/b\0c".to_owned()],
        ..header()
    };
    let shard: Shard = "1/3".parse().unwrap();
    let ledger = new
        .begin(&header, Some(&(shard, (2..MANY).collect::<LineSet>())))
        .unwrap();
    noted(&ledger);
    let hold = ledger.hold().unwrap();
    ledger.mark_pruned(&hold, &remains()).unwrap();
    let drifted = |line| DriftedLine {
        line,
        cause: Drift::ALL[0],
        nights: 3,
        key: u64::MAX - u64::from(line),
    };
    let lines: Vec<DriftedLine> = (2..MANY).map(drifted).collect();
    ledger.set_drift(&lines).unwrap();
    let facts: Vec<_> = Fact::ALL
        .into_iter()
        .map(|fact| {
            let is_number = [
                Fact::EXIT_CODE,
                Fact::STARTED_AT_MS,
                Fact::FINISHED_AT_MS,
                Fact::AUDIT_ROUND,
                Fact::PRUNED_AT_MS,
                Fact::HALF_DONE,
                Fact::WAVE,
            ]
            .iter()
            .any(|Fact(name)| *name == fact.0);
            let value = match fact.0 {
                "state" => "finished".into(),
                "phase" => "write".into(),
                "stopped_by" => None::<&str>.into(),
                "base_url" | "target" | "former_targets" => fact.0.into(),
                _ if is_number => 7_i64.into(),
                _ => "\"a\"\n\u{1}b\0".into(),
            };
            (fact, value)
        })
        .collect();
    ledger.store().put(vec![Put::Facts(&facts)]).unwrap();
    dir
}

/// Notes two sessions: writes with each verdict, with effects, and one without a recorded answer.
fn noted(ledger: &Ledger) {
    for writing in [true, false] {
        let session = Session { epoch: 70, writing };
        let (journal, thread) = ledger.journal(session).unwrap();
        let settle = |write: Write, line: Line, known: Option<WriteVerdict>| {
            let intent = intent(line, line, "C-1 ü", write);
            let noted = runtime().block_on(journal.intend(intent)).unwrap();
            if let Some(known) = known {
                runtime()
                    .block_on(journal.verdict(noted.granted(), known))
                    .unwrap();
            }
        };
        let known = |verdict, effect, http_status| {
            Some(WriteVerdict {
                verdict,
                effect,
                http_status,
            })
        };
        let stored = crate::domain::StoredValue::Account(account("stored"));
        let place = crate::domain::StoredValue::Location(spot("s9", None));
        let location = || Write::Location {
            location: crate::domain::LocationId::new("l1").unwrap(),
            before: spot("s1", None),
            after: spot("s2", Some(crate::domain::Profile::Auto)),
        };
        settle(
            rename("a", "b"),
            2,
            known(Verdict::Applied, None, Some(200)),
        );
        settle(
            rename("", "b"),
            3,
            known(Verdict::Applied, Some(stored), Some(200)),
        );
        settle(location(), 4, known(Verdict::Applied, Some(place), None));
        settle(location(), 5, known(Verdict::NotApplied, None, Some(404)));
        settle(rename("b", ""), 6, known(Verdict::Unknown, None, Some(502)));
        settle(rename("b", "c"), 7, None);
        if writing {
            for line in 2..MANY {
                journal.blocking_outcome(full_outcome(line)).unwrap();
            }
            journal
                .blocking_unlooked(unlooked(MANY..MANY + 900))
                .unwrap();
            journal
                .blocking_unlooked(unlooked(MANY + 900..MANY + 950))
                .unwrap();
        }
        let calls = Calls {
            find: 1,
            read: 2,
            write: 3,
            retried: 4,
            throttled: 5,
            limit_per_s: Some(0.1),
            active_ms: 6,
        };
        runtime().block_on(journal.calls(calls)).unwrap();
        drop(journal);
        thread.join();
    }
}

fn unlooked(lines: std::ops::Range<Line>) -> Unlooked {
    let line = |line: Line| UnlookedLine {
        line,
        customer: CustomerId::new(format!("C-{line}")).ok(),
        account: account(&format!("B-{line}")),
    };
    Unlooked {
        message: "as before".to_owned(),
        at_ms: 1_795_213_815_123,
        lines: lines.map(line).collect(),
    }
}

fn remains() -> Remains {
    let customer = |number: u64| CustomerId::new(format!("c-{number}")).unwrap();
    Remains {
        pruned: Pruned {
            at_ms: 5,
            half_done: 3,
        },
        // Letters that a language sorts in another order than their bytes.
        wishes: (0..5_000)
            .map(|number| (u64::MAX / 4_000 * (number % 4_000), customer(number)))
            .chain([
                (1, CustomerId::new("B").unwrap()),
                (1, CustomerId::new("a").unwrap()),
            ])
            .collect(),
        replaced: (0..5_000_u64)
            .map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect(),
        removed: vec![RemovedFile {
            name: "results.csv".to_owned(),
            sha256: "ab".repeat(32),
            bytes: 7,
        }],
    }
}

struct Both {
    _base: TempDir,
    database: String,
    server: &'static Server,
    shared: SharedRuns,
    dir: RunDir,
}

impl Both {
    fn made() -> Option<Self> {
        let server = Server::shared()?;
        let (base, database) = (tempfile::tempdir().unwrap(), server.database());
        let address = server.address(ADMIN, &database);
        let shared = connect(&address, &base.path().join("shared"));
        shared.prepare().unwrap();
        Some(Self {
            dir: everything(&base.path().join("files")),
            shared,
            _base: base,
            database,
            server,
        })
    }

    fn import(&self) -> Result<(), LedgerError> {
        let run = MovingRun::open(&self.dir)?;
        let target = run.ledger().header().target.clone();
        let _hold = self.shared.hold(&[&target], self.dir.run().as_str())?;
        let known = crate::ledger::RegisteredRun {
            path: self.dir.absolute(),
            run: self.dir.run().to_string(),
            system: "plume".to_owned(),
            target: target.clone(),
            epoch: 99,
            renames: true,
            customer: Some(("C-1".to_owned(), Some("own".to_owned()))),
        };
        self.shared.import(run, &[&target], &known)
    }

    fn sql(&self, sql: &str) -> String {
        self.server
            .psql(&self.database, &format!("SET search_path = idshift; {sql}"))
    }
}

#[test]
fn import_preserves_everything_recorded_of_a_run() {
    let Some(both) = Both::made() else {
        return;
    };
    let before = MovingRun::open(&both.dir).unwrap();
    let counts = before.ledger().counts().unwrap();
    drop(before);
    both.import().unwrap();
    let there = both.shared.open(&both.dir, Check::Whole).unwrap();
    let moved = MovingRun::open(&both.dir).unwrap();
    assert_eq!(moved.differs_from(&there).unwrap(), None);
    let sorted = |mut counts: Vec<crate::ledger::Counted>| {
        counts.sort_by_key(|one| one.first_line);
        counts
    };
    assert_eq!(sorted(there.counts().unwrap()), sorted(counts));
    assert_eq!(
        both.sql("SELECT count(*) FROM closed WHERE commits = 0 AND lines > 0"),
        "2"
    );
    assert_eq!(both.sql("SELECT epoch, renames FROM register"), "99|t");
    assert_eq!(both.shared.next_epoch(0).unwrap(), 100);
    let input = both.shared.input(&both.dir).unwrap();
    assert_eq!(
        std::fs::read_to_string(input).unwrap(),
        "accountId,newAccountId\na,b\n"
    );
    // A comparison that never finds a difference would prove nothing.
    for (change, words) in [
        ("UPDATE progress SET why = 'x'", "its progress"),
        (
            "UPDATE sessions SET find = 9 WHERE session = 1",
            "the list of its processes",
        ),
        ("DELETE FROM removed", "a file that was removed"),
        (
            "DELETE FROM replaced WHERE digest > 0",
            "a value that was replaced",
        ),
        (
            "DELETE FROM wishes WHERE customer_id = 'B'",
            "the customer of a line",
        ),
        (
            "DELETE FROM drift WHERE line = 4999",
            "the cause of the drift of a line",
        ),
        (
            "UPDATE writes SET verdict = 'applied' WHERE verdict = 'unknown'",
            "a write",
        ),
        (
            "DELETE FROM outcomes WHERE line = 4999",
            "the outcome of a line",
        ),
        ("DELETE FROM shard", "its command, input or settings"),
    ] {
        both.sql(change);
        assert_eq!(moved.differs_from(&there).unwrap(), Some(words), "{change}");
    }
}

/// Wherever an import breaks off, nothing is left that looks like a run, and the next import is complete.
#[test]
fn an_import_that_breaks_off_leaves_no_run_and_the_next_one_is_whole() {
    let Some(both) = Both::made() else {
        return;
    };
    for table in [
        "outcomes", "writes", "unlooked", "drift", "wishes", "replaced", "removed", "piece",
        "sessions", "closed", "register",
    ] {
        // Breaks off in the middle and, for the last tables, in the statement that makes it a run.
        both.sql(&format!(
            "CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF (SELECT count(*) FROM {table}) >= 0 THEN RAISE 'no room'; END IF; RETURN NULL; END $$; \
             CREATE TRIGGER no AFTER INSERT ON {table} EXECUTE FUNCTION no()"
        ));
        let why = said(both.import());
        assert!(why.contains("no room"), "{table}: {why}");
        both.sql(&format!("DROP TRIGGER no ON {table}"));
        assert_eq!(both.shared.list().unwrap().len(), 0, "{table}");
        assert!(
            both.shared.open(&both.dir, Check::Whole).is_err(),
            "{table}"
        );
        let left = both.sql("SELECT count(*) FROM outcomes");
        assert_eq!(left, "0", "{table}: what was taken in is removed");
    }
    both.import().unwrap();
    let there = both.shared.open(&both.dir, Check::Whole).unwrap();
    let moved = MovingRun::open(&both.dir).unwrap();
    assert_eq!(moved.differs_from(&there).unwrap(), None);
    drop(moved);
    assert!(
        said(both.import()).contains("took over the run or its target"),
        "there is one copy"
    );
}

/// A process that was frozen for too long and has lost its target takes nothing more in, also not between the rows of
/// another import.
#[test]
fn process_that_lost_the_target_imports_nothing_more() {
    let Some(both) = Both::made() else {
        return;
    };
    let run = MovingRun::open(&both.dir).unwrap();
    let target = run.ledger().header().target.clone();
    let why = said(both.shared.import(
        run,
        &[&target],
        &crate::ledger::RegisteredRun {
            path: both.dir.absolute(),
            run: both.dir.run().to_string(),
            system: String::new(),
            target: target.clone(),
            epoch: 1,
            renames: true,
            customer: None,
        },
    ));
    assert!(why.contains("took over the run or its target"), "{why}");
    assert_eq!(both.sql("SELECT count(*) FROM draft"), "0");
    assert_eq!(both.sql("SELECT count(*) FROM outcomes"), "0");
}
