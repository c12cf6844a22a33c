//! Finds the lines that failed in the last run of the same file: the same failure again is not a new problem.

use super::catalog::RunCatalog;
use super::error::CommandError;
use super::input_identity::InputIdentity;
use crate::domain::Status;
use crate::engine::KnownFailures;
use crate::ledger::{Counted, Header, RunKind};
use std::collections::HashMap;
use std::sync::Arc;

/// The failures of the newest other run of this file on this target.
pub(super) fn of(mine: &Header, catalog: &RunCatalog) -> Result<KnownFailures, CommandError> {
    let identity = InputIdentity::of_run(mine);
    let target = [mine.target.as_str()];
    let mut others = catalog.others(&mine.run, &target).filter(|entry| {
        let its = &entry.header;
        its.kind != RunKind::Undo && identity.is_same_file(&InputIdentity::of_run(its))
    });
    let mut failures = HashMap::new();
    if let Some(newest) = others.next() {
        let ledger = newest.ledger()?;
        // The counts are those that were stored when the run was closed, so that the lines of most runs are not read.
        if Counted::lines_named(&ledger.counts()?, "failed") == 0 {
            return Ok(Arc::default());
        }
        for outcome in ledger.outcomes_with(&["failed"]) {
            let outcome = outcome?;
            if let Status::Failed(reason) = outcome.status {
                failures.insert(outcome.line, reason);
            }
        }
    }
    Ok(Arc::new(failures))
}
