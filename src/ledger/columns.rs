//! The values of a row, in the order of its table's list of columns: written, read and guarded by a checksum in the same
//! way, whichever database keeps them.

use super::{LedgerError, RecordPlace};
use crate::domain::{IdError, Profile};
use std::borrow::Cow;

/// A value of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    None,
    Number(i64),
    Text(&'a str),
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<Profile> for Value<'_> {
    fn from(profile: Profile) -> Self {
        Self::Text(profile.as_str())
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl From<$number> for Value<'_> {
            fn from(number: $number) -> Self {
                Self::Number(i64::from(number))
            }
        })*
    };
}

numbers!(bool, u8, u16, u32, i64);

/// The text of an optional ID.
pub(super) fn text<T: AsRef<str>>(id: Option<&T>) -> Value<'_> {
    id.map(AsRef::as_ref).into()
}

/// A row that a database gives back.
pub(super) trait Row {
    /// The number in a column; `None`: there is no value.
    fn number(&self, at: usize) -> Result<Option<i64>, Fault>;

    /// The text in a column; `None`: there is no value.
    fn text(&self, at: usize) -> Result<Option<&str>, Fault>;

    /// The number of a column that always has one.
    fn required<T: TryFrom<i64>>(&self, at: usize) -> Result<T, Fault> {
        self.optional(at)?.ok_or(Fault::from("a number is missing"))
    }

    /// The number of a column, if it has one.
    fn optional<T: TryFrom<i64>>(&self, at: usize) -> Result<Option<T>, Fault> {
        let fits = |number| T::try_from(number).map_err(|_| Fault::from("a number is too large"));
        self.number(at)?.map(fits).transpose()
    }

    /// The text of a column that always has one.
    fn word(&self, at: usize) -> Result<&str, Fault> {
        self.text(at)?.ok_or(Fault::from("a text is missing"))
    }

    /// The ID in a column, if there is one.
    fn id<'r, T>(
        &'r self,
        at: usize,
        make: impl FnOnce(&'r str) -> Result<T, IdError>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.text(at)?.map(make).transpose()?)
    }

    /// The profile in a column, if there is one.
    fn profile(&self, at: usize) -> Result<Option<Profile>, Fault> {
        let known = |text| Profile::shown(text).ok_or(Fault::from("a profile in it is empty"));
        self.text(at)?.map(known).transpose()
    }
}

/// A value in a row that idshift does not write; the text says what is wrong.
#[derive(Debug)]
pub(super) struct Fault(pub(super) Cow<'static, str>);

impl From<&'static str> for Fault {
    fn from(what: &'static str) -> Self {
        Self(what.into())
    }
}

impl From<IdError> for Fault {
    fn from(_: IdError) -> Self {
        Self::from("an ID in it cannot be one")
    }
}

impl Fault {
    /// The error about the ledger at this place.
    pub(super) fn name(self, place: impl Into<RecordPlace>) -> LedgerError {
        LedgerError::damaged(place, self.0)
    }
}
