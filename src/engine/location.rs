//! Locations: which location a line means, its present state, and what is written to it.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState, changed_otherwise};
use super::halt::{OrHalt, StepError, StepResult};
use super::known_customers::resolve_open_writes;
use super::write_result::{Sent, StepOutcome, said};
use super::{Context, Halt, WriteLog};
use crate::domain::{Change, Failed, Line, LocationId, LocationState, Profile, StoredValue};
use crate::ledger::Write;
use crate::moment::Moment;
use crate::system::{Location, Locations, SystemError};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// The location that a line means.
#[derive(Debug, Clone)]
pub(super) struct ResolvedLocation {
    pub(super) id: LocationId,
    /// As this run found it.
    pub(super) before: LocationState,
    /// As it is now.
    pub(super) now: LocationState,
}

/// A location that could not be written, or for which that is unknown. Several lines may request the same for it, and
/// one operation has one outcome.
pub(super) struct Attempted<'a> {
    change: &'a Change,
    pub(super) outcome: StepOutcome,
    pub(super) location: ResolvedLocation,
}

impl<'a> Attempted<'a> {
    pub(super) fn of(
        change: &'a Change,
        outcome: &StepOutcome,
        location: Option<&ResolvedLocation>,
    ) -> Option<Self> {
        let location = location.filter(|_| !outcome.is_done())?;
        Some(Self {
            change,
            outcome: outcome.clone(),
            location: location.clone(),
        })
    }

    /// Returns whether a line must not be tried after this attempt: it requests the same, or the location's state is unknown.
    pub(super) fn decides(&self, state: &CustomerState, change: &Change) -> bool {
        let same = self.change.service == change.service && self.change.profile == change.profile;
        (same || matches!(self.outcome, StepOutcome::InDoubt(..)))
            && meant(state, change).is_ok_and(|place| place.id == self.location.id)
    }
}

