//! What a run changed in total, customer by customer: what `undo` restores. (`verify` compares what the lines themselves
//! have recorded, which covers those that needed no write.)
//!
//! Memory: 16 bytes for each write, and the text of some hundred writes at a time.

use super::store::WritesOf;
use super::write_columns::WriteSketch;
use super::write_fold::{fold, fold_one};
use super::{Ledger, LedgerError, LineSet, Verdict, WriteId, WriteRecord};
use crate::domain::{Line, NetChange, NetValue};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::iter::{Skip, StepBy};

/// Minimum number of writes that are folded together; a batch holds all writes of some customers.
const BATCH: usize = if cfg!(test) { 4 } else { 500 };

/// One write of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// While the order is made: a hash of the customer and the relationship. In a finished order: the customer's lowest
    /// line with a write that counts.
    group: u64,
    /// The number of the write.
    write: u32,
    /// Its line; [`Line::MAX`]: it did not take effect.
    line: Line,
}

/// The writes of a run, grouped by customer, in the order of each customer's lowest line.
#[derive(Debug, Default)]
pub struct WriteOrder {
    places: Vec<Place>,
    /// The numbers of the writes that renamed, or may have renamed, their customer from one account ID to another,
    /// judged by each write alone.
    renames: LineSet,
}

impl WriteOrder {
    /// Returns the number of customers with one such rename and no other write, which need only be counted, and the
    /// order of all other writes, which have to be folded.
    pub fn renamed_once(&self) -> (u64, Self) {
        let (mut renamed, mut others) = (0, Vec::new());
        for of_line in self.places.chunk_by(|a, b| a.group == b.group) {
            match of_line {
                [one] if self.renames.contains(one.write) => renamed += 1,
                several => others.extend_from_slice(several),
            }
        }
        let others = Self {
            places: others,
            renames: LineSet::default(),
        };
        (renamed, others)
    }
}

/// Whether this write, as its customer's only one, renames the customer. A write is not counted here, but folded, if
/// the system stored another value.
fn renames(write: &WriteSketch<'_>) -> bool {
    let took_effect = write.verdict != Some(Verdict::NotApplied);
    let before = write
        .before
        .filter(|_| took_effect && !write.is_altered && !write.is_temporary);
    before.is_some() && write.after.is_some() && before != write.after
}

impl Ledger {
    /// Everything that these writes of this run changed or may have changed.
    pub fn net_changes_in<'a>(&'a self, order: &'a WriteOrder) -> NetChanges<'a> {
        self.part_of_net_changes_in(order, 0, 1)
    }

