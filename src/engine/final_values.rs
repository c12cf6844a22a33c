//! What a run left in the end.
//!
//! That is the final outcome for a customer, not for a line: if several lines name one customer, each line has recorded
//! only the state after its own change. A value with a write in doubt is not compared.

use super::compare::Aspect;
use crate::domain::{
    AccountId, CustomerId, Line, LocationId, Outcome, Profile, Reseller, ServiceId, Transition,
};
use crate::ledger::{Write, WriteRecord};
use std::collections::HashMap;
use std::hash::Hash;

/// When a line ended, in milliseconds; if two ended in one millisecond, the later line in the file counts as later.
type When = (i64, Line);

/// The writes of a line without a final outcome are the last ones of their values.
const LAST: When = (i64::MAX, Line::MAX);

/// What a run left of a value.
#[derive(Debug, Clone)]
enum FinalValue<V> {
    Known(V),
    /// The last write may have taken effect or not.
    InDoubt,
}

/// What the last write of each value left, and when.
type Last<K, V> = HashMap<K, (When, FinalValue<V>)>;

/// The final outcome for the customers that several lines name, and for those with writes of lines without a final outcome.
#[derive(Debug, Default)]
pub struct FinalValues {
    accounts: Last<(CustomerId, Option<Reseller>), Option<AccountId>>,
    services: Last<(CustomerId, LocationId), Option<ServiceId>>,
    profiles: Last<(CustomerId, LocationId), Option<Profile>>,
}

impl FinalValues {
    /// Notes what a line changed.
    pub fn record(&mut self, outcome: &Outcome, reseller: Option<&Reseller>) {
        let Some(customer) = &outcome.customer else {
            return;
        };
        let when = (outcome.finished_at_ms, outcome.line);
        let of_customer = || (customer.clone(), reseller.cloned());
        note(&mut self.accounts, of_customer, when, &outcome.account);
        if let Some(location) = &outcome.location {
            let place = || (customer.clone(), location.clone());
            note(&mut self.services, place, when, &outcome.service);
            note(&mut self.profiles, place, when, &outcome.profile);
        }
    }

    /// Notes a write that took effect or may have, of a line without a final outcome. The writes of a line must come in the
    /// order of their recording. `in_progress`: another write of the same value may follow at any time.
    pub fn record_unresolved(&mut self, write: &WriteRecord, in_progress: bool) {
        let in_doubt = in_progress || write.in_doubt();
        let customer = write.intent.customer.clone();
        match write.stored() {
            Write::Account { after, .. } => {
                let of_customer = (customer, write.intent.reseller.clone());
                let left = (LAST, left_by(after, in_doubt));
                self.accounts.insert(of_customer, left);
            }
            Write::Location {
                location, after, ..
            } => {
                let place = (customer, location);
                if after.service.is_some() {
                    let left = (LAST, left_by(after.service, in_doubt));
                    self.services.insert(place.clone(), left);
                }
                if after.profile.is_some() {
                    let left = (LAST, left_by(after.profile, in_doubt));
                    self.profiles.insert(place, left);
                }
            }
        }
    }

    /// Returns the outcome of a line, with the values that the run left in the end, as far as these are known.
    pub(super) fn apply_to(&self, mut outcome: Outcome, reseller: Option<&Reseller>) -> Outcome {
        let Some(customer) = outcome.customer.clone() else {
            return outcome;
        };
        let of_customer = (customer.clone(), reseller.cloned());
        if let Some(account) = known(&self.accounts, &of_customer) {
            outcome.account.after.clone_from(account);
        }
        if let Some(location) = outcome.location.clone() {
            let place = (customer, location);
            if let Some(service) = known(&self.services, &place) {
                outcome.service.after.clone_from(service);
            }
            if let Some(profile) = known(&self.profiles, &place) {
                outcome.profile.after = *profile;
            }
        }
        outcome
    }

    /// Returns whether it is unknown what the run left of a value of the line's customer or location.
    pub(super) fn is_in_doubt(
        &self,
        what: Aspect,
        outcome: &Outcome,
        reseller: Option<&Reseller>,
    ) -> bool {
        let customer = outcome.customer.clone();
        let of_customer = || Some((customer.clone()?, reseller.cloned()));
        let place = || Some((customer.clone()?, outcome.location.clone()?));
        match what {
            Aspect::Account => of_customer().is_some_and(|key| in_doubt(&self.accounts, &key)),
            Aspect::Service => place().is_some_and(|key| in_doubt(&self.services, &key)),
            Aspect::Profile => place().is_some_and(|key| in_doubt(&self.profiles, &key)),
            Aspect::Customer | Aspect::Location => false,
        }
    }
}

fn left_by<V>(after: V, in_doubt: bool) -> FinalValue<V> {
    if in_doubt {
        FinalValue::InDoubt
    } else {
        FinalValue::Known(after)
    }
}

fn known<'v, K: Eq + Hash, V>(last: &'v Last<K, V>, key: &K) -> Option<&'v V> {
    match last.get(key) {
        Some((_, FinalValue::Known(value))) => Some(value),
        Some((_, FinalValue::InDoubt)) | None => None,
    }
}

fn in_doubt<K: Eq + Hash, V>(last: &Last<K, V>, key: &K) -> bool {
    matches!(last.get(key), Some((_, FinalValue::InDoubt)))
}

