//! Folds writes into what they changed in total.
//!
//! One customer's account ID may have been written several times (parked and restored in a swap, rolled back,
//! repeated). The fold keeps the value before the first write and the value after the last one. A write without a known
//! result took effect if the next write of the same thing found its value. Without a next write, it counts as if it
//! took effect: `undo` reads before it writes anyway.

use super::{Intent, Judgement, Verdict, Write, WriteRecord, judge};
use crate::domain::{
    CustomerId, LocationId, NetChange, NetValue, Reseller, StoredValue, Transition,
};
use std::collections::HashMap;

/// Returns everything that these writes changed or may have changed, also values that are as before. `writes`: all
/// writes of some customers, in the order of noting. The result is sorted by the lowest line of each customer, the
/// account ID before the locations.
pub(super) fn fold<'w>(writes: impl IntoIterator<Item = &'w WriteRecord>) -> Vec<NetChange> {
    let mut places: HashMap<Thing, usize> = HashMap::new();
    let mut folds: Vec<Fold<'_>> = Vec::new();
    for write in writes {
        let place = *places.entry(thing(&write.intent)).or_insert(folds.len());
        if place == folds.len() {
            folds.push(Fold::new(&write.intent));
        }
        folds[place].add(write);
    }
    let mut changes: Vec<NetChange> = folds.into_iter().filter_map(Fold::finish).collect();
    let key = |net: &NetChange| {
        let is_location = matches!(net.value, NetValue::Location { .. });
        (net.customer.clone(), net.reseller.clone(), is_location)
    };
    changes.sort_by_cached_key(key);
    for of_customer in changes.chunk_by_mut(NetChange::is_of_same_customer) {
        let lowest = of_customer.iter().map(|net| net.line).min();
        for net in of_customer {
            net.line = lowest.unwrap_or(net.line);
        }
    }
    changes.sort_by_key(|net| net.line);
    changes
}

/// Folds the one write of a customer.
pub(super) fn fold_one(write: &WriteRecord) -> Option<NetChange> {
    let mut fold = Fold::new(&write.intent);
    fold.add(write);
    fold.finish()
}

/// What is written: a customer's account ID (in a relationship), or a location.
type Thing = (CustomerId, Option<Reseller>, Option<LocationId>);

fn thing(intent: &Intent) -> Thing {
    let location = match &intent.write {
        Write::Account { .. } => None,
        Write::Location { location, .. } => Some(location.clone()),
    };
    (intent.customer.clone(), intent.reseller.clone(), location)
}

/// The writes of one thing so far.
struct Fold<'w> {
    net: NetChange,
    /// Whether one of them took effect.
    is_changed: bool,
    /// The last one, if its result is unknown.
    open: Option<&'w WriteRecord>,
}

impl<'w> Fold<'w> {
    fn new(intent: &Intent) -> Self {
        let value = match &intent.write {
            Write::Account { .. } => NetValue::Account {
                change: Transition::default(),
                temporary: false,
            },
            Write::Location { location, .. } => NetValue::Location {
                location: location.clone(),
                service: Transition::default(),
                profile: Transition::default(),
            },
        };
        Self {
            net: NetChange {
                line: intent.line,
                customer: intent.customer.clone(),
                reseller: intent.reseller.clone(),
                value,
            },
            is_changed: false,
            open: None,
        }
    }

    fn add(&mut self, write: &'w WriteRecord) {
        if let Some(open) = self.open.take()
            && took_effect(open, write)
        {
            self.apply(open);
        }
        match write.verdict {
            Some(Verdict::Applied) => self.apply(write),
            Some(Verdict::NotApplied) => {}
            None | Some(Verdict::Unknown) => self.open = Some(write),
        }
    }

    fn apply(&mut self, record: &WriteRecord) {
        let line = record.intent.line;
        self.net.line = if self.is_changed {
            self.net.line.min(line)
        } else {
            line
        };
        match (&mut self.net.value, record.stored()) {
            (
                NetValue::Account { change, temporary },
                Write::Account {
                    before,
                    after,
                    temporary: is_temporary,
                },
            ) => {
                if !self.is_changed {
                    change.before = before;
                }
                (change.after, *temporary) = (after, is_temporary);
            }
            (
                NetValue::Location {
                    service, profile, ..
                },
                Write::Location { before, after, .. },
            ) => {
                advance(service, before.service, after.service);
                advance(profile, before.profile, after.profile);
            }
            // One thing has one kind of write.
            (NetValue::Account { .. } | NetValue::Location { .. }, _) => {}
        }
        self.is_changed = true;
    }

    /// `None`: none of the writes took effect or may have.
    fn finish(mut self) -> Option<NetChange> {
        if let Some(open) = self.open.take() {
            self.apply(open);
        }
        self.is_changed.then_some(self.net)
    }
}

/// Folds service ID or profile: the first write of it tells the value before, the last one the value after.
fn advance<T>(change: &mut Transition<T>, before: Option<T>, after: Option<T>) {
    if after.is_some() {
        if change.after.is_none() {
            change.before = before;
        }
        change.after = after;
    }
}

/// Whether a write without a known result took effect: the next write of the thing read its value before.
fn took_effect(open: &WriteRecord, next: &WriteRecord) -> bool {
    let seen = match &next.intent.write {
        Write::Account { before, .. } => StoredValue::Account(before.clone()),
        Write::Location { before, .. } => StoredValue::Location(before.clone()),
    };
    matches!(
        judge(&open.intent.write, &seen),
        Judgement::TookEffect | Judgement::Altered
    )
}
