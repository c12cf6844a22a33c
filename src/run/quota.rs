//! The limits of a target over all processes: what `http` asks for, kept in the state database of this machine, or in a
//! ledger that several machines share.

use super::ledger_rate::LedgerRate;
use crate::http::{CallReservations, SharedRate};
use crate::ledger::{LedgerError, Runs, StateDb};
use crate::limits::ReservedCalls;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// Where the limits of a target are kept, which hold for all its processes together.
#[derive(Debug, Clone)]
pub(crate) enum SharedLimits {
    /// Calls are counted against the quota on this machine; each process has its own pace.
    Machine(Arc<StateCalls>),
    /// One pace and one quota for all processes on all machines.
    Ledger(Arc<LedgerRate>),
}

impl SharedLimits {
    /// Those of the target with this key: where runs are kept, or else in the state database of this machine, where that is
    /// given.
    pub(super) fn of(
        runs: &dyn Runs,
        target: String,
        state: impl FnOnce() -> Result<Option<Arc<StateDb>>, LedgerError>,
    ) -> Result<Option<Self>, LedgerError> {
        if let Some(turns) = runs.turns()? {
            return Ok(Some(Self::Ledger(LedgerRate::of(turns, target))));
        }
        Ok(state()?.map(|state| StateCalls::of(state, target)))
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

/// The calls of one target in the state database.
#[derive(Debug)]
pub(crate) struct StateCalls {
    state: Arc<StateDb>,
    target: String,
}

impl StateCalls {
    /// Those of the target with this key.
    pub(crate) fn of(state: Arc<StateDb>, target: String) -> SharedLimits {
        SharedLimits::Machine(Arc::new(Self { state, target }))
    }
}

impl CallReservations for StateCalls {
    fn change(
        &self,
        from: Option<IpAddr>,
        owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> io::Result<()> {
        let address = from.map_or_else(String::new, |address| address.to_string());
        self.state
            .change_calls((&self.target, &address), owner, change)
            .map_err(io::Error::other)
    }
}
