//! What can be asked of a ledger.

use super::*;
use crate::domain::{Failed, Skipped, Unchanged};
use proptest::prelude::*;

#[test]
fn pages_are_turned_without_losing_a_line() {
    let (_base, _dir, ledger) = fresh();
    let lines = (2..5000).chain(9000..9001);
    ledger.seed(lines.clone().map(full_outcome)).unwrap();
    let seen: Vec<Line> = ledger.outcomes().map(|one| one.unwrap().line).collect();
    assert_eq!(seen, lines.collect::<Vec<_>>());
    assert_eq!(ledger.outcomes_from(4998).count(), 3);
    assert_eq!(ledger.already().count(), 0);
}

#[test]
fn lines_are_done_counted_and_told_apart() {
    let (_base, _dir, ledger) = fresh();
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
            Status::WouldChange | Status::Skipped(_) | Status::InDoubt
        );
        assert_eq!(done.contains(line), !open, "{status:?}");
    }
    let counts = ledger.counts().unwrap();
    assert_eq!(
        counts.iter().map(|one| one.status).collect::<Vec<_>>(),
        Status::ALL
    );
    assert!(counts.iter().all(|one| one.lines == 1));
    assert_eq!(
        ledger.already().next().unwrap().unwrap().status,
        Status::Unchanged(Unchanged::Already)
    );
}

#[test]
fn resume_gets_all_writes_of_open_units_and_no_others() {
    let (_base, _dir, ledger) = fresh();
    let (journal, thread) = ledger.journal(1).unwrap();
    runtime().block_on(async {
        // Unit 2 is a swap that was killed half-way: its line 3 is done, its line 2 parked.
        for (unit, line) in [(2, 2), (5, 5), (2, 3), (6, 6)] {
            journal
                .intend(intent(unit, line, "c1", rename("a", "b")))
                .await
                .unwrap();
        }
        journal
            .outcomes(vec![full_outcome(3), full_outcome(5)])
            .await
            .unwrap();
        let skipped = Outcome::bare(6, Status::Skipped(Skipped::Guard));
        journal.outcome(skipped).await.unwrap();
    });
    thread.join().unwrap();
    let lines =
        |writes: Vec<Recorded>| writes.iter().map(|one| one.intent.line).collect::<Vec<_>>();
    assert_eq!(lines(ledger.writes_of_open_units().unwrap()), [2, 3, 6]);
    assert_eq!(
        lines(ledger.writes_of_units(|unit| unit == 5).unwrap()),
        [5]
    );
    let unfinished = ledger.unfinished_writes(&ledger.done().unwrap()).unwrap();
    assert_eq!(unfinished.keys().copied().collect::<Vec<_>>(), [2, 6]);
}

#[test]
fn the_state_keeps_its_first_beginning() {
    let (_base, dir, ledger) = fresh();
    assert_eq!(ledger.progress().unwrap().state, State::Created);
    ledger.set_state(State::Running, None, None, 10).unwrap();
    ledger
        .set_state(State::Stopped, Some(4), Some("outage"), 20)
        .unwrap();
    let stopped = Ledger::open(&dir).unwrap().progress().unwrap();
    assert_eq!(stopped.reason.as_deref(), Some("outage"));
    assert_eq!(
        (stopped.exit_code, stopped.finished_at_ms),
        (Some(4), Some(20))
    );
    ledger.set_state(State::Running, None, None, 30).unwrap();
    let again = ledger.progress().unwrap();
    assert_eq!(
        (again.started_at_ms, again.finished_at_ms, again.exit_code),
        (Some(10), None, None)
    );
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(state));
        ledger.set_state(state, None, None, 40).unwrap();
        assert_eq!(ledger.progress().unwrap().state, state);
    }
}

#[test]
fn a_person_can_ask_with_sqlite() {
    let (_base, dir, ledger) = fresh();
    let failed = Outcome::bare(2, Status::Failed(Failed::NotFound));
    ledger.seed([failed, full_outcome(3)]).unwrap();
    let person = rusqlite::Connection::open(dir.ledger_path()).unwrap();
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
        let (_base, _dir, ledger) = fresh();
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
