//! What was acknowledged is there, whenever the process dies; what could not be noted is refused.

use super::*;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

#[test]
fn what_is_noted_is_read_back() {
    let (_base, dir, ledger) = fresh();
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    let settled = WriteVerdict {
        effect: None,
        verdict: Verdict::Unknown,
        http_status: Some(504),
    };
    let place = Write::Location {
        location: LocationId::new("l1").unwrap(),
        before: spot("", Some(Profile::Auto)),
        after: spot("s1", None),
    };
    runtime().block_on(async {
        let first = journal
            .intend(intent(2, 2, "c1", rename("a", "b")))
            .await
            .unwrap();
        journal
            .intend(intent(2, 3, "c1", place.clone()))
            .await
            .unwrap();
        journal.settle(first, settled).await.unwrap();
        journal.outcome(full_outcome(2)).await.unwrap();
        let calls = Calls {
            find: 1,
            read: 2,
            write: 3,
            retried: 4,
            throttled: 5,
            limit_per_s: Some(6.0),
            active_ms: 7,
        };
        journal.calls(calls).await.unwrap();
        journal.flush().await.unwrap();
        assert_eq!(ledger.calls().unwrap(), calls);
    });
    drop(journal);
    thread.join();
    let again = Ledger::open(&dir).unwrap();
    assert_eq!(again.header(), &header());
    let writes: Vec<WriteRecord> = again.writes().map(Result::unwrap).collect();
    assert_eq!(writes[0].intent, intent(2, 2, "c1", rename("a", "b")));
    assert_eq!(writes[0].verdict, Some(Verdict::Unknown));
    assert_eq!(writes[0].http_status, Some(504));
    assert_eq!(writes[1].intent.write, place);
    assert_eq!(writes[1].verdict, None);
    assert!(writes.iter().all(WriteRecord::in_doubt));
    let outcomes: Vec<Outcome> = again.outcomes().map(Result::unwrap).collect();
    assert_eq!(outcomes, [full_outcome(2)]);
}

#[test]
fn a_second_journal_of_one_run_is_refused() {
    let (_base, dir, ledger) = fresh();
    assert!(!ledger.is_live());
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    assert!(ledger.is_live());
    let second = Ledger::open(&dir).unwrap();
    assert!(matches!(
        second.journal(Session {
            epoch: 1,
            writing: true
        }),
        Err(LedgerError::Held { .. })
    ));
    drop(journal);
    thread.join();
    assert!(!ledger.is_live());
    second
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .expect("the first one has ended");
}

#[test]
fn a_thread_without_a_runtime_can_note_and_wait_for_room() {
    let (_base, _dir, ledger) = fresh();
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    let feeder = journal.clone();
    let feeding = std::thread::spawn(move || {
        for line in 2..5002 {
            feeder.blocking_outcome(full_outcome(line)).unwrap();
        }
    });
    feeding.join().unwrap();
    drop(journal);
    thread.join();
    assert_eq!(ledger.done().unwrap().len(), 5000);
}

#[test]
fn after_a_failed_commit_everybody_is_told_and_nothing_is_accepted() {
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

#[test]
fn outcomes_of_one_unit_take_the_place_of_what_was_there() {
    let (_base, _dir, mut ledger) = fresh();
    let seeded = (2..5).map(|line| Outcome::bare(line, Status::WouldChange));
    ledger.seed(seeded).unwrap();
    assert!(ledger.done().unwrap().is_empty());
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime().block_on(async {
        journal
            .outcomes(vec![full_outcome(2), full_outcome(4)])
            .await
            .unwrap();
    });
    drop(journal);
    thread.join();
    assert_eq!(ledger.done().unwrap(), [2, 4].into_iter().collect());
    assert_eq!(ledger.outcome_of(4).unwrap(), Some(full_outcome(4)));
    assert_eq!(
        ledger.outcome_of(3).unwrap().unwrap().status,
        Status::WouldChange
    );
    assert_eq!(ledger.outcome_of(9).unwrap(), None);
}

/// Not a test of its own: notes writes until it is made to crash, and says which were acknowledged.
#[test]
fn child_that_crashes() {
    let Some(runs) = std::env::var_os("IDSHIFT_TEST_RUNS") else {
        return;
    };
    let dir = RunDir::at(&std::path::Path::new(&runs).join(RUN)).unwrap();
    let (journal, _thread) = Ledger::open(&dir)
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
fn what_cannot_be_noted_is_refused_and_what_was_is_there() {
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
    let ledger = Ledger::open(&dir).unwrap();
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
fn what_was_acknowledged_survives_a_crash_at_every_step() {
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
        let ledger = Ledger::open(&dir).unwrap();
        let noted: BTreeSet<Line> = ledger
            .writes()
            .map(|write| write.unwrap().intent.line)
            .collect();
        assert!(
            noted.is_superset(&acknowledged),
            "{noted:?} {acknowledged:?}"
        );
        // Two steps for a commit: before it nothing new is there, after it one more than was acknowledged.
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