impl<N: WriteLog> Case<'_, N> {
    /// Finds the lines of one customer that request different values for one location.
    pub(super) fn contradictions(&self, state: &CustomerState) -> HashMap<Line, SystemError> {
        let mut desired: HashMap<&LocationId, Vec<&Change>> = HashMap::new();
        for change in self
            .member
            .changes
            .iter()
            .filter(|change| change.asks_location())
        {
            if let Ok(place) = meant(state, change) {
                desired.entry(&place.id).or_default().push(change);
            }
        }
        let mut wrong = HashMap::new();
        for changes in desired.values() {
            for change in changes {
                let differs = |other: &&&Change| {
                    let services = (&change.service, &other.service);
                    let profiles = (change.profile, other.profile);
                    matches!(services, (Some(a), Some(b)) if a != b)
                        || matches!(profiles, (Some(a), Some(b)) if a != b)
                };
                if let Some(other) = changes.iter().find(differs) {
                    let words = format!(
                        "line {} asks for other values for this location",
                        other.line
                    );
                    wrong.insert(change.line, SystemError::new(Failed::Invalid, words));
                }
            }
        }
        wrong
    }

    /// Checks, before anything is written, the locations of the lines that request an account ID and a location. If
    /// none of these lines can be carried out, the customer is probably not the one that is meant, so this is an error.
    pub(super) async fn check_locations(&self, state: &mut CustomerState) -> StepResult<()> {
        let renames = || {
            let open = |change: &&Change| !self.task.is_done(change.line);
            let changes = self.member.changes.iter().filter(open);
            changes.filter(|change| change.new_account.asks())
        };
        let nothing_to_write = DesiredState::of(self.member).is_fulfilled_by(state.now.as_ref())
            || state.now != state.original;
        if nothing_to_write || renames().any(|change| !change.asks_location()) {
            return Ok(());
        }
        if renames().next().is_some() {
            learn(self.context, state, &self.member.changes).await?;
        }
        let contradictions = self.contradictions(state);
        let mut first = None;
        for change in renames() {
            let checked = match contradictions.get(&change.line) {
                Some(trouble) => Err(trouble.clone()),
                None => self
                    .resolve_location(state, change)
                    .and_then(|place| self.may_be_written(change, &place)),
            };
            match checked {
                Ok(()) => return Ok(()),
                Err(error) => first = first.or(Some(StepError::Line(error))),
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Returns the location that a line means; it must be the location that the plan, or this run, chose for the line before.
    fn resolve_location(
        &self,
        state: &CustomerState,
        change: &Change,
    ) -> Result<ResolvedLocation, SystemError> {
        let place = meant(state, change)?;
        let mut planned = self.task.expected.iter();
        let planned = planned.find(|planned| planned.line == change.line);
        let written = self.task.recorded.iter().find_map(|recorded| {
            let intent = &recorded.intent;
            let Write::Location { location, .. } = &intent.write else {
                return None;
            };
            (intent.line == change.line).then_some(location)
        });
        let before = written.or(planned.and_then(|planned| planned.location.as_ref()));
        if let Some(before) = before.filter(|before| **before != place.id) {
            let words = format!(
                "the location was `{before}`, and now the only one is `{}`; nothing was written to it",
                place.id
            );
            return Err(SystemError::new(Failed::Stale, words));
        }
        let now = LocationState {
            service: place.service.clone(),
            // If the system does not show the profile, the run that is undone has left this one.
            profile: place
                .profile
                .or(planned.and_then(|planned| planned.profile.before)),
        };
        let known = state.original_locations.get(&place.id);
        Ok(ResolvedLocation {
            id: place.id.clone(),
            before: known.unwrap_or(&now).clone(),
            now,
        })
    }

    fn may_be_written(&self, change: &Change, place: &ResolvedLocation) -> Result<(), SystemError> {
        if is_fulfilled(&place.now, change) {
            return Ok(());
        }
        self.is_untouched(change, place)
    }

    /// Checks that the values that the line requests to change are still as this run or its plan found them.
    fn is_untouched(&self, change: &Change, place: &ResolvedLocation) -> Result<(), SystemError> {
        let now = &place.now;
        let mut planned = self.task.expected.iter();
        let planned = planned.find(|planned| planned.line == change.line);
        let found = planned.map_or_else(
            || place.before.clone(),
            |planned| LocationState {
                service: planned.service.before.clone(),
                profile: planned.profile.before,
            },
        );
        // A value that is already as requested was written by another line, or needs no write.
        let same_service = change.service.is_none()
            || found.service == now.service
            || change.service == now.service;
        let same_profile = change.profile.is_none()
            || found.profile == now.profile
            || change.profile == now.profile;
        if same_service && same_profile {
            return Ok(());
        }
        let prior = self.prior_write(Some(&place.id));
        Err(changed_otherwise(
            "location",
            (&said(&found), &said(now)),
            prior,
        ))
    }

    pub(super) async fn set_location(
        &self,
        state: &mut CustomerState,
        change: &Change,
    ) -> Result<(StepOutcome, Option<ResolvedLocation>), Halt> {
        let mut place = match self.resolve_location(state, change) {
            Ok(place) => place,
            Err(error) => return Ok((StepOutcome::unsent(error), None)),
        };
        let outcome = self.set_resolved(state, change, &mut place).await?;
        Ok((outcome, Some(place)))
    }

    async fn set_resolved(
        &self,
        state: &mut CustomerState,
        change: &Change,
        place: &mut ResolvedLocation,
    ) -> Result<StepOutcome, Halt> {
        let id = place.id.clone();
        let mine = self.task.recorded.iter().filter(|recorded| {
            let write = &recorded.intent.write;
            matches!(write, Write::Location { location, .. } if *location == id)
        });
        let history = &self.context.settings.history;
        let newer = history.written_since(&state.id, Some(&id));
        let seen = StoredValue::Location(place.now.clone());
        resolve_open_writes(&self.log, mine, &seen, newer).await?;
        if is_fulfilled(&place.now, change) {
            return Ok(if is_fulfilled(&place.before, change) {
                StepOutcome::Already
            } else {
                StepOutcome::Done(self.sent_before(change.line))
            });
        }
        if let Err(error) = self.is_untouched(change, place) {
            return Ok(StepOutcome::unsent(error));
        }
        let wish = desired_location(change);
        let after = LocationState {
            service: wish.service.clone().or(place.now.service.clone()),
            profile: wish.profile.or(place.now.profile),
        };
        if self.context.is_plan() {
            if let Err(error) = self.check_newer_runs(state, Some(&id)) {
                return Ok(StepOutcome::unsent(error));
            }
            let writes = &self.context.tally.planned_location_writes;
            writes.fetch_add(1, Ordering::Relaxed);
            place.now = after;
            return Ok(StepOutcome::Done(Sent::default()));
        }
        let write = Write::Location {
            location: id,
            before: place.now.clone(),
            after: wish,
        };
        let outcome = self.write(state, change.line, write).await?;
        match &outcome {
            StepOutcome::Done(_) => {
                place.now = after;
                set(state, place);
            }
            StepOutcome::Failed(_, sent) => {
                if let Some(StoredValue::Location(stored)) = &sent.effect {
                    self.context.altered.fetch_add(1, Ordering::Relaxed);
                    place.now = LocationState {
                        service: stored.service.clone().or(after.service),
                        profile: stored.profile.or(after.profile),
                    };
                    set(state, place);
                } else if let Some(StoredValue::Location(seen)) = &sent.seen {
                    place.now.clone_from(seen);
                }
            }
            StepOutcome::NotAsked | StepOutcome::Already | StepOutcome::InDoubt(..) => {}
        }
        Ok(outcome)
    }
}

/// Reads the locations of a customer, with their service IDs, unless they are known.
///
/// If the list cannot be read, the locations that the lines can mean are read by their own IDs.
pub(super) async fn learn<N: WriteLog>(
    context: &Context<N>,
    state: &mut CustomerState,
    changes: &[Change],
) -> StepResult<()> {
    if matches!(state.locations, Locations::Known(_)) {
        return Ok(());
    }
    state.locations_read_at = Moment::now();
    let refusal = match context.locations(&state.id).await.or_halt()? {
        Ok(locations) => {
            state.locations = Locations::Known(locations);
            return Ok(());
        }
        Err(error) if error.is_final() => return Err(error.into()),
        Err(error) => error,
    };
    let named: Vec<&LocationId> = changes
        .iter()
        .filter_map(|change| change.location.as_ref())
        .collect();
    let candidates: Vec<LocationId> = match &state.locations {
        Locations::Ids(ids) if named.is_empty() || ids.len() == 1 => ids.clone(),
        Locations::Ids(ids) => ids
            .iter()
            .filter(|id| named.contains(id))
            .cloned()
            .collect(),
        Locations::Untold | Locations::Known(_) => return Err(refusal.into()),
    };
    let mut known = Vec::new();
    for id in candidates {
        let answer = context.system.location(&state.id, &id).await;
        match context.classify(answer).await.or_halt()? {
            Ok(location) => known.push(location),
            Err(error) if error.is_final() => return Err(error.into()),
            Err(_) => return Err(refusal.into()),
        }
    }
    state.locations = Locations::Known(known);
    Ok(())
}

/// Returns the location that a line means.
pub(super) fn meant<'a>(
    state: &'a CustomerState,
    change: &Change,
) -> Result<&'a Location, SystemError> {
    let Locations::Known(all) = &state.locations else {
        return Err(SystemError::new(
            Failed::Unavailable,
            "the customer's locations are not known",
        ));
    };
    match (&change.location, all.as_slice()) {
        (Some(id), _) => all.iter().find(|place| place.id == *id).ok_or_else(|| {
            SystemError::new(
                Failed::NotFound,
                format!("customer `{}` has no location `{id}`", state.id),
            )
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(SystemError::new(
            Failed::NotFound,
            format!("customer `{}` has no location", state.id),
        )),
        (None, several) => Err(SystemError::new(
            Failed::Ambiguous,
            format!(
                "customer `{}` has {} locations: name one in `locationId`",
                state.id,
                several.len()
            ),
        )),
    }
}

/// Returns whether a location is as the line requests. A profile that is not shown is the system's default, `auto`.
pub(super) fn is_fulfilled(place: &LocationState, change: &Change) -> bool {
    change
        .service
        .as_ref()
        .is_none_or(|wish| place.service.as_ref() == Some(wish))
        && change
            .profile
            .is_none_or(|wish| place.profile.unwrap_or(Profile::Auto) == wish)
}

/// Returns the values that a line requests for a location.
pub(super) fn desired_location(change: &Change) -> LocationState {
    LocationState {
        service: change.service.clone(),
        profile: change.profile,
    }
}

/// Updates the known state of a location after a write.
fn set(state: &mut CustomerState, written: &ResolvedLocation) {
    let originals = &mut state.original_locations;
    originals
        .entry(written.id.clone())
        .or_insert_with(|| written.before.clone());
    if let Locations::Known(all) = &mut state.locations
        && let Some(place) = all.iter_mut().find(|place| place.id == written.id)
    {
        place.service.clone_from(&written.now.service);
        place.profile = written.now.profile;
    }
}
