//! The turns of a target that several processes call: what `http` asks for, given out by the ledger that they share.

use crate::http::{Granting, SharedRate};
use crate::ledger::{LedgerError, LedgerTurns};
use crate::limits::TurnsAsk;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const REFUSED: &str = "the system refuses calls of another process: all wait";
const BLOCKED: &str = "a firewall blocks this address for another process: its calls wait";

/// The turns of one target in a ledger.
#[derive(Debug)]
pub(crate) struct LedgerRate {
    turns: LedgerTurns,
    target: String,
}

impl LedgerRate {
    /// Those of the target with this key.
    pub(crate) fn of(turns: LedgerTurns, target: String) -> Arc<Self> {
        Arc::new(Self { turns, target })
    }

    /// The address as it is named for all processes; empty where it is not known.
    fn name(&self, from: Option<IpAddr>) -> String {
        match from {
            Some(address) => address.to_string(),
            None => self.turns.egress.clone().unwrap_or_default(),
        }
    }
}

impl SharedRate for LedgerRate {
    fn grant(&self, ask: TurnsAsk) -> Granting<'_> {
        let from = self.name(ask.from);
        Box::pin(async move {
            let asks = (self.turns.presence.name(), from);
            let granted = self
                .turns
                .postgres
                .grant_calls(&self.target, asks, ask)
                .await;
            granted.map_err(|why: LedgerError| why.to_string())
        })
    }

    fn hold_target(&self, wait: Duration, slows: bool, answered: [u32; 2]) {
        self.turns
            .postgres
            .hold_calls(&self.target, wait, slows, REFUSED, answered);
    }

    fn hold_address(&self, from: Option<IpAddr>, wait: Duration) {
        self.turns
            .postgres
            .hold_calls_from(&self.target, &self.name(from), wait, BLOCKED);
    }

    fn order(&self, per_second: f64, gap: Duration) {
        self.turns
            .postgres
            .order_rate(&self.target, per_second, gap);
    }

    fn give_back(&self, unused: &[(i64, u32)]) {
        self.turns.postgres.give_calls_back(unused);
    }
}

/// What this process asked for counts no more.
impl Drop for LedgerRate {
    fn drop(&mut self) {
        let process = self.turns.presence.name();
        self.turns.postgres.leave_turns(&self.target, process);
    }
}

#[cfg(test)]
#[path = "ledger_rate_tests.rs"]
mod tests;
