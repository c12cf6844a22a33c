//! What a read-back says about a write: one pure function, used while the run is under way and on `resume`.
//!
//! It must stay free of clock, disk and network. A value that is neither the old one nor the new one (in whatever
//! spelling the system gives it) was set by another client, and is never written over.

use super::Write;
use crate::domain::{Profile, StoredValue, is_respelling};

/// The result of a write without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// The system has the values of the write: do not write again.
    TookEffect,
    /// The write took effect, and the system stored the value in another spelling.
    Altered,
    /// The write did not take effect, or not wholly, and every value is an old or a new one: it may be repeated.
    DidNot,
    /// Another user or program has changed the value: `stale`, write nothing.
    ConcurrentChange,
}

/// Compares the value that was read with the values before the write and the values to write.
///
/// At a location, only values that were sent and that the system shows are compared. If one of service ID and profile
/// is as requested and the other as before, the write has not (wholly) taken effect, and repeating it destroys nothing.
/// A reading of the wrong kind proves nothing and counts as a change by another user or program.
pub fn judge(write: &Write, seen: &StoredValue) -> Judgement {
    match (write, seen) {
        (Write::Account { before, after, .. }, StoredValue::Account(now)) => {
            part(before.as_ref(), after.as_ref(), now.as_ref())
        }
        (Write::Location { before, after, .. }, StoredValue::Location(now)) => {
            let service = after
                .service
                .as_ref()
                .map(|after| part(before.service.as_ref(), Some(after), now.service.as_ref()));
            let profile = after.profile.map(|after| match now.profile {
                Some(now) => part(
                    before.profile.map(Profile::as_str),
                    Some(after.as_str()),
                    Some(now.as_str()),
                ),
                None => Judgement::DidNot,
            });
            // One call sets both. If the system does not show the profile, a service ID that differs from the one
            // before decides for both.
            let speaks = after.service.is_some() && after.service != before.service;
            match service {
                Some(seen) if speaks && now.profile.is_none() => seen,
                _ => whole(service, profile),
            }
        }
        (Write::Account { .. }, StoredValue::Location(_))
        | (Write::Location { .. }, StoredValue::Account(_)) => Judgement::ConcurrentChange,
    }
}

fn part<T: PartialEq + AsRef<str> + ?Sized>(
    before: Option<&T>,
    after: Option<&T>,
    now: Option<&T>,
) -> Judgement {
    if now == after {
        return Judgement::TookEffect;
    }
    if now == before {
        return Judgement::DidNot;
    }
    match (after, now) {
        (Some(after), Some(now)) if is_respelling(after.as_ref(), now.as_ref()) => {
            Judgement::Altered
        }
        _ => Judgement::ConcurrentChange,
    }
}

fn whole(service: Option<Judgement>, profile: Option<Judgement>) -> Judgement {
    let mut all = Judgement::TookEffect;
    for one in service.into_iter().chain(profile) {
        all = match (all, one) {
            (Judgement::ConcurrentChange, _) | (_, Judgement::ConcurrentChange) => {
                Judgement::ConcurrentChange
            }
            (Judgement::Altered, _) | (_, Judgement::Altered) => Judgement::Altered,
            (Judgement::DidNot, _) | (_, Judgement::DidNot) => Judgement::DidNot,
            (Judgement::TookEffect, Judgement::TookEffect) => Judgement::TookEffect,
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountId, LocationId, LocationState, Profile, ServiceId};
    use proptest::prelude::*;

    fn account() -> impl Strategy<Value = Option<AccountId>> {
        proptest::option::of("[ab]".prop_map(|text| AccountId::new(text).unwrap()))
    }

    fn spot() -> impl Strategy<Value = LocationState> {
        let service = proptest::option::of("[ab]".prop_map(|text| ServiceId::new(text).unwrap()));
        let profile = proptest::option::of(prop_oneof![
            Just(Profile::Auto),
            Just(Profile::SmallBusiness)
        ]);
        (service, profile).prop_map(|(service, profile)| LocationState { service, profile })
    }

    /// The location after the write: values that were not sent stay.
    fn carried_out(before: &LocationState, after: &LocationState) -> LocationState {
        LocationState {
            service: after.service.clone().or_else(|| before.service.clone()),
            profile: after.profile.or(before.profile),
        }
    }

    proptest! {
        #[test]
        fn account_write_is_judged_by_the_current_value(
            before in account(), after in account(), now in account(), temporary: bool,
        ) {
            let write = Write::Account { before: before.clone(), after: after.clone(), temporary };
            let expected = if now == after {
                Judgement::TookEffect
            } else if now == before {
                Judgement::DidNot
            } else {
                Judgement::ConcurrentChange
            };
            prop_assert_eq!(judge(&write, &StoredValue::Account(now.clone())), expected);
            prop_assert_eq!(judge(&write, &StoredValue::Location(LocationState::default())), Judgement::ConcurrentChange);
        }

        #[test]
        fn location_write_is_judged_as_effective_or_ineffective(before in spot(), after in spot()) {
            let write = Write::Location {
                location: LocationId::new("l").unwrap(),
                before: before.clone(),
                after: after.clone(),
            };
            let done = carried_out(&before, &after);
            prop_assert_eq!(judge(&write, &StoredValue::Location(done.clone())), Judgement::TookEffect);
            let expected = if done == before { Judgement::TookEffect } else { Judgement::DidNot };
            prop_assert_eq!(judge(&write, &StoredValue::Location(before.clone())), expected);
        }

        #[test]
        fn fields_that_were_not_sent_do_not_affect_the_verdict(before in spot(), after in spot(), now in spot()) {
            let write = Write::Location {
                location: LocationId::new("l").unwrap(),
                before,
                after: LocationState { profile: None, ..after.clone() },
            };
            let other = LocationState { service: now.service.clone(), profile: None };
            prop_assert_eq!(
                judge(&write, &StoredValue::Location(now.clone())),
                judge(&write, &StoredValue::Location(other.clone()))
            );
        }

        #[test]
        fn foreign_value_is_judged_a_concurrent_change(before in spot(), after in spot()) {
            let foreign = LocationState { service: Some(ServiceId::new("foreign").unwrap()), profile: before.profile };
            let write = Write::Location {
                location: LocationId::new("l").unwrap(),
                before,
                after: after.clone(),
            };
            if after.service.is_some() {
                prop_assert_eq!(judge(&write, &StoredValue::Location(foreign.clone())), Judgement::ConcurrentChange);
            }
        }
    }
}
