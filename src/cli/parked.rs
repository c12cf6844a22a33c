//! Customers under a temporary ID of a run of whose lines all has been said.
//!
//! A write that puts somebody aside may land after it was looked for in vain. No other run can tell where its customer
//! belongs, so `resume` brings it home, and `verify` tells of it.

use super::command_error::CommandError;
use crate::ledger::{Ledger, Write, WriteRecord};
use crate::system::System;
use std::collections::HashSet;

/// The writes by which customers stand aside now, one for each of these.
///
/// Who cannot be read is left out: it is looked for again with the next command.
pub(super) async fn find(
    ledger: &Ledger,
    system: &System,
) -> Result<Vec<WriteRecord>, CommandError> {
    let mut asked = HashSet::new();
    let mut strays = Vec::new();
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
            strays.push(write);
        }
    }
    Ok(strays)
}
