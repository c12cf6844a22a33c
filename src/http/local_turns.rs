//! The turns of a process that paces its own calls: first the quota of a local address, which may take long, then a
//! slot of the rate. Processes on this machine share the quota, but not the rate.

use crate::moment::Moment;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::breaker::Hold;
use super::call::{CallError, CallKind};
use super::egress::{Egress, QUOTA_USED_UP, Way};
use super::health::HealthBoard;
use super::rate_limiter::{Pace, Slot, TooLate};
use super::settings::{Settings, SetupError};
use super::trace::timed;
use super::turns::{
    Ask, Blocked, Departs, Scope, Taken, Taking, Turn, Turns, refuse_late, too_late,
};

/// How long a call still waits for the rate after the run was asked to stop.
const LONGEST_AFTER_STOP: Duration = Duration::from_secs(2);

/// Rate and quota of one target for the calls of this process.
#[derive(Debug)]
pub(super) struct LocalTurns {
    egress: Egress,
    reads: Pace,
    /// Without a rate of its own, a write is paced like a read.
    writes: Option<Pace>,
    board: Arc<HealthBoard>,
    stop: CancellationToken,
}

impl LocalTurns {
    pub(super) fn new(
        settings: &Settings,
        board: Arc<HealthBoard>,
        stop: CancellationToken,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            egress: Egress::with_quota(settings)?,
            reads: Pace::new(settings.find_rate),
            writes: settings.write_rate.map(Pace::new),
            board,
            stop,
        })
    }

    fn pace_of(&self, kind: CallKind) -> &Pace {
        let own = self.writes.as_ref().filter(|_| kind == CallKind::Write);
        own.unwrap_or(&self.reads)
    }

    fn paces(&self) -> impl Iterator<Item = &Pace> {
        std::iter::once(&self.reads).chain(&self.writes)
    }

    /// Returns when a call must no longer wait for the rate, because the run is being stopped. The time in between lets
    /// a swap that has begun complete if that does not take long.
    async fn stopped(&self) {
        self.stop.cancelled().await;
        sleep(LONGEST_AFTER_STOP).await;
    }
}

impl Turns for LocalTurns {
    fn take<'t: 'w, 'w>(&'t self, ask: Ask<'w>) -> Taking<'t, 'w> {
        Box::pin(async move {
            let why = || QUOTA_USED_UP.to_owned();
            let way = self.egress.way(ask.from, &self.board, why, &self.stop);
            let way = timed(&mut ask.waited.quota, pin!(way)).await?;
            refuse_late(ask.send_deadline, Duration::ZERO)?;
            let queued_at = Instant::now();
            let pace = self.pace_of(ask.kind);
            let near = async {
                tokio::select! {
                    biased;
                    near = pace.approach(ask.lead, ask.send_deadline.map(Moment::timer)) => {
                        near.map_err(|TooLate(wait)| too_late(wait))
                    }
                    () = self.stopped() => Err(CallError::cancelled()),
                }
            };
            let slot = timed(&mut ask.waited.rate, pin!(near)).await?;
            Ok(Taken {
                from: way.from,
                turn: Box::new(LocalTurn { way, pace, slot }),
                queued_at,
            })
        })
    }

    fn accepted(&self, kind: CallKind) {
        self.pace_of(kind).accepted();
    }

    fn reached(&self, from: usize, departed: Instant) {
        self.egress.reached(from, departed);
    }

    fn hold_address(&self, from: usize, departed: Instant, _why: Blocked) -> bool {
        self.egress.hold(from, departed)
    }

    /// The gate keeps the duration of the hold, which is enough for one process; here only the pace is reduced.
    fn hold_all(&self, hold: Hold, _scope: Scope) {
        if hold.slows {
            self.paces().for_each(Pace::slow);
        }
    }

    fn set_rate(&self, per_second: f64) {
        self.paces().for_each(|pace| pace.set_rate(per_second));
    }

    fn rate(&self) -> Option<f64> {
        self.reads.rate()
    }
}

/// A slot of the rate, and the right to a call from an address.
#[derive(Debug)]
struct LocalTurn<'t> {
    way: Way<'t>,
    pace: &'t Pace,
    slot: Option<Slot>,
}

impl Turn for LocalTurn<'_> {
    fn is_open(&self) -> bool {
        self.way.is_open()
    }

    fn depart(&mut self) -> Departs {
        match self
            .slot
            .map_or(Departs::Now, |slot| self.pace.depart(slot))
        {
            Departs::Now if self.way.depart() => Departs::Now,
            Departs::Now => Departs::Missed,
            not_now => not_now,
        }
    }
}
