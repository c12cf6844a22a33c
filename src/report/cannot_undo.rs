//! Which changes of a run cannot be undone, because the system has no documented way to restore the former value.

use crate::domain::{LocationId, Outcome, Transition, counted};
use crate::ledger::{Ledger, LedgerError};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// How many changes cannot be undone, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct CannotUndo {
    /// New account IDs of customers that had none, if the system cannot remove an account ID.
    pub accounts: u64,
    /// New service IDs of locations that had none.
    pub services: u64,
    /// New profiles in place of one that cannot be set.
    pub profiles: u64,
}

impl CannotUndo {
    /// Returns the sum of all kinds.
    pub fn total(&self) -> u64 {
        self.accounts + self.services + self.profiles
    }

    /// Returns a sentence for each kind; none if everything can be undone.
    pub fn words(&self) -> Vec<String> {
        let one = |number: u64, noun: &str, why: &str| {
            (number > 0).then(|| format!("{} cannot be undone: {why}", counted(number, noun)))
        };
        let parts = [
            one(self.services, "service ID", "there was none before"),
            one(self.accounts, "account ID", "there was none before"),
            one(
                self.profiles,
                "profile",
                "idshift cannot set the former value",
            ),
        ];
        parts.into_iter().flatten().collect()
    }

    /// Counts these changes in a plan.
    pub fn of_plan(ledger: &Ledger, can_clear: bool) -> Result<Self, LedgerError> {
        let mut counting = Counting::new(can_clear);
        for outcome in ledger.outcomes_with(&["would_change"]) {
            counting.add(&outcome?);
        }
        Ok(counting.counts)
    }
}

/// Counts outcome by outcome; a change that several lines request is counted once.
#[derive(Debug)]
pub(super) struct Counting {
    can_clear: bool,
    pub(super) counts: CannotUndo,
    /// Eight bytes for each change that was counted, however long its IDs are.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Counting {
    pub(super) fn new(can_clear: bool) -> Self {
        Self {
            can_clear,
            counts: CannotUndo::default(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// Counts what this line changes, or would change.
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let account = !self.can_clear && appears(&outcome.account);
        let service = appears(&outcome.service);
        let profile = outcome.profile.before != outcome.profile.after
            && outcome.profile.after.is_some()
            && outcome.profile.before.is_some_and(|one| !one.can_be_set());
        if !(account || service || profile) {
            return;
        }
        let (customer, location) = (outcome.customer.as_ref(), outcome.location.as_ref());
        let mut count = |is: bool, kind: char, location: Option<&LocationId>| {
            let key = (kind, customer, location);
            u64::from(is && self.seen.insert(self.hasher.hash_one(key)))
        };
        self.counts.accounts += count(account, 'a', None);
        self.counts.services += count(service, 's', location);
        self.counts.profiles += count(profile, 'p', location);
    }
}

fn appears<T>(value: &Transition<T>) -> bool {
    value.before.is_none() && value.after.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CustomerId, Profile, ServiceId, Status};

    #[test]
    fn a_change_that_two_lines_ask_for_is_counted_once() {
        let outcome = |line, before: Option<&str>| {
            let mut outcome = Outcome::bare(line, Status::Changed);
            outcome.customer = Some(CustomerId::new("C-1").unwrap());
            outcome.location = Some(LocationId::new("L-1").unwrap());
            outcome.service = Transition {
                before: before.map(|id| ServiceId::new(id).unwrap()),
                after: Some(ServiceId::new("S-1").unwrap()),
            };
            outcome.profile.after = Some(Profile::Auto);
            outcome
        };
        let mut counting = Counting::new(false);
        counting.add(&outcome(2, None));
        counting.add(&outcome(3, None));
        counting.add(&outcome(4, Some("S-0")));
        assert_eq!(counting.counts.total(), 1);
        assert_eq!(
            counting.counts.words(),
            ["1 service ID cannot be undone: there was none before"]
        );
    }
}
