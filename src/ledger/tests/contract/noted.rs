//! What the journal notes is on record when it says so, and one process at a time notes.

use super::*;
use crate::domain::{Failed, LocationId, Skipped, StoredValue};
use futures_util::future::join_all;

pub(super) fn recorded_writes_and_outcomes_are_read_back(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    let verdict = WriteVerdict {
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
            .unwrap()
            .granted();
        journal
            .intend(intent(2, 3, "c1", place.clone()))
            .await
            .unwrap();
        journal.verdict(first, verdict).await.unwrap();
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
    let again = kept.open(&dir);
    assert_eq!(again.header().settings, header().settings);
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

pub(super) fn a_second_journal_of_one_run_is_refused(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    assert!(!ledger.is_live());
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    assert!(ledger.is_live());
    let second = kept.open(&dir);
    assert!(matches!(
        second.journal(SESSION),
        Err(LedgerError::Held { .. })
    ));
    drop(journal);
    // The process may still close the run.
    let session = thread.join();
    assert!(ledger.is_live());
    assert!(matches!(
        second.journal(SESSION),
        Err(LedgerError::Held { .. })
    ));
    drop(session);
    assert!(!ledger.is_live());
    second.journal(SESSION).expect("the first one has ended");
}

pub(super) fn thread_without_a_runtime_can_record_outcomes(kept: &Kept) {
    let (_dir, ledger) = kept.fresh();
    let (journal, thread) = ledger.journal(SESSION).unwrap();
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

pub(super) fn outcomes_of_a_unit_replace_earlier_outcomes(kept: &Kept) {
    let (_dir, mut ledger) = kept.fresh();
    let seeded = (2..5).map(|line| Outcome::bare(line, Status::WouldChange));
    ledger.seed(seeded).unwrap();
    assert!(ledger.done().unwrap().is_empty());
    let (journal, thread) = ledger.journal(SESSION).unwrap();
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

/// Of several entries for a line, in one group or in several, the last one counts; only failed outcomes are removed.
pub(super) fn the_last_entry_of_a_line_counts(kept: &Kept) {
    let failed = |line| Outcome::bare(line, Status::Failed(Failed::NotFound));
    let planned = |line| Outcome::bare(line, Status::WouldChange);
    for flushes in [false, true] {
        let (_dir, mut ledger) = kept.fresh();
        ledger
            .seed([failed(2), failed(3), full_outcome(4), failed(5)])
            .unwrap();
        let (journal, thread) = ledger.journal(SESSION).unwrap();
        runtime().block_on(async {
            let flush = async || {
                if flushes {
                    journal.flush().await.unwrap();
                }
            };
            journal
                .reopen(vec![2, 3, 4, 9], vec![planned(2), planned(4), planned(9)])
                .await
                .unwrap();
            flush().await;
            journal.outcome(failed(5)).await.unwrap();
            journal.outcome(full_outcome(6)).await.unwrap();
            flush().await;
            journal
                .outcomes(vec![failed(6), failed(7), failed(8)])
                .await
                .unwrap();
            flush().await;
            journal
                .reopen(vec![5, 7, 8], vec![planned(8)])
                .await
                .unwrap();
            flush().await;
            journal.reopen(vec![8], Vec::new()).await.unwrap();
            journal.outcome(full_outcome(7)).await.unwrap();
            journal.flush().await.unwrap();
        });
        drop(journal);
        thread.join();
        let seen: Vec<(Line, Status)> = ledger
            .outcomes()
            .map(Result::unwrap)
            .map(|one| (one.line, one.status))
            .collect();
        let expected = [
            (2, Status::WouldChange),
            (4, Status::Changed),
            (6, Status::Failed(Failed::NotFound)),
            (7, Status::Changed),
            (8, Status::WouldChange),
        ];
        assert_eq!(seen, expected, "flushes: {flushes}");
    }
}

pub(super) fn each_write_has_its_own_number_and_its_last_verdict(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    let verdict = |verdict, http_status, effect| WriteVerdict {
        verdict,
        effect,
        http_status,
    };
    let stored = StoredValue::Account(account("B"));
    let numbers: Vec<WriteId> = runtime().block_on(async {
        let many = (2..2502).map(|line| journal.intend(intent(line, line, "c1", rename("a", "b"))));
        let numbers: Vec<WriteId> = join_all(many)
            .await
            .into_iter()
            .map(|noted| noted.unwrap().granted())
            .collect();
        journal
            .verdict(numbers[0], verdict(Verdict::Unknown, Some(504), None))
            .await
            .unwrap();
        journal
            .verdict(
                numbers[0],
                verdict(Verdict::Applied, Some(200), Some(stored.clone())),
            )
            .await
            .unwrap();
        journal
            .verdict(numbers[2499], verdict(Verdict::NotApplied, Some(409), None))
            .await
            .unwrap();
        numbers
    });
    drop(journal);
    thread.join();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 2500);
    let ledger = kept.open(&dir);
    let first = ledger.writes_of_line(2).unwrap();
    assert_eq!(
        (first[0].verdict, first[0].http_status),
        (Some(Verdict::Applied), Some(200))
    );
    assert_eq!(first[0].effect, Some(stored));
    assert_eq!(ledger.altered().unwrap(), first);
    assert_eq!(ledger.writes().count(), 2500);
    // All writes but the one that was not applied are unresolved, and found by their numbers.
    let open = ledger.unresolved_writes().unwrap();
    assert_eq!(open.len(), 2499);
    assert!(open.iter().all(|write| write.intent.line != 2501));
    assert_eq!(
        ledger.any_customer().unwrap(),
        Some(("c1".to_owned(), None))
    );
    // A later session continues the numbers.
    let (journal, _thread) = ledger.journal(SESSION).unwrap();
    let next = runtime().block_on(journal.intend(intent(2, 2, "c1", rename("a", "b"))));
    assert!(next.unwrap().granted() > sorted[2499]);
}

pub(super) fn each_process_has_a_session(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    for (epoch, writing) in [(3, false), (5, true)] {
        let (journal, thread) = ledger.journal(Session { epoch, writing }).unwrap();
        let calls = Calls {
            find: epoch,
            limit_per_s: Some(6.5),
            ..Calls::default()
        };
        runtime().block_on(journal.calls(calls)).unwrap();
        drop(journal);
        thread.join();
    }
    let ledger = kept.open(&dir);
    let sessions = ledger.sessions().unwrap();
    let seen: Vec<_> = sessions
        .iter()
        .map(|one| (one.epoch, one.writing, one.calls.find))
        .collect();
    assert_eq!(seen, [(3, false, 3), (5, true, 5)]);
    assert!(
        sessions
            .iter()
            .all(|one| one.host == host() && one.pid == i64::from(std::process::id()))
    );
    assert_eq!(ledger.calls().unwrap().limit_per_s, Some(6.5));
    let epochs = ledger.epochs().unwrap();
    assert_eq!((epochs.last(), epochs.highest()), (5, 5));
    assert!(
        !epochs.was_begun_before(5),
        "the first process could not write"
    );
}

/// Groups of many rows, and many groups: what is asked afterwards is answered page by page.
pub(super) fn many_lines_are_read_in_pages(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    for first in (2..50_002).step_by(1000) {
        let lines = (first..first + 1000).filter(|line| line % 3 != 0);
        runtime()
            .block_on(journal.outcomes(lines.map(full_outcome).collect()))
            .unwrap();
    }
    drop(journal);
    thread.join();
    let ledger = kept.open(&dir);
    let expected: LineSet = (2..50_002).filter(|line| line % 3 != 0).collect();
    assert_eq!(ledger.done().unwrap(), expected);
    assert_eq!(
        ledger.outcomes_from(40_000).count() as u64,
        (40_000..50_002).filter(|line| line % 3 != 0).count() as u64
    );
    assert_eq!(ledger.planned().unwrap().len(), 0);
}

/// A line of an undo says itself what it changes, so it has no row before it is carried out.
pub(super) fn undo_lines_are_planned_until_they_have_an_outcome(kept: &Kept) {
    let undo = Header {
        kind: RunKind::Undo,
        lines: 5,
        ..header()
    };
    let (_dir, mut ledger) = kept.begun(&undo, None);
    let lines = |lines: &[Line]| lines.iter().copied().collect::<LineSet>();
    assert_eq!(ledger.planned().unwrap(), lines(&[2, 3, 4, 5, 6]));
    ledger
        .seed([
            Outcome::bare(2, Status::Failed(Failed::Rejected)),
            Outcome::bare(3, Status::WouldChange),
            Outcome::bare(4, Status::InDoubt),
            Outcome::bare(6, Status::Skipped(Skipped::Guard)),
        ])
        .unwrap();
    assert_eq!(ledger.planned().unwrap(), lines(&[3, 5]));
    assert_eq!(ledger.still_planned().unwrap(), lines(&[3, 4, 5]));
    let (_dir, other) = kept.begun(
        &Header {
            lines: 5,
            ..header()
        },
        None,
    );
    assert!(other.planned().unwrap().is_empty());
}
