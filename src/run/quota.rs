//! The quota of a target over all processes: what `http` asks for, kept in the state database.

use crate::http::{Reserved, SharedCalls};
use crate::ledger::{ReservedCalls, StateDb};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// The calls of one target in the state database.
#[derive(Debug)]
pub(crate) struct StateCalls {
    state: Arc<StateDb>,
    target: String,
}

impl StateCalls {
    /// Those of the target with this key.
    pub(crate) fn of(state: Arc<StateDb>, target: String) -> Self {
        Self { state, target }
    }
}

impl SharedCalls for StateCalls {
    fn change(
        &self,
        from: Option<IpAddr>,
        owner: u64,
        change: &mut dyn FnMut(Vec<Reserved>) -> Vec<Reserved>,
    ) -> io::Result<()> {
        let mut exchange = |stored: Vec<ReservedCalls>| {
            let reserved = stored.into_iter().map(|one| Reserved {
                owner: one.owner,
                wall_ms: one.wall_ms,
                boot_ms: one.boot_ms,
                boot_id: one.boot_id,
                calls: one.calls,
            });
            let changed = change(reserved.collect()).into_iter();
            changed
                .map(|one| ReservedCalls {
                    owner: one.owner,
                    wall_ms: one.wall_ms,
                    boot_ms: one.boot_ms,
                    boot_id: one.boot_id,
                    calls: one.calls,
                })
                .collect()
        };
        let address = from.map_or_else(String::new, |address| address.to_string());
        self.state
            .change_calls((&self.target, &address), owner, &mut exchange)
            .map_err(io::Error::other)
    }
}
