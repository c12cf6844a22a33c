//! What is on record of the lines of a run: their outcomes, their writes, and lines that were not looked at.

use super::*;
use crate::domain::{CustomerId, Failed, ServiceId, Skipped};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

pub(super) fn reading_in_pages_loses_no_line(kept: &Kept) {
    let (_dir, mut ledger) = kept.fresh();
    let lines = (2..5000).chain(9000..9001);
    ledger.seed(lines.clone().map(full_outcome)).unwrap();
    let seen: Vec<Line> = ledger.outcomes().map(|one| one.unwrap().line).collect();
    assert_eq!(seen, lines.collect::<Vec<_>>());
    assert_eq!(ledger.outcomes_from(4998).count(), 3);
}

pub(super) fn each_status_is_counted_and_marks_its_line_done_or_open(kept: &Kept) {
    let (_dir, mut ledger) = kept.fresh();
    let all = Status::ALL.into_iter().zip(2..);
    ledger
        .seed(
            all.clone()
                .map(|(status, line)| Outcome::bare(line, status)),
        )
        .unwrap();
    let done = ledger.done().unwrap();
    for (status, line) in all {
        let open = matches!(
            status,
            Status::WouldChange
                | Status::Skipped(Skipped::Cancelled | Skipped::Guard)
                | Status::InDoubt
        );
        assert_eq!(done.contains(line), !open, "{status:?}");
    }
    let counts = ledger.counts().unwrap();
    assert_eq!(
        counts.iter().map(|one| one.status).collect::<Vec<_>>(),
        Status::ALL
    );
    assert!(counts.iter().all(|one| one.lines == 1));
}

pub(super) fn writes_are_read_by_unit_and_unresolved_writes_separately(kept: &Kept) {
    let (_dir, ledger) = kept.fresh();
    assert!(!ledger.has_writes().unwrap());
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    runtime().block_on(async {
        // Unit 2 is a swap that was killed half-way: its line 3 is done, its line 2 parked.
        let mut ids = Vec::new();
        for (unit, line) in [(2, 2), (5, 5), (2, 3), (6, 6), (7, 7)] {
            let noted = journal
                .intend(intent(unit, line, "c1", rename("a", "b")))
                .await;
            ids.push(noted.unwrap().granted());
        }
        for (id, verdict) in [(ids[0], Verdict::Applied), (ids[4], Verdict::NotApplied)] {
            let verdict = WriteVerdict {
                effect: None,
                verdict,
                http_status: None,
            };
            journal.verdict(id, verdict).await.unwrap();
        }
        journal
            .outcomes(vec![full_outcome(3), full_outcome(5)])
            .await
            .unwrap();
        let skipped = Outcome::bare(6, Status::Skipped(Skipped::Guard));
        journal.outcome(skipped).await.unwrap();
    });
    drop(journal);
    thread.join();
    let lines =
        |writes: Vec<WriteRecord>| writes.iter().map(|one| one.intent.line).collect::<Vec<_>>();
    let of_units = ledger.writes_of_units(|unit| unit != 6).unwrap();
    let numbers = |unit| lines(of_units.of(unit, &ledger).unwrap());
    assert_eq!(numbers(2), [2, 3]);
    assert_eq!((numbers(5).len(), numbers(7).len()), (1, 1));
    assert!(numbers(3).is_empty(), "it is no unit");
    assert!(numbers(6).is_empty(), "it was not wanted");
    assert!(ledger.has_writes().unwrap());
    assert_eq!(lines(ledger.unresolved_writes().unwrap()), [2, 6]);
}

fn unlooked(lines: impl IntoIterator<Item = Line>) -> Unlooked {
    let line = |line: Line| UnlookedLine {
        line,
        customer: (!line.is_multiple_of(3)).then(|| CustomerId::new(format!("C-{line}")).unwrap()),
        account: account(&format!("B-{line}")),
    };
    Unlooked {
        message: "as before".to_owned(),
        at_ms: 1_795_213_815_123,
        lines: lines.into_iter().map(line).collect(),
    }
}

