//! What a run left behind, folded from its writes: what `undo` puts back. (`verify` compares what the lines
//! themselves have noted, which covers those that needed no write.)
//!
//! One customer's account ID may have been written several times (parked and placed in a swap, rolled back,
//! repeated): what counts is the first value before and the last value after. A write without any known result
//! is judged by what the next write of the same thing found there.

use super::{
    Judgement, Ledger, LedgerError, LocationState, Seen, Verdict, Write, WriteRecord, judge,
};
use crate::domain::{AccountId, CustomerId, Line, LocationId, Reseller};
use std::collections::HashMap;
use std::iter::Peekable;
use std::vec;

/// A value before the run's first write and after its last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The customer's account ID.
    Account {
        /// Before the first write.
        before: Option<AccountId>,
        /// After the last write.
        after: Option<AccountId>,
        /// Whether `after` is the parking ID of a swap that was not completed.
        temporary: bool,
    },
    /// A location: a half that was never written is `None` in both.
    Location {
        /// Which location.
        location: LocationId,
        /// Before the first write.
        before: LocationState,
        /// After the last write.
        after: LocationState,
    },
}

impl Change {
    /// Whether the run left something other than what it found.
    pub fn is_change(&self) -> bool {
        match self {
            Self::Account { before, after, .. } => before != after,
            Self::Location { before, after, .. } => before != after,
        }
    }
}

/// What the run left of one customer's account ID or of one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalState {
    /// The unit, by its lowest line.
    pub unit: Line,
    /// The line of the last write that counts.
    pub line: Line,
    /// The lowest line with a write that counts.
    pub first_line: Line,
    /// The customer.
    pub customer: CustomerId,
    /// The reseller of the relationship that is meant, where the system has such a thing.
    pub reseller: Option<Reseller>,
    /// From what to what.
    pub change: Change,
    /// A last write after that, of which it is unknown if it took effect.
    pub in_doubt: Option<Write>,
}

impl Ledger {
    /// What the run left behind, unit by unit. Streams; eight bytes are kept for each write.
    pub fn final_states(&self) -> Result<FinalStates<'_>, LedgerError> {
        let mut places = self.places(|_, _| true)?;
        places.sort_unstable();
        Ok(FinalStates {
            ledger: self,
            places: places.into_iter().peekable(),
            ready: Vec::new().into_iter(),
        })
    }
}

/// What a run left behind, unit by unit.
#[derive(Debug)]
pub struct FinalStates<'a> {
    ledger: &'a Ledger,
    places: Peekable<vec::IntoIter<(Line, u32)>>,
    ready: vec::IntoIter<FinalState>,
}

impl FinalStates<'_> {
    fn unit(&mut self, unit: Line) -> Result<Vec<FinalState>, LedgerError> {
        let mut writes = Vec::new();
        while let Some((_, write)) = self.places.next_if(|(of, _)| *of == unit) {
            writes.push(self.ledger.write(write)?);
        }
        Ok(fold(writes))
    }
}

