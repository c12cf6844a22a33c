//! Follows what a person asks of the run in progress: pause, go on, another rate, drain.

use crate::http::{Client, Rate};
use crate::ledger::{Ledger, LedgerError, Orders};
use crate::ui;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

/// How often the ledger is asked; an order is to be followed within a second.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// What the run in progress follows.
#[derive(Debug)]
pub(super) struct Control {
    client: Arc<Client>,
    /// Opened a second time: asking it may take as long as a database is away, while calls under way go on.
    ledger: Arc<Ledger>,
    asking: Option<JoinHandle<Result<Orders, LedgerError>>>,
    /// Cancelled where no unit is to be begun any more.
    pub(super) drain: CancellationToken,
    followed: Orders,
    /// The lower rate of another process that was told last.
    lower: Option<(Option<f64>, f64)>,
}

impl Control {
    /// Begins with no orders.
    pub(super) fn new(ledger: Ledger, client: Arc<Client>) -> Result<Self, LedgerError> {
        ledger.clear_orders()?;
        Ok(Self {
            client,
            asking: None,
            drain: CancellationToken::new(),
            followed: ledger.orders()?,
            lower: None,
            ledger: Arc::new(ledger),
        })
    }

    /// What is asked after the next tick. Dropped before it is known, the next call goes on with the same question.
    pub(super) async fn asked(&mut self, every: &mut Interval) -> Result<Orders, LedgerError> {
        if self.asking.is_none() {
            every.tick().await;
        }
        let ledger = &self.ledger;
        let asking = self.asking.get_or_insert_with(|| {
            let ledger = Arc::clone(ledger);
            tokio::task::spawn_blocking(move || ledger.orders())
        });
        let asked = asking.await;
        self.asking = None;
        // What has panicked has said so, and is asked again.
        asked.unwrap_or(Ok(self.followed))
    }

    /// Follows what was asked since.
    pub(super) fn follow(&mut self, orders: Orders) -> Result<(), LedgerError> {
        self.tell_lower_rate();
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
        self.ledger.follow_orders(orders.number)
    }

    /// Says where another process is set to a lower rate, which counts for this one, too.
    fn tell_lower_rate(&mut self) {
        let lower = self.client.lower_rate();
        if lower == self.lower {
            return;
        }
        self.lower = lower;
        if let Some((own, lower)) = lower {
            let own = own.map_or(Rate::Unlimited, Rate::PerSecond);
            ui::note(&format!(
                "another process works on this target at {}; the lower rate counts for all, so this one does not reach its {own}",
                Rate::PerSecond(lower)
            ));
        }
    }
}
