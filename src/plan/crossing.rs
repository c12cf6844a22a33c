//! Lines of one file that may name one customer in two ways: some by its account ID, others by the system's own ID.
//!
//! That they mean the same customer is not to be seen from the file. But as soon as the system has told the customer's
//! other ID, it is; and two lines that want different things of one customer are both refused, as they would be where
//! they named it alike.

use super::{Member, Unit};
use crate::domain::{AccountId, Change, CustomerId, Line, Reseller};
use std::collections::HashMap;

/// What lines want of the customers that they name by one ID alone.
#[derive(Debug, Default)]
pub struct Crossing {
    by_account: HashMap<(AccountId, Option<Reseller>), Vec<Wish>>,
    by_customer: HashMap<(CustomerId, Option<Reseller>), Vec<Wish>>,
}

#[derive(Debug)]
struct Wish {
    line: Line,
    renames: bool,
    places: bool,
    names_location: bool,
}

impl Wish {
    fn of(change: &Change) -> Self {
        Self {
            line: change.line,
            renames: change.new_account.asks(),
            places: change.asks_location(),
            names_location: change.location.is_some(),
        }
    }

    /// Whether both cannot be had. Lines that name the same location are known to belong together; two different ones
    /// do not get into each other's way.
    fn is_against(&self, other: &Self) -> bool {
        let both_named = self.names_location && other.names_location;
        (self.renames && other.renames) || (self.places && other.places && !both_named)
    }
}

impl Crossing {
    /// Takes a line in, unless it names its customer by both IDs.
    pub fn add(&mut self, change: Change) {
        let wish = Wish::of(&change);
        match (change.account, change.customer) {
            (Some(account), None) => {
                let wishes = self.by_account.entry((account, change.reseller));
                wishes.or_default().push(wish);
            }
            (None, Some(customer)) => {
                let wishes = self.by_customer.entry((customer, change.reseller));
                wishes.or_default().push(wish);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// The first line outside of the unit that names this member's customer by its other ID, and whose wish does not
    /// go with what the member's lines want.
    pub fn against(
        &self,
        unit: &Unit,
        member: &Member,
        customer: &CustomerId,
        account: Option<&AccountId>,
    ) -> Option<Line> {
        let others = member.changes.iter().flat_map(|change| {
            let reseller = || change.reseller.clone();
            let others = match (&change.account, &change.customer) {
                (Some(_), None) => self.by_customer.get(&(customer.clone(), reseller())),
                (None, Some(_)) => {
                    account.and_then(|account| self.by_account.get(&(account.clone(), reseller())))
                }
                (Some(_), Some(_)) | (None, None) => None,
            };
            let mine = Wish::of(change);
            let others = others.into_iter().flatten();
            others.filter(move |other| mine.is_against(other))
        });
        others
            .map(|other| other.line)
            .filter(|line| unit.lines().all(|own| own != *line))
            .min()
    }
}
