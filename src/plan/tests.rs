//! Random permutations, chains, rings and failures, carried out on a model that never lets two customers have
//! one ID.

use super::{Counts, Index, Keys, Member, Shape, Touch, Unit, group, temporary_id};
use crate::domain::{AccountId, Change, CustomerId, NewAccount, Severity};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

fn id(n: usize) -> AccountId {
    AccountId::new(format!("A-{n:04}")).unwrap()
}

fn rename(line: u32, from: usize, to: usize) -> Change {
    Change {
        line,
        account: Some(id(from)),
        customer: None,
        reseller: None,
        new_account: NewAccount::Set(id(to)),
        location: None,
        service: None,
        profile: None,
    }
}

fn index_of(changes: &[Change]) -> Index {
    let touches = changes.iter();
    Index::among(
        touches
            .flat_map(|change| Touch::all_of(change.line, Keys::of(change)))
            .collect(),
    )
}

/// The whole plan of a file, as the program makes it.
fn plan(changes: Vec<Change>) -> (Vec<Unit>, usize) {
    let index = index_of(&changes);
    let (entangled, apart): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .partition(|change| index.is_entangled(change.line));
    let arrangement = group(entangled, true);
    let errors = arrangement
        .problems
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .count();
    let mut units = arrangement.units;
    units.extend(apart.into_iter().map(Unit::single));
    units.sort_by_key(|unit| unit.number);
    (units, errors)
}

/// Which customer has which ID; a move to a taken ID is refused, as the system would.
struct Model {
    holder: BTreeMap<String, usize>,
    refuses: BTreeSet<usize>,
}

impl Model {
    fn new(customers: usize, refuses: BTreeSet<usize>) -> Self {
        let holder = (0..customers).map(|n| (id(n).to_string(), n)).collect();
        Self { holder, refuses }
    }

    fn shift(&mut self, customer: usize, from: &str, to: &str) -> bool {
        assert_eq!(self.holder.get(from), Some(&customer));
        assert!(
            !self.holder.contains_key(to),
            "the order lets two customers have `{to}`"
        );
        if self.refuses.contains(&customer) {
            return false;
        }
        self.holder.remove(from);
        self.holder.insert(to.to_owned(), customer);
        true
    }
}

fn ends(member: &Member) -> (usize, String, String) {
    let from = member.changes[0].account.as_ref().unwrap().to_string();
    let to = member.new_account().id().unwrap().to_string();
    (from[2..].parse().unwrap(), from, to)
}

/// Carries out a unit as the executor does; returns the customers that got their requested ID.
fn carry_out(model: &mut Model, unit: &Unit) -> Vec<usize> {
    let mut done = Vec::new();
    match unit.shape {
        Shape::Single | Shape::Chain => {
            for member in &unit.members {
                let (customer, from, to) = ends(member);
                if from != to && !model.shift(customer, &from, &to) {
                    break;
                }
                done.push(customer);
            }
        }
        Shape::Cycle => {
            let parked = temporary_id("run", u64::from(unit.number));
            let (first, from, to) = ends(&unit.members[0]);
            let mut moved = Vec::new();
            let mut whole = model.shift(first, &from, &parked);
            if whole {
                moved.push((first, from, parked.clone()));
                for member in &unit.members[1..] {
                    let (customer, from, to) = ends(member);
                    whole = model.shift(customer, &from, &to);
                    if !whole {
                        break;
                    }
                    moved.push((customer, from, to));
                }
            }
            if whole {
                assert!(model.shift(first, &parked, &to));
                done.extend(unit.members.iter().map(|member| ends(member).0));
            } else {
                for (customer, from, to) in moved.into_iter().rev() {
                    assert!(
                        model.shift(customer, &to, &from),
                        "going back is always possible"
                    );
                }
            }
        }
    }
    done
}

