//! Follows what a person asks of the run in progress (pause, go on, another rate, drain), and exchanges with the other
//! processes on it how many lines have ended and failed. The ledger is asked in a thread of its own: the engine goes on
//! while it does not answer.

use crate::engine::{Drain, Tally};
use crate::http::{Client, Rate};
use crate::ledger::{Ended, Ledger, LedgerError, Orders, Others, Shares, Standing};
use crate::plan::Threshold;
use crate::ui;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Interval;

/// How often the ledger is asked; an order is to be followed within a second.
pub(super) const EVERY: Duration = Duration::from_millis(250);
/// Why no unit is begun any more.
const DRAINED: &str = "drained: no further line is begun";
const STANDS_BY: &str =
    "another process works on it, and on a run of this system one works at a time";
const OVER: &str = "it was closed by another process, or goes on in a new pass";

/// What the run in progress follows.
#[derive(Debug)]
pub(super) struct Control {
    client: Arc<Client>,
    /// Opened a second time: asking it may take as long as a database is away, while calls under way go on.
    ledger: Arc<Ledger>,
    asking: Option<JoinHandle<Result<Asked, LedgerError>>>,
    pub(super) drain: Drain,
    /// What this process does now.
    followed: Orders,
    /// The number of the last order of which it is on record that this process follows it.
    recorded: u64,
    /// An order was followed, and that is to be recorded at once: whoever gave it waits for that.
    has_news: bool,
    /// The lower rate of another process that was told last.
    lower: Option<(Option<f64>, f64)>,
    /// What is told to other processes on the run, where there are any.
    shares: Option<Arc<dyn Shares>>,
    tally: Arc<Tally>,
    max_failures: Option<Threshold>,
    /// Lines that had ended elsewhere before this process began with its own; `None`: that is not known yet.
    before: Option<u64>,
}

/// What is asked of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    orders: Orders,
    /// The number of the last order that is followed, as it was recorded.
    recorded: u64,
    /// What had ended in this process when it asked.
    told: Ended,
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
        let followed = if leads {
            ledger.clear_orders()?
        } else {
            // Those that stand are followed with the first answer.
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
            shares: None,
            tally: Arc::default(),
            max_failures: None,
            before: leads.then_some(0),
            ledger: Arc::new(ledger),
        })
    }

    /// The pass in progress is counted here. `max_failures`: where other processes work on it, too, each has a part of that,
    /// and none before it has asked.
    pub(super) fn counts(&mut self, tally: &Arc<Tally>, max_failures: Option<Threshold>) {
        self.tally = Arc::clone(tally);
        self.max_failures = max_failures;
        if self.shares.is_some() && max_failures.is_some() {
            self.tally.budget.set_part(0);
        }
    }

    /// Lines that have ended in this process, in the pass in progress.
    pub(super) fn lines(&self) -> u64 {
        self.tally.done()
    }

    /// Other processes may work on the run from now on; `None`: they do not any more.
    pub(super) fn joins(&mut self, shares: Option<Arc<dyn Shares>>) {
        self.shares = shares;
    }

    /// What is asked after the next tick, or immediately where there is something to record. Dropped before it is known, the
    /// next call goes on with the same question.
    pub(super) async fn asked(&mut self, every: &mut Interval) -> Result<Asked, LedgerError> {
        if self.asking.is_none() && !std::mem::take(&mut self.has_news) {
            tokio::select! {
                _ = every.tick() => {}
                () = self.tally.budget.asks() => {}
            }
        }
        let (ledger, shares, tally) = (&self.ledger, &self.shares, &self.tally);
        let (limit, followed, recorded) = (self.max_failures, self.followed.number, self.recorded);
        let asking = self.asking.get_or_insert_with(|| {
            let (ledger, shares) = (Arc::clone(ledger), shares.clone());
            let (ended, others) = (tally.ended(), tally.budget.others());
            let most = limit.map(|limit| limit.most_of(ended.lines + others.lines));
            tokio::task::spawn_blocking(move || {
                if followed != recorded {
                    ledger.follow_orders(followed)?;
                }
                let tell = |shares: Arc<dyn Shares>| shares.tell(ended, most);
                Ok(Asked {
                    recorded: followed,
                    told: ended,
                    others: shares.map(tell).transpose()?,
                    orders: ledger.orders()?,
                })
            })
        });
        let asked = asking.await;
        self.asking = None;
        // What has panicked has said so, and is asked again.
        asked.unwrap_or(Ok(Asked {
            orders: self.followed,
            recorded: self.recorded,
            told: Ended::default(),
            others: None,
        }))
    }

    /// Follows what was asked since.
    pub(super) fn follow(&mut self, asked: Asked) {
        let Asked {
            orders,
            recorded,
            told,
            others,
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
            self.drain.ask(DRAINED);
        }
        self.followed = orders;
        self.has_news = true;
    }

    /// Has on record which orders are followed. A drained pass may end before that; whoever gave the order waits for it.
    pub(super) async fn settle(&mut self) -> Result<(), LedgerError> {
        while self.recorded != self.followed.number {
            let asked = self.asked(&mut tokio::time::interval(EVERY)).await?;
            self.follow(asked);
        }
        Ok(())
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