/// Makes a run with lines that were not looked at between lines that were.
fn partly_looked(kept: &Kept) -> Ledger {
    let (_dir, ledger) = kept.fresh();
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    let not = |lines: std::ops::Range<Line>| lines.filter(|line| !line.is_multiple_of(7));
    journal.blocking_unlooked(unlooked(not(2..3000))).unwrap();
    journal
        .blocking_unlooked(unlooked(not(3000..5500)))
        .unwrap();
    for line in (2..6000_u32).filter(|line| line.is_multiple_of(7)) {
        journal.blocking_outcome(full_outcome(line)).unwrap();
    }
    journal.blocking_unlooked(unlooked([9000])).unwrap();
    drop(journal);
    thread.join();
    ledger
}

fn assert_told_as(ledger: &Ledger, seen: &[Outcome]) {
    let mut told = Vec::new();
    ledger
        .each_brief_outcome(|one| {
            told.push((one.status, one.customer.map(str::to_owned), one.renamed));
        })
        .unwrap();
    let expected = seen.iter().map(|one| {
        let customer = one.customer.as_ref().map(ToString::to_string);
        (
            one.status,
            customer,
            one.account.before != one.account.after,
        )
    });
    assert_eq!(told, expected.collect::<Vec<_>>());
}

pub(super) fn summaries_equal_the_recorded_outcomes(kept: &Kept) {
    let (_dir, mut ledger) = kept.fresh();
    let bare = Status::ALL.into_iter().zip(2..);
    let bare = bare.map(|(status, line)| Outcome::bare(line, status));
    let unchanged = Outcome {
        account: Transition {
            before: account("same"),
            after: account("same"),
        },
        ..full_outcome(900)
    };
    ledger
        .seed(bare.chain((500..520).map(full_outcome)).chain([unchanged]))
        .unwrap();
    let seen: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
    assert_told_as(&ledger, &seen);
}

pub(super) fn lines_without_lookup_are_returned_like_looked_up_lines(kept: &Kept) {
    let ledger = partly_looked(kept);
    let all: Vec<Line> = (2..5500)
        .chain((5500..6000_u32).filter(|line| line.is_multiple_of(7)))
        .chain([9000])
        .collect();
    let seen: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
    assert_eq!(seen.iter().map(|one| one.line).collect::<Vec<_>>(), all);
    // Each is unpacked with thousands of others.
    for outcome in seen.iter().step_by(61) {
        assert_eq!(
            ledger.outcome_of(outcome.line).unwrap().as_ref(),
            Some(outcome)
        );
        if !outcome.line.is_multiple_of(7) && outcome.line < 5500 {
            assert_eq!(
                outcome.status,
                Status::Unchanged(crate::domain::Unchanged::Already)
            );
            assert_eq!(outcome.message, "as before");
            assert_eq!(
                outcome.account.after,
                account(&format!("B-{}", outcome.line))
            );
            assert_eq!(outcome.account.before, outcome.account.after);
            assert_eq!(outcome.customer.is_some(), !outcome.line.is_multiple_of(3));
        }
    }
    for from in [0, 3, 2999, 3000, 5499, 5600, 8999, 9000, 9001] {
        let rest = seen.iter().filter(|one| one.line >= from);
        assert_eq!(ledger.outcomes_from(from).count(), rest.count(), "{from}");
    }
    assert_told_as(&ledger, &seen);
    assert_eq!(ledger.outcome_of(5501).unwrap(), None);
    let changed = seen.iter().filter(|one| one.status == Status::Changed);
    assert_eq!(
        ledger.outcomes_with(&["changed"]).count(),
        changed.clone().count()
    );
    assert_eq!(
        ledger.outcomes_with(&["unchanged", "changed"]).count(),
        seen.len()
    );
    let done = ledger.done().unwrap();
    assert_eq!(done.len(), seen.len() as u64);
    assert!(all.iter().all(|line| done.contains(*line)));
    let counts = ledger.counts().unwrap();
    let of = |status| counts.iter().find(|one| one.status == status).unwrap();
    assert_eq!(of(Status::Changed).lines, changed.count() as u64);
    assert_eq!(of(crate::ledger::unlooked::STATUS).first_line, 2);
    let lines: u64 = counts.iter().map(|one| one.lines).sum();
    assert_eq!(lines, seen.len() as u64);
}

