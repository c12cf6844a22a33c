//! Compares what a run changed with a simple model that holds all of its writes in memory.

use super::*;
use crate::domain::{NetChange, NetValue, Reseller, ResellerId, StoredValue};
use crate::ledger::commit::{Entry, Item};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};

type Recorded = (Intent, Option<WriteVerdict>);

fn any_write() -> impl Strategy<Value = Write> {
    let id = || (0..4_usize).prop_map(|n| account(["", "1", "2", "tmp"][n]));
    let profile = || {
        proptest::option::of(
            Just(Profile::Auto)
                .boxed()
                .prop_union(Just(Profile::SmallBusiness).boxed()),
        )
    };
    let state = move || {
        let service = (0..3_usize).prop_map(|n| ["", "s0", "s1"][n]);
        (service, profile()).prop_map(|(service, profile)| spot(service, profile))
    };
    let of_account =
        (id(), id(), any::<bool>()).prop_map(|(before, after, temporary)| Write::Account {
            before,
            after,
            temporary,
        });
    let of_location = (0..2_u8, state(), state()).prop_map(|(n, before, after)| Write::Location {
        location: LocationId::new(format!("l{n}")).unwrap(),
        before,
        after,
    });
    prop_oneof![of_account, of_location]
}

fn any_recorded() -> impl Strategy<Value = Recorded> {
    let who = (0..5_u8, 0..3_u8, 2..12_u32);
    (who, any_write(), 0..5_u8).prop_map(|((customer, reseller, line), write, verdict)| {
        let intent = Intent {
            reseller: match reseller {
                0 => None,
                1 => Some(Reseller::Own),
                _ => Some(Reseller::Id(ResellerId::new("r-1").unwrap())),
            },
            ..intent(line, line, &format!("c{customer}"), write)
        };
        let effect = match &intent.write {
            Write::Account { .. } => StoredValue::Account(account("X")),
            Write::Location { .. } => StoredValue::Location(spot("S", None)),
        };
        let known = |verdict, effect| WriteVerdict {
            verdict,
            effect,
            http_status: Some(200),
        };
        let verdict = match verdict {
            0 => None,
            1 => Some(known(Verdict::Unknown, None)),
            2 => Some(known(Verdict::NotApplied, None)),
            3 => Some(known(Verdict::Applied, Some(effect))),
            _ => Some(known(Verdict::Applied, None)),
        };
        (intent, verdict)
    })
}

fn location_of(write: &WriteRecord) -> Option<LocationId> {
    match &write.intent.write {
        Write::Account { .. } => None,
        Write::Location { location, .. } => Some(location.clone()),
    }
}

/// Whether a write took effect, where `next` is the next one of the same thing.
fn counts(write: &WriteRecord, next: Option<&WriteRecord>) -> bool {
    match (write.verdict, next.map(|next| &next.intent.write)) {
        (Some(Verdict::NotApplied), _) => false,
        (Some(Verdict::Applied), _) | (None | Some(Verdict::Unknown), None) => true,
        (None | Some(Verdict::Unknown), Some(next)) => {
            let seen = match next {
                Write::Account { before, .. } => StoredValue::Account(before.clone()),
                Write::Location { before, .. } => StoredValue::Location(before.clone()),
            };
            let judged = judge(&write.intent.write, &seen);
            judged == Judgement::TookEffect || judged == Judgement::Altered
        }
    }
}

