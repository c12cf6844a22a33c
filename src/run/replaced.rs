//! Digests of values that a run has replaced. By these, a later reconcile finds out whether a value was reverted, even if
//! that run has only its compact record left.

use super::error::CommandError;
use super::line_digest::number;
use crate::domain::{AccountId, CustomerId, LocationId, NetChange, NetValue, Profile, ServiceId};
use crate::ledger::Ledger;

/// Returns digests of the values that a run has replaced at locations, before it is pruned. The account IDs that it has
/// replaced stay on record.
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

/// Returns the digests of the values that this change replaced.
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