pub(super) fn pruned_run_keeps_only_needed_lines_without_lookup(kept: &Kept) {
    for keeps in [true, false] {
        let ledger = partly_looked(kept);
        let found: &dyn Fn(&Outcome) -> bool = &|outcome| outcome.line == 4001;
        let hold = ledger.hold().unwrap();
        ledger.strip(&hold, keeps.then_some(found)).unwrap();
        let left: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
        let kept = left.iter().filter(|one| one.status != Status::Changed);
        assert_eq!(kept.count(), usize::from(keeps));
        assert_eq!(left.len(), 857 + usize::from(keeps));
    }
}

/// What a failed line has changed is needed later; of other failed lines, nothing is.
pub(super) fn a_pruned_run_keeps_what_a_failed_line_has_changed(kept: &Kept) {
    let (_dir, mut ledger) = kept.fresh();
    let failed = |line, service: Option<&str>| {
        let mut outcome = full_outcome(line);
        outcome.status = Status::Failed(Failed::Altered);
        outcome.account.after.clone_from(&outcome.account.before);
        outcome.profile.after = outcome.profile.before;
        outcome.service.before = ServiceId::new("old").ok();
        let after = service.and_then(|text| ServiceId::new(text).ok());
        outcome.service.after = after.or_else(|| outcome.service.before.clone());
        outcome
    };
    let (altered, unmoved) = (failed(2, Some("NEW")), failed(3, None));
    ledger.seed([altered.clone(), unmoved]).unwrap();
    let hold = ledger.hold().unwrap();
    ledger.strip(&hold, None).unwrap();
    let left: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
    let ids = |one: &Outcome| (one.customer.clone(), one.location.clone());
    assert_eq!(ids(&left[0]), ids(&altered));
    assert_eq!(left[0].service, altered.service);
    assert_eq!(
        (left[0].message.as_str(), ids(&left[1])),
        ("", (None, None))
    );
}

fn any_text() -> impl Strategy<Value = String> {
    let any_char = prop_oneof![any::<char>(), Just('\0'), Just('\u{1}'), Just('1')];
    proptest::collection::vec(any_char, 0..20).prop_map(|chars| chars.into_iter().collect())
}

pub(super) fn any_outcome_is_read_back_unchanged(kept: &Kept) {
    let row = (0..Status::ALL.len(), any_text(), any_text(), any::<u64>());
    let rows = proptest::collection::btree_map(2_u32..9, row, 1..5);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(20)
    });
    let tried = runner.run(&rows, |rows| {
        let (_dir, mut ledger) = kept.fresh();
        let outcome =
            |(line, (status, message, id, number)): (Line, (usize, String, String, u64))| Outcome {
                message,
                customer: CustomerId::new(&id).ok(),
                account: Transition {
                    before: AccountId::new(&id).ok(),
                    after: None,
                },
                correlation: Some(id),
                duration_ms: number,
                ..Outcome::bare(line, Status::ALL[status])
            };
        let expected: Vec<Outcome> = rows.into_iter().map(outcome).collect();
        ledger.seed(expected.clone()).unwrap();
        let seen: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
        prop_assert_eq!(seen, expected);
        Ok(())
    });
    tried.unwrap();
}

pub(super) fn recorded_drift_replaces_the_previous_drift(kept: &Kept) {
    let (_dir, ledger) = kept.fresh();
    let line = |line, nights| DriftedLine {
        line,
        cause: crate::domain::Drift::ALL[0],
        nights,
        key: u64::MAX - u64::from(line),
    };
    ledger.set_drift(&[line(2, 1), line(7, 1)]).unwrap();
    let lines: Vec<DriftedLine> = (3..3000).map(|one| line(one, 2)).collect();
    ledger.set_drift(&lines).unwrap();
    let seen: Vec<DriftedLine> = ledger.drift().map(Result::unwrap).collect();
    assert_eq!(seen, lines);
    ledger.set_drift(&[]).unwrap();
    assert_eq!(ledger.drift().count(), 0);
}
