//! What a run changed in total: from the value before its first write to the value after its last write.

use super::{AccountId, CustomerId, Line, LocationId, Profile, Reseller, ServiceId, Transition};

/// What a run changed, or may have changed, of one customer's account ID or of one of its locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetChange {
    /// The lowest line with a write that counts for this customer.
    pub line: Line,
    /// The customer.
    pub customer: CustomerId,
    /// The reseller of the relationship; `None` where the system has no such relationships.
    pub reseller: Option<Reseller>,
    /// What was changed, from what to what.
    pub value: NetValue,
}

/// The account ID of a customer or the values of a location, before and after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetValue {
    /// The account ID.
    Account {
        /// Before the first write and after the last one.
        change: Transition<AccountId>,
        /// Whether the customer has a temporary ID now.
        temporary: bool,
    },
    /// A location. A value that was never written is `None` before and after.
    Location {
        /// Which location.
        location: LocationId,
        /// The service ID.
        service: Transition<ServiceId>,
        /// The profile.
        profile: Transition<Profile>,
    },
}

impl NetChange {
    /// Whether both are about one customer, in one relationship.
    pub fn is_of_same_customer(&self, other: &Self) -> bool {
        self.customer == other.customer && self.reseller == other.reseller
    }

    /// Returns the temporary ID with which the customer was left; `None`: it was left with none.
    pub fn temporary_id(&self) -> Option<&AccountId> {
        match &self.value {
            NetValue::Account {
                change,
                temporary: true,
            } => change.after.as_ref(),
            NetValue::Account { .. } | NetValue::Location { .. } => None,
        }
    }

    /// Whether the value after differs from the one before.
    pub fn differs(&self) -> bool {
        match &self.value {
            NetValue::Account { change, .. } => change.differs(),
            NetValue::Location {
                service, profile, ..
            } => service.differs() || profile.differs(),
        }
    }
}
