//! Compares what a run left with the present state in the system.

use super::{reading, spans};
use crate::domain::{AccountId, Failed, Line, Outcome, Reseller, ServiceId, Status, Transition};
use crate::system::{Customer, Location, Locations, System, SystemError};
use std::fmt;
use tracing::Instrument;

/// The part of a customer that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The customer as a whole: it is gone, or cannot be read.
    Customer,
    /// The account ID.
    Account,
    /// A location as a whole: it is gone.
    Location,
    /// The service ID of a location.
    Service,
    /// The profile of a location.
    Profile,
}

impl Aspect {
    /// Returns the name in messages and JSON documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Account => "account ID",
            Self::Location => "location",
            Self::Service => "service ID",
            Self::Profile => "profile",
        }
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value that is not as the run left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The line that changed or checked it.
    pub line: Line,
    /// The customer that differs, by the system's own ID.
    pub customer: String,
    /// What differs.
    pub what: Aspect,
    /// The value that the run left; `None`: no value.
    pub expected: Option<String>,
    /// The present value; `None`: no value.
    pub found: Option<String>,
}

impl Difference {
    fn of(outcome: &Outcome, what: Aspect, expected: Option<&str>, found: Option<&str>) -> Self {
        let customer = outcome.customer.as_ref();
        Self {
            line: outcome.line,
            customer: customer.map_or_else(String::new, ToString::to_string),
            what,
            expected: expected.map(str::to_owned),
            found: found.map(str::to_owned),
        }
    }
}

impl Difference {
    /// Makes the difference for a customer that cannot be read: it is unknown whether it is as the run left it.
    pub fn unreadable(outcome: &Outcome, trouble: &SystemError) -> Self {
        let found = format!("unreadable ({})", trouble.message);
        Self::of(outcome, Aspect::Customer, Some("there"), Some(&found))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: customer {}: {} is {}, the run left {}",
            self.line,
            self.customer,
            self.what,
            self.found.as_deref().unwrap_or("none"),
            self.expected.as_deref().unwrap_or("none")
        )
    }
}

/// Returns the outcome of a line for which the system confirmed the new value but does not have it.
pub fn did_not_last(mut outcome: Outcome, difference: &Difference) -> Outcome {
    let found = difference.found.as_deref();
    outcome.status = Status::Failed(Failed::BadAnswer);
    outcome.message = format!(
        "the system confirmed the new value, but a later read shows another value: {} is {}",
        difference.what,
        found.unwrap_or("none")
    );
    // A value other than the former one was not written by the run: `verify` reports it as a difference.
    let before = outcome.account.before.as_ref().map(AccountId::as_str);
    if difference.what == Aspect::Account && found == before {
        outcome.account.after.clone_from(&outcome.account.before);
    }
    outcome
}

/// Returns how a customer differs from what the run left. `found` is the customer, if it was read just now.
pub(super) async fn differences(
    system: &System,
    outcome: &Outcome,
    reseller: Option<&Reseller>,
    found: Option<Customer>,
) -> Result<Vec<Difference>, SystemError> {
    let Some(id) = &outcome.customer else {
        return Ok(Vec::new());
    };
    let customer = if let Some(customer) = found.filter(|customer| customer.id == *id) {
        customer
    } else {
        let locations = outcome.location.is_some();
        let Transition { before, after } = &outcome.account;
        let accounts = [after, before].into_iter().flatten();
        let reading = reading::customer(system, id, reseller, locations, accounts);
        match reading.instrument(spans::of_line(outcome.line, id)).await {
            Ok(customer) => customer,
            Err(trouble) if trouble.reason == Failed::NotFound => {
                let gone = Difference::of(outcome, Aspect::Customer, Some("there"), None);
                return Ok(vec![gone]);
            }
            Err(trouble) => return Err(trouble),
        }
    };
    let mut differences = Vec::new();
    if customer.account != outcome.account.after {
        let expected = outcome.account.after.as_ref().map(AccountId::as_str);
        let found = customer.account.as_ref().map(AccountId::as_str);
        differences.push(Difference::of(outcome, Aspect::Account, expected, found));
    }
    if let Some(location) = &outcome.location {
        let place = match customer.locations {
            Locations::Known(all) => all.into_iter().find(|place| place.id == *location),
            Locations::Ids(_) | Locations::Untold => {
                let reading = reading::location(system, &customer.id, location);
                reading.instrument(spans::of_line(outcome.line, id)).await?
            }
        };
        if let Some(place) = place {
            place_differs(outcome, &place, &mut differences);
        } else {
            let expected = Some(location.as_str());
            differences.push(Difference::of(outcome, Aspect::Location, expected, None));
        }
    }
    Ok(differences)
}

fn place_differs(outcome: &Outcome, place: &Location, differences: &mut Vec<Difference>) {
    let left = (&outcome.service.after, outcome.profile.after);
    if left.0.is_some() && place.service != *left.0 {
        let expected = left.0.as_ref().map(ServiceId::as_str);
        let found = place.service.as_ref().map(ServiceId::as_str);
        differences.push(Difference::of(outcome, Aspect::Service, expected, found));
    }
    // Not every answer shows a profile.
    if let (Some(expected), Some(found)) = (left.1, place.profile)
        && expected != found
    {
        let (expected, found) = (Some(expected.as_str()), Some(found.as_str()));
        differences.push(Difference::of(outcome, Aspect::Profile, expected, found));
    }
}
