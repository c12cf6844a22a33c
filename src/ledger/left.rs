//! What a run left behind: for each customer and each location, from the first write's before to the last
//! write's after. A swap that was rolled back left nothing.

use super::rows::{WRITE_COLUMNS, recorded};
use super::{Ledger, LedgerError, Recorded, Spot, Write};
use crate::domain::{AccountId, CustomerId, Line, LocationId, Reseller};
use std::collections::BTreeMap;

/// What was left at one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The first line that wrote.
    pub line: Line,
    /// Whose.
    pub customer: CustomerId,
    /// In whose relationship.
    pub reseller: Option<Reseller>,
    /// The account ID before and after, where it was written.
    pub account: Option<(Option<AccountId>, Option<AccountId>)>,
    /// Whether the customer carries a parking ID.
    pub parked: bool,
    /// Locations, before and after, where they were written.
    pub locations: Vec<(LocationId, Spot, Spot)>,
}

impl Ledger {
    /// Everything that this run's writes (may) have changed, by the first line that did.
    ///
    /// A write in doubt counts: whoever puts things back reads first anyway.
    pub fn left(&self) -> Result<Vec<Left>, LedgerError> {
        let sql = format!(
            "SELECT {WRITE_COLUMNS} FROM write WHERE verdict IS NOT 'not_applied' ORDER BY id"
        );
        let mut all: BTreeMap<(CustomerId, Option<Reseller>), Left> = BTreeMap::new();
        for write in self.rows(&sql, &[], recorded)? {
            let intent = &write.intent;
            let key = (intent.customer.clone(), intent.reseller.clone());
            let left = all.entry(key).or_insert_with(|| Left {
                line: intent.line,
                customer: intent.customer.clone(),
                reseller: intent.reseller.clone(),
                account: None,
                parked: false,
                locations: Vec::new(),
            });
            left.fold(&write);
        }
        let mut left: Vec<Left> = all.into_values().filter(Left::is_something).collect();
        left.sort_by_key(|left| left.line);
        Ok(left)
    }
}

impl Left {
    fn fold(&mut self, write: &Recorded) {
        self.line = self.line.min(write.intent.line);
        match &write.intent.write {
            Write::Account {
                before,
                after,
                temporary,
            } => {
                let account = self.account.get_or_insert_with(|| (before.clone(), None));
                account.1.clone_from(after);
                self.parked = *temporary;
            }
            Write::Location {
                location,
                before,
                after,
            } => {
                let at = self
                    .locations
                    .iter()
                    .position(|(known, ..)| known == location);
                let at = at.unwrap_or_else(|| {
                    self.locations
                        .push((location.clone(), before.clone(), before.clone()));
                    self.locations.len() - 1
                });
                let spot = &mut self.locations[at].2;
                if after.service.is_some() {
                    spot.service.clone_from(&after.service);
                }
                spot.profile = after.profile.or(spot.profile);
            }
        }
    }

    fn is_something(&self) -> bool {
        self.account
            .as_ref()
            .is_some_and(|(before, after)| before != after)
            || self
                .locations
                .iter()
                .any(|(_, before, after)| before != after)
    }
}
