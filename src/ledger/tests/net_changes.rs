//! What a run changed, folded from its writes.

use super::*;
use crate::domain::{NetChange, NetValue, Transition};
use Verdict::{Applied, NotApplied, Unknown};

/// Records the writes with their verdicts and returns what they changed.
fn folded(writes: Vec<(Intent, Option<Verdict>)>) -> Vec<NetChange> {
    let (_base, _dir, ledger) = fresh();
    let (journal, thread) = ledger
        .journal(Session {
            epoch: 1,
            writing: true,
        })
        .unwrap();
    runtime().block_on(async {
        for (intent, verdict) in writes {
            let write = journal.intend(intent).await.unwrap().granted();
            if let Some(verdict) = verdict {
                let verdict = WriteVerdict {
                    effect: None,
                    verdict,
                    http_status: None,
                };
                journal.verdict(write, verdict).await.unwrap();
            }
        }
    });
    drop(journal);
    thread.join();
    let order = ledger.write_order(|_| true).unwrap();
    let changes = ledger.net_changes_in(&order);
    changes.flat_map(Result::unwrap).collect()
}

fn transition<T>(before: Option<T>, after: Option<T>) -> Transition<T> {
    Transition { before, after }
}

fn to(before: &str, after: &str) -> NetValue {
    NetValue::Account {
        change: transition(account(before), account(after)),
        temporary: false,
    }
}

fn at_location(before: LocationState, after: LocationState) -> NetValue {
    NetValue::Location {
        location: LocationId::new("l1").unwrap(),
        service: transition(before.service, after.service),
        profile: transition(before.profile, after.profile),
    }
}

fn park(before: &str, after: &str) -> Write {
    Write::Account {
        before: account(before),
        after: account(after),
        temporary: true,
    }
}

fn place(before: LocationState, after: LocationState) -> Write {
    Write::Location {
        location: LocationId::new("l1").unwrap(),
        before,
        after,
    }
}

#[test]
fn a_swap_is_two_renames_and_units_come_in_order() {
    let states = folded(vec![
        (intent(9, 9, "z", rename("y", "w")), Some(Applied)),
        (intent(2, 2, "a", park("1", "tmp")), Some(Applied)),
        (intent(2, 3, "b", rename("2", "1")), Some(Applied)),
        (intent(2, 2, "a", rename("tmp", "2")), Some(Applied)),
    ]);
    let seen: Vec<_> = states
        .iter()
        .map(|state| (state.line, &state.value))
        .collect();
    assert_eq!(
        seen,
        [(2, &to("1", "2")), (3, &to("2", "1")), (9, &to("y", "w"))]
    );
}

#[test]
fn parked_customer_has_a_temporary_net_change() {
    let states = folded(vec![(intent(2, 2, "a", park("1", "tmp")), Some(Applied))]);
    let expected = NetValue::Account {
        change: transition(account("1"), account("tmp")),
        temporary: true,
    };
    assert_eq!(states[0].value, expected);
    let back = folded(vec![
        (intent(2, 2, "a", park("1", "tmp")), Some(Applied)),
        (intent(2, 2, "a", rename("tmp", "1")), Some(Applied)),
    ]);
    assert_eq!(back, []);
}

#[test]
fn ineffective_write_leaves_no_net_change() {
    assert_eq!(
        folded(vec![(
            intent(2, 2, "a", rename("1", "2")),
            Some(NotApplied)
        )]),
        []
    );
}

