//! The turns of a target that several processes call, given out by the database that they share.

use super::thread::Postgres;
use super::turns::Presence;
use crate::ledger::LedgerError;
use crate::limits::{Granting, SharedRate, TurnsAsk};
use std::net::IpAddr;
use std::time::Duration;

const REFUSED: &str = "the system refuses calls of another process: all wait";
const BLOCKED: &str = "a firewall blocks this address for another process: its calls wait";

/// The turns of one target.
#[derive(Debug)]
pub(crate) struct LedgerRate {
    pub(super) postgres: Postgres,
    /// This process in the database.
    pub(super) presence: Presence,
    /// The name of the address of calls that are sent from none of the named local addresses.
    pub(super) egress: Option<String>,
    /// Its key.
    pub(super) target: String,
}

impl LedgerRate {
    /// Makes the turns of a separate process; its calls come from no named address.
    #[cfg(test)]
    pub(crate) fn of_test(postgres: Postgres, target: &str) -> Self {
        Self {
            presence: postgres.presence(),
            egress: None,
            postgres,
            target: target.to_owned(),
        }
    }

    /// Returns the address as all processes name it; empty: it is not known.
    fn name(&self, from: Option<IpAddr>) -> String {
        match from {
            Some(address) => address.to_string(),
            None => self.egress.clone().unwrap_or_default(),
        }
    }
}

impl SharedRate for LedgerRate {
    fn grant(&self, ask: TurnsAsk) -> Granting<'_> {
        let from = self.name(ask.from);
        Box::pin(async move {
            let asks = (self.presence.name(), from);
            let granted = self.postgres.grant_calls(&self.target, asks, ask).await;
            granted.map_err(|why: LedgerError| why.to_string())
        })
    }

    fn hold_target(&self, wait: Duration, slows: bool, answered: [u32; 2]) {
        self.postgres
            .hold_calls(&self.target, wait, slows, REFUSED, answered);
    }

    fn hold_address(&self, from: Option<IpAddr>, wait: Duration) {
        self.postgres
            .hold_calls_from(&self.target, &self.name(from), wait, BLOCKED);
    }

    fn order(&self, per_second: f64, gap: Duration) {
        self.postgres.order_rate(&self.target, per_second, gap);
    }

    fn give_back(&self, unused: &[(i64, u32)]) {
        self.postgres.give_calls_back(unused);
    }
}

/// The rate that this process asked for no longer counts.
impl Drop for LedgerRate {
    fn drop(&mut self) {
        let process = self.presence.name();
        self.postgres.leave_turns(&self.target, process);
    }
}