    /// The batches `part`, `part + parts`, … of [`Ledger::net_changes_in`], counted from 0, so that several threads can
    /// read them at the same time.
    pub fn part_of_net_changes_in<'a>(
        &'a self,
        order: &'a WriteOrder,
        part: usize,
        parts: usize,
    ) -> NetChanges<'a> {
        NetChanges {
            ledger: self,
            batches: Some(Batches(&order.places).skip(part).step_by(parts)),
        }
    }

    /// Orders the writes of the wanted customers, for [`Ledger::net_changes_in`].
    pub fn write_order(&self, wanted: impl Fn(&str) -> bool) -> Result<WriteOrder, LedgerError> {
        let (mut places, open, renames) = self.places_by_customer(wanted)?;
        places.sort_unstable();
        for of_customer in places.chunk_by_mut(|a, b| a.group == b.group) {
            let mut lowest = of_customer.iter().map(|place| place.line).min();
            if of_customer.len() > 1 && of_customer.iter().any(|place| open.contains(place.write)) {
                // Only the values show which of the writes took effect.
                let changes = fold(&self.writes_at(of_customer)?);
                lowest = changes.iter().map(|net| net.line).min().or(lowest);
            }
            for place in of_customer {
                place.group = u64::from(lowest.unwrap_or(place.line));
            }
        }
        // A customer for whom no write took effect has not changed. All such customers are in one group, so they would be
        // read in one batch.
        places.retain(|place| place.group != u64::from(Line::MAX));
        places.sort_unstable();
        Ok(WriteOrder { places, renames })
    }

    /// Orders the writes of the customers with a write at a location, for [`Ledger::net_changes_in`].
    pub fn write_order_at_locations(&self) -> Result<WriteOrder, LedgerError> {
        self.write_order_with(WritesOf::Locations)
    }

    /// Orders the writes of the customers with a write of this kind.
    fn write_order_with(&self, which: WritesOf) -> Result<WriteOrder, LedgerError> {
        let hasher = RandomState::new();
        let mut customers = HashSet::new();
        self.store().each_write(which, &mut |write| {
            customers.insert(hasher.hash_one(write.customer));
            Ok(())
        })?;
        if customers.is_empty() {
            return Ok(WriteOrder::default());
        }
        self.write_order(|customer| customers.contains(&hasher.hash_one(customer)))
    }

    /// Returns the temporary IDs with which the run left customers, or may have, as its own record shows.
    pub fn temporary_ids_left(&self) -> Result<HashSet<String>, LedgerError> {
        let order = self.write_order_with(WritesOf::Temporary)?;
        let mut left = HashSet::new();
        for changes in self.net_changes_in(&order) {
            let changes = changes?;
            let ids = changes.iter().filter_map(NetChange::temporary_id);
            left.extend(ids.map(ToString::to_string));
        }
        Ok(left)
    }

    /// Returns the number of customers that had a temporary ID of the run and now have another account ID than before the run:
    /// one for each swap or longer cycle that is in place.
    pub fn swaps_in_place(&self) -> Result<u64, LedgerError> {
        let order = self.write_order_with(WritesOf::Temporary)?;
        let mut swaps = 0;
        for changes in self.net_changes_in(&order) {
            let changes = changes?;
            let values = changes.iter().map(|net| &net.value);
            let accounts = values.filter(|value| matches!(value, NetValue::Account { .. }));
            swaps += accounts.count() as u64;
        }
        Ok(swaps)
    }

    /// The writes of the wanted customers, the numbers of those without a known result, and those that rename.
    fn places_by_customer(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Vec<Place>, LineSet, LineSet), LedgerError> {
        let hasher = RandomState::new();
        let (mut places, mut open, mut renaming) =
            (Vec::new(), LineSet::default(), LineSet::default());
        self.store().each_write(WritesOf::All, &mut |write| {
            if !wanted(write.customer) {
                return Ok(());
            }
            if matches!(write.verdict, None | Some(Verdict::Unknown)) {
                open.insert(write.id);
            }
            if renames(&write) {
                renaming.insert(write.id);
            }
            places.push(Place {
                group: hasher.hash_one((write.customer, write.reseller)),
                write: write.id,
                line: match write.verdict {
                    Some(Verdict::NotApplied) => Line::MAX,
                    None | Some(Verdict::Applied | Verdict::Unknown) => write.line,
                },
            });
            Ok(())
        })?;
        Ok((places, open, renaming))
    }

    /// These writes, in the order of noting.
    fn writes_at(&self, places: &[Place]) -> Result<Vec<WriteRecord>, LedgerError> {
        let mut numbers: Vec<u32> = places.iter().map(|place| place.write).collect();
        numbers.sort_unstable();
        self.store().numbered(&numbers)
    }
}

/// The places of writes in batches, each with all places of some customers.
#[derive(Debug)]
struct Batches<'a>(&'a [Place]);

impl<'a> Iterator for Batches<'a> {
    type Item = &'a [Place];

    fn next(&mut self) -> Option<Self::Item> {
        let mut taken = 0;
        for of_line in self.0.chunk_by(|a, b| a.group == b.group) {
            taken += of_line.len();
            if taken >= BATCH {
                break;
            }
        }
        let (batch, rest) = self.0.split_at(taken);
        self.0 = rest;
        (!batch.is_empty()).then_some(batch)
    }
}

/// What a run changed, customer by customer, in the order of their lowest lines; the account ID comes before the
/// locations. A swap that was rolled back changed nothing. Each item is a batch: all changes of some customers, or none if
/// the writes of a batch changed nothing. After an error, nothing more is read: the ledger is damaged.
#[derive(Debug)]
pub struct NetChanges<'a> {
    ledger: &'a Ledger,
    batches: Option<StepBy<Skip<Batches<'a>>>>,
}

impl Iterator for NetChanges<'_> {
    type Item = Result<Vec<NetChange>, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let places = self.batches.as_mut()?.next()?;
        let writes = self.ledger.writes_at(places);
        if writes.is_err() {
            self.batches = None;
        }
        Some(writes.map(|writes| of_places(places, &writes)))
    }
}

/// What these writes changed, in the order of their places. `writes`: in the order of their numbers.
fn of_places(places: &[Place], writes: &[WriteRecord]) -> Vec<NetChange> {
    let of_number = |number: &u32| {
        let number = WriteId(i64::from(*number));
        let at = writes.binary_search_by_key(&number, |write| write.id);
        at.ok().map(|at| &writes[at])
    };
    let mut batch = Vec::with_capacity(places.len());
    for of_line in places.chunk_by(|a, b| a.group == b.group) {
        // Most customers are written to once.
        if let [one] = of_line {
            batch.extend(of_number(&one.write).and_then(fold_one));
            continue;
        }
        let mut of_line: Vec<u32> = of_line.iter().map(|place| place.write).collect();
        of_line.sort_unstable();
        batch.extend(fold(of_line.iter().filter_map(of_number)));
    }
    batch.retain(NetChange::differs);
    batch
}
