//! What is on record of a run as a whole: its state, counts, shard and orders, and what is left once it is pruned.

use super::*;
use crate::domain::{CustomerId, Shard};

pub(super) fn progress_and_run_values_are_read_back_unchanged(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
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
        assert_eq!(kept.open(&dir).progress().unwrap(), progress);
    }
    assert_eq!(ledger.forecast().unwrap(), None);
    ledger.set_forecast("1").unwrap();
    ledger.set_forecast("{}").unwrap();
    assert_eq!(ledger.forecast().unwrap().as_deref(), Some("{}"));
    assert_eq!(ledger.audit_round().unwrap(), 0);
    ledger.set_audit_round(7).unwrap();
    assert_eq!(ledger.audit_round().unwrap(), 7);
}

pub(super) fn applied_plan_counts_as_apply_and_not_as_dry_run(kept: &Kept) {
    use Phase::{Look, LookAndWrite, Write};
    for (kind, phase, only_looks) in [
        (RunKind::Plan, Look, true),
        (RunKind::Plan, Write, false),
        (RunKind::Apply, Look, false),
        (RunKind::Apply, LookAndWrite, false),
        (RunKind::Reconcile, Look, false),
        (RunKind::Undo, Write, false),
    ] {
        let (_dir, ledger) = kept.begun(&Header { kind, ..header() }, None);
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
pub(super) fn counts_of_closed_run_are_cached_until_a_new_record(kept: &Kept) {
    let (dir, mut ledger) = kept.fresh();
    let line = |line, status| Outcome::bare(line, status);
    ledger
        .seed([line(2, Status::Changed), line(3, Status::InDoubt)])
        .unwrap();
    let counts = ledger.counts().unwrap();
    ledger.close(&ledger.progress().unwrap(), &counts).unwrap();
    kept.execute(&dir, "DELETE FROM outcomes");
    assert_eq!(ledger.counts().unwrap(), counts, "as they were kept");
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    journal.blocking_outcome(full_outcome(9)).unwrap();
    drop(journal);
    thread.join();
    let counts = ledger.counts().unwrap();
    let lines: Vec<_> = counts
        .iter()
        .map(|one| (one.lines, one.first_line))
        .collect();
    assert_eq!(lines, [(1, 9)], "counted anew");
}

pub(super) fn shard_lines_are_saved_with_the_run_and_checked_for_damage(kept: &Kept) {
    let lines: LineSet = [2, 3, 70, 1000].into_iter().collect();
    let shard: Shard = "2/3".parse().unwrap();
    let shard = (shard, lines);
    let (dir, ledger) = kept.begun(&header(), Some(&shard));
    drop(ledger);
    let ledger = kept.open(&dir);
    assert_eq!(ledger.shard().unwrap(), Some(shard));
    assert_eq!(ledger.shard_name().unwrap().as_deref(), Some("2/3"));
    let blobs = if kept.is_shared() {
        ["lines = '\\x0000000000000000'", "lines = '\\x000000'"]
    } else {
        ["lines = zeroblob(8)", "lines = zeroblob(3)"]
    };
    for altered in ["shard = '1/3'"].into_iter().chain(blobs) {
        kept.execute(&dir, &format!("UPDATE shard SET {altered}"));
        let why = ledger.shard().unwrap_err();
        assert!(why.to_string().contains("damaged"), "{why}");
    }
}

pub(super) fn remains_of_a_pruned_run_are_recorded_completely(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    let customer = |number: u64| CustomerId::new(format!("C-{number}")).unwrap();
    let file = RemovedFile {
        name: "results.csv".to_owned(),
        sha256: "ab".repeat(32),
        bytes: 7,
    };
    let remains = Remains {
        pruned: Pruned {
            at_ms: 5,
            half_done: 3,
        },
        wishes: (0..5000)
            .map(|number| (number % 4000, customer(number)))
            .collect(),
        replaced: (0..5000_u64)
            .map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect(),
        removed: vec![file.clone()],
    };
    let hold = ledger.hold().unwrap();
    // A second prune completes the first.
    ledger.mark_pruned(&hold, &remains).unwrap();
    ledger.mark_pruned(&hold, &remains).unwrap();
    let again = kept.open(&dir);
    assert_eq!(again.pruned().unwrap(), Some(remains.pruned));
    let mut meant = again.customers_of_wish(7).unwrap();
    meant.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(meant, [customer(4007), customer(7)]);
    let mut replaced = again.replaced().unwrap();
    replaced.sort_unstable();
    let mut expected = remains.replaced.clone();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(replaced, expected);
    assert_eq!(again.removed_files().unwrap(), [file]);
}

pub(super) fn orders_are_numbered_and_followed(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    assert_eq!(ledger.orders().unwrap(), Orders::default());
    let (journal, thread) = ledger.journal(SESSION).unwrap();
    let person = kept.open(&dir);
    assert_eq!(person.order(Order::Pause).unwrap(), 1);
    assert_eq!(person.order(Order::Rate(2.5)).unwrap(), 2);
    assert_eq!(person.followed_orders().unwrap(), 0);
    ledger.follow_orders(2).unwrap();
    let asked = Orders {
        number: 2,
        paused: true,
        draining: false,
        rate_per_s: Some(2.5),
    };
    assert_eq!(person.orders().unwrap(), asked);
    assert_eq!(person.followed_orders().unwrap(), 2);
    person.order(Order::Drain).unwrap();
    let drained = ledger.orders().unwrap();
    assert!(drained.draining && !drained.paused && drained.number == 3);
    assert_eq!(person.followed_orders().unwrap(), 2);
    ledger.follow_orders(3).unwrap();
    drop(journal);
    thread.join();
    // The person who gave the order may ask only after the run has ended.
    assert_eq!(person.followed_orders().unwrap(), 3);
    let cleared = ledger.clear_orders().unwrap();
    let none = Orders {
        number: 3,
        ..Orders::default()
    };
    assert_eq!((cleared, person.orders().unwrap()), (none, none));
    // An order that is given before the process looks again is recognised by its number.
    person.order(Order::Pause).unwrap();
    let asked = ledger.orders().unwrap();
    assert!(asked.paused && asked.number > cleared.number);
    // The process that continues a run takes back the order to end, and no other order.
    person.order(Order::Rate(4.0)).unwrap();
    person.order(Order::Drain).unwrap();
    person.go_on().unwrap();
    let goes_on = ledger.orders().unwrap();
    assert!(!goes_on.draining && goes_on.rate_per_s == Some(4.0));
    person.go_on().unwrap();
    assert_eq!(ledger.orders().unwrap(), goes_on);
}

pub(super) fn first_stop_reason_counts_only_while_the_run_is_in_progress(kept: &Kept) {
    let (dir, ledger) = kept.fresh();
    let progress = |state, phase| Progress {
        state,
        phase,
        exit_code: None,
        stopped_by: None,
        why: String::new(),
        started_at_ms: 1,
        finished_at_ms: None,
    };
    let looks = progress(State::Running, Phase::Look);
    ledger.set_progress(&looks).unwrap();
    // Another process, which has read the state before.
    let other = kept.open(&dir);
    assert_eq!(other.progress().unwrap(), looks);
    ledger.set_phase(Phase::Write).unwrap();
    other.stop_all(StopReason::Until, "it is five").unwrap();
    ledger
        .stop_all(StopReason::MaxFailures, "too many")
        .unwrap();
    let stopped = Progress {
        stopped_by: Some(StopReason::Until),
        why: "it is five".to_owned(),
        ..progress(State::Running, Phase::Write)
    };
    assert_eq!(ledger.progress().unwrap(), stopped);
    assert!(ledger.orders().unwrap().draining);
    ledger.go_on().unwrap();
    assert_eq!(
        ledger.progress().unwrap(),
        progress(State::Running, Phase::Write)
    );
    let finished = progress(State::Finished, Phase::Write);
    ledger.set_progress(&finished).unwrap();
    ledger.clear_orders().unwrap();
    other.stop_all(StopReason::Until, "it is six").unwrap();
    assert_eq!(ledger.progress().unwrap(), finished);
    assert!(!ledger.orders().unwrap().draining);
}
