//! The columns that idshift understands, and the spellings of their names.
//!
//! Must not look at values.

use std::fmt;
use std::str::FromStr;

/// A column that idshift understands; all others are carried through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// The current account ID.
    AccountId,
    /// What the account ID becomes.
    NewAccountId,
    /// The system's own ID of the customer.
    CustomerId,
    /// The location that service ID and profile are for.
    LocationId,
    /// The new service ID.
    ServiceId,
    /// The new profile.
    Profile,
    /// The reseller of the relationship that carries the account ID.
    ResellerId,
}

impl Column {
    /// All columns, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::AccountId,
        Self::NewAccountId,
        Self::CustomerId,
        Self::LocationId,
        Self::ServiceId,
        Self::Profile,
        Self::ResellerId,
    ];

    /// The columns that hold IDs, except the reseller's. They are the first ones of [`Self::ALL`].
    pub(super) const SURVEYED: [Self; 5] = [
        Self::AccountId,
        Self::NewAccountId,
        Self::CustomerId,
        Self::LocationId,
        Self::ServiceId,
    ];

    /// Returns the name that the documentation uses: `accountId`.
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

    /// Returns the column of this name, ignoring case, `_`, `-` and white space.
    pub fn parse(name: &str) -> Option<Self> {
        // The names are ASCII, so no allocation is needed; this matters because cells are compared, too.
        let is_it = |column: &Self| {
            let known = column.name().chars().map(|c| c.to_ascii_lowercase());
            known.eq(normal(name))
        };
        Self::ALL.into_iter().find(is_it)
    }

    /// Returns the index of the column in arrays that have one entry for each.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Column {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::parse(name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{name}` is not a known column; the known columns are {names}")
        })
    }
}

/// Returns a header name in lower case, without white space, `_` and `-`.
pub(super) fn normalise(name: &str) -> String {
    normal(name).collect()
}

fn normal(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_under_any_of_its_spellings() {
        for name in [
            "accountId",
            "account_id",
            "ACCOUNT-ID",
            " Account ID ",
            "accountid",
        ] {
            assert_eq!(Column::parse(name), Some(Column::AccountId), "{name}");
        }
        assert_eq!(Column::parse("New Account_ID"), Some(Column::NewAccountId));
        assert_eq!(Column::parse("account"), None);
        for (place, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column.index(), place);
        }
    }
}
