//! Runs that put another run back: which there are, and whether one is complete.

use super::catalog::RunCatalog;
use super::error::CommandError;
use crate::ledger::{Ledger, RunDir};

/// The newest run that has put back something of this one, if it is such.
pub(super) fn undo_of(
    id: &str,
    catalog: &RunCatalog,
    is_such: impl Fn(&Ledger) -> bool,
) -> Result<Option<(RunDir, Ledger)>, CommandError> {
    for entry in &catalog.entries {
        let Ok(other) = Ledger::open_unchecked(&entry.dir) else {
            continue;
        };
        let dir = entry.dir.clone();
        if other.header().parent.as_deref() == Some(id) && other.has_writes()? && is_such(&other) {
            return Ok(Some((dir, other)));
        }
    }
    Ok(None)
}
