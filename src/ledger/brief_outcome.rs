//! A short form of a line's outcome: its status, its customer, and whether the account ID changed. The texts of the
//! lines are not read, and their checksums are not verified.

use crate::domain::{Outcome, Status};

/// What became of a line, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BriefOutcome<'a> {
    /// How it ended.
    pub status: Status,
    /// The customer that it meant.
    pub customer: Option<&'a str>,
    /// Whether the account ID differs from the one before.
    pub renamed: bool,
}

impl<'a> BriefOutcome<'a> {
    /// Returns the short form of an outcome.
    pub fn of(outcome: &'a Outcome) -> Self {
        Self {
            status: outcome.status,
            customer: outcome.customer.as_ref().map(|id| id.as_str()),
            renamed: outcome.account.before != outcome.account.after,
        }
    }
}
