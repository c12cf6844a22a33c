//! The turns of a target that several processes call: requested from [`SharedRate`], many calls in one question.
//!
//! Calls wait in one queue for each limit and address. The first call of a queue asks for as many turns as calls wait
//! there, and the others take theirs from the answer. A turn has its time by the clock that all processes use. A call
//! departs at that time or a little later, never earlier. If it is later than a call usually is, it does not depart but
//! takes another turn, and the next question reports the unused one, so that it does not count against the quota.
//!
//! Without an answer no call is made. The client waits for an answer as long as for a system that does not answer.

use super::breaker::Hold;
use super::call::{CallError, CallErrorKind, CallKind};
use super::egress::{Egress, QUOTA_USED_UP, Way};
use super::health::{HealthBoard, WaitCause};
use super::settings::{Settings, SetupError, Span};
use super::shared_pace::SharedPace;
use super::trace::timed;
use super::turn_queue::{Flight, Slot, TurnQueue, Wanted};
use super::turns::{Ask, Blocked, Departs, Scope, Taken, Taking, Turn, Turns, refuse_late};
use crate::limits::{Lane, NoTurns, SharedRate, TurnsAsk, TurnsGrant, TurnsWait};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// A wait for an answer that is longer than this is shown to the user.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// Pause before an unanswered question is repeated.
const PAUSE: Duration = Duration::from_millis(200);

/// Maximum wait for the rate before the next question.
const LONGEST_RATE: Duration = Duration::from_secs(1);

/// Turns that all processes of a target share.
#[derive(Debug)]
pub(super) struct SharedTurns {
    rate: Arc<dyn SharedRate>,
    egress: Egress,
    addresses: Vec<Option<IpAddr>>,
    /// The queues of all addresses for reads, then those for writes if writes have a limit of their own.
    queues: Vec<TurnQueue>,
    pace: SharedPace,
    quota: Option<(u32, Duration)>,
    give_up_after: Duration,
    /// Since when no question has been answered.
    away_since: Mutex<Option<Instant>>,
    /// Wakes the calls that wait for a turn of the former rate, so that they ask again.
    is_set: Notify,
    /// The reason if an address has no turns.
    why_closed: Mutex<String>,
    board: Arc<HealthBoard>,
    stop: CancellationToken,
}

/// An answer, and what was asked.
struct Answer {
    wanted: Wanted,
    /// How late a call may be in these turns.
    late: Duration,
    grant: TurnsGrant,
}

impl SharedTurns {
    pub(super) fn new(
        rate: Arc<dyn SharedRate>,
        settings: &Settings,
        board: Arc<HealthBoard>,
        stop: CancellationToken,
    ) -> Result<Self, SetupError> {
        let addresses = settings.addresses();
        let lanes: &[Lane] = match settings.write_rate {
            Some(_) => &[Lane::Find, Lane::Write],
            None => &[Lane::Find],
        };
        let counts = settings.quota.is_some();
        let of_lane = |lane: &Lane| {
            let lane = *lane;
            (0..addresses.len()).map(move |from| TurnQueue::new(lane, from, counts))
        };
        Ok(Self {
            egress: Egress::without_quota(settings)?,
            queues: lanes.iter().flat_map(of_lane).collect(),
            pace: SharedPace::new(settings.find_rate, settings.write_rate),
            quota: settings.quota.map(|quota| (quota.calls, quota.window)),
            give_up_after: settings.give_up_after,
            away_since: Mutex::default(),
            is_set: Notify::new(),
            why_closed: Mutex::default(),
            addresses,
            rate,
            board,
            stop,
        })
    }

    fn queue(&self, kind: CallKind, from: usize) -> &TurnQueue {
        let of_writes = self.addresses.len() + from;
        let own = self
            .queues
            .get(of_writes)
            .filter(|_| kind == CallKind::Write);
        own.unwrap_or(&self.queues[from])
    }

