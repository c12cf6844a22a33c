//! What can be asked of a ledger.

use super::*;
use crate::domain::{Failed, Shard, Skipped};
use crate::ledger::tests::account;
use proptest::prelude::*;

#[test]
fn pages_are_turned_without_losing_a_line() {
    let (_base, _dir, mut ledger) = fresh();
    let lines = (2..5000).chain(9000..9001);
    ledger.seed(lines.clone().map(full_outcome)).unwrap();
    let seen: Vec<Line> = ledger.outcomes().map(|one| one.unwrap().line).collect();
    assert_eq!(seen, lines.collect::<Vec<_>>());
    assert_eq!(ledger.outcomes_from(4998).count(), 3);
}

#[test]
fn lines_are_done_counted_and_told_apart() {
    let (_base, _dir, mut ledger) = fresh();
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

#[test]
fn resume_gets_the_writes_of_a_unit_and_the_reports_those_in_doubt() {
    let (_base, _dir, ledger) = fresh();
    assert!(!ledger.has_writes().unwrap());
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime().block_on(async {
        // Unit 2 is a swap that was killed half-way: its line 3 is done, its line 2 parked.
        let mut ids = Vec::new();
        for (unit, line) in [(2, 2), (5, 5), (2, 3), (6, 6), (7, 7)] {
            let noted = journal
                .intend(intent(unit, line, "c1", rename("a", "b")))
                .await;
            ids.push(noted.unwrap());
        }
        for (id, verdict) in [(ids[0], Verdict::Applied), (ids[4], Verdict::NotApplied)] {
            let settled = WriteVerdict {
                effect: None,
                verdict,
                http_status: None,
            };
            journal.settle(id, settled).await.unwrap();
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
    for indexed in [false, true] {
        assert_eq!(
            lines(ledger.writes_of(2).unwrap()),
            [2, 3],
            "indexed: {indexed}"
        );
        assert!(ledger.writes_of(3).unwrap().is_empty());
        ledger.index_writes().unwrap();
    }
    assert_eq!(
        ledger.units_with_writes().unwrap(),
        [2, 5, 6, 7].into_iter().collect()
    );
    assert!(ledger.has_writes().unwrap());
    assert_eq!(lines(ledger.unresolved_writes().unwrap()), [2, 6]);
}

#[test]
fn the_state_is_read_back_as_it_was_noted() {
    let (_base, dir, ledger) = fresh();
    let made = ledger.progress().unwrap();
    assert_eq!(
        (made.state, made.started_at_ms),
        (State::Created, header().created_at_ms)
    );
    let reasons = [None]
        .into_iter()
        .chain(StopReason::ALL.iter().copied().map(Some));
    let all = State::ALL.iter().cycle().zip(Phase::ALL.iter().cycle());
    for ((state, phase), stopped_by) in all.zip(reasons) {
        let progress = Progress {
            state: *state,
            phase: *phase,
            exit_code: Some(4),
            stopped_by,
            why: "outage".to_owned(),
            started_at_ms: 10,
            finished_at_ms: Some(20),
        };
        ledger.set_progress(&progress).unwrap();
        assert_eq!(Ledger::open(&dir).unwrap().progress().unwrap(), progress);
    }
    assert_eq!(ledger.forecast().unwrap(), None);
    ledger.set_forecast("1").unwrap();
    ledger.set_forecast("{}").unwrap();
    assert_eq!(ledger.forecast().unwrap().as_deref(), Some("{}"));
    assert_eq!(ledger.audit_round().unwrap(), 0);
    ledger.set_audit_round(7).unwrap();
    assert_eq!(ledger.audit_round().unwrap(), 7);
}

#[test]
fn a_plan_that_is_carried_out_no_longer_only_looks() {
    use Phase::{Look, LookAndWrite, Write};
    for (kind, phase, only_looks) in [
        (RunKind::Plan, Look, true),
        (RunKind::Plan, Write, false),
        (RunKind::Apply, Look, false),
        (RunKind::Apply, LookAndWrite, false),
        (RunKind::Reconcile, Look, false),
        (RunKind::Undo, Write, false),
    ] {
        let base = tempfile::tempdir().unwrap();
        let dir = RunDir::create(&base.path().join("runs"), &RunId::parse(RUN).unwrap()).unwrap();
        let ledger = Ledger::create(&dir)
            .unwrap()
            .begin(&Header { kind, ..header() }, None)
            .unwrap();
        for state in [State::Running, State::Interrupted] {
            let progress = Progress {
                state,
                phase,
                ..ledger.progress().unwrap()
            };
            ledger.set_progress(&progress).unwrap();
            let found = (ledger.only_looks().unwrap(), ledger.kind().unwrap());
            let kind = if kind == RunKind::Plan && !only_looks {
                RunKind::Apply
            } else {
                kind
            };
            assert_eq!(found, (only_looks, kind), "{phase:?} {state:?}");
        }
    }
}

/// A list of runs must not read every outcome of each.
#[test]
fn the_counts_of_a_closed_run_are_kept_until_something_else_is_recorded() {
    let (_base, dir, mut ledger) = fresh();
    let line = |line, status| Outcome::bare(line, status);
    ledger
        .seed([line(2, Status::Changed), line(3, Status::InDoubt)])
        .unwrap();
    let counts = ledger.counts().unwrap();
    ledger.close(&ledger.progress().unwrap(), &counts).unwrap();
    let change = |sql| {
        let connection = rusqlite::Connection::open(dir.ledger()).unwrap();
        connection.execute(sql, ()).unwrap();
    };
    change("DELETE FROM outcomes");
    assert_eq!(ledger.counts().unwrap(), counts, "as they were kept");
    change("UPDATE seal SET commits = commits + 1");
    assert_eq!(ledger.counts().unwrap(), [], "counted anew");
}

#[test]
fn a_person_can_ask_with_sqlite() {
    let (_base, dir, mut ledger) = fresh();
    let failed = Outcome::bare(2, Status::Failed(Failed::NotFound));
    ledger.seed([failed, full_outcome(3)]).unwrap();
    let person = rusqlite::Connection::open(dir.ledger()).unwrap();
    let ask = |sql: &str| {
        person
            .query_row(sql, (), |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(ask("SELECT reason FROM failures"), "not_found");
    assert_eq!(
        ask("SELECT finished_at FROM results WHERE line = 3"),
        "2026-11-20 22:30:15"
    );
    assert_eq!(
        ask("SELECT group_concat(status || lines) FROM totals"),
        "changed1,failed1"
    );
}

fn any_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn any_outcome_comes_back_as_it_was(
        rows in proptest::collection::btree_map(2_u32..9, (0..Status::ALL.len(), any_text(), any_text(), any::<u64>()), 1..5)
    ) {
        let (_base, _dir, mut ledger) = fresh();
        let expected: Vec<Outcome> = rows.into_iter().map(|(line, (status, message, id, number))| Outcome {
            message,
            customer: CustomerId::new(&id).ok(),
            account: Transition { before: AccountId::new(&id).ok(), after: None },
            correlation: Some(id),
            duration_ms: number,
            ..Outcome::bare(line, Status::ALL[status])
        }).collect();
        ledger.seed(expected.clone()).unwrap();
        let seen: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn only_what_was_refused_or_never_sent_has_certainly_not_landed() {
    let refused = |verdict, http_status| {
        let recorded = WriteRecord {
            effect: None,
            id: WriteId(1),
            intent: intent(2, 2, "c1", rename("a", "b")),
            verdict,
            http_status,
        };
        !recorded.may_have_landed()
    };
    for status in [0, 400, 401, 403, 404, 409, 422, 429] {
        assert!(refused(Some(Verdict::NotApplied), Some(status)), "{status}");
        assert!(!refused(None, Some(status)), "{status}: never settled");
    }
    for status in [None, Some(200), Some(307), Some(408), Some(500), Some(503)] {
        assert!(!refused(Some(Verdict::NotApplied), status), "{status:?}");
    }
}

#[test]
fn the_lines_of_a_shard_are_kept_with_the_run_and_guarded() {
    let folder = tempfile::tempdir().unwrap();
    let header = Header::example();
    let run = RunId::parse(&header.run).unwrap();
    let dir = RunDir::create(folder.path(), &run).unwrap();
    let lines: LineSet = [2, 3, 70, 1000].into_iter().collect();
    let shard: Shard = "2/3".parse().unwrap();
    let shard = (shard, lines);
    drop(
        Ledger::create(&dir)
            .unwrap()
            .begin(&header, Some(&shard))
            .unwrap(),
    );
    let ledger = Ledger::open(&dir).unwrap();
    assert_eq!(ledger.shard().unwrap(), Some(shard));
    assert_eq!(ledger.shard_name().unwrap().as_deref(), Some("2/3"));
    for altered in [
        "shard = '1/3'",
        "lines = zeroblob(8)",
        "lines = zeroblob(3)",
    ] {
        let sql = format!("UPDATE shard SET {altered}");
        rusqlite::Connection::open(dir.ledger())
            .unwrap()
            .execute(&sql, ())
            .unwrap();
        assert!(matches!(ledger.shard(), Err(LedgerError::Damaged { .. })));
    }
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

/// Lines that were not looked at stand between those that were.
fn partly_looked() -> (TempDir, RunDir, Ledger) {
    let (base, dir, ledger) = fresh();
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
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
    (base, dir, ledger)
}

#[test]
fn lines_that_were_not_looked_at_are_given_like_all_others() {
    let (_base, _dir, ledger) = partly_looked();
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

#[test]
fn a_pruned_run_keeps_of_them_what_is_still_needed() {
    for keeps in [true, false] {
        let (_base, _dir, ledger) = partly_looked();
        let found: &dyn Fn(&Outcome) -> bool = &|outcome| outcome.line == 4001;
        let hold = ledger.hold().unwrap();
        ledger.strip(&hold, keeps.then_some(found)).unwrap();
        let left: Vec<Outcome> = ledger.outcomes().map(Result::unwrap).collect();
        let kept = left.iter().filter(|one| one.status != Status::Changed);
        assert_eq!(kept.count(), usize::from(keeps));
        assert_eq!(left.len(), 857 + usize::from(keeps));
    }
}
