//! What is kept of failures for the page that a person reads: counts by reason, and the first few.

use crate::domain::{Line, Outcome, Status};
use std::collections::BTreeMap;

/// So many failures are shown on the page; all of them are in failures.csv.
const SHOWN: usize = 200;

/// How often a reason occurred, and where first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) lines: u64,
    pub(super) first_line: Line,
}

/// What all lines add up to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) lines: u64,
    pub(super) by_status: BTreeMap<&'static str, u64>,
    pub(super) reasons: BTreeMap<&'static str, Reason>,
    pub(super) shown: Vec<Outcome>,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.lines += 1;
        *self.by_status.entry(outcome.status.name()).or_default() += 1;
        let reason = outcome.status.reason();
        if !reason.is_empty() {
            let entry = self.reasons.entry(reason).or_insert(Reason {
                lines: 0,
                first_line: outcome.line,
            });
            entry.lines += 1;
        }
        if outcome.status.is_open_or_failed() && self.shown.len() < SHOWN {
            self.shown.push(outcome.clone());
        }
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        self.by_status.get(name).copied().unwrap_or(0)
    }

    /// All statuses with their numbers, in the order of the documents.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Status::NAMES.into_iter().map(|name| (name, self.of(name)))
    }
}
