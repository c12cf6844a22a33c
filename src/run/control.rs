//! Follows what a person asks of the run in progress: pause, go on, another rate, drain.

use crate::engine::Tally;
use crate::http::{Client, Rate};
use crate::ledger::{Ended, Ledger, LedgerError, Orders, Others, Shares};
use crate::ui;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
    asking: Option<JoinHandle<Result<Asked, LedgerError>>>,
    /// Cancelled where no unit is to be begun any more.
    pub(super) drain: CancellationToken,
    followed: Orders,
    /// The lower rate of another process that was told last.
    lower: Option<(Option<f64>, f64)>,
    /// What is told to other processes on the run, where there are any.
    shares: Option<Arc<dyn Shares>>,
    tally: Arc<Tally>,
    /// Whether it is the first process on the run.
    leads: bool,
}

/// What is asked of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    orders: Orders,
    /// What other processes on the run have told; `None`: there are none.
    others: Option<Others>,
}

impl Control {
    /// `leads`: others may join later, and what was asked of earlier processes on the run does not count.
    pub(super) fn new(
        ledger: Ledger,
        client: Arc<Client>,
        leads: bool,
    ) -> Result<Self, LedgerError> {
        if leads {
            ledger.clear_orders()?;
        }
        Ok(Self {
            client,
            asking: None,
            drain: CancellationToken::new(),
            // Those that stand are followed with the first answer.
            followed: if leads {
                ledger.orders()?
            } else {
                Orders::default()
            },
            lower: None,
            shares: None,
            tally: Arc::default(),
            leads,
            ledger: Arc::new(ledger),
        })
    }

    /// The pass in progress is counted here.
    pub(super) fn counts(&mut self, tally: &Arc<Tally>) {
        self.tally = Arc::clone(tally);
    }

    /// Other processes may work on the run from now on; `None`: they do not any more.
    pub(super) fn joins(&mut self, shares: Option<Arc<dyn Shares>>) {
        self.shares = shares;
    }

    /// What is asked after the next tick. Dropped before it is known, the next call goes on with the same question.
    pub(super) async fn asked(&mut self, every: &mut Interval) -> Result<Asked, LedgerError> {
        if self.asking.is_none() {
            every.tick().await;
        }
        let (ledger, shares, tally) = (&self.ledger, &self.shares, &self.tally);
        let asking = self.asking.get_or_insert_with(|| {
            let (ledger, shares) = (Arc::clone(ledger), shares.clone());
            let ended = Ended {
                lines: tally.done(),
                failed: tally.failed(),
            };
            tokio::task::spawn_blocking(move || {
                Ok(Asked {
                    others: shares.map(|shares| shares.tell(ended)).transpose()?,
                    orders: ledger.orders()?,
                })
            })
        });
        let asked = asking.await;
        self.asking = None;
        // What has panicked has said so, and is asked again.
        asked.unwrap_or(Ok(Asked {
            orders: self.followed,
            others: None,
        }))
    }

    /// Follows what was asked since.
    pub(super) fn follow(&mut self, asked: Asked) -> Result<(), LedgerError> {
        let Asked { orders, others } = asked;
        self.tell_lower_rate();
        if let Some(others) = others {
            self.tally.set_others(others.ended);
            // Whoever joins later counts its own share.
            if self.leads {
                let elsewhere = &self.tally.ended_elsewhere;
                elsewhere.store(others.ended.lines, Ordering::Relaxed);
            }
            if !others.goes_on {
                self.drain.cancel();
            }
        }
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
