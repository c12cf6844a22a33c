//! Customers as a system returns them, and the keys by which they are looked up.

use crate::domain::{AccountId, CustomerId, LocationId, Profile, Reseller, ServiceId};
use crate::moment::Moment;
use smol_str::SmolStr;

/// A customer as the system returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The system's own ID.
    pub id: CustomerId,
    /// The account ID now; `None`: there is none.
    pub account: Option<AccountId>,
    /// The customer's locations, as far as the answer contained them.
    pub locations: Locations,
    /// The partner or reseller to which the customer belongs, where the system returns it.
    pub owner: Option<SmolStr>,
    /// How many people get an e-mail after a write to this customer, where the system sends any.
    pub contacts: Option<u32>,
}

/// What is known of a customer's locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locations {
    /// The answer did not contain them.
    Untold,
    /// Only their IDs.
    Ids(Vec<LocationId>),
    /// All of them, with their service IDs and profiles.
    Known(Vec<Location>),
}

/// A location as the system returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The system's own ID.
    pub id: LocationId,
    /// The service ID; `None`: there is none.
    pub service: Option<ServiceId>,
    /// The profile; `None`: the answer did not contain it.
    pub profile: Option<Profile>,
}

/// The key by which a customer is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The account ID, to be matched exactly.
    Account(AccountId),
    /// The system's own ID.
    Customer(CustomerId),
}

impl Key {
    /// Returns whether the customer has this key.
    pub(super) fn fits(&self, customer: &Customer) -> bool {
        match self {
            Self::Account(account) => customer.account.as_ref() == Some(account),
            Self::Customer(id) => customer.id == *id,
        }
    }
}

/// One customer to look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Its key.
    pub key: Key,
    /// The reseller of the relationship, where the system has such a thing.
    pub reseller: Option<Reseller>,
}

/// The result of a bulk look-up.
#[derive(Debug)]
pub enum Bulk {
    /// The customers found for each [`Wanted`], in the same order, as they were at this time or later.
    Found(Vec<Vec<Customer>>, Moment),
    /// The system does not allow it with this token, for this reason: look customers up one by one.
    Refused(String),
}