fn value(effective: &[&WriteRecord]) -> NetValue {
    let stored: Vec<Write> = effective.iter().map(|write| write.stored()).collect();
    let (first, last) = (&stored[0], &stored[stored.len() - 1]);
    if let (
        Write::Account { before, .. },
        Write::Account {
            after, temporary, ..
        },
    ) = (first, last)
    {
        let change = Transition {
            before: before.clone(),
            after: after.clone(),
        };
        return NetValue::Account {
            change,
            temporary: *temporary,
        };
    }
    let states: Vec<(LocationState, LocationState)> = stored
        .iter()
        .filter_map(|write| match write {
            Write::Location { before, after, .. } => Some((before.clone(), after.clone())),
            Write::Account { .. } => None,
        })
        .collect();
    let services = || states.iter().filter(|(_, after)| after.service.is_some());
    let profiles = || states.iter().filter(|(_, after)| after.profile.is_some());
    NetValue::Location {
        location: location_of(effective[0]).unwrap(),
        service: Transition {
            before: services()
                .next()
                .and_then(|(before, _)| before.service.clone()),
            after: services()
                .next_back()
                .and_then(|(_, after)| after.service.clone()),
        },
        profile: Transition {
            before: profiles().next().and_then(|(before, _)| before.profile),
            after: profiles().next_back().and_then(|(_, after)| after.profile),
        },
    }
}

/// Folds all writes in memory: first by customer and thing, then by the lowest line of each customer.
fn model(writes: &[WriteRecord]) -> Vec<NetChange> {
    let whose =
        |write: &WriteRecord| (write.intent.customer.clone(), write.intent.reseller.clone());
    let customers: BTreeSet<_> = writes.iter().map(whose).collect();
    let mut changes = Vec::new();
    for (customer, reseller) in customers {
        let mine: Vec<&WriteRecord> = writes
            .iter()
            .filter(|write| whose(write) == (customer.clone(), reseller.clone()))
            .collect();
        let mut things: Vec<Option<LocationId>> = Vec::new();
        for write in &mine {
            if !things.contains(&location_of(write)) {
                things.push(location_of(write));
            }
        }
        // The account ID first, the locations as they were written first.
        things.sort_by_key(Option::is_some);
        let mut lowest = Line::MAX;
        let mut values = Vec::new();
        for thing in things {
            let of_thing: Vec<&WriteRecord> = mine
                .iter()
                .copied()
                .filter(|write| location_of(write) == thing)
                .collect();
            let with_next = of_thing.iter().zip(1..);
            let effective: Vec<&WriteRecord> = with_next
                .filter(|(write, next)| counts(write, of_thing.get(*next).copied()))
                .map(|(write, _)| *write)
                .collect();
            if effective.is_empty() {
                continue;
            }
            lowest = effective
                .iter()
                .map(|write| write.intent.line)
                .fold(lowest, Line::min);
            values.push(value(&effective));
        }
        changes.extend(values.into_iter().map(|value| NetChange {
            line: lowest,
            customer: customer.clone(),
            reseller: reseller.clone(),
            value,
        }));
    }
    changes.retain(NetChange::differs);
    changes.sort_by_key(|net| net.line);
    changes
}

