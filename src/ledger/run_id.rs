//! The name of a run: sortable by time, at most 20 characters.

use super::LedgerError;
use std::fmt;

/// A run's ID, such as `20261120-223015-k3f9`: the UTC time at which it was made, and four characters from the
/// milliseconds of that time and a random number.
///
/// At most 20 characters of `a-z`, `0-9` and `-`; later runs sort after earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// The longest ID, in characters.
    pub const MAX_CHARS: usize = 20;

    /// A new ID for a run that is made at `now_ms` (milliseconds since 1970, UTC).
    pub fn new(now_ms: i64) -> Self {
        let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
        let mut text = now.strftime("%Y%m%d-%H%M%S-").to_string();
        // The milliseconds come first, so that runs of one second sort as well.
        let within = now_ms.rem_euclid(1000) * 1000 + i64::from(fastrand::u16(0..1000));
        for power in [46_656, 1296, 36, 1] {
            let digit = u32::try_from(within / power % 36).unwrap_or(0);
            text.push(char::from_digit(digit, 36).unwrap_or('0'));
        }
        Self(text)
    }

    /// Reads an ID back.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let legal = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || c == '-';
        if text.is_empty() || text.len() > Self::MAX_CHARS || !text.chars().all(legal) {
            return Err(LedgerError::BadRunId(text.escape_debug().to_string()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text of the ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_are_read_back() {
        let early = RunId::new(1_795_200_000_000);
        let late = RunId::new(1_795_200_001_000);
        assert!(early < late);
        for id in [early, late] {
            assert_eq!(id.as_str().len(), RunId::MAX_CHARS);
            assert_eq!(RunId::parse(id.as_str()).unwrap(), id);
        }
    }

    #[test]
    fn unsafe_text_is_rejected_as_run_id() {
        for text in [
            "",
            "..",
            "../x",
            "a/b",
            "A",
            "\u{1b}[2J",
            "123456789012345678901",
        ] {
            assert!(RunId::parse(text).is_err(), "{text:?}");
        }
    }
}
