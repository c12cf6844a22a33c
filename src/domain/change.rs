//! What one line of the input asks for.

use super::{AccountId, CustomerId, Line, LocationId, ResellerId, ServiceId};
use std::fmt;

/// How Plume configures a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `HomePass`, the system's default.
    Auto,
    /// `WorkPass`.
    SmallBusiness,
}

impl Profile {
    /// The value as the API and the input file spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::SmallBusiness => "smallbusiness",
        }
    }

    /// Reads the spelling of the API; values are never case-folded.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "smallbusiness" => Some(Self::SmallBusiness),
            _ => None,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose relationship to the customer carries the identifier (`CloudCockpit`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reseller {
    /// The caller's own relationship; `own` in the file.
    Own,
    /// The relationship of this reseller.
    Id(ResellerId),
}

impl Reseller {
    /// The ID that is sent, or nothing for the caller's own relationship.
    pub fn id(&self) -> Option<&ResellerId> {
        match self {
            Self::Own => None,
            Self::Id(id) => Some(id),
        }
    }
}

impl fmt::Display for Reseller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id().map_or("own", ResellerId::as_str))
    }
}

/// What the account ID is to become.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NewAccount {
    /// It stays as it is.
    Keep,
    /// It becomes this one.
    Set(AccountId),
    /// It is removed (`CloudCockpit`, on request only).
    Clear,
}

impl NewAccount {
    /// The new ID, where there is one.
    pub fn id(&self) -> Option<&AccountId> {
        match self {
            Self::Set(id) => Some(id),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Whether anything is asked of the account ID.
    pub fn asks(&self) -> bool {
        !matches!(self, Self::Keep)
    }
}

/// What one input line asks for: a new account ID, a service ID and profile for a location, or both.
///
/// At least one of `account` and `customer` is set; the reader of the file sees to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The line that asks.
    pub line: Line,
    /// The current account ID, by which the customer is searched.
    pub account: Option<AccountId>,
    /// The system's own ID: alone an address, beside `account` a guard.
    pub customer: Option<CustomerId>,
    /// Whose relationship is meant; `None` where the system has no such thing.
    pub reseller: Option<Reseller>,
    /// What the account ID becomes.
    pub new_account: NewAccount,
    /// The location that `service` and `profile` are for; `None`: the customer's only one.
    pub location: Option<LocationId>,
    /// The new service ID; `None`: unchanged.
    pub service: Option<ServiceId>,
    /// The new profile; `None`: not sent.
    pub profile: Option<Profile>,
}

impl Change {
    /// Whether the line asks for something at a location.
    pub fn asks_location(&self) -> bool {
        self.service.is_some() || self.profile.is_some()
    }

    /// Whether the line asks for anything at all.
    ///
    /// A new account ID that equals the current one is a wish that is already fulfilled, not nothing.
    pub fn asks_anything(&self) -> bool {
        self.new_account.asks() || self.asks_location()
    }
}
