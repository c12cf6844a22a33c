//! What a system stores of a customer or a location, as far as this program changes it.

use super::{AccountId, Profile, ServiceId};

/// A location's service ID and profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocationState {
    /// The service ID; as `after` of a write, `None` means: not sent, stays as it is.
    pub service: Option<ServiceId>,
    /// The profile; as `after` of a write, `None` means: not sent, stays as it is; after a read: the system did not show it.
    pub profile: Option<Profile>,
}

/// The account ID of a customer, or the values of a location: as a read-back or the answer to a write shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredValue {
    /// The account ID; `None`: the customer has none.
    Account(Option<AccountId>),
    /// Service ID and profile.
    Location(LocationState),
}
