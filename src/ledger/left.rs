//! What a run left behind, customer by customer: what `undo` puts back.
//!
//! The same fold as for [`super::final_state::FinalState`], with one difference: a write of which it is unknown
//! if it took effect counts, because `undo` reads before it writes anyway.

use super::final_state::{Change, FinalState};
use super::{Ledger, LedgerError, LocationState, Write};
use crate::domain::{AccountId, CustomerId, Line, LocationId, Reseller};
use std::collections::HashMap;

/// What was left at one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The first line that wrote.
    pub line: Line,
    /// The customer.
    pub customer: CustomerId,
    /// The reseller of the relationship.
    pub reseller: Option<Reseller>,
    /// The account ID before and after, where it was written.
    pub account: Option<(Option<AccountId>, Option<AccountId>)>,
    /// Whether the customer carries a parking ID.
    pub parked: bool,
    /// Locations, before and after, where they were written; a half that was not is `None` in both.
    pub locations: Vec<(LocationId, LocationState, LocationState)>,
}

impl Ledger {
    /// Everything that this run's writes (may) have changed, by the first line that did. A swap that was
    /// rolled back left nothing.
    pub fn left(&self) -> Result<Vec<Left>, LedgerError> {
        let mut places: HashMap<(CustomerId, Option<Reseller>), usize> = HashMap::new();
        let mut all: Vec<Left> = Vec::new();
        for state in self.final_states()? {
            let state = state?;
            let key = (state.customer.clone(), state.reseller.clone());
            let place = *places.entry(key).or_insert(all.len());
            if place == all.len() {
                all.push(Left {
                    line: state.line,
                    customer: state.customer.clone(),
                    reseller: state.reseller.clone(),
                    account: None,
                    parked: false,
                    locations: Vec::new(),
                });
            }
            all[place].take(state);
        }
        all.retain(|left| left.account.is_some() || !left.locations.is_empty());
        all.sort_by_key(|left| left.line);
        Ok(all)
    }
}

impl Left {
    fn take(&mut self, state: FinalState) {
        self.line = self.line.min(state.first_line);
        let state = state.if_it_took_effect();
        if !state.change.is_change() {
            return;
        }
        match state.change {
            Change::Account {
                before,
                after,
                temporary,
            } => {
                self.account = Some((before, after));
                self.parked = temporary;
            }
            Change::Location {
                location,
                before,
                after,
            } => self.locations.push((location, before, after)),
        }
    }
}

impl FinalState {
    /// The same, if the write in doubt took effect.
    fn if_it_took_effect(mut self) -> Self {
        match (&mut self.change, self.in_doubt.take()) {
            (
                Change::Account {
                    after, temporary, ..
                },
                Some(Write::Account {
                    after: written,
                    temporary: parked,
                    ..
                }),
            ) => {
                *after = written;
                *temporary = parked;
            }
            (
                Change::Location { before, after, .. },
                Some(Write::Location {
                    before: found,
                    after: written,
                    ..
                }),
            ) => super::final_state::overlay(before, after, &found, &written),
            // One thing has one kind of write: there is no other pair but that without a doubt.
            (Change::Account { .. } | Change::Location { .. }, _) => {}
        }
        self
    }
}
