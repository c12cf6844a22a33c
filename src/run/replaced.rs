//! Values that a run has replaced, as digests: a later reconcile tells by them whether a value was reverted, also when of that
//! run only the compact record is left.

use super::error::CommandError;
use super::line_digest::number;
use crate::domain::{AccountId, CustomerId, LocationId, NetChange, NetValue, Profile, ServiceId};
use crate::ledger::Ledger;

/// Of a run that is about to be pruned: digests of the values that it has replaced at locations. What it has replaced of
/// account IDs stays on record.
pub(super) fn replaced_at_locations(ledger: &Ledger) -> Result<Vec<u64>, CommandError> {
    let mut replaced = Vec::new();
    let order = ledger.write_order_at_locations()?;
    for changes in ledger.net_changes_in(&order) {
        let changes = changes?.into_iter();
        let of_locations =
            changes.filter(|change| matches!(change.value, NetValue::Location { .. }));
        replaced.extend(of_locations.flat_map(|change| digests(&change)));
    }
    Ok(replaced)
}

/// The digests of the values that were replaced.
pub(super) fn digests(change: &NetChange) -> Vec<u64> {
    let customer = &change.customer;
    match &change.value {
        NetValue::Account { change, .. } => vec![of_account(customer, change.before.as_ref())],
        NetValue::Location {
            location,
            service,
            profile,
        } => {
            let service = service
                .differs()
                .then(|| of_service(customer, location, service.before.as_ref()));
            let profile = profile
                .differs()
                .then(|| of_profile(customer, location, profile.before));
            service.into_iter().chain(profile).collect()
        }
    }
}

/// The digest of an account ID of a customer.
pub(super) fn of_account(customer: &CustomerId, before: Option<&AccountId>) -> u64 {
    number(&format!("account\n{customer:?}\n{before:?}"))
}

/// The digest of a service ID at a location.
pub(super) fn of_service(
    customer: &CustomerId,
    location: &LocationId,
    before: Option<&ServiceId>,
) -> u64 {
    number(&format!("service\n{customer:?}\n{location:?}\n{before:?}"))
}

/// The digest of a profile at a location.
pub(super) fn of_profile(
    customer: &CustomerId,
    location: &LocationId,
    before: Option<Profile>,
) -> u64 {
    number(&format!("profile\n{customer:?}\n{location:?}\n{before:?}"))
}
