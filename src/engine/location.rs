//! Locations: which one a line means, how it stands, and what is written to it.

use super::case::Case;
use super::customer_state::{CustomerState, DesiredState};
use super::halt::{OrHalt, StepError, StepResult};
use super::remembered::hear_of;
use super::write_result::{Ended, Sent, Sight};
use super::{Context, Halt, Job, WriteLog};
use crate::domain::{Change, Failed, Line, LocationId, Profile, ServiceId};
use crate::ledger::{Effect, LocationState, Seen, Write};
use crate::system::{Location, Locations, SystemError};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// What became of what a line asks of a location.
pub(super) enum Placed {
    NotAsked,
    Already,
    Done(Sent),
    Failed(SystemError, Sent),
    InDoubt(SystemError, Sent),
}

/// The location that a line means, as it is and as this run found it.
struct ResolvedLocation {
    id: LocationId,
    now: LocationState,
    original: LocationState,
}

/// A location that a line touched.
pub(super) struct Touched {
    pub(super) id: LocationId,
    pub(super) before: LocationState,
    pub(super) after: LocationState,
}

/// A location that could not be written, or where that is unknown: several lines may request the same for it, and one
/// operation has one outcome.
pub(super) struct GivenUp {
    location: LocationId,
    asked: (Option<ServiceId>, Option<Profile>),
    in_doubt: bool,
    trouble: SystemError,
    sent: Sent,
    spots: (LocationState, LocationState),
}

impl GivenUp {
    pub(super) fn of(change: &Change, placed: &Placed, touched: Option<&Touched>) -> Option<Self> {
        let (trouble, sent, in_doubt) = match placed {
            Placed::Failed(trouble, sent) => (trouble, sent, false),
            Placed::InDoubt(trouble, sent) => (trouble, sent, true),
            Placed::NotAsked | Placed::Already | Placed::Done(_) => return None,
        };
        let touched = touched?;
        Some(Self {
            location: touched.id.clone(),
            asked: (change.service.clone(), change.profile),
            in_doubt,
            trouble: trouble.clone(),
            sent: sent.clone(),
            spots: (touched.before.clone(), touched.after.clone()),
        })
    }

    /// Whether this line must not be tried after it: it requests the same, or the state of the location is unknown.
    pub(super) fn is_asked_by(&self, standing: &CustomerState, change: &Change) -> bool {
        let same = self.asked.0 == change.service && self.asked.1 == change.profile;
        (self.in_doubt || same)
            && meant(standing, change).is_ok_and(|place| place.id == self.location)
    }

    /// What such a line is told.
    pub(super) fn told(&self) -> (Placed, Option<Touched>) {
        let (trouble, sent) = (self.trouble.clone(), self.sent.clone());
        let placed = if self.in_doubt {
            Placed::InDoubt(trouble, sent)
        } else {
            Placed::Failed(trouble, sent)
        };
        let touched = Touched {
            id: self.location.clone(),
            before: self.spots.0.clone(),
            after: self.spots.1.clone(),
        };
        (placed, Some(touched))
    }
}

