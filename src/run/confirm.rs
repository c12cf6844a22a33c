//! After a run on a system that may answer with values that do not persist: reads each changed customer again, in bulk.

use super::error::CommandError;
use crate::engine::{Concurrency, FinalValues, History, Left, Recheck, did_not_last};
use crate::ledger::{Journal, Ledger};
use crate::system::System;
use crate::ui;
use std::sync::Arc;

/// Changed lines that were not read again, and why the first was not.
#[derive(Default)]
struct Unread {
    lines: usize,
    why: String,
    /// Whether no further line can be read.
    rest: bool,
}

impl Unread {
    fn add(&mut self, lines: usize, why: &str) {
        if self.lines == 0 {
            why.clone_into(&mut self.why);
        }
        self.lines += lines;
    }
}

/// Reads every changed customer again, except those that another run has changed since. If a value did not persist, its line
/// becomes failed.
pub(super) async fn changes(
    (system, concurrency): (&Arc<System>, Concurrency),
    (ledger, history): (&Ledger, &History),
    journal: &Journal,
) -> Result<(), CommandError> {
    system.forget().await;
    let mut recheck = Recheck::in_batches(system, concurrency, FinalValues::default());
    let mut unread = Unread::default();
    let mut batch: Vec<Left> = Vec::new();
    for outcome in ledger.outcomes_with(&["changed"]) {
        let outcome = outcome?;
        if outcome.customer.is_some() && !history.is_requested_since(&outcome) {
            batch.push((outcome, None));
        }
        if batch.len() >= Recheck::BATCH {
            read(&mut recheck, &mut batch, journal, &mut unread).await?;
        }
    }
    read(&mut recheck, &mut batch, journal, &mut unread).await?;
    if unread.lines > 0 {
        // A value that was not read again is neither confirmed nor refuted.
        ui::warning(&format!(
            "{} could not be read again ({}); `idshift verify` does that later",
            ui::counted(
                u64::try_from(unread.lines).unwrap_or(u64::MAX),
                "changed line"
            ),
            ui::visible(&unread.why)
        ));
    }
    Ok(())
}

async fn read(
    recheck: &mut Recheck,
    batch: &mut Vec<Left>,
    journal: &Journal,
    unread: &mut Unread,
) -> Result<(), CommandError> {
    if unread.rest {
        unread.lines += batch.len();
        batch.clear();
        return Ok(());
    }
    let (mut lost, mut seen) = (Vec::new(), 0);
    let reading = recheck.read(batch, |outcome, found| {
        seen += 1;
        match found {
            Ok(differences) => {
                let first = differences.first();
                lost.extend(first.map(|first| did_not_last(outcome.clone(), first)));
            }
            Err(error) => unread.add(1, &error.message),
        }
    });
    if let Err(why) = reading.await {
        unread.add(batch.len() - seen, &why.message);
        unread.rest = true;
    }
    for outcome in lost {
        journal.outcome(outcome).await?;
    }
    batch.clear();
    Ok(())
}
