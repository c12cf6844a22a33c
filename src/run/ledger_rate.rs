//! The turns of a target that several processes call: what `http` asks for, given out by the ledger that they share.

use crate::domain::TurnsAsk;
use crate::http::{Granting, SharedRate};
use crate::ledger::{LedgerError, Postgres};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const REFUSED: &str = "the system refuses calls of another process: all wait";
const BLOCKED: &str = "a firewall blocks this address for another process: its calls wait";

/// The turns of one target in a ledger.
#[derive(Debug)]
pub(crate) struct LedgerRate {
    postgres: Postgres,
    target: String,
    /// The name of the address that calls come from which are sent from none of the local addresses that were named.
    egress: Option<String>,
}

impl LedgerRate {
    /// Those of the target with this key.
    pub(crate) fn of(postgres: Postgres, target: String, egress: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            postgres,
            target,
            egress,
        })
    }

    /// The address as it is named for all processes; empty where it is not known.
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
            let granted = self.postgres.grant_calls(&self.target, from, ask).await;
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

#[cfg(test)]
#[path = "ledger_rate_tests.rs"]
mod tests;
