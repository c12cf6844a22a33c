//! After a run on a system with answers that may show values that do not persist: every changed customer is read
//! again, many with one call.

use super::error::CommandError;
use crate::domain::{Outcome, Status};
use crate::engine::did_not_last;
use crate::ledger::{Journal, Ledger};
use crate::system::{Bulk, Key, System, Wanted};
use crate::ui;

/// The number of customers that are read together.
const BATCH: usize = 500;

/// Looks at every changed customer, and takes back what did not last: such a line has failed.
pub(super) async fn changes(
    system: &System,
    ledger: &Ledger,
    journal: &Journal,
) -> Result<(), CommandError> {
    system.forget().await;
    let mut batch: Vec<Outcome> = Vec::new();
    for outcome in ledger.outcomes() {
        let outcome = outcome?;
        if outcome.status == Status::Changed && outcome.customer.is_some() {
            batch.push(outcome);
        }
        if batch.len() >= BATCH {
            look(system, journal, std::mem::take(&mut batch)).await?;
        }
    }
    look(system, journal, batch).await
}

async fn look(system: &System, journal: &Journal, batch: Vec<Outcome>) -> Result<(), CommandError> {
    if batch.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Wanted> = batch
        .iter()
        .filter_map(|outcome| outcome.customer.clone())
        .map(|id| Wanted {
            key: Key::Customer(id),
            reseller: None,
        })
        .collect();
    let found = match system.find_many(&wanted, false).await {
        Ok(Bulk::Found(found, _)) => found,
        Ok(Bulk::Refused(why)) => {
            unseen(batch.len(), &why);
            return Ok(());
        }
        Err(trouble) => {
            unseen(batch.len(), &trouble.message);
            return Ok(());
        }
    };
    for (outcome, found) in batch.into_iter().zip(found) {
        let found = found
            .into_iter()
            .find(|customer| Some(&customer.id) == outcome.customer.as_ref());
        let now = match (found, &outcome.customer) {
            (Some(customer), _) => customer.account,
            // Not in the listing, or nothing was listed: read by its own ID.
            (None, Some(id)) => match system.read(id, None, false).await {
                Ok(customer) => customer.and_then(|customer| customer.account),
                Err(trouble) => {
                    unseen(1, &trouble.message);
                    continue;
                }
            },
            (None, None) => continue,
        };
        if now != outcome.account.after {
            let mut lost = did_not_last(outcome);
            lost.account.after = now;
            journal.outcome(lost).await?;
        }
    }
    Ok(())
}

/// A look that fails proves nothing, and is told.
fn unseen(lines: usize, why: &str) {
    ui::warning(&format!(
        "{} could not be looked at once more ({}); `idshift verify` does that later",
        ui::counted(u64::try_from(lines).unwrap_or(u64::MAX), "changed line"),
        ui::visible(why)
    ));
}
