//! The turns of a target that several processes call: what `http` asks for, given out by the ledger that they share.

use crate::http::{Given, Grant, Granting, Lane, NoTurns, SharedRate, TurnsAsk};
use crate::ledger::{CallAsk, CallGrant, LedgerError, NoCalls, Postgres, WhyNone};
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
        let ask = CallAsk {
            lane: match ask.lane {
                Lane::Find => "find",
                Lane::Write => "write",
            },
            from: self.name(ask.from),
            wanted: ask.wanted,
            ahead: ask.ahead,
            per_second: ask.per_second,
            gap: ask.gap,
            orders: ask.orders,
            late: ask.late,
            quota: ask.quota,
            answered: ask.answered,
            slow: ask.slow,
            came_late: ask.came_late,
            unused: ask.unused,
        };
        Box::pin(async move {
            let granted = self.postgres.grant_calls(&self.target, ask).await;
            granted
                .map(grant)
                .map_err(|why: LedgerError| why.to_string())
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

fn grant(given: CallGrant) -> Grant {
    Grant {
        now_us: given.now_us,
        given: match given.many {
            Ok(many) => Given::Turns {
                many,
                first_us: given.first_us,
                step_us: given.step_us,
                number: given.number,
            },
            Err(NoCalls { wait, cause, why }) => Given::NoneFor {
                wait,
                cause: match cause {
                    WhyNone::Rate => NoTurns::Rate,
                    WhyNone::Quota => NoTurns::Quota,
                    WhyNone::Target => NoTurns::Target,
                    WhyNone::Address => NoTurns::Address,
                },
                why,
            },
        },
        lowest_per_second: given.lowest_per_second,
        ordered: given.ordered,
    }
}

#[cfg(test)]
#[path = "ledger_rate_tests.rs"]
mod tests;
