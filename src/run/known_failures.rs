//! Which lines failed in the last run of the same file: where they fail alike again, that says nothing new.

use super::catalog::{RunCatalog, Scope};
use super::error::CommandError;
use super::input_identity::InputIdentity;
use crate::domain::Status;
use crate::engine::KnownFailures;
use crate::ledger::{Ledger, RunDir};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The failures of the newest other run of this file on this target.
pub(super) fn of(
    mine: &RunDir,
    ledger: &Ledger,
    runs_dir: &Path,
) -> Result<KnownFailures, CommandError> {
    let identity = InputIdentity::of_run(ledger.header());
    let target = &ledger.header().target;
    let scope = Scope {
        runs_dir,
        everywhere: false,
    };
    // The highest epoch first: whatever the clock says, that run was made last.
    for entry in RunCatalog::load(scope, None)?.entries {
        if entry.dir.run() == mine.run() || entry.target != *target {
            continue;
        }
        // One that cannot be read says nothing.
        let Ok(other) = Ledger::open_unchecked(&entry.dir) else {
            continue;
        };
        let is_undo = other.header().parent.is_some();
        if is_undo || !identity.is_same_file(&InputIdentity::of_run(other.header())) {
            continue;
        }
        let mut failures = HashMap::new();
        for outcome in other.outcomes() {
            let outcome = outcome?;
            if let Status::Failed(reason) = outcome.status {
                failures.insert(outcome.line, reason);
            }
        }
        return Ok(Arc::new(failures));
    }
    Ok(Arc::default())
}
