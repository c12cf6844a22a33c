//! Customers that a run has parked under temporary IDs: those that it must still restore, and those that are parked although
//! their lines have a final outcome.
//!
//! A write that parks a customer may take effect after the run read the customer and did not see it. No other run
//! knows the customer's own account ID, so `resume` restores it, and `verify` reports it.

use super::catalog::RunCatalog;
use super::error::CommandError;
use crate::domain::is_respelling;
use crate::ledger::{Ledger, Write, WriteRecord};
use crate::system::System;
use std::collections::{HashMap, HashSet};

/// Returns whether customers still have temporary IDs of the run, which only its resume restores, as far as the records of all
/// runs show.
///
/// A finished run has no more to do: a customer that it could not restore is gone, or was renamed by others. Before the run
/// is finished, another run may have renamed the customer.
pub(super) fn are_left(ledger: &Ledger, catalog: &RunCatalog) -> Result<bool, CommandError> {
    if !ledger.is_unfinished()? {
        return Ok(false);
    }
    let mut left = ledger.temporary_ids_left()?;
    let targets: Vec<&str> = ledger.targets().collect();
    // The newest run that has taken the ID from a customer, or has given it back, decides.
    for other in catalog.others(&ledger.header().run, &targets) {
        if left.is_empty() {
            return Ok(false);
        }
        let mut given = HashMap::new();
        other.ledger()?.each_account_replaced(|before, after| {
            let of_run = |id: &str| left.get(id).cloned();
            given.extend(before.and_then(of_run).map(|id| (id, false)));
            given.extend(after.and_then(of_run).map(|id| (id, true)));
        })?;
        if given.values().any(|is_given| *is_given) {
            return Ok(true);
        }
        left.retain(|id| !given.contains_key(id));
    }
    Ok(!left.is_empty())
}

/// The writes that parked the customers that are still parked, one for each customer.
///
/// A customer that cannot be read is left out: the next command reads it again.
pub(super) async fn find(
    ledger: &Ledger,
    system: &System,
) -> Result<Vec<WriteRecord>, CommandError> {
    let mut asked = HashSet::new();
    let mut parked = Vec::new();
    for write in ledger.parkings()? {
        let intent = &write.intent;
        let Write::Account { after, .. } = &intent.write else {
            continue;
        };
        if !write.may_have_landed() || !asked.insert((intent.customer.clone(), intent.line)) {
            continue;
        }
        let read = system.read(&intent.customer, intent.reseller.as_ref(), false);
        if let Ok(Some(customer)) = read.await
            && let Some((temporary, now)) = after.as_ref().zip(customer.account)
            && is_respelling(temporary.as_str(), now.as_str())
        {
            parked.push(write);
        }
    }
    Ok(parked)
}
