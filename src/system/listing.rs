//! All customers of a listing, indexed by account ID and by customer ID. For systems where a list is cheap and a search
//! is expensive or impossible.

use super::{Customer, Key, SystemError, Wanted};
use crate::domain::{AccountId, CustomerId, Failed};
use crate::moment::Moment;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::time::Duration;

/// How often a list is read at most, if customers are added or removed meanwhile.
pub(super) const SWEEPS: usize = 3;

/// Returns the error for a page without new customers in a list that says that it continues.
pub(super) fn endless() -> SystemError {
    SystemError::new(
        Failed::BadAnswer,
        "the list of customers does not end: a page had no new customer",
    )
}

/// Returns the error for an empty page in a list that says that it continues: a customer that is missing there may
/// still exist.
pub(super) fn cut_short(read: usize, total: Option<usize>) -> SystemError {
    let total = total.map_or_else(|| "more".to_owned(), |total| total.to_string());
    SystemError::new(
        Failed::BadAnswer,
        format!(
            "the list of customers is incomplete: it has {read} of {total}, so a customer that is missing in the list \
             may exist nevertheless"
        ),
    )
}

/// A listing, and when it was begun.
#[derive(Debug)]
pub(super) struct Listing {
    at: Moment,
    customers: Vec<Customer>,
    by_account: HashMap<AccountId, Vec<u32>, RandomState>,
    by_id: HashMap<CustomerId, u32, RandomState>,
    mixed: bool,
}

impl Listing {
    pub(super) fn begun_now() -> Self {
        Self {
            at: Moment::now(),
            customers: Vec::new(),
            by_account: HashMap::default(),
            by_id: HashMap::default(),
            mixed: false,
        }
    }

    /// Returns whether one customer was listed with two owners: then the later entry is not newer, but belongs to
    /// another relationship.
    pub(super) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// Adds a customer, or replaces its earlier entry: pages overlap when customers are added or removed meanwhile, and
    /// the later entry is the newer one.
    pub(super) fn add(&mut self, customer: Customer) {
        let Some(at) = self.by_id.get(&customer.id).copied() else {
            self.add_new(customer);
            return;
        };
        let Some(place) = self.customers.get_mut(at as usize) else {
            return;
        };
        let before = std::mem::replace(place, customer.clone());
        self.mixed |= before.owner != customer.owner;
        if before.account == customer.account {
            return;
        }
        let carriers = before.account.and_then(|old| self.by_account.get_mut(&old));
        if let Some(carriers) = carriers {
            carriers.retain(|carrier| *carrier != at);
        }
        if let Some(account) = customer.account {
            self.by_account.entry(account).or_default().push(at);
        }
    }

    fn add_new(&mut self, customer: Customer) {
        let Ok(at) = u32::try_from(self.customers.len()) else {
            return;
        };
        self.by_id.insert(customer.id.clone(), at);
        if let Some(account) = &customer.account {
            self.by_account.entry(account.clone()).or_default().push(at);
        }
        self.customers.push(customer);
    }

    pub(super) fn len(&self) -> usize {
        self.customers.len()
    }

    /// Returns when the listing was begun; no entry is older.
    pub(super) fn begun_at(&self) -> Moment {
        self.at
    }

    pub(super) fn is_fresh(&self, max_age: Duration) -> bool {
        self.at.elapsed() <= max_age
    }

    pub(super) fn customers(&self) -> impl Iterator<Item = &Customer> {
        self.customers.iter()
    }

    pub(super) fn account(&self, account: &AccountId) -> Vec<Customer> {
        self.by_account
            .get(account)
            .into_iter()
            .flatten()
            .filter_map(|at| self.customers.get(*at as usize))
            .cloned()
            .collect()
    }

    pub(super) fn find(&self, wanted: &Wanted) -> Vec<Customer> {
        match &wanted.key {
            Key::Account(account) => self.account(account),
            Key::Customer(id) => self
                .by_id
                .get(id)
                .and_then(|at| self.customers.get(*at as usize))
                .cloned()
                .into_iter()
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Locations;
    use super::*;

    fn customer(id: &str, account: &str) -> Customer {
        Customer {
            id: CustomerId::new(id).unwrap(),
            account: AccountId::new(account).ok(),
            locations: Locations::Untold,
            owner: None,
            contacts: None,
        }
    }

    fn by_id(listing: &Listing, id: &str) -> Vec<String> {
        let key = Key::Customer(CustomerId::new(id).unwrap());
        let found = listing.find(&Wanted {
            key,
            reseller: None,
        });
        found.iter().map(|found| found.id.to_string()).collect()
    }

    fn carriers(listing: &Listing, account: &str) -> Vec<String> {
        let found = listing.account(&AccountId::new(account).unwrap());
        found.iter().map(|found| found.id.to_string()).collect()
    }

    #[test]
    fn a_customer_that_is_listed_twice_is_still_found_under_its_own_id() {
        let mut listing = Listing::begun_now();
        for (id, account) in [("P1", "A"), ("P2", "B"), ("P1", "A"), ("P3", "C")] {
            listing.add(customer(id, account));
        }
        for id in ["P1", "P2", "P3"] {
            assert_eq!(by_id(&listing, id), [id]);
        }
        assert_eq!(carriers(&listing, "A"), ["P1"]);
    }

    #[test]
    fn last_entry_of_a_customer_in_the_listing_counts() {
        let mut listing = Listing::begun_now();
        for (id, account) in [("P1", "A"), ("P2", "B"), ("P1", "B"), ("P2", "")] {
            listing.add(customer(id, account));
        }
        assert_eq!(carriers(&listing, "A"), Vec::<String>::new());
        assert_eq!(carriers(&listing, "B"), ["P1"]);
        assert_eq!(by_id(&listing, "P2"), ["P2"]);
    }
}
