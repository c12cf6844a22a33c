//! What all lines of a run add up to.

use super::digest::Digest;
use super::lasting::Counting;
use crate::domain::{Outcome, Status};
use crate::ledger::Header;
use std::collections::BTreeMap;

/// What all lines add up to.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) lines: u64,
    pub(super) by_status: BTreeMap<&'static str, u64>,
    pub(super) reasons: BTreeMap<&'static str, u64>,
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
            *self.reasons.entry(reason).or_default() += 1;
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