impl Iterator for FinalStates<'_> {
    type Item = Result<FinalState, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(state) = self.ready.next() {
                return Some(Ok(state));
            }
            let (unit, _) = *self.places.peek()?;
            match self.unit(unit) {
                Ok(states) => self.ready = states.into_iter(),
                Err(error) => {
                    // Nothing after an error: a damaged ledger is not read on.
                    self.places = Vec::new().into_iter().peekable();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// What is written: a customer's account ID (in a relationship) or a location.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Thing {
    customer: CustomerId,
    reseller: Option<Reseller>,
    location: Option<LocationId>,
}

/// The states that one unit's writes left, in the order of their first writes.
fn fold(writes: Vec<WriteRecord>) -> Vec<FinalState> {
    let mut places: HashMap<Thing, usize> = HashMap::new();
    let mut things: Vec<Vec<WriteRecord>> = Vec::new();
    for write in writes {
        let thing = Thing {
            customer: write.intent.customer.clone(),
            reseller: write.intent.reseller.clone(),
            location: match &write.intent.write {
                Write::Account { .. } => None,
                Write::Location { location, .. } => Some(location.clone()),
            },
        };
        let place = *places.entry(thing).or_insert(things.len());
        if place == things.len() {
            things.push(Vec::new());
        }
        things[place].push(write);
    }
    things
        .iter()
        .filter_map(|writes| fold_one(writes))
        .collect()
}

/// Folds the writes of one thing; `None` if none of them took effect or may have.
fn fold_one(writes: &[WriteRecord]) -> Option<FinalState> {
    let mut counting: Vec<&WriteRecord> = Vec::new();
    let mut open: Option<&WriteRecord> = None;
    for write in writes {
        if let Some(open) = open.take()
            && took_effect(open, write)
        {
            counting.push(open);
        }
        match write.verdict {
            Some(Verdict::Applied) => counting.push(write),
            Some(Verdict::NotApplied) => {}
            None | Some(Verdict::Unknown) => open = Some(write),
        }
    }
    let last = counting.last().copied().or(open)?;
    let change = if counting.is_empty() {
        untouched(&last.intent.write)
    } else {
        folded(&counting, last)
    };
    Some(FinalState {
        unit: last.intent.unit,
        line: open.unwrap_or(last).intent.line,
        first_line: counting
            .iter()
            .chain(&open)
            .map(|write| write.intent.line)
            .min()?,
        customer: last.intent.customer.clone(),
        reseller: last.intent.reseller.clone(),
        change,
        in_doubt: open.map(|open| open.intent.write.clone()),
    })
}

/// Before a write the thing is read: what the next one found tells what the one before it did.
fn took_effect(open: &WriteRecord, next: &WriteRecord) -> bool {
    let seen = match &next.intent.write {
        Write::Account { before, .. } => Seen::Account(before.as_ref()),
        Write::Location { before, .. } => Seen::Location(before),
    };
    matches!(
        judge(&open.intent.write, seen),
        Judgement::TookEffect | Judgement::Altered
    )
}

/// Nothing is known to have happened: as it was found.
fn untouched(write: &Write) -> Change {
    match write {
        Write::Account { before, .. } => Change::Account {
            before: before.clone(),
            after: before.clone(),
            temporary: false,
        },
        Write::Location {
            location,
            before,
            after,
        } => {
            let found = LocationState {
                service: after.service.as_ref().and(before.service.clone()),
                profile: after.profile.and(before.profile),
            };
            Change::Location {
                location: location.clone(),
                before: found.clone(),
                after: found,
            }
        }
    }
}

fn folded(counting: &[&WriteRecord], last: &WriteRecord) -> Change {
    match last.stored() {
        Write::Account {
            after, temporary, ..
        } => Change::Account {
            before: counting.first().and_then(|first| account_before(first)),
            after,
            temporary,
        },
        Write::Location { location, .. } => {
            let (mut first, mut now) = (LocationState::default(), LocationState::default());
            for write in counting {
                if let Write::Location { before, after, .. } = &write.stored() {
                    overlay(&mut first, &mut now, before, after);
                }
            }
            Change::Location {
                location,
                before: first,
                after: now,
            }
        }
    }
}

fn account_before(write: &WriteRecord) -> Option<AccountId> {
    match &write.intent.write {
        Write::Account { before, .. } => before.clone(),
        Write::Location { .. } => None,
    }
}

/// Each half on its own: the first write of it says what was there, the last one what is.
pub(super) fn overlay(
    first: &mut LocationState,
    now: &mut LocationState,
    before: &LocationState,
    after: &LocationState,
) {
    if after.service.is_some() {
        if now.service.is_none() {
            first.service.clone_from(&before.service);
        }
        now.service.clone_from(&after.service);
    }
    if after.profile.is_some() {
        if now.profile.is_none() {
            first.profile = before.profile;
        }
        now.profile = after.profile;
    }
}