#[test]
fn unanswered_write_is_judged_by_what_the_next_write_found() {
    // Killed after the parking; the next write found the temporary ID, so the parking had taken effect.
    let states = folded(vec![
        (intent(2, 2, "a", park("1", "tmp")), None),
        (intent(2, 2, "a", rename("tmp", "2")), Some(Applied)),
    ]);
    assert_eq!(states[0].value, to("1", "2"));
    // The next write found the old value, so the first had not taken effect; the last one counts as if it had.
    let states = folded(vec![
        (intent(2, 2, "a", rename("1", "2")), Some(Unknown)),
        (intent(2, 2, "a", rename("1", "2")), Some(Unknown)),
    ]);
    assert_eq!(states[0].value, to("1", "2"));
    let states = folded(vec![
        (intent(2, 2, "a", rename("1", "2")), Some(Unknown)),
        (intent(2, 2, "a", rename("1", "3")), Some(NotApplied)),
    ]);
    assert_eq!(states, []);
    let states = folded(vec![
        (intent(2, 2, "a", rename("1", "2")), Some(Applied)),
        (intent(2, 3, "a", rename("2", "3")), None),
    ]);
    assert_eq!((states[0].line, &states[0].value), (2, &to("1", "3")));
}

#[test]
fn service_and_profile_of_a_location_are_folded_separately() {
    let auto = Some(Profile::Auto);
    let work = Some(Profile::SmallBusiness);
    let states = folded(vec![
        (intent(2, 2, "a", rename("1", "2")), Some(Applied)),
        (
            intent(2, 2, "a", place(spot("s0", auto), spot("s1", None))),
            Some(Applied),
        ),
        (
            intent(2, 3, "a", place(spot("s1", auto), spot("s2", work))),
            Some(Applied),
        ),
        (
            intent(2, 4, "a", place(spot("s2", work), spot("s3", None))),
            Some(NotApplied),
        ),
    ]);
    assert_eq!(states.len(), 2);
    let expected = at_location(spot("s0", auto), spot("s2", work));
    assert_eq!((states[1].line, &states[1].value), (2, &expected));
    let only_service = folded(vec![(
        intent(2, 2, "a", place(spot("s0", auto), spot("s1", None))),
        Some(Applied),
    )]);
    let expected = at_location(spot("s0", None), spot("s1", None));
    assert_eq!(only_service[0].value, expected);
}

#[test]
fn relationships_of_one_customer_are_kept_apart() {
    use crate::domain::{Reseller, ResellerId};
    let of = |reseller: Reseller, before: &str| Intent {
        reseller: Some(reseller),
        ..intent(2, 2, "a", rename(before, "x"))
    };
    let other = Reseller::Id(ResellerId::new("r-1").unwrap());
    let states = folded(vec![
        (of(Reseller::Own, "1"), Some(Applied)),
        (of(other.clone(), "2"), Some(Applied)),
    ]);
    assert_eq!(states[0].reseller, Some(Reseller::Own));
    assert_eq!(states[0].value, to("1", "x"));
    assert_eq!(states[1].reseller, Some(other));
    assert_eq!(states[1].value, to("2", "x"));
}

#[test]
fn undo_includes_writes_in_doubt_and_omits_rolled_back_ones() {
    let changes = folded(vec![
        (intent(2, 3, "a", rename("1", "2")), Some(Applied)),
        (
            intent(2, 2, "a", place(spot("s0", None), spot("s1", None))),
            None,
        ),
        (intent(5, 5, "b", park("3", "tmp")), Some(Applied)),
        (intent(5, 5, "b", rename("tmp", "3")), Some(Applied)),
        (intent(6, 6, "c", rename("", "x")), Some(Unknown)),
        (intent(7, 7, "d", park("4", "tmp")), None),
    ]);
    let customers: Vec<_> = changes
        .iter()
        .map(|one| (one.line, one.customer.as_str()))
        .collect();
    assert_eq!(customers, [(2, "a"), (2, "a"), (6, "c"), (7, "d")]);
    assert_eq!(changes[0].value, to("1", "2"));
    let expected = at_location(spot("s0", None), spot("s1", None));
    assert_eq!(changes[1].value, expected);
    assert_eq!(changes[2].value, to("", "x"));
    assert!(changes[3].temporary_id().is_some() && changes[2].temporary_id().is_none());
}
