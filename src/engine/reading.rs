//! Reads the present state of a customer or a location. If the system refuses the direct read, there is one alternative
//! for each, which all callers use.

use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller};
use crate::system::{Customer, Location, System, SystemError};

/// Returns the customer with this ID. The error is `NotFound` only if the system itself says so, never for a failed read.
///
/// If single customers cannot be read, the search still tells which customer has which account ID: `accounts` are those
/// that the customer may have. A system without single reads may answer as if there were no such customer, so that answer
/// counts only if the search does not show the customer either. An earlier list is not used: the caller needs the present
/// state.
pub(super) async fn customer(
    system: &System,
    id: &CustomerId,
    reseller: Option<&Reseller>,
    locations: bool,
    accounts: impl IntoIterator<Item = &AccountId>,
) -> Result<Customer, SystemError> {
    let trouble = match system.read(id, reseller, locations).await {
        Ok(Some(found)) => return Ok(found),
        Ok(None) => SystemError::new(Failed::NotFound, format!("there is no customer `{id}`")),
        Err(why) if why.fatal.is_some() => return Err(why),
        Err(why) => why,
    };
    if !system.capabilities().searches_live {
        return Err(trouble);
    }
    let mut failed = None;
    for account in accounts {
        match system.find(account, reseller).await {
            Ok(found) => {
                if let Some(customer) = found.into_iter().find(|customer| customer.id == *id) {
                    return Ok(customer);
                }
            }
            Err(other) if other.fatal.is_some() => return Err(other),
            Err(other) => failed = Some(other),
        }
    }
    Err(match failed {
        Some(failed) if trouble.reason == Failed::NotFound => failed,
        _ => trouble,
    })
}

/// Returns one location of a customer; `None`: the customer has no such location.
///
/// If the list of locations cannot be read, the location is read by its own ID.
pub(super) async fn location(
    system: &System,
    customer: &CustomerId,
    id: &LocationId,
) -> Result<Option<Location>, SystemError> {
    let trouble = match system.locations(customer).await {
        Ok(all) => return Ok(all.into_iter().find(|location| location.id == *id)),
        Err(why) if why.is_final() => return Err(why),
        Err(why) => why,
    };
    match system.location(customer, id).await {
        Ok(location) => Ok(Some(location)),
        Err(other) if other.is_final() => Err(other),
        Err(_) => Err(trouble),
    }
}