impl<N: WriteLog> Case<'_, N> {
    /// Lines of one customer that turn out to want different things of one location.
    pub(super) fn contradictions(&self, standing: &CustomerState) -> HashMap<Line, SystemError> {
        let mut wishes: HashMap<&LocationId, Vec<&Change>> = HashMap::new();
        for change in self
            .member
            .changes
            .iter()
            .filter(|change| change.asks_location())
        {
            if let Ok(place) = meant(standing, change) {
                wishes.entry(&place.id).or_default().push(change);
            }
        }
        let mut wrong = HashMap::new();
        for changes in wishes.values() {
            for change in changes {
                let differs = |other: &&&Change| {
                    let services = (&change.service, &other.service);
                    let profiles = (change.profile, other.profile);
                    matches!(services, (Some(a), Some(b)) if a != b)
                        || matches!(profiles, (Some(a), Some(b)) if a != b)
                };
                if let Some(other) = changes.iter().find(differs) {
                    let words =
                        format!("line {} wants something else of this location", other.line);
                    wrong.insert(change.line, SystemError::new(Failed::Invalid, words));
                }
            }
        }
        wrong
    }

    /// Looks at the locations of lines that want an ID and a location, before anything is written: where none of them
    /// can be carried out, the customer is probably not the one that is meant.
    pub(super) async fn hindrance(&self, standing: &mut CustomerState) -> StepResult<()> {
        let renames = || {
            let open = |change: &&Change| !self.job.is_done(change.line);
            let changes = self.member.changes.iter().filter(open);
            changes.filter(|change| change.new_account.asks())
        };
        let nothing_to_write = DesiredState::of(self.member).is_fulfilled_by(standing.now.as_ref())
            || standing.now != standing.original;
        if nothing_to_write || renames().any(|change| !change.asks_location()) {
            return Ok(());
        }
        if renames().next().is_some() {
            learn(self.context, standing, &self.member.changes).await?;
        }
        let contradictions = self.contradictions(standing);
        let mut first = None;
        for change in renames() {
            let hindered = match contradictions.get(&change.line) {
                Some(trouble) => Err(trouble.clone()),
                None => self
                    .spotted(standing, change)
                    .and_then(|place| self.may_be_written(change, &place)),
            };
            match hindered {
                Ok(()) => return Ok(()),
                Err(error) => first = first.or(Some(StepError::Line(error))),
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// The location that a line means; it must be the one that its plan, or this run, has meant by it before.
    fn spotted(
        &self,
        standing: &CustomerState,
        change: &Change,
    ) -> Result<ResolvedLocation, SystemError> {
        let place = meant(standing, change)?;
        let mut planned = self.job.expected.iter();
        let planned = planned.find(|planned| planned.line == change.line);
        let written = self.job.recorded.iter().find_map(|recorded| {
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
            // Where the system does not show it, it is what the run that is put back has left.
            profile: place
                .profile
                .or(planned.and_then(|planned| planned.profile.before)),
        };
        let known = standing.original_spots.get(&place.id);
        Ok(ResolvedLocation {
            id: place.id.clone(),
            original: known.unwrap_or(&now).clone(),
            now,
        })
    }

    fn may_be_written(&self, change: &Change, place: &ResolvedLocation) -> Result<(), SystemError> {
        if is_fulfilled(&place.now, change) {
            return Ok(());
        }
        is_untouched(self.job, change, &place.now, &place.original)
    }

    pub(super) async fn set_location(
        &self,
        standing: &mut CustomerState,
        change: &Change,
    ) -> Result<(Placed, Option<Touched>), Halt> {
        let place = match self.spotted(standing, change) {
            Ok(place) => place,
            Err(trouble) => return Ok((Placed::Failed(trouble, Sent::default()), None)),
        };
        let ResolvedLocation { id, now, original } = place;
        let mut touched = Touched {
            id: id.clone(),
            before: original.clone(),
            after: now.clone(),
        };
        let mine = self.job.recorded.iter().filter(|recorded| {
            let write = &recorded.intent.write;
            matches!(write, Write::Location { location, .. } if *location == id)
        });
        let history = &self.context.settings.history;
        let newer = history.written_since(&standing.id, Some(&id));
        hear_of(self.context, mine, Seen::Location(&now), newer).await?;
        if is_fulfilled(&now, change) {
            let placed = if is_fulfilled(&original, change) {
                Placed::Already
            } else {
                Placed::Done(self.sent_before(change.line))
            };
            return Ok((placed, Some(touched)));
        }
        if let Err(trouble) = is_untouched(self.job, change, &now, &original) {
            return Ok((Placed::Failed(trouble, Sent::default()), Some(touched)));
        }
        if self.context.is_plan()
            && let Err(error) = self.check_newer_runs(standing, Some(&id))
        {
            return Ok((Placed::Failed(error, Sent::default()), Some(touched)));
        }
        let wish = wish(change);
        let after = LocationState {
            service: wish.service.clone().or(now.service.clone()),
            profile: wish.profile.or(now.profile),
        };
        if self.context.is_plan() {
            self.context
                .tally
                .planned_location_writes
                .fetch_add(1, Ordering::Relaxed);
            touched.after = after;
            return Ok((Placed::Done(Sent::default()), Some(touched)));
        }
        let write = Write::Location {
            location: id.clone(),
            before: now,
            after: wish,
        };
        let placed = match self.write(standing, change.line, write).await? {
            Ended::Applied(sent) => {
                set(standing, &id, &original, &after);
                touched.after = after;
                Placed::Done(sent)
            }
            Ended::Altered(trouble, sent) => {
                self.context.altered.fetch_add(1, Ordering::Relaxed);
                if let Some(Effect::Location(stored)) = &sent.effect {
                    let stored = LocationState {
                        service: stored.service.clone().or(after.service),
                        profile: stored.profile.or(after.profile),
                    };
                    set(standing, &id, &original, &stored);
                    touched.after = stored;
                }
                Placed::Failed(trouble, sent)
            }
            Ended::Failed(trouble, sent) => {
                if let Some(Sight::Location(seen)) = &sent.seen {
                    touched.after.clone_from(seen);
                }
                Placed::Failed(trouble, sent)
            }
            Ended::InDoubt(trouble, sent) => Placed::InDoubt(trouble, sent),
        };
        Ok((placed, Some(touched)))
    }
}

/// Makes the locations of a customer known, with their service IDs, unless they are.
///
/// Where the list is not to be had, the one location that the lines can mean is read by its own ID.
pub(super) async fn learn<N: WriteLog>(
    context: &Context<N>,
    standing: &mut CustomerState,
    changes: &[Change],
) -> StepResult<()> {
    if matches!(standing.locations, Locations::Known(_)) {
        return Ok(());
    }
    standing.spots_read_at = Instant::now();
    let refusal = match context.locations(&standing.id).await.or_halt()? {
        Ok(locations) => {
            standing.locations = Locations::Known(locations);
            return Ok(());
        }
        Err(error) if error.is_final() => return Err(error.into()),
        Err(error) => error,
    };
    let named: Vec<&LocationId> = changes
        .iter()
        .filter_map(|change| change.location.as_ref())
        .collect();
    let candidates: Vec<LocationId> = match &standing.locations {
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
        let answer = context.system.location(&standing.id, &id).await;
        match context.classify(answer).await.or_halt()? {
            Ok(location) => known.push(location),
            Err(error) if error.is_final() => return Err(error.into()),
            Err(_) => return Err(refusal.into()),
        }
    }
    standing.locations = Locations::Known(known);
    Ok(())
}

/// The location that a line means.
pub(super) fn meant<'a>(
    standing: &'a CustomerState,
    change: &Change,
) -> Result<&'a Location, SystemError> {
    let Locations::Known(all) = &standing.locations else {
        return Err(SystemError::new(
            Failed::Unavailable,
            "the customer's locations are not known",
        ));
    };
    match (&change.location, all.as_slice()) {
        (Some(id), _) => all.iter().find(|place| place.id == *id).ok_or_else(|| {
            SystemError::new(
                Failed::NotFound,
                format!("customer `{}` has no location `{id}`", standing.id),
            )
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(SystemError::new(
            Failed::NotFound,
            format!("customer `{}` has no location", standing.id),
        )),
        (None, several) => Err(SystemError::new(
            Failed::Ambiguous,
            format!(
                "customer `{}` has {} locations: name one in `locationId`",
                standing.id,
                several.len()
            ),
        )),
    }
}

/// Whether a location is as the line wishes. An untold profile is the system's default, `auto`.
pub(super) fn is_fulfilled(place: &LocationState, change: &Change) -> bool {
    change
        .service
        .as_ref()
        .is_none_or(|wish| place.service.as_ref() == Some(wish))
        && change
            .profile
            .is_none_or(|wish| place.profile.unwrap_or(Profile::Auto) == wish)
}

/// What is wished of a location.
pub(super) fn wish(change: &Change) -> LocationState {
    LocationState {
        service: change.service.clone(),
        profile: change.profile,
    }
}

/// Whether what the line wishes to change still is as this run or its plan found it.
pub(super) fn is_untouched(
    job: &Job,
    change: &Change,
    now: &LocationState,
    original: &LocationState,
) -> Result<(), SystemError> {
    let planned = job
        .expected
        .iter()
        .find(|planned| planned.line == change.line);
    let found = planned.map_or_else(
        || original.clone(),
        |planned| LocationState {
            service: planned.service.before.clone(),
            profile: planned.profile.before,
        },
    );
    // What already has the requested value was written by another line, or needs no write.
    let same_service =
        change.service.is_none() || found.service == now.service || change.service == now.service;
    let same_profile =
        change.profile.is_none() || found.profile == now.profile || change.profile == now.profile;
    if same_service && same_profile {
        return Ok(());
    }
    let say = |spot: &LocationState| {
        let service = spot.service.as_ref().map_or("none", |id| id.as_str());
        let profile = spot.profile.map_or("not told", Profile::as_str);
        format!("service ID {service}, profile {profile}")
    };
    Err(SystemError::new(
        Failed::Stale,
        format!(
            "somebody else changed this location: it had {}, now it has {}; nothing was written",
            say(&found),
            say(now)
        ),
    ))
}

/// Remembers what was written to a location.
pub(super) fn set(
    standing: &mut CustomerState,
    id: &LocationId,
    original: &LocationState,
    after: &LocationState,
) {
    let originals = &mut standing.original_spots;
    originals
        .entry(id.clone())
        .or_insert_with(|| original.clone());
    if let Locations::Known(all) = &mut standing.locations
        && let Some(place) = all.iter_mut().find(|place| place.id == *id)
    {
        place.service.clone_from(&after.service);
        place.profile = after.profile;
    }
}
