//! The totals over all lines of a run.

use super::cannot_undo::Counting;
use super::digest::Digest;
use crate::domain::{Line, Outcome, Status};
use crate::ledger::Header;
use std::collections::BTreeMap;

/// How many lines have a reason, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Status and reason.
    pub status: Status,
    /// How many lines have it.
    pub lines: u64,
    /// The first of them.
    pub first_line: Line,
    /// The message of the first one.
    pub message: String,
}

/// How many values were changed, or would be changed, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ValuesChanged {
    /// Account IDs.
    pub accounts: u64,
    /// Service IDs.
    pub services: u64,
    /// Profiles.
    pub profiles: u64,
}

/// Which values a line requests. Its outcome may also show what other lines have changed for the same customer.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskedValues {
    pub(super) account: bool,
    pub(super) service: bool,
    pub(super) profile: bool,
}

impl ValuesChanged {
    fn add(&mut self, outcome: &Outcome, asked: AskedValues, is_half_done: bool) {
        let has_location = !is_half_done;
        let (account, service) = (&outcome.account, &outcome.service);
        let profile = &outcome.profile;
        // An ID may be removed by an empty cell.
        let account_is_asked = asked.account || account.after.is_none();
        let service_is_asked = has_location && asked.service;
        let profile_is_asked = has_location && asked.profile;
        self.accounts += u64::from(account_is_asked && account.before != account.after);
        self.services += u64::from(service_is_asked && service.before != service.after);
        self.profiles += u64::from(profile_is_asked && profile.before != profile.after);
    }
}

/// The totals over all lines.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) lines: u64,
    pub(super) by_status: BTreeMap<&'static str, u64>,
    pub(super) reasons: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, Reason>,
    /// How many failed lines changed the account ID and not the location.
    pub(super) half_done: u64,
    pub(super) changed: ValuesChanged,
    pub(super) cannot_undo: Counting,
    /// The digest of what was done, or would be done.
    pub(super) digest: Digest,
}

impl Tally {
    pub(super) fn new(header: &Header, can_clear: bool) -> Self {
        Self {
            lines: 0,
            by_status: BTreeMap::new(),
            reasons: BTreeMap::new(),
            failures: BTreeMap::new(),
            half_done: 0,
            changed: ValuesChanged::default(),
            cannot_undo: Counting::new(can_clear),
            digest: Digest::new(header),
        }
    }

    pub(super) fn add(&mut self, outcome: &Outcome, asked: AskedValues, is_half_done: bool) {
        self.lines += 1;
        self.half_done += u64::from(is_half_done);
        if matches!(outcome.status, Status::Changed | Status::WouldChange) {
            self.digest.add(outcome);
        }
        if is_half_done || matches!(outcome.status, Status::Changed | Status::WouldChange) {
            self.cannot_undo.add(outcome);
            self.changed.add(outcome, asked, is_half_done);
        }
        *self.by_status.entry(outcome.status.name()).or_default() += 1;
        let reason = outcome.status.reason();
        if !reason.is_empty() {
            *self.reasons.entry(reason).or_default() += 1;
        }
        if outcome.status.is_open_or_failed() {
            let failure = self.failures.entry(reason).or_insert_with(|| Reason {
                status: outcome.status,
                lines: 0,
                first_line: outcome.line,
                message: outcome.message.clone(),
            });
            failure.lines += 1;
        }
    }

    /// Returns why lines did not succeed, the most frequent reason first.
    pub(super) fn failures(&self) -> Vec<Reason> {
        let mut failures: Vec<Reason> = self.failures.values().cloned().collect();
        failures.sort_by_key(|reason| std::cmp::Reverse(reason.lines));
        failures
    }

    pub(super) fn of(&self, name: &str) -> u64 {
        self.by_status.get(name).copied().unwrap_or(0)
    }

    /// Returns all statuses with their numbers, in the order of the documents.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Status::NAMES.into_iter().map(|name| (name, self.of(name)))
    }
}
