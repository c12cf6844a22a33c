//! Locations: which one a line means, how it stands, and what is written to it.

use super::context::Asked;
use super::locate::Standing;
use super::{Context, Job, Notes};
use crate::domain::{Change, CustomerId, Failed, LocationId, Profile};
use crate::ledger::Spot;
use crate::system::{Location, Locations, Trouble};

/// Makes the locations of a customer known, with their service IDs, unless they are.
///
/// Where the list is not to be had, the one location that the lines can mean is read by its own ID.
pub(super) async fn learn<N: Notes>(
    context: &Context<N>,
    standing: &mut Standing,
    changes: &[Change],
) -> Asked<()> {
    if matches!(standing.locations, Locations::Known(_)) {
        return Ok(Ok(()));
    }
    let trouble = match context.locations(&standing.id).await? {
        Ok(locations) => {
            standing.locations = Locations::Known(locations);
            return Ok(Ok(()));
        }
        Err(trouble) => trouble,
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
        Locations::Untold | Locations::Known(_) => return Ok(Err(trouble)),
    };
    let mut known = Vec::new();
    for id in candidates {
        let answer = context.system.location(&id).await;
        match context.weigh(answer).await? {
            Ok(location) => known.push(location),
            Err(_) => return Ok(Err(trouble)),
        }
    }
    standing.locations = Locations::Known(known);
    Ok(Ok(()))
}

/// One location of a customer, as it is now.
pub(super) async fn place<N: Notes>(
    context: &Context<N>,
    customer: &CustomerId,
    location: &LocationId,
) -> Asked<Location> {
    let trouble = match context.locations(customer).await? {
        Ok(all) => match all.into_iter().find(|place| place.id == *location) {
            Some(place) => return Ok(Ok(place)),
            None => Trouble::new(
                Failed::NotFound,
                format!("the location `{location}` is gone"),
            ),
        },
        Err(trouble) => trouble,
    };
    let answer = context.system.location(location).await;
    Ok(context.weigh(answer).await?.map_err(|_| trouble))
}

/// The location that a line means.
pub(super) fn meant<'a>(standing: &'a Standing, change: &Change) -> Result<&'a Location, Trouble> {
    let Locations::Known(all) = &standing.locations else {
        return Err(Trouble::new(
            Failed::Unavailable,
            "the customer's locations are not known",
        ));
    };
    match (&change.location, all.as_slice()) {
        (Some(id), _) => all.iter().find(|place| place.id == *id).ok_or_else(|| {
            Trouble::new(
                Failed::NotFound,
                format!("customer `{}` has no location `{id}`", standing.id),
            )
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Trouble::new(
            Failed::NotFound,
            format!("customer `{}` has no location", standing.id),
        )),
        (None, several) => Err(Trouble::new(
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
pub(super) fn is_fulfilled(place: &Spot, change: &Change) -> bool {
    change
        .service
        .as_ref()
        .is_none_or(|wish| place.service.as_ref() == Some(wish))
        && change
            .profile
            .is_none_or(|wish| place.profile.unwrap_or(Profile::Auto) == wish)
}

/// What is wished of a location.
pub(super) fn wish(change: &Change) -> Spot {
    Spot {
        service: change.service.clone(),
        profile: change.profile,
    }
}

/// Whether what the line wishes to change still is as this run or its plan found it.
pub(super) fn is_untouched(
    job: &Job,
    change: &Change,
    now: &Spot,
    original: &Spot,
) -> Result<(), Trouble> {
    let planned = job
        .expected
        .iter()
        .find(|planned| planned.line == change.line);
    let found = planned.map_or_else(
        || original.clone(),
        |planned| Spot {
            service: planned.service.before.clone(),
            profile: planned.profile.before,
        },
    );
    let same_service = change.service.is_none() || found.service == now.service;
    let same_profile = change.profile.is_none() || found.profile == now.profile;
    if same_service && same_profile {
        return Ok(());
    }
    let say = |spot: &Spot| {
        let service = spot.service.as_ref().map_or("none", |id| id.as_str());
        let profile = spot.profile.map_or("not told", Profile::as_str);
        format!("service ID {service}, profile {profile}")
    };
    Err(Trouble::new(
        Failed::Stale,
        format!(
            "somebody else changed this location: it had {}, now it has {}; nothing was written",
            say(&found),
            say(now)
        ),
    ))
}

/// Remembers what was written to a location.
pub(super) fn set(standing: &mut Standing, id: &LocationId, original: &Spot, after: &Spot) {
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
