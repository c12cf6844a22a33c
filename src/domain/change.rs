//! What one line of the input asks for.

use super::{AccountId, CustomerId, Line, LocationId, ResellerId, ServiceId};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How Plume configures a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `HomePass`, the system's default.
    Auto,
    /// `WorkPass`.
    SmallBusiness,
    /// A profile that the system returned and that this program does not know. It can be shown but not requested.
    Other(Unknown),
}

/// The name of a profile that this program does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unknown(&'static str);

/// The maximum number of different names that are kept, and the maximum length of each, in characters.
const UNKNOWN: (usize, usize) = (100, 64);

impl Unknown {
    /// Returns the name in printable characters; `None` if it has none. Each name is stored once for the whole process, so
    /// that a profile stays small and can be copied.
    fn named(text: &str) -> Option<Self> {
        static NAMES: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
        let printable = text.chars().filter(|c| !c.is_control());
        let name: String = printable.take(UNKNOWN.1).collect();
        if name.is_empty() {
            return None;
        }
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(name.as_str()) {
            return Some(Self(name));
        }
        if names.len() >= UNKNOWN.0 {
            return Some(Self("(one of too many)"));
        }
        let name = Box::leak(name.into_boxed_str());
        names.insert(name);
        Some(Self(name))
    }
}

impl Profile {
    /// The value as the API and the input file spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::SmallBusiness => "smallbusiness",
            Self::Other(Unknown(name)) => name,
        }
    }

    /// Returns the profile that a system sent, whether it is known or not; `None` if the text is empty.
    pub fn shown(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| Unknown::named(text).map(Self::Other))
    }

    /// Whether a line can request this profile.
    pub fn can_be_set(self) -> bool {
        match self {
            Self::Auto | Self::SmallBusiness => true,
            Self::Other(_) => false,
        }
    }

    /// Reads a profile that a line can request, as the API spells it; values are never case-folded.
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

/// The relationship to the customer that carries the identifier (`CloudCockpit`), named by its reseller.
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

/// The requested change of the account ID.
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

    /// Whether a change of the account ID is requested.
    pub fn asks(&self) -> bool {
        !matches!(self, Self::Keep)
    }
}

/// What one input line asks for: a new account ID, a service ID and profile for a location, or both.
///
/// The reader of the file ensures that at least one of `account` and `customer` is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The line that asks.
    pub line: Line,
    /// The current account ID, by which the customer is searched.
    pub account: Option<AccountId>,
    /// The system's own ID. Without `account` it identifies the customer; beside `account` it is a guard.
    pub customer: Option<CustomerId>,
    /// The reseller of the relationship; `None` where the system has no such relationships.
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
    /// A new account ID that equals the current one counts as a request, which is already fulfilled.
    pub fn asks_anything(&self) -> bool {
        self.new_account.asks() || self.asks_location()
    }
}
