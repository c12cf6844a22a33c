//! Exact pacing: in any second at most as many calls as the limit, and at least 98 % of the limit while there is work
//! (99 % up to 100/s).
//!
//! Slots are reserved, not requested repeatedly. `governor` computes them (GCRA, burst of one) on a clock that is moved
//! by hand: its time *is* the slot reserved, and the caller sleeps until then. The usual way, `until_ready`, sleeps in
//! whole milliseconds, asks again and loses the slots that it missed: it reaches 85 % of 1,000/s, 58 % of 5,000/s.
//!
//! Two rules make the pacing exact. The gap is longer than 1/rate ([`gap`]). And a call departs at most [`TOLERANCE`]
//! after its slot: if the process was delayed for longer, all later slots move back by the excess, so calls never catch
//! up in a burst. A second thus contains the slots of at most 1.004 s, which are fewer than the limit.
//!
//! The server counts calls when they arrive, not when they are sent. If the network or the server is delayed, calls
//! that were sent evenly arrive together, which no rule for sending can prevent: one second at the server then contains
//! the calls of 1.004 s and those of the delay. The gap is so long that a delay of [`JITTER`] adds at most 1 % of the
//! limit, and one call, to a second. Only fast paces need a gap that is more than half a percent longer: one call is a
//! hundredth of 100/s.
//!
//! All times are tokio's, so tests run in virtual time.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::last_second::LastSecond;
use super::settings::Rate;
use super::turns::Departs;

/// The gap between slots is longer than 1/rate by at least this share.
const STRETCH: f64 = 0.005;
/// Calls that departed within this time may arrive together.
const JITTER: Duration = Duration::from_millis(20);
/// Maximum number of calls that the server may then see in a second: this share of the rate, plus one call.
const SEEN: f64 = 1.01;
/// A call departs at most this long after its slot; less than half a percent of a second.
const TOLERANCE: Duration = Duration::from_millis(4);
/// After a refusal, time between two increases of the pace.
const CLIMB_EVERY: Duration = Duration::from_secs(1);
/// The new pace after a refusal, as a share of the calls that the server accepted in the second before.
const BELOW: f64 = 0.9;
/// Up to this share of the refused pace the pace rises by `QUICKLY`, because nothing indicates that this is too much.
const NEAR: f64 = 0.85;
const QUICKLY: f64 = 1.5;
/// Factor of each increase above that share. It takes minutes: at half a percent a second, a limit of 5/s is exceeded
/// again, with one refusal, every half minute.
const SLOWLY: f64 = 1.005;
/// Without a configured limit, pacing ends above this multiple of the refused pace.
const FREE: f64 = 4.0;
/// Up to this many calls a second, slots are given out one at a time while the pace rises.
const ONE_BY_ONE: f64 = 500.0;
/// Lowest pace, in calls per second.
const SLOWEST: f64 = 0.02;

/// The clock that governor computes on, in nanoseconds since the pace began; it is moved by hand.
#[derive(Debug, Clone, Default)]
struct MovableClock(Arc<AtomicU64>);

impl MovableClock {
    fn starting_at(at: Duration) -> Self {
        let clock = Self::default();
        clock.forward_to(at);
        clock
    }

