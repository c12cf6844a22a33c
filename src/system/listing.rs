//! All customers of a listing, found by account ID or by customer ID; for systems that list cheaply and
//! search dearly or not at all.

use super::{Customer, Key, Trouble, Wanted};
use crate::domain::{AccountId, CustomerId, Failed};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// A page that brings nobody new, with more said to follow.
pub(super) fn endless() -> Trouble {
    Trouble::new(
        Failed::BadAnswer,
        "the list of customers does not come to an end: a page brought nobody new",
    )
}

/// A listing, and when it was begun.
#[derive(Debug)]
pub(super) struct Listing {
    at: Instant,
    customers: Vec<Customer>,
    by_account: HashMap<AccountId, Vec<u32>, RandomState>,
    by_id: HashMap<CustomerId, u32, RandomState>,
}

impl Listing {
    pub(super) fn begun_now() -> Self {
        Self {
            at: Instant::now(),
            customers: Vec::new(),
            by_account: HashMap::default(),
            by_id: HashMap::default(),
        }
    }

    /// Adds a customer, unless it is there: pages may overlap when customers are added meanwhile.
    pub(super) fn add(&mut self, customer: Customer) {
        let Ok(at) = u32::try_from(self.customers.len()) else {
            return;
        };
        if self.by_id.insert(customer.id.clone(), at).is_some() {
            return;
        }
        if let Some(account) = &customer.account {
            self.by_account.entry(account.clone()).or_default().push(at);
        }
        self.customers.push(customer);
    }

    pub(super) fn len(&self) -> usize {
        self.customers.len()
    }

    pub(super) fn is_fresh(&self, max_age: Duration) -> bool {
        self.at.elapsed() <= max_age
    }

    pub(super) fn first_with_account(&self) -> Option<&Customer> {
        self.customers
            .iter()
            .find(|customer| customer.account.is_some())
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
