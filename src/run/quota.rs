//! The limits of a target for all its processes together: where they are kept, and what the client gets of them.

use crate::ledger::{LedgerError, Runs, StateCalls, StateDb};
use crate::limits::{CallReservations, SharedRate};
use std::sync::Arc;

/// Where the limits are kept that all processes of a target share.
#[derive(Debug, Clone)]
pub(crate) enum SharedLimits {
    /// Calls are counted against the quota on this machine; each process has its own pace.
    Machine(Arc<dyn CallReservations>),
    /// One pace and one quota for all processes on all machines.
    Ledger(Arc<dyn SharedRate>),
}

impl SharedLimits {
    /// Returns the limits of the target with this key: from the place where runs are kept, otherwise from the state
    /// database of this machine, if that is given.
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

    /// Returns what the client needs: where the quota is counted, and what gives out the turns.
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