proptest! {
    #[test]
    fn plan_never_gives_two_customers_the_same_id(
        targets in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
        asked in proptest::collection::vec(any::<bool>(), 40),
        refuses in proptest::collection::btree_set(0..40_usize, 0..6),
        lines in Just((0..40_u32).collect::<Vec<_>>()).prop_shuffle(),
        beyond in 0..8_usize,
    ) {
        // Some targets are beyond the IDs of all customers, which makes chains; the rest is a partial permutation.
        let wish = |n: usize| if targets[n] < beyond { 100 + targets[n] } else { targets[n] };
        let mut changes: Vec<Change> =
            (0..40).filter(|n| asked[*n]).map(|n| rename(lines[n] + 2, n, wish(n))).collect();
        let whole = {
            let moving: BTreeSet<usize> = (0..40).filter(|n| asked[*n]).collect();
            // If the owner of a target is not in the file, the system has to refuse it, not the plan.
            moving.iter().all(|n| wish(*n) >= 40 || moving.contains(&wish(*n)))
        };
        changes.sort_by_key(|change| change.line);
        let (units, errors) = plan(changes.clone());
        prop_assert_eq!(errors, 0);
        let planned: usize = units.iter().map(|unit| unit.lines().count()).sum();
        prop_assert_eq!(planned, changes.len(), "each line is in exactly one unit");
        if !whole {
            return Ok(());
        }
        let mut model = Model::new(40, refuses);
        let mut done = BTreeSet::new();
        for unit in &units {
            done.extend(carry_out(&mut model, unit));
        }
        let carries: HashMap<usize, &String> = model.holder.iter().map(|(id, n)| (*n, id)).collect();
        prop_assert_eq!(carries.len(), 40);
        for n in 0..40 {
            let expected = if done.contains(&n) { id(wish(n)) } else { id(n) };
            prop_assert_eq!(carries[&n].as_str(), expected.as_str(), "as wished or untouched");
        }
    }

    #[test]
    fn line_order_does_not_change_the_planned_units(
        targets in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let shapes = |changes: Vec<Change>| {
            let (units, _) = plan(changes);
            let mut shapes: Vec<(String, BTreeSet<String>)> = units
                .iter()
                .map(|unit| {
                    let ids = unit.members.iter().map(|member| ends(member).1).collect();
                    (format!("{:?}", unit.shape), ids)
                })
                .collect();
            shapes.sort();
            shapes
        };
        let forwards: Vec<Change> = (0..20).map(|n| rename(2 + u32::try_from(n).unwrap(), n, targets[n])).collect();
        let backwards: Vec<Change> =
            (0..20).map(|n| rename(40 - u32::try_from(n).unwrap(), n, targets[n])).collect();
        prop_assert_eq!(shapes(forwards), shapes(backwards));
    }
}

#[test]
fn contradiction_is_reported_for_each_line_involved() {
    let mut guarded = rename(9, 8, 80);
    guarded.customer = Some(CustomerId::new("C").unwrap());
    let mut other = rename(10, 9, 90);
    other.customer = Some(CustomerId::new("C").unwrap());
    let changes = vec![
        rename(2, 1, 10),
        rename(3, 1, 11),
        rename(4, 2, 20),
        rename(5, 3, 20),
        rename(6, 4, 5),
        Change {
            new_account: NewAccount::Keep,
            ..rename(7, 5, 5)
        },
        guarded,
        other,
    ];
    let arrangement = group(changes, true);
    let found: BTreeSet<(u32, &str)> = arrangement
        .problems
        .iter()
        .map(|p| (p.line, p.code))
        .collect();
    let expected = [
        (2, "two_new_ids"),
        (3, "two_new_ids"),
        (4, "duplicate_target"),
        (5, "duplicate_target"),
        (6, "target_stays"),
        (9, "two_accounts_one_customer"),
        (9, "two_new_ids"),
        (10, "two_accounts_one_customer"),
        (10, "two_new_ids"),
    ];
    assert_eq!(found, expected.into_iter().collect());
}

#[test]
fn a_line_that_needs_the_id_of_an_erroneous_line_is_refused_too() {
    let changes = vec![rename(2, 1, 2), rename(3, 2, 3), rename(4, 2, 4)];
    let arrangement = group(changes, true);
    assert!(arrangement.units.is_empty());
    assert!(
        arrangement
            .problems
            .iter()
            .any(|p| p.line == 2 && p.code == "needs_line")
    );
}

#[test]
fn chain_of_200000_lines_is_one_unit_that_starts_at_the_free_id() {
    let changes: Vec<Change> = (0..200_000)
        .map(|n| rename(2 + u32::try_from(n).unwrap(), n, n + 1))
        .collect();
    let arrangement = group(changes, true);
    assert_eq!(arrangement.units.len(), 1);
    assert_eq!(
        arrangement.units[0].members[0].first_line(),
        200_001,
        "the last one moves first"
    );
    assert_eq!(
        arrangement.counts,
        Counts {
            chains: 1,
            longest_chain: 200_000,
            ..Counts::default()
        }
    );
}

#[test]
fn without_unique_ids_each_line_is_its_own_unit() {
    let arrangement = group(vec![rename(2, 1, 2), rename(3, 2, 1)], false);
    assert!(
        arrangement
            .units
            .iter()
            .all(|unit| unit.shape == Shape::Single)
    );
    assert_eq!(arrangement.units.len(), 2);
}
