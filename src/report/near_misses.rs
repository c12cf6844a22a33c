//! Lines for which no customer was found, and for which one would be found with another spelling of their account ID.

use crate::domain::{Line, count};
use crate::ledger::{Ledger, LedgerError};
use serde::{Deserialize, Serialize};

/// How an existing spelling differs from the spelling in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The existing spelling has zeros that the file's spelling has lost.
    LeadingZeros,
    /// The existing spelling lacks zeros that the file's spelling has.
    NoLeadingZeros,
    /// The existing spelling has other upper and lower case letters.
    Case,
    /// The existing spelling has no blanks and dashes, or plain ones.
    Separators,
    /// The existing spelling has the digit 0 in place of the letter O, or the reverse.
    LetterO,
}

impl Difference {
    /// Returns the words that follow `would be found`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::LeadingZeros => "with leading zeros",
            Self::NoLeadingZeros => "without leading zeros",
            Self::Case => "in other case",
            Self::Separators => "without blanks and dashes",
            Self::LetterO => "with O and 0 exchanged",
        }
    }
}

/// Lines that would be found in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMissGroup {
    /// How the existing spelling differs.
    pub difference: Difference,
    /// How many lines.
    pub lines: u64,
    /// The first of these lines.
    pub first_line: Line,
    /// The account ID of the first line, as the file spells it.
    pub account_id: String,
    /// The existing account ID in another spelling.
    pub exists: String,
}

/// All groups, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NearMisses(pub Vec<NearMissGroup>);

impl NearMisses {
    /// Reads the groups from the ledger of a run.
    pub fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let text = ledger.near_misses()?;
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    /// Stores the groups in the ledger.
    pub fn keep(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        ledger.set_near_misses(&serde_json::to_string(self).unwrap_or_default())
    }

    /// Returns the text for a user, beside the number of lines that were not found; `None`: there are none.
    pub fn words(&self, not_found: u64) -> Option<String> {
        let mut groups = self.0.iter();
        let first = groups.next()?;
        let mut text = format!(
            "not_found {}: {} would be found {} (first: line {})",
            count(not_found),
            count(first.lines),
            first.difference.words(),
            first.first_line
        );
        for group in groups {
            text.push_str(&format!(
                ", {} {} (first: line {})",
                count(group.lines),
                group.difference.words(),
                group.first_line
            ));
        }
        Some(text)
    }
}
