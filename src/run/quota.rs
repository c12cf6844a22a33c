//! The limits of a target over all processes: where they are kept, and what of that the client is told.

use crate::ledger::{LedgerError, Runs, StateCalls, StateDb};
use crate::limits::{CallReservations, SharedRate};
use std::sync::Arc;

/// Where the limits of a target are kept, which hold for all its processes together.
#[derive(Debug, Clone)]
pub(crate) enum SharedLimits {
    /// Calls are counted against the quota on this machine; each process has its own pace.
    Machine(Arc<dyn CallReservations>),
    /// One pace and one quota for all processes on all machines.
    Ledger(Arc<dyn SharedRate>),
}

impl SharedLimits {
    /// Those of the target with this key: where runs are kept, or else in the state database of this machine, where that is
    /// given.
    pub(super) fn of(
        runs: &dyn Runs,
        target: String,
        state: impl FnOnce() -> Result<Option<Arc<StateDb>>, LedgerError>,
    ) -> Result<Option<Self>, LedgerError> {
        if let Some(rate) = runs.rate_of(&target)? {
            return Ok(Some(Self::Ledger(rate)));
        }
        Ok(state()?.map(|state| Self::Machine(Arc::new(StateCalls { state, target }))))
    }

    /// What the client is told: where the quota is counted, and who gives out the turns.
    pub(super) fn for_client(
        limits: Option<Self>,
        has_quota: bool,
    ) -> (
        Option<Arc<dyn CallReservations>>,
        Option<Arc<dyn SharedRate>>,
    ) {
        match limits {
            Some(Self::Machine(calls)) if has_quota => (Some(calls), None),
            Some(Self::Machine(_)) | None => (None, None),
            Some(Self::Ledger(rate)) => (None, Some(rate)),
        }
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