fn note<K: Eq + Hash, V: Clone + PartialEq>(
    last: &mut Last<K, Option<V>>,
    key: impl FnOnce() -> K,
    when: When,
    moved: &Transition<V>,
) {
    if moved.before == moved.after {
        return;
    }
    let left = || (when, FinalValue::Known(moved.after.clone()));
    let word = last.entry(key()).or_insert_with(left);
    if word.0 < when {
        *word = left();
    }
}

#[cfg(test)]
mod tests {
    use super::Profile::{Auto, SmallBusiness};
    use super::*;
    use crate::domain::{LocationState, Status};
    use crate::ledger::{Intent, Verdict, WriteId};

    fn outcome(line: Line, at: i64, before: &str, after: &str) -> Outcome {
        let mut outcome = Outcome::bare(line, Status::Changed);
        outcome.customer = CustomerId::new("C-1").ok();
        outcome.account = Transition {
            before: AccountId::new(before).ok(),
            after: AccountId::new(after).ok(),
        };
        outcome.finished_at_ms = at;
        outcome
    }

    #[test]
    fn final_account_id_comes_from_the_line_that_changed_the_customer() {
        // The line without a rename may end before the rename or after it.
        for at in [1, 9] {
            let (rename, other) = (outcome(2, 5, "A", "B"), outcome(5, at, "A", "A"));
            let mut values = FinalValues::default();
            values.record(&rename, None);
            values.record(&other, None);
            let left = values.apply_to(other, None).account.after;
            assert_eq!(left, AccountId::new("B").ok());
        }
    }

    #[test]
    fn final_service_and_profile_come_from_the_line_that_changed_each() {
        let place = |line, service: [&str; 2], profile: [Profile; 2]| {
            let mut outcome = outcome(line, i64::from(line), "A", "A");
            outcome.location = LocationId::new("L-1").ok();
            let [before, after] = service.map(|text| ServiceId::new(text).ok());
            outcome.service = Transition { before, after };
            let [before, after] = profile.map(Some);
            outcome.profile = Transition { before, after };
            outcome
        };
        let first = place(2, ["old", "S"], [Auto, Auto]);
        let second = place(3, ["S", "S"], [Auto, SmallBusiness]);
        let mut values = FinalValues::default();
        values.record(&second, None);
        values.record(&first, None);
        for outcome in [first, second] {
            let left = values.apply_to(outcome, None);
            assert_eq!(left.service.after, ServiceId::new("S").ok());
            assert_eq!(left.profile.after, Some(SmallBusiness));
        }
    }

    fn write(number: i64, verdict: Option<Verdict>, write: Write) -> WriteRecord {
        WriteRecord {
            id: WriteId::numbered(number),
            intent: Intent {
                unit: 2,
                line: 2,
                attempt: 1,
                customer: CustomerId::new("C-1").unwrap(),
                reseller: None,
                write,
                correlation: String::new(),
                at_ms: 0,
            },
            verdict,
            effect: None,
            http_status: None,
        }
    }

    fn rename(after: &str) -> Write {
        Write::Account {
            before: AccountId::new("A").ok(),
            after: AccountId::new(after).ok(),
            temporary: false,
        }
    }

    #[test]
    fn line_without_outcome_is_in_doubt_unless_last_write_was_applied() {
        for (last, is_known) in [
            (None, false),
            (Some(Verdict::Unknown), false),
            (Some(Verdict::Applied), true),
        ] {
            let other = outcome(5, 9, "A", "A");
            let mut values = FinalValues::default();
            values.record_unresolved(&write(1, Some(Verdict::Applied), rename("IDS")), false);
            values.record_unresolved(&write(2, last, rename("B")), false);
            // A line that ended before that says less.
            values.record(&outcome(4, 8, "X", "A"), None);
            assert_eq!(values.is_in_doubt(Aspect::Account, &other, None), !is_known);
            let left = values.apply_to(other, None).account.after;
            let expected = if is_known { "B" } else { "A" };
            assert_eq!(left, AccountId::new(expected).ok(), "{last:?}");
        }
    }

    /// A run in progress goes on while `verify` reads its record.
    #[test]
    fn write_of_run_in_progress_leaves_the_final_value_in_doubt() {
        let ended = outcome(2, 11, "A", "B");
        let mut values = FinalValues::default();
        values.record_unresolved(&write(1, Some(Verdict::Applied), rename("IDS")), true);
        assert!(values.is_in_doubt(Aspect::Account, &ended, None));
        let left = values.apply_to(ended, None);
        assert_eq!(left.account.after, AccountId::new("B").ok());
    }

    #[test]
    fn only_the_written_field_of_a_location_is_in_doubt() {
        let set = Write::Location {
            location: LocationId::new("L-1").unwrap(),
            before: LocationState::default(),
            after: LocationState {
                service: None,
                profile: Some(Auto),
            },
        };
        let mut values = FinalValues::default();
        values.record_unresolved(&write(1, None, set), false);
        for (location, is_same) in [("L-1", true), ("L-2", false)] {
            let mut other = outcome(5, 9, "A", "A");
            other.location = LocationId::new(location).ok();
            let in_doubt = |what| values.is_in_doubt(what, &other, None);
            assert_eq!(in_doubt(Aspect::Profile), is_same);
            assert!(!in_doubt(Aspect::Service) && !in_doubt(Aspect::Account));
        }
    }
}
