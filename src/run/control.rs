//! Follows what a person asks of the run in progress: pause, go on, another rate, drain.

use crate::http::Client;
use crate::ledger::{Ledger, LedgerError, Orders};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the ledger is asked; an order is to be followed within a second.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// What the run in progress follows.
#[derive(Debug)]
pub(super) struct Control {
    client: Arc<Client>,
    /// Cancelled where no unit is to be begun any more.
    pub(super) drain: CancellationToken,
    followed: Orders,
}

impl Control {
    /// Begins with no orders.
    pub(super) fn new(ledger: &Ledger, client: Arc<Client>) -> Result<Self, LedgerError> {
        ledger.clear_orders()?;
        Ok(Self {
            client,
            drain: CancellationToken::new(),
            followed: ledger.orders()?,
        })
    }

    /// Follows what was asked since.
    pub(super) fn follow(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        let orders = ledger.orders()?;
        if orders.number == self.followed.number {
            return Ok(());
        }
        self.client.set_paused(orders.paused);
        if let Some(rate) = orders.rate_per_s
            && orders.rate_per_s != self.followed.rate_per_s
        {
            self.client.set_rate(rate);
        }
        if orders.draining {
            self.drain.cancel();
        }
        self.followed = orders;
        ledger.follow_orders(orders.number)
    }
}
