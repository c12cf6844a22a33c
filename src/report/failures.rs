//! What is kept of failures for the page that a person reads: counts by reason, and the first few.

use super::digest::Digest;
use super::lasting::Counting;
use crate::domain::{Line, Outcome, Status};
use crate::ledger::Header;
use std::collections::BTreeMap;

/// The maximum number of failures on the page; failures.csv has all of them.
const SHOWN: usize = 200;

/// How often a reason occurred, and where first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) lines: u64,
    pub(super) first_line: Line,
}

/// What all lines add up to.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) lines: u64,
    pub(super) by_status: BTreeMap<&'static str, u64>,
    pub(super) reasons: BTreeMap<&'static str, Reason>,
    pub(super) shown: Vec<Outcome>,
    /// Failed lines of which the account ID was changed and the location was not.
    pub(super) half_done: u64,
    pub(super) cannot_undo: Counting,
    /// Of what was done, or would be.
    pub(super) digest: Digest,
}

impl Tally {
    pub(super) fn new(header: &Header, can_clear: bool) -> Self {
        Self {
            lines: 0,
            by_status: BTreeMap::new(),
            reasons: BTreeMap::new(),
            shown: Vec::new(),
            half_done: 0,
            cannot_undo: Counting::new(can_clear),
            digest: Digest::new(header),
        }
    }

    pub(super) fn add(&mut self, outcome: &Outcome, is_half_done: bool) {
        self.lines += 1;
        self.half_done += u64::from(is_half_done);
        if matches!(outcome.status, Status::Changed | Status::WouldChange) {
            self.digest.add(outcome);
        }
        if is_half_done || matches!(outcome.status, Status::Changed | Status::WouldChange) {
            self.cannot_undo.add(outcome);
        }
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
