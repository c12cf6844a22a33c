//! A ledger that is damaged, foreign or newer is refused by name, and left as it is.

use super::*;
use std::fs;
use std::path::Path;

/// A finished run with some rows, its log folded into the file.
fn written() -> (TempDir, RunDir) {
    let (base, dir, ledger) = fresh();
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime().block_on(async {
        for line in 2..200 {
            journal.outcome(full_outcome(line)).await.unwrap();
        }
        journal
            .intend(intent(2, 2, "customer-1", rename("account-a", "account-b")))
            .await
            .unwrap();
    });
    drop(journal);
    thread.join();
    drop(ledger);
    assert!(!dir.path().join("ledger.db-wal").exists());
    (base, dir)
}

fn refused(dir: &RunDir) -> LedgerError {
    let before = fs::read(dir.ledger()).unwrap();
    let error = Ledger::open(dir, Check::Whole).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("ledger.db"), "{error}");
    let beside = checked_beside(dir).unwrap_err();
    assert_eq!(beside.to_string(), error.to_string());
    assert_eq!(
        fs::read(dir.ledger()).unwrap(),
        before,
        "it was not left as it is"
    );
    error
}

/// Checks a ledger in a second thread. If it is damaged, asking again does not help, and no session begins on it.
fn checked_beside(dir: &RunDir) -> Result<(), LedgerError> {
    let ledger = Ledger::open(dir, Check::Beside)?;
    let Err(error) = ledger.checked() else {
        return Ok(());
    };
    assert!(ledger.checked().is_err());
    let session = Session {
        epoch: 1,
        writing: true,
    };
    assert!(ledger.journal(session).is_err());
    Err(error)
}

/// Reads everything, as `resume`, `undo` and the reports do.
fn read_all(dir: &RunDir) -> Result<(), LedgerError> {
    let ledger = Ledger::open(dir, Check::Whole)?;
    ledger.done()?;
    ledger.counts()?;
    ledger.outcomes().try_for_each(|one| one.map(drop))?;
    let order = ledger.write_order(|_| true)?;
    let mut changes = ledger.net_changes_in(&order);
    changes.try_for_each(|one| one.map(drop))
}

/// Replaces every copy of a text: SQLite leaves stale copies behind in the free part of a page.
fn replace(path: &Path, from: &str, to: &str) {
    let mut bytes = fs::read(path).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from} is not in the file");
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_changed_letter_is_noticed_wherever_it_is() {
    for (from, to) in [
        ("account-a", "account-x"),
        ("customer-1", "customer-2"),
        ("as \"wished\"", "as \"wishes\""),
    ] {
        let (_base, dir) = written();
        read_all(&dir).unwrap();
        replace(&dir.ledger(), from, to);
        let error = read_all(&dir).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
    }
    let (_base, dir) = written();
    replace(&dir.ledger(), "https://example.net", "https://exomple.net");
    assert!(matches!(refused(&dir), LedgerError::Damaged { .. }));
}

#[test]
fn changed_byte_is_detected_or_has_no_effect() {
    let (_base, dir) = written();
    let whole = fs::read(dir.ledger()).unwrap();
    let expected: Vec<Outcome> = Ledger::open(&dir, Check::Whole)
        .unwrap()
        .outcomes()
        .map(Result::unwrap)
        .collect();
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        fs::write(dir.ledger(), &bytes).unwrap();
        if read_all(&dir).is_ok() {
            let ledger = Ledger::open(&dir, Check::Whole).unwrap();
            let outcomes: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
            assert_eq!(
                outcomes, expected,
                "byte {at} changed what is read, and nobody noticed"
            );
        }
    }
}

#[test]
fn truncated_ledger_is_reported_as_damaged() {
    let (_base, dir) = written();
    let bytes = fs::read(dir.ledger()).unwrap();
    fs::write(dir.ledger(), &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(refused(&dir), LedgerError::Damaged { .. }));
}

#[test]
fn missing_or_truncated_wal_file_is_detected() {
    for cut in [None, Some(5000)] {
        let (_base, dir, ledger) = fresh();
        let (journal, _thread) = ledger
            .journal(Session {
                epoch: 1,
                writing: true,
            })
            .unwrap();
        runtime().block_on(async {
            for line in 2..5 {
                journal
                    .intend(intent(line, line, "c1", rename("a", "b")))
                    .await
                    .unwrap();
            }
        });
        // As a killed process leaves it: a copy of the folder, without a clean end.
        let other = tempfile::tempdir().unwrap();
        let copy = RunDir::create(&other.path().join("runs"), dir.run()).unwrap();
        for name in ["ledger.db", "ledger.db-wal", "ledger.seal"] {
            fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        let log = copy.path().join("ledger.db-wal");
        match cut {
            Some(length) => fs::OpenOptions::new()
                .write(true)
                .open(&log)
                .unwrap()
                .set_len(length)
                .unwrap(),
            None => fs::remove_file(&log).unwrap(),
        }
        let log_before = fs::read(&log).ok();
        let error = refused(&copy);
        assert_eq!(
            fs::read(&log).ok().filter(|log| !log.is_empty()),
            log_before
        );
        assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
    }
}

#[test]
fn foreign_newer_and_missing_ledgers_are_distinguished() {
    let (_base, dir) = written();
    let sql = |sql: &str| {
        let connection = rusqlite::Connection::open(dir.ledger()).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    sql("PRAGMA user_version = 99");
    assert!(matches!(
        refused(&dir),
        LedgerError::Newer { found: 99, .. }
    ));
    sql("PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert!(matches!(refused(&dir), LedgerError::NotALedger { .. }));
    fs::write(
        dir.ledger(),
        "no database at all, but long enough to be looked at as one".repeat(20),
    )
    .unwrap();
    assert!(matches!(refused(&dir), LedgerError::NotALedger { .. }));
    fs::remove_file(dir.ledger()).unwrap();
    assert!(matches!(
        Ledger::open(&dir, Check::Whole),
        Err(LedgerError::Missing { .. })
    ));
}

#[test]
fn the_ledger_of_another_run_is_refused() {
    let (base, dir) = written();
    let other = RunDir::create(
        &base.path().join("runs"),
        &RunId::parse("20261121-000000-aaaa").unwrap(),
    )
    .unwrap();
    fs::copy(dir.ledger(), other.ledger()).unwrap();
    assert!(matches!(refused(&other), LedgerError::OtherRun { found, .. } if found == RUN));
}

#[test]
fn run_killed_before_it_began_is_not_reported_as_damaged() {
    let (_base, dir, ledger) = fresh();
    drop(ledger);
    let connection = rusqlite::Connection::open(dir.ledger()).unwrap();
    connection.execute("DELETE FROM run", ()).unwrap();
    drop(connection);
    assert!(matches!(refused(&dir), LedgerError::Damaged { .. }));
    fs::remove_file(dir.path().join("ledger.seal")).unwrap();
    let error = Ledger::open(&dir, Check::Whole).unwrap_err();
    assert!(matches!(error, LedgerError::Unbegun { .. }), "{error}");
}
