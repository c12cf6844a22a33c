//! What a system says of its customers, and by what they are looked for.

use crate::domain::{AccountId, CustomerId, LocationId, Profile, Reseller, ServiceId};
use smol_str::SmolStr;
use tokio::time::Instant;

/// A customer as the system told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The system's own ID.
    pub id: CustomerId,
    /// The account ID now; `None`: there is none.
    pub account: Option<AccountId>,
    /// The customer's locations, as far as they were told.
    pub locations: Locations,
    /// The partner or reseller the customer belongs to, where the system tells it.
    pub owner: Option<SmolStr>,
    /// How many people a write to this customer sends an e-mail to, where that happens.
    pub contacts: Option<u32>,
}

/// What is known of a customer's locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locations {
    /// Nothing was told.
    Untold,
    /// Only which ones there are.
    Ids(Vec<LocationId>),
    /// All of them, with their service IDs and profiles.
    Known(Vec<Location>),
}

/// A location as the system told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The system's ID of it.
    pub id: LocationId,
    /// The service ID; `None`: there is none.
    pub service: Option<ServiceId>,
    /// The profile; `None`: not told.
    pub profile: Option<Profile>,
}

/// By what a customer is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The account ID, to be matched exactly.
    Account(AccountId),
    /// The system's own ID.
    Customer(CustomerId),
}

impl Key {
    /// Whether this is the customer that is looked for.
    pub(super) fn fits(&self, customer: &Customer) -> bool {
        match self {
            Self::Account(account) => customer.account.as_ref() == Some(account),
            Self::Customer(id) => customer.id == *id,
        }
    }
}

/// One customer that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// By what.
    pub key: Key,
    /// The reseller of the relationship, where the system has such a thing.
    pub reseller: Option<Reseller>,
}

/// What a bulk look-up brought.
#[derive(Debug)]
pub enum Bulk {
    /// The customers found for each [`Wanted`], in its order, and how they were at that time.
    Found(Vec<Vec<Customer>>, Instant),
    /// Not to be had from this system with this token: look up one by one.
    Refused(String),
}