    /// Waits for the next turn of a queue; `None`: the address has none now.
    async fn slot(&self, queue: &TurnQueue, lead: Duration) -> Result<Option<Slot>, CallError> {
        let _waiting = queue.wait(lead);
        loop {
            if let Some(slot) = self.next_of(queue, lead) {
                return Ok(Some(slot));
            }
            let _first = self.unless_stopped(queue.first()).await?;
            // Another call may have asked meanwhile.
            if let Some(slot) = self.next_of(queue, lead) {
                return Ok(Some(slot));
            }
            if self.egress.is_closed(queue.from) {
                return Ok(None);
            }
            // Registered before the question, so that no change is missed.
            let is_set = self.is_set.notified();
            let Answer {
                wanted,
                late,
                grant,
            } = self.ask(queue).await?;
            match grant.turns {
                Ok(turns) => queue.put(turns, late, wanted),
                Err(NoTurns { wait, cause, why }) => {
                    let until = Instant::now() + wait;
                    if matches!(cause, TurnsWait::Quota | TurnsWait::Address) {
                        let why = match cause {
                            TurnsWait::Quota => QUOTA_USED_UP.to_owned(),
                            _ => why,
                        };
                        *lock(&self.why_closed) = why;
                        self.egress.close(queue.from, until);
                        return Ok(None);
                    }
                    if cause == TurnsWait::Target {
                        self.board.hold(WaitCause::Turns, why, until);
                    }
                    let waits = async {
                        match cause {
                            TurnsWait::Rate => tokio::select! {
                                // A higher rate may be set for another process meanwhile.
                                () = sleep_until(until.min(Instant::now() + LONGEST_RATE)) => {}
                                () = is_set => {}
                            },
                            _ => sleep_until(until).await,
                        }
                    };
                    let waited = self.unless_stopped(waits).await;
                    self.board.free(WaitCause::Turns);
                    waited?;
                }
            }
        }
    }

    fn next_of(&self, queue: &TurnQueue, lead: Duration) -> Option<Slot> {
        queue.take(lead, |slot| self.pace.due(slot))
    }

    /// Asks until there is an answer, for `give_up_after` at most.
    async fn ask(&self, queue: &TurnQueue) -> Result<Answer, CallError> {
        loop {
            let sent = Instant::now();
            let wanted = queue.wanted();
            let report = self.pace.report(queue.lane);
            let mut calls = queue.reported();
            let ask = TurnsAsk {
                lane: queue.lane,
                from: self.addresses[queue.from],
                wanted: wanted.calls,
                ahead: wanted.lead + report.round_trip,
                per_second: report.per_second,
                gap: report.gap,
                orders: report.orders,
                late: report.late,
                quota: self.quota,
                answered: report.answered,
                slow: calls.slow,
                came_late: calls.came_late,
                unused: std::mem::take(&mut calls.unused),
            };
            let why = match self.answer(ask, sent).await? {
                Ok(grant) => {
                    calls.arrived();
                    if lock(&self.away_since).take().is_some() {
                        self.board.free(WaitCause::Turns);
                    }
                    self.pace.learn(queue.lane, sent, &grant);
                    return Ok(Answer {
                        wanted,
                        late: report.late,
                        grant,
                    });
                }
                Err(why) => why,
            };
            // Late calls are reported again with the next question; unused turns are not, and stay taken.
            drop(calls);
            let since = *lock(&self.away_since).get_or_insert(sent);
            let until = since + self.give_up_after;
            self.board.hold_in_outage(
                WaitCause::Turns,
                format!("no call is sent without the ledger, which controls the rate of all processes: {why}"),
                until,
            );
            if Instant::now() + PAUSE > until {
                return Err(self.away(&why));
            }
            self.unless_stopped(sleep(PAUSE)).await?;
        }
    }

    /// Waits for the answer, or the reason why there is none. An error means that there will be none.
    async fn answer(
        &self,
        ask: TurnsAsk,
        sent: Instant,
    ) -> Result<Result<TurnsGrant, String>, CallError> {
        let since = lock(&self.away_since).unwrap_or(sent);
        let until = since + self.give_up_after;
        let mut answer = self.rate.grant(ask);
        let mut told = false;
        let answered = loop {
            let next = if told {
                until
            } else {
                until.min(sent + LONG_WAIT)
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break Err(CallError::cancelled()),
                answered = &mut answer => break Ok(answered),
                () = sleep_until(next) => {}
            }
            if Instant::now() >= until {
                break Err(self.away("it does not answer"));
            }
            told = true;
            let why = "no call is sent without the ledger, which controls the rate of all processes: it does not \
                 answer";
            self.board
                .hold_in_outage(WaitCause::Turns, why.to_owned(), until);
        };
        if told && !matches!(answered, Ok(Err(_))) {
            self.board.free(WaitCause::Turns);
        }
        answered
    }