/// Records the writes in one commit.
fn record(ledger: &Ledger, recorded: Vec<Recorded>) {
    let mut group = Vec::new();
    for ((intent, verdict), number) in recorded.into_iter().zip(1..) {
        group.push(Entry::Intend(Box::new(intent)));
        group.extend(verdict.map(|verdict| Entry::Verdict(WriteId(number), verdict)));
    }
    let of_no_chunk = |entry| Item { chunk: None, entry };
    let group: Vec<Item> = group.into_iter().map(of_no_chunk).collect();
    let session = Session {
        epoch: 1,
        writing: true,
    };
    ledger
        .store()
        .join(session)
        .unwrap()
        .commit(&group)
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn net_changes_per_customer_equal_those_of_all_writes(
        recorded in proptest::collection::vec(any_recorded(), 0..40),
    ) {
        let (_base, _dir, ledger) = fresh();
        record(&ledger, recorded);
        let writes: Vec<WriteRecord> = ledger.writes().map(Result::unwrap).collect();
        let model = model(&writes);
        let order = ledger.write_order(|_| true).unwrap();
        let batches: Vec<Vec<NetChange>> = ledger.net_changes_in(&order).map(Result::unwrap).collect();
        let parts = [0, 1, 2].map(|part| -> Vec<_> {
            ledger.part_of_net_changes_in(&order, part, 3).map(Result::unwrap).collect()
        });
        let in_turns = (0..batches.len()).map(|n| parts[n % 3][n / 3].clone());
        prop_assert_eq!(&in_turns.collect::<Vec<_>>(), &batches);
        prop_assert_eq!(parts.map(|part| part.len()).iter().sum::<usize>(), batches.len());
        let mut customers = HashSet::new();
        for of_customer in batches.iter().flat_map(|batch| batch.chunk_by(NetChange::is_of_same_customer)) {
            let is_new = customers.insert((of_customer[0].customer.clone(), of_customer[0].reseller.clone()));
            prop_assert!(is_new, "the changes of a customer are apart: {:?}", batches);
        }
        let temporary = model.iter().filter_map(NetChange::temporary_id).map(ToString::to_string);
        prop_assert_eq!(ledger.temporary_ids_left().unwrap(), temporary.collect());
        let order = ledger.write_order(|customer| customer == "c1").unwrap();
        let of_one: Vec<NetChange> = ledger.net_changes_in(&order).flat_map(Result::unwrap).collect();
        let wanted = model.iter().filter(|net| net.customer.as_str() == "c1");
        prop_assert_eq!(of_one, wanted.cloned().collect::<Vec<_>>());
        let is_location = |net: &&NetChange| matches!(net.value, NetValue::Location { .. });
        let order = ledger.write_order_at_locations().unwrap();
        let found: Vec<NetChange> = ledger.net_changes_in(&order).flat_map(Result::unwrap).collect();
        let at_locations = |all: &[NetChange]| all.iter().filter(is_location).cloned().collect::<Vec<_>>();
        prop_assert_eq!(at_locations(&found), at_locations(&model));
        prop_assert_eq!(batches.concat(), model);
    }

    /// Counted without being folded, and read without the columns that are not asked for.
    #[test]
    fn partial_reads_equal_the_result_of_all_writes(
        recorded in proptest::collection::vec(any_recorded(), 0..40),
    ) {
        let (_base, _dir, ledger) = fresh();
        record(&ledger, recorded);
        let order = ledger.write_order(|_| true).unwrap();
        let (renamed, others) = order.renamed_once();
        let read = |order| -> Vec<Vec<NetChange>> {
            let changes: Vec<NetChange> = ledger.net_changes_in(order).flat_map(Result::unwrap).collect();
            changes.chunk_by(NetChange::is_of_same_customer).map(<[NetChange]>::to_vec).collect()
        };
        let (all, folded) = (read(&order), read(&others));
        let (left, counted): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| folded.contains(one));
        prop_assert_eq!(&left, &folded);
        prop_assert_eq!(counted.len() as u64, renamed);
        for changes in counted {
            let is_rename = |net: &NetChange| matches!(
                &net.value,
                NetValue::Account { change, temporary: false } if change.before.is_some() && change.after.is_some()
            );
            prop_assert!(changes.len() == 1 && is_rename(&changes[0]), "{changes:?}");
        }
        let mut moved = Vec::new();
        let own = |text: Option<&str>| text.map(str::to_owned);
        ledger.each_account_moved(|before, after, reseller| moved.push([own(before), own(after), own(reseller)])).unwrap();
        let writes = ledger.writes().map(Result::unwrap);
        let expected = writes.filter(|write| write.verdict != Some(Verdict::NotApplied)).filter_map(|write| {
            let reseller = write.intent.reseller.map(|reseller| match reseller {
                Reseller::Own => "own".to_owned(),
                Reseller::Id(id) => id.as_str().to_owned(),
            });
            match write.intent.write {
                Write::Account { before, after, .. } => {
                    Some([before.map(|id| id.to_string()), after.map(|id| id.to_string()), reseller])
                }
                Write::Location { .. } => None,
            }
        });
        prop_assert_eq!(moved, expected.collect::<Vec<_>>());
    }
}
