//! Lines that were not found, and that would be found with another spelling of their account ID.

use crate::domain::{Line, count};
use crate::ledger::{Ledger, LedgerError};
use serde::{Deserialize, Serialize};

/// In what a spelling that exists differs from that of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// It has zeros that the file's spelling has lost.
    LeadingZeros,
    /// It lacks zeros that the file's spelling has.
    NoLeadingZeros,
    /// It has other upper and lower case letters.
    Case,
    /// It has no blanks and dashes, or plain ones.
    Separators,
    /// The digit 0 stands for the letter O, or the reverse.
    LetterO,
}

impl Difference {
    /// `would be found …`.
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
    /// In which way.
    pub difference: Difference,
    /// How many lines.
    pub lines: u64,
    /// The first of them.
    pub first_line: Line,
    /// The account ID of the first line, as the file spells it.
    pub account_id: String,
    /// The account ID that exists in its place.
    pub exists: String,
}

/// All groups, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NearMisses(pub Vec<NearMissGroup>);

impl NearMisses {
    /// What the ledger of a run keeps of them.
    pub fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let text = ledger.near_misses()?;
        Ok(text
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default())
    }

    /// Keeps them in the ledger.
    pub fn keep(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        ledger.set_near_misses(&serde_json::to_string(self).unwrap_or_default())
    }

    /// For a person, beside the number of lines that were not found; `None`: there are none.
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