    fn away(&self, why: &str) -> CallError {
        self.board.free(WaitCause::Turns);
        let text = format!(
            "the ledger, which controls the rate of all processes, has allowed no call for {}: {why}; no call was sent \
             without its permission",
            Span(self.give_up_after)
        );
        CallError::new(CallErrorKind::GaveUp, text)
    }

    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, CallError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(CallError::cancelled()),
            done = wait => Ok(done),
        }
    }

    fn void_all(&self) {
        self.queues.iter().for_each(TurnQueue::void_all);
    }
}

impl Turns for SharedTurns {
    fn take<'t: 'w, 'w>(&'t self, ask: Ask<'w>) -> Taking<'t, 'w> {
        Box::pin(async move {
            loop {
                let why = || lock(&self.why_closed).clone();
                let way = self.egress.way(ask.from, &self.board, why, &self.stop);
                let way = timed(&mut ask.waited.quota, pin!(way)).await?;
                refuse_late(ask.send_deadline, Duration::ZERO)?;
                let queued_at = Instant::now();
                let queue = self.queue(ask.kind, way.from);
                let slot = pin!(self.slot(queue, ask.lead));
                let slot = timed(&mut ask.waited.rate, slot).await?;
                let Some(slot) = slot else { continue };
                let from = way.from;
                let turn = SharedTurn {
                    pace: &self.pace,
                    queue,
                    way,
                    slot,
                    flight: None,
                };
                let near = self.pace.due(&slot) - ask.lead;
                let near = pin!(self.unless_stopped(sleep_until(near)));
                timed(&mut ask.waited.rate, near).await?;
                return Ok(Taken {
                    turn: Box::new(turn),
                    from,
                    queued_at,
                });
            }
        })
    }

    fn accepted(&self, kind: CallKind) {
        self.pace.accepted(self.queue(kind, 0).lane);
    }

    fn reached(&self, from: usize, departed: Instant) {
        self.egress.reached(from, departed);
    }

    fn hold_address(&self, from: usize, departed: Instant, why: Blocked) -> bool {
        let all = self.egress.hold(from, departed);
        if why == Blocked::Firewall
            && let Some(wait) = self.egress.blocked_for(from)
        {
            self.rate.hold_address(self.addresses[from], wait);
        }
        all
    }

    fn hold_all(&self, hold: Hold, scope: Scope) {
        if hold.slows {
            self.void_all();
        }
        match scope {
            Scope::Target => {
                let answered = self.pace.take_answered();
                self.rate.hold_target(hold.wait, hold.slows, answered);
            }
            Scope::Addresses => {
                for address in &self.addresses {
                    self.rate.hold_address(*address, hold.wait);
                }
            }
        }
    }

    fn set_rate(&self, per_second: f64) {
        let gap = self.pace.set_rate(per_second);
        self.void_all();
        self.rate.order(per_second, gap);
        self.is_set.notify_waiters();
    }

    fn rate(&self) -> Option<f64> {
        self.pace.rate()
    }

    fn lower_rate(&self) -> Option<(Option<f64>, f64)> {
        self.pace.lower_rate()
    }
}

/// A turn from an address.
#[derive(Debug)]
struct SharedTurn<'t> {
    pace: &'t SharedPace,
    queue: &'t TurnQueue,
    way: Way<'t>,
    slot: Slot,
    /// Set once the call of this turn has departed.
    flight: Option<Flight>,
}

impl Turn for SharedTurn<'_> {
    fn is_open(&self) -> bool {
        self.way.is_open()
    }

    fn depart(&mut self) -> Departs {
        if !self.queue.is_valid(&self.slot) {
            return Departs::Missed;
        }
        let (due, now) = (self.pace.due(&self.slot), Instant::now());
        if now < due {
            return Departs::At(due);
        }
        if self.slot.is_paced {
            self.pace.woke_late(now - due);
        }
        if now > due + self.slot.late || !self.way.depart() {
            return Departs::Missed;
        }
        self.flight = Some(self.queue.depart(now));
        Departs::Now
    }
}

impl Drop for SharedTurn<'_> {
    fn drop(&mut self) {
        match &self.flight {
            None => self.queue.give_back(self.slot),
            Some(flight) => self.queue.land(flight),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for SharedTurns {
    fn drop(&mut self) {
        let queues = self.queues.iter();
        let unused: Vec<_> = queues.flat_map(TurnQueue::all_unused).collect();
        if !unused.is_empty() {
            self.rate.give_back(&unused);
        }
    }
}
