//! What was acknowledged is on record, whenever the process dies; what could not be noted is refused.

use super::*;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

#[test]
fn failed_commit_fails_all_waiting_and_later_entries() {
    let (_base, dir, ledger) = fresh();
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime().block_on(async {
        journal
            .intend(intent(2, 2, "c1", rename("a", "b")))
            .await
            .unwrap();
        // A trigger that refuses stands in for whatever makes a commit fail.
        let other = rusqlite::Connection::open(dir.ledger()).unwrap();
        other
            .execute_batch(
                "CREATE TRIGGER full BEFORE INSERT ON writes BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .unwrap();
        let many = (3..40).map(|line| journal.intend(intent(line, line, "c1", rename("a", "b"))));
        let answers = futures_util::future::join_all(many).await;
        assert!(
            answers
                .iter()
                .all(|one| matches!(one, Err(LedgerError::Journal(_)))),
            "{answers:?}"
        );
        let later = journal.outcome(full_outcome(2)).await;
        assert!(matches!(later, Err(LedgerError::Journal(_))));
        assert!(
            journal
                .flush()
                .await
                .unwrap_err()
                .to_string()
                .contains("ledger.db")
        );
    });
    drop(journal);
    thread.join();
    assert_eq!(ledger.writes().count(), 1);
}

/// Not a test of its own: notes writes until it is made to crash, and says which were acknowledged.
#[test]
fn child_that_crashes() {
    let Some(runs) = std::env::var_os("IDSHIFT_TEST_RUNS") else {
        return;
    };
    let dir = RunDir::at(&std::path::Path::new(&runs).join(RUN)).unwrap();
    let (journal, _thread) = Ledger::open(&dir, Check::Whole)
        .unwrap()
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime().block_on(async {
        for line in 2.. {
            journal
                .intend(intent(line, line, "c1", rename("a", "b")))
                .await
                .unwrap();
            println!("acknowledged {line}");
        }
    });
}

/// `ulimit -f` stands in for a disk without room: the write that would pass it fails.
#[test]
fn full_disk_fails_new_writes_and_keeps_acknowledged_ones() {
    let (base, dir, ledger) = fresh();
    drop(ledger);
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "ledger::sqlite::tests::durable::child_that_crashes",
        ])
        .env("IDSHIFT_TEST_RUNS", base.path().join("runs"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(
        said.contains("ledger.db") && said.contains("Disk"),
        "{said}"
    );
    let acknowledged = acknowledged(child.stdout);
    let ledger = Ledger::open(&dir, Check::Whole).unwrap();
    let noted: BTreeSet<Line> = ledger
        .writes()
        .map(|write| write.unwrap().intent.line)
        .collect();
    assert!(
        acknowledged.len() > 10 && noted == acknowledged,
        "{noted:?} {acknowledged:?}"
    );
    let (journal, _thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime()
        .block_on(journal.intend(intent(2, 2, "c1", rename("a", "b"))))
        .expect("there is room again");
}

fn acknowledged(stdout: Vec<u8>) -> BTreeSet<Line> {
    String::from_utf8(stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once("acknowledged ")?.1.parse().ok())
        .collect()
}

#[cfg(debug_assertions)]
#[test]
fn acknowledged_writes_survive_a_crash_at_every_step() {
    for crash_at in 1..12 {
        let (base, dir, ledger) = fresh();
        drop(ledger);
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "ledger::sqlite::tests::durable::child_that_crashes",
            ])
            .env("IDSHIFT_TEST_RUNS", base.path().join("runs"))
            .env("IDSHIFT_CRASH_AT", crash_at.to_string())
            .output()
            .unwrap();
        assert!(!child.status.success());
        let acknowledged = acknowledged(child.stdout);
        let ledger = Ledger::open(&dir, Check::Whole).unwrap();
        let noted: BTreeSet<Line> = ledger
            .writes()
            .map(|write| write.unwrap().intent.line)
            .collect();
        assert!(
            noted.is_superset(&acknowledged),
            "{noted:?} {acknowledged:?}"
        );
        // A commit has two steps: before it nothing new is on record, after it one write more than was acknowledged.
        assert_eq!(noted.len(), crash_at / 2);
        assert_eq!(acknowledged.len(), (crash_at - 1) / 2);
    }
}

#[test]
fn files_are_private_from_their_creation() {
    use std::os::unix::fs::PermissionsExt;
    let (_base, dir, ledger) = fresh();
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime()
        .block_on(async { journal.outcome(full_outcome(2)).await })
        .unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 4, "ledger, log, shared memory, lock");
    drop(journal);
    thread.join();
}
