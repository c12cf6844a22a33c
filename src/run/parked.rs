//! Customers parked by a run that already has a final outcome for all their lines.
//!
//! A write that parks a customer may take effect after the run read the customer and did not see it. No other run
//! knows the customer's own account ID, so `resume` restores it, and `verify` reports it.

use super::error::CommandError;
use crate::ledger::{Ledger, Write, WriteRecord};
use crate::system::System;
use std::collections::HashSet;

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
            && customer.account == *after
        {
            parked.push(write);
        }
    }
    Ok(parked)
}
