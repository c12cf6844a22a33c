//! Follows the orders for the run in progress (pause, continue, another rate, drain), and exchanges with the other
//! processes on the run how many lines have ended and failed. A separate thread queries the ledger, so that the engine
//! continues while the ledger does not answer.

use crate::engine::{Drain, Tally};
use crate::http::{Client, Rate};
use crate::ledger::{Coordinator, Ended, Ledger, LedgerError, Orders, Others, Standing};
use crate::plan::Threshold;
use crate::ui;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Interval;

/// How often the ledger is queried; an order must be followed within a second.
pub(super) const EVERY: Duration = Duration::from_millis(250);
/// Why no further unit is begun.
const DRAINED: &str = "drained: no further line is begun";
const STANDS_BY: &str =
    "another process works on it, and only one process at a time may work on a run of this system";
const OVER: &str = "another process closed it, or continues it in a new pass";

/// The orders that the run in progress follows, and what it exchanges with other processes.
#[derive(Debug)]
pub(super) struct Control {
    client: Arc<Client>,
    /// A second access to the ledger: queries block while the database is unavailable, and calls must continue.
    ledger: Arc<Ledger>,
    asking: Option<JoinHandle<Result<Asked, LedgerError>>>,
    pub(super) drain: Drain,
    /// The orders that this process follows now.
    followed: Orders,
    /// The number of the last order that the ledger records as followed by this process.
    recorded: u64,
    /// An order was followed, and this must be recorded immediately: the command that gave the order waits for the record.
    has_news: bool,
    /// The own rate and the lower rate of another process, as last reported to the user.
    lower: Option<(Option<f64>, f64)>,
    /// The exchange with other processes on the run; `None`: there are none.
    coordinator: Option<Arc<dyn Coordinator>>,
    tally: Arc<Tally>,
    max_failures: Option<Threshold>,
    /// Number of lines that had ended in other processes before this process began; `None`: not known yet.
    before: Option<u64>,
}

/// The result of one query of the ledger.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    orders: Orders,
    /// The recorded reason, if another process has given a new order to drain the run; otherwise empty.
    why: String,
    /// The number of the last followed order, as the query recorded it.
    recorded: u64,
    /// The lines that had ended in this process when the query began.
    told: Ended,
    /// The numbers of the other processes on the run; `None`: there are none.
    others: Option<Others>,
}

impl Control {
    /// `leads`: this process leads the run: others may join later, and orders to earlier processes are void.
    pub(super) fn new(
        ledger: Ledger,
        client: Arc<Client>,
        leads: bool,
    ) -> Result<Self, LedgerError> {
        let followed = if leads {
            ledger.clear_orders()?
        } else {
            // The first query returns the orders that are in force.
            Orders::default()
        };
        Ok(Self {
            client,
            asking: None,
            drain: Drain::default(),
            recorded: followed.number,
            followed,
            has_news: false,
            lower: None,
            coordinator: None,
            tally: Arc::default(),
            max_failures: None,
            before: leads.then_some(0),
            ledger: Arc::new(ledger),
        })
    }

    /// Records that this process, whose session has begun, follows the orders of which it knows.
    pub(super) fn began(&self) -> Result<(), LedgerError> {
        match self.followed.number {
            0 => Ok(()),
            number => self.ledger.follow_orders(number),
        }
    }

    /// Sets the tally of the pass in progress. `max_failures`: if other processes work on the pass, too, each gets a part
    /// of this limit; the part is 0 until the first query.
    pub(super) fn counts(&mut self, tally: &Arc<Tally>, max_failures: Option<Threshold>) {
        self.tally = Arc::clone(tally);
        self.max_failures = max_failures;
        if self.coordinator.is_some() && max_failures.is_some() {
            self.tally.budget.set_part(0);
        }
    }

    /// Returns the number of lines that have ended in this process, in the pass in progress.
    pub(super) fn lines(&self) -> u64 {
        self.tally.done()
    }

    /// Sets the exchange with processes that may work on the run from now on; `None`: no other process may.
    pub(super) fn joins(&mut self, coordinator: Option<Arc<dyn Coordinator>>) {
        self.coordinator = coordinator;
    }

