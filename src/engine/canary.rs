//! Reads back what the first units did, before the others are begun.

use super::context::Asked;
use super::{Context, Halt, Notes};
use crate::domain::{Outcome, Reseller, Status};
use crate::system::Locations;

/// Whether everything that was carried out so far is right; the words say what is not.
pub(super) async fn is_right<N: Notes>(context: &Context<N>) -> Result<Result<(), String>, Halt> {
    for (outcome, reseller) in context.take_kept() {
        match outcome.status {
            Status::Changed => match differs(context, &outcome, reseller.as_ref()).await? {
                Ok(None) => {}
                Ok(Some(words)) => return Ok(Err(words)),
                Err(trouble) => {
                    return Ok(Err(format!("line {}: {}", outcome.line, trouble.message)));
                }
            },
            Status::Unchanged(_) | Status::WouldChange => {}
            Status::Failed(_) | Status::Skipped(_) | Status::InDoubt => {
                return Ok(Err(format!(
                    "line {} failed: {}",
                    outcome.line, outcome.message
                )));
            }
        }
    }
    Ok(Ok(()))
}

async fn differs<N: Notes>(
    context: &Context<N>,
    outcome: &Outcome,
    reseller: Option<&Reseller>,
) -> Asked<Option<String>> {
    let Some(id) = &outcome.customer else {
        return Ok(Ok(None));
    };
    let wants_location = outcome.location.is_some();
    let customer = match context.read(id, reseller, wants_location).await? {
        Ok(Some(customer)) => customer,
        Ok(None) => {
            return Ok(Ok(Some(format!(
                "line {}: the customer is gone",
                outcome.line
            ))));
        }
        Err(trouble) => return Ok(Err(trouble)),
    };
    let line = outcome.line;
    if customer.account != outcome.account.after {
        return Ok(Ok(Some(format!(
            "line {line}: the account ID is not what was written"
        ))));
    }
    let Some(location) = &outcome.location else {
        return Ok(Ok(None));
    };
    let places = match customer.locations {
        Locations::Known(places) => places,
        Locations::Ids(_) | Locations::Untold => match context.locations(id).await? {
            Ok(places) => places,
            Err(trouble) => return Ok(Err(trouble)),
        },
    };
    let right = places
        .iter()
        .any(|place| place.id == *location && place.service == outcome.service.after);
    Ok(Ok((!right).then(|| {
        format!("line {line}: the service ID is not what was written")
    })))
}
