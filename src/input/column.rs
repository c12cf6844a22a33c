//! The columns that count, under any of their spellings.

use std::str::FromStr;

/// A column that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// The current account ID.
    AccountId,
    /// What it becomes.
    NewAccountId,
    /// The system's own ID.
    CustomerId,
    /// Which location.
    LocationId,
    /// The new service ID.
    ServiceId,
    /// The new profile.
    Profile,
    /// Whose relationship.
    ResellerId,
}

impl Column {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::AccountId,
        Self::NewAccountId,
        Self::CustomerId,
        Self::LocationId,
        Self::ServiceId,
        Self::Profile,
        Self::ResellerId,
    ];

    /// The name in the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountId => "accountId",
            Self::NewAccountId => "newAccountId",
            Self::CustomerId => "customerId",
            Self::LocationId => "locationId",
            Self::ServiceId => "serviceId",
            Self::Profile => "profile",
            Self::ResellerId => "resellerId",
        }
    }

    /// The column of this name, without regard to case, `_`, `-` and spaces.
    pub fn parse(name: &str) -> Option<Self> {
        let folded = fold(name);
        Self::ALL
            .into_iter()
            .find(|column| fold(column.name()) == folded)
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::parse(name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|column| column.name()).collect();
            format!(
                "`{name}` is not a column that counts; they are {}",
                names.join(", ")
            )
        })
    }
}

/// A header's name without what does not count in it.
pub(super) fn fold(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-') && !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect()
}