    /// Moves the clock forward; never back.
    fn forward_to(&self, at: Duration) {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl Clock for MovableClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Gives out slots one gap apart.
#[derive(Debug)]
struct Slots {
    clock: MovableClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, MovableClock, NoOpMiddleware<Duration>>,
    gap: Duration,
}

impl Slots {
    fn new(gap: Duration, from: Duration) -> Self {
        let clock = MovableClock::starting_at(from);
        let gap = gap.max(Duration::from_nanos(1));
        let quota = Quota::with_period(gap).expect("the gap is not zero");
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self {
            clock,
            limiter,
            gap,
        }
    }

    /// Takes the first free slot at or after `earliest`. The error is that slot, not taken, because it is after
    /// `latest`.
    fn reserve(&self, earliest: Duration, latest: Duration) -> Result<Duration, Duration> {
        self.clock.forward_to(earliest);
        loop {
            let now = self.clock.now();
            if now > latest {
                return Err(now);
            }
            let Err(not_until) = self.limiter.check() else {
                return Ok(now);
            };
            let next = now + not_until.wait_time_from(now).max(Duration::from_nanos(1));
            if next > latest {
                return Err(next);
            }
            self.clock.forward_to(next);
        }
    }

    /// Returns the same slots with another gap from the next slot on.
    fn with_gap(&self, gap: Duration) -> Self {
        Self::new(gap, self.clock.now() + self.gap)
    }
}

/// The pace of one kind of call, shared by all workers.
#[derive(Debug)]
pub(super) struct Pace {
    epoch: Instant,
    line: Mutex<Timeline>,
    /// While the pace rises, slots are given out one at a time, because slots given out ahead would keep the old pace.
    one_by_one: AtomicBool,
    queue: tokio::sync::Mutex<()>,
    /// Wakes the callers that wait for a slot of the former rate, so that they take another slot.
    is_set: Notify,
}

#[derive(Debug)]
struct Timeline {
    /// Calls per second at full pace; without a limit: a multiple of the pace at the first refusal.
    full: f64,
    limited: bool,
    slots: Option<Slots>,
    /// How far slots have moved back in real time, in total.
    shift: Duration,
    /// Slots of an older generation are void.
    generation: u64,
    /// The latest slot that was used.
    last: Duration,
    /// The reduced pace, after the server refused one.
    refused: Option<Refused>,
    departed: LastSecond,
    accepted: LastSecond,
}

/// A pace below a refused one.
#[derive(Debug)]
struct Refused {
    /// Present calls per second.
    now: f64,
    /// Calls per second when the server refused.
    ceiling: f64,
    climb_at: Option<Duration>,
}

/// The time at which one call may depart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    at: Duration,
    generation: u64,
}

/// The next slot is after the call's deadline; the call would have to wait this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLate(pub(super) Duration);

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        let full = rate.per_second();
        Self {
            epoch: Instant::now(),
            one_by_one: AtomicBool::new(false),
            queue: tokio::sync::Mutex::default(),
            is_set: Notify::new(),
            line: Mutex::new(Timeline {
                full: full.unwrap_or(0.0),
                limited: full.is_some(),
                slots: full.map(|full| Slots::new(gap(full), Duration::ZERO)),
                shift: Duration::ZERO,
                generation: 0,
                last: Duration::ZERO,
                refused: None,
                departed: LastSecond::default(),
                accepted: LastSecond::default(),
            }),
        }
    }

    /// Reserves the next slot that is at least `lead` ahead, and waits until `lead` before it. `None`: there is no
    /// limit. `lead` is the time that the caller needs to prepare the call. A slot after `latest` stays free for
    /// others.
    pub(super) async fn approach(
        &self,
        lead: Duration,
        latest: Option<Instant>,
    ) -> Result<Option<Slot>, TooLate> {
        loop {
            let _alone = if self.one_by_one.load(Ordering::Relaxed) {
                Some(self.queue.lock().await)
            } else {
                None
            };
            let Some(slot) = self.reserve(lead, latest)? else {
                return Ok(None);
            };
            loop {
                // Registered before the slot is checked, so that no change is missed.
                let is_set = self.is_set.notified();
                let due = self.line().due(slot);
                match due {
                    Some(due) if due > self.now() + lead => tokio::select! {
                        () = sleep_until(self.epoch + due - lead) => {}
                        () = is_set => {}
                    },
                    Some(_) => return Ok(Some(slot)),
                    None => break,
                }
            }
        }
    }

    /// Returns whether a call may depart in its slot now: not if the slot has passed or is void.
    pub(super) fn depart(&self, slot: Slot) -> Departs {
        let now = self.now();
        let mut line = self.line();
        match line.due(slot) {
            Some(due) if now < due => Departs::At(self.epoch + due),
            Some(due) if line.use_slot(slot, due, now) => Departs::Now,
            Some(_) | None => Departs::Missed,
        }
    }

    /// Sets the rate; slots that were given out at the former rate are void.
    pub(super) fn set_rate(&self, per_second: f64) {
        let mut line = self.line();
        line.set_rate(per_second);
        self.is_set.notify_waiters();
        self.one_by_one.store(line.is_climbing(), Ordering::Relaxed);
    }

    /// Returns the calls per second at full pace; `None`: there is no limit.
    pub(super) fn rate(&self) -> Option<f64> {
        let line = self.line();
        line.limited.then_some(line.full)
    }

    /// Waits until the caller may send one call immediately.
    #[cfg(test)]
    pub(super) async fn turn(&self) {
        while let Ok(Some(slot)) = self.approach(Duration::ZERO, None).await {
            if self.depart(slot) == Departs::Now {
                return;
            }
        }
    }

    /// Notes that the system accepted a call.
    pub(super) fn accepted(&self) {
        let now = self.now();
        self.line().accepted.count(now);
    }

    /// Reacts to a refusal: slots that were given out are void, calls are slower than the server has just accepted
    /// them, and the pace rises from there.
    pub(super) fn slow(&self) {
        let now = self.now();
        let mut line = self.line();
        line.slow(now);
        self.one_by_one.store(line.is_climbing(), Ordering::Relaxed);
    }

    fn reserve(&self, lead: Duration, latest: Option<Instant>) -> Result<Option<Slot>, TooLate> {
        let now = self.now();
        let latest = latest.map(|latest| latest.saturating_duration_since(self.epoch));
        let mut line = self.line();
        let slot = line.reserve(now + lead, latest);
        let slot = slot.map_err(|next| TooLate(next.saturating_sub(now)));
        if self.one_by_one.load(Ordering::Relaxed) && !line.is_climbing() {
            self.one_by_one.store(false, Ordering::Relaxed);
        }
        slot
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn line(&self) -> MutexGuard<'_, Timeline> {
        // Nothing panics while the lock is held; after a panic, continuing would be right.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the gap between slots; see the top of this file.
fn gap(per_second: f64) -> Duration {
    gap_of(per_second, TOLERANCE)
}

/// Returns the gap between slots if a call departs at most `tolerance` after its slot.
pub(super) fn gap_of(per_second: f64, tolerance: Duration) -> Duration {
    let least = (1.0 + STRETCH.max(tolerance.as_secs_f64())) / per_second;
    let second = Duration::from_secs(1) + tolerance + JITTER;
    let most = SEEN * per_second + 1.0;
    Duration::from_secs_f64(least.max(second.as_secs_f64() / most))
}

impl Timeline {
    /// Returns whether the pace rises and is slow enough for timers of a millisecond to follow call by call.
    fn is_climbing(&self) -> bool {
        let refused = self.refused.as_ref();
        refused.is_some_and(|refused| refused.now <= ONE_BY_ONE)
    }

    /// Reserves the next slot. The error is the time of that slot if it is after `latest`.
    fn reserve(
        &mut self,
        now: Duration,
        latest: Option<Duration>,
    ) -> Result<Option<Slot>, Duration> {
        if !self.limited {
            self.departed.count(now);
        }
        self.climb(now);
        let Some(slots) = &self.slots else {
            return Ok(None);
        };
        let earliest = now.saturating_sub(self.shift);
        let latest = latest.map_or(Duration::MAX, |latest| latest.saturating_sub(self.shift));
        let at = slots.reserve(earliest, latest);
        Ok(Some(Slot {
            at: at.map_err(|next| next + self.shift)?,
            generation: self.generation,
        }))
    }

    /// Returns when the slot is due, in real time; `None`: it is void.
    fn due(&self, slot: Slot) -> Option<Duration> {
        (slot.generation == self.generation).then(|| slot.at + self.shift)
    }

    /// Notes that a call departs in a slot that was due; `false`: too late.
    fn use_slot(&mut self, slot: Slot, due: Duration, now: Duration) -> bool {
        let excess = now.saturating_sub(due + TOLERANCE);
        if !excess.is_zero() {
            if slot.at < self.last {
                // Later slots were used already, and this call would follow them too closely even if the others moved back.
                return false;
            }
            self.shift += excess;
        }
        self.last = self.last.max(slot.at);
        true
    }

    fn set_rate(&mut self, per_second: f64) {
        self.generation += 1;
        self.full = per_second;
        self.limited = true;
        // A pace that was refused stays below the number of calls that the server accepted.
        self.refused = self
            .refused
            .take()
            .filter(|refused| refused.now < per_second);
        let now = self
            .refused
            .as_ref()
            .map_or(per_second, |refused| refused.now);
        self.slots = Some(Slots::new(gap(now), self.last + gap(now)));
    }

    fn slow(&mut self, now: Duration) {
        self.generation += 1;
        let ceiling = match &self.refused {
            Some(refused) => refused.now,
            None if self.limited => self.full,
            None => self.departed.per_second(now),
        };
        if self.refused.is_none() && !self.limited {
            self.full = ceiling * FREE;
        }
        let taken = self.accepted.total(now);
        let below = if taken > 0.0 {
            taken.min(ceiling) * BELOW
        } else {
            ceiling / 2.0
        };
        let pace = below.max(SLOWEST.min(ceiling));
        self.refused = Some(Refused {
            now: pace,
            ceiling,
            climb_at: None,
        });
        let gap = gap(pace);
        self.slots = Some(Slots::new(gap, self.last + gap));
    }

    fn climb(&mut self, now: Duration) {
        let (Some(slots), Some(refused)) = (&self.slots, &mut self.refused) else {
            return;
        };
        // The first call after a hold starts the time until the next increase.
        let at = *refused.climb_at.get_or_insert(now + CLIMB_EVERY);
        if now < at {
            return;
        }
        refused.climb_at = Some(now + CLIMB_EVERY);
        let near = refused.ceiling * NEAR;
        refused.now = if refused.now < near {
            (refused.now * QUICKLY).min(near)
        } else {
            refused.now * SLOWLY
        };
        if refused.now < self.full {
            self.slots = Some(slots.with_gap(gap(refused.now)));
            return;
        }
        self.slots = self.limited.then(|| slots.with_gap(gap(self.full)));
        self.refused = None;
    }
}

#[cfg(test)]
#[path = "rate_limiter_tests.rs"]
mod tests;