    /// Queries the ledger after the next tick, or immediately if there is something to record. If this future is dropped
    /// before the answer, the next call continues the same query.
    pub(super) async fn asked(&mut self, every: &mut Interval) -> Result<Asked, LedgerError> {
        if self.asking.is_none() && !std::mem::take(&mut self.has_news) {
            tokio::select! {
                _ = every.tick() => {}
                () = self.tally.budget.asks() => {}
            }
        }
        let (ledger, coordinator, tally) = (&self.ledger, &self.coordinator, &self.tally);
        let (limit, followed, recorded) = (self.max_failures, self.followed.number, self.recorded);
        let asking = self.asking.get_or_insert_with(|| {
            let (ledger, coordinator) = (Arc::clone(ledger), coordinator.clone());
            let (ended, others) = (tally.ended(), tally.budget.others());
            let most = limit.map(|limit| limit.most_of(ended.lines + others.lines));
            tokio::task::spawn_blocking(move || {
                if followed != recorded {
                    ledger.follow_orders(followed)?;
                }
                let tell = |coordinator: Arc<dyn Coordinator>| coordinator.tell(ended, most);
                let others = coordinator.map(tell).transpose()?;
                let orders = ledger.orders()?;
                let is_new = orders.draining && orders.number != followed;
                Ok(Asked {
                    recorded: followed,
                    told: ended,
                    others,
                    orders,
                    why: if is_new {
                        ledger.progress()?.why
                    } else {
                        String::new()
                    },
                })
            })
        });
        let asked = asking.await;
        self.asking = None;
        // A query that panicked has reported that already. The next call queries again.
        asked.unwrap_or(Ok(Asked {
            orders: self.followed,
            recorded: self.recorded,
            told: Ended::default(),
            others: None,
            why: String::new(),
        }))
    }

    /// Follows the orders in this result of a query.
    pub(super) fn follow(&mut self, asked: Asked) {
        let Asked {
            orders,
            recorded,
            told,
            others,
            why,
        } = asked;
        self.recorded = recorded;
        self.tell_lower_rate();
        if let Some(others) = others {
            let most = told.failed.saturating_add(others.may_fail);
            let part = self.max_failures.map(|_| most);
            self.tally.budget.hear(others.ended, part);
            let before = *self.before.get_or_insert(others.ended.lines);
            let since = others.ended.lines.saturating_sub(before);
            let elsewhere = &self.tally.ended_elsewhere;
            elsewhere.store(since, Ordering::Relaxed);
            match others.standing {
                Standing::GoesOn => {}
                Standing::StandsBy => self.drain.ask(STANDS_BY),
                Standing::Over => self.drain.ask(OVER),
            }
        }
        if orders.number == self.followed.number {
            return;
        }
        self.client.set_paused(orders.paused);
        if let Some(rate) = orders.rate_per_s
            && orders.rate_per_s != self.followed.rate_per_s
        {
            self.client.set_rate(rate);
        }
        if orders.draining {
            self.drain.ask(if why.is_empty() { DRAINED } else { &why });
        }
        self.followed = orders;
        self.has_news = true;
    }

    /// Waits until the ledger records which orders are followed. A drained pass may end earlier, but the command that gave
    /// the order waits for the record.
    pub(super) async fn settle(&mut self) -> Result<(), LedgerError> {
        while self.recorded != self.followed.number {
            let asked = self.asked(&mut tokio::time::interval(EVERY)).await?;
            self.follow(asked);
        }
        Ok(())
    }

    /// Tells the user if another process has a lower rate, which limits this process, too.
    fn tell_lower_rate(&mut self) {
        let lower = self.client.lower_rate();
        if lower == self.lower {
            return;
        }
        self.lower = lower;
        if let Some((own, lower)) = lower {
            let own = own.map_or(Rate::Unlimited, Rate::PerSecond);
            ui::note(&format!(
                "another process works on this target at {}; the lower rate applies to all processes, so this process \
                 does not reach its {own}",
                Rate::PerSecond(lower)
            ));
        }
    }
}
