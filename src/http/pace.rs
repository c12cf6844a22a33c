//! Exact pacing: over any second never more calls than the limit, and at least 99 % of it while there is work.
//!
//! Slots are reserved, not asked for again and again. `governor` computes them (GCRA, burst of one) on a clock that
//! is moved by hand: its time *is* the slot reserved, and the caller sleeps until then. The plain way, `until_ready`,
//! sleeps in whole milliseconds, asks again and loses what it missed: 85 % of 1,000/s, 58 % of 5,000/s.
//!
//! Two rules make it exact. The gap is half a percent longer than 1/rate. And a call departs at most [`TOLERANCE`]
//! after its slot: where the process was held up for longer, all later slots move back by the excess, so nothing is
//! caught up in a burst. A second thus holds the slots of at most 1.004 s, which are fewer than the limit. The network
//! can still bunch what left evenly; a millisecond in a thousand remains for that.
//!
//! All times are tokio's, so tests run in virtual time.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

use super::settings::Rate;

/// The gap between slots is longer than 1/rate by this factor.
const STRETCH: f64 = 1.005;
/// A call departs at most this much after its slot; less than half a percent of a second.
const TOLERANCE: Duration = Duration::from_millis(4);
/// After a refusal, the pace climbs one step in this time.
const CLIMB_EVERY: Duration = Duration::from_secs(1);
/// The first step of climbing, as a share of the full rate.
const FIRST_STEP: f64 = 0.1;
const LEAST_STEP: f64 = 0.01;
const LEAST_SHARE: f64 = 1.0 / 64.0;

/// The clock that governor computes on: nanoseconds since the pace began, moved by hand.
#[derive(Debug, Clone, Default)]
struct MovableClock(Arc<AtomicU64>);

impl MovableClock {
    fn starting_at(at: Duration) -> Self {
        let clock = Self::default();
        clock.forward_to(at);
        clock
    }

    /// Never moves back.
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

    /// The first free slot at or after `earliest`; it is taken.
    fn reserve(&self, earliest: Duration) -> Duration {
        self.clock.forward_to(earliest);
        while let Err(not_until) = self.limiter.check() {
            let now = self.clock.now();
            let wait = not_until.wait_time_from(now);
            self.clock
                .forward_to(now + wait.max(Duration::from_nanos(1)));
        }
        self.clock.now()
    }

    /// The same, with another gap from the next slot on.
    fn with_gap(&self, gap: Duration) -> Self {
        Self::new(gap, self.clock.now() + self.gap)
    }
}

/// The pace of one kind of call, shared by all workers.
#[derive(Debug)]
pub(super) struct Pace {
    epoch: Instant,
    line: Mutex<Timeline>,
}

#[derive(Debug)]
struct Timeline {
    /// Calls a second at full pace; without a limit: what was reached before the first refusal.
    full: f64,
    limited: bool,
    slots: Option<Slots>,
    /// How far slots have moved back in real time, in all.
    shift: Duration,
    /// Slots of an older generation are void.
    generation: u64,
    /// The latest slot that was used.
    last: Duration,
    share: f64,
    step: f64,
    climb_at: Option<Duration>,
    meter: Meter,
}

/// How fast calls go where no limit says it.
#[derive(Debug, Default)]
struct Meter {
    since: Duration,
    calls: u32,
    per_second: f64,
}

impl Meter {
    fn count(&mut self, now: Duration) {
        self.calls += 1;
        let past = now.saturating_sub(self.since);
        if past >= Duration::from_secs(1) {
            self.per_second = f64::from(self.calls) / past.as_secs_f64();
            self.calls = 0;
            self.since = now;
        }
    }

    fn read(&self, now: Duration) -> f64 {
        let past = now.saturating_sub(self.since).as_secs_f64().max(0.1);
        self.per_second.max(f64::from(self.calls) / past).max(2.0)
    }
}

/// The time at which one call may depart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    at: Duration,
    generation: u64,
}

enum Step {
    Go,
    Wait(Duration),
    ReserveAgain,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        let full = rate.per_second();
        Self {
            epoch: Instant::now(),
            line: Mutex::new(Timeline {
                full: full.unwrap_or(0.0),
                limited: full.is_some(),
                slots: full.map(|full| Slots::new(gap(full), Duration::ZERO)),
                shift: Duration::ZERO,
                generation: 0,
                last: Duration::ZERO,
                share: 1.0,
                step: FIRST_STEP,
                climb_at: None,
                meter: Meter::default(),
            }),
        }
    }

    /// Reserves the next slot that is at least `lead` away, and waits until `lead` before it. `None`: there is no
    /// limit. A caller that has to prepare something right before it sends gives the time that this takes.
    pub(super) async fn approach(&self, lead: Duration) -> Option<Slot> {
        loop {
            let slot = self.line().reserve(self.now() + lead)?;
            loop {
                let step = self.line().until(slot);
                match step {
                    Step::Wait(until) if until > self.now() + lead => {
                        sleep_until(self.epoch + until - lead).await;
                    }
                    Step::Wait(_) | Step::Go => return Some(slot),
                    Step::ReserveAgain => break,
                }
            }
        }
    }

    /// Waits for the time of the slot; the caller then sends immediately. `false`: the slot has passed or is void,
    /// and another one has to be reserved.
    pub(super) async fn depart(&self, slot: Option<Slot>) -> bool {
        let Some(slot) = slot else { return true };
        loop {
            let step = self.line().depart(slot, self.now());
            match step {
                Step::Go => return true,
                Step::ReserveAgain => return false,
                Step::Wait(until) => sleep_until(self.epoch + until).await,
            }
        }
    }

    /// Waits until the caller may send one call immediately.
    #[cfg(test)]
    pub(super) async fn turn(&self) {
        loop {
            let slot = self.approach(Duration::ZERO).await;
            if self.depart(slot).await {
                return;
            }
        }
    }

    /// After a refusal: slots that were given out are void, and calls go at half the pace and climb from there. A
    /// refusal while climbing makes the steps smaller, so that a limit lower than ours is approached gently.
    pub(super) fn slow(&self) {
        self.line().slow(self.now());
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn line(&self) -> MutexGuard<'_, Timeline> {
        // Nothing panics while the lock is held; if something did, going on is right.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gap(per_second: f64) -> Duration {
    Duration::from_secs_f64(STRETCH / per_second)
}

impl Timeline {
    fn reserve(&mut self, now: Duration) -> Option<Slot> {
        if !self.limited {
            self.meter.count(now);
        }
        self.climb(now);
        let slots = self.slots.as_ref()?;
        Some(Slot {
            at: slots.reserve(now.saturating_sub(self.shift)),
            generation: self.generation,
        })
    }

    /// When the slot is due, in real time.
    fn until(&self, slot: Slot) -> Step {
        if slot.generation == self.generation {
            Step::Wait(slot.at + self.shift)
        } else {
            Step::ReserveAgain
        }
    }

    fn depart(&mut self, slot: Slot, now: Duration) -> Step {
        if slot.generation != self.generation {
            return Step::ReserveAgain;
        }
        let due = slot.at + self.shift;
        if now < due {
            return Step::Wait(due);
        }
        let excess = now.saturating_sub(due + TOLERANCE);
        if !excess.is_zero() {
            if slot.at < self.last {
                // Later slots have gone already; moving the line back would let this one follow too closely.
                return Step::ReserveAgain;
            }
            self.shift += excess;
        }
        self.last = self.last.max(slot.at);
        Step::Go
    }

    fn slow(&mut self, now: Duration) {
        self.generation += 1;
        if !self.limited && self.slots.is_none() {
            self.full = self.meter.read(now);
            self.share = 1.0;
        }
        self.step = if self.share < 1.0 {
            (self.step / 2.0).max(LEAST_STEP)
        } else {
            FIRST_STEP
        };
        self.share = (self.share.min(1.0) / 2.0).max(LEAST_SHARE);
        self.climb_at = None;
        let gap = gap(self.full * self.share);
        self.slots = Some(Slots::new(gap, self.last + gap));
    }

    fn climb(&mut self, now: Duration) {
        let Some(slots) = &self.slots else { return };
        if self.limited && self.share >= 1.0 {
            return;
        }
        // The first call after a hold starts the clock of the climb.
        let at = *self.climb_at.get_or_insert(now + CLIMB_EVERY);
        if now < at {
            return;
        }
        self.climb_at = Some(now + CLIMB_EVERY);
        if self.limited {
            self.share = (self.share + self.step).min(1.0);
        } else {
            self.share *= 1.5;
            if self.share > 4.0 {
                self.slots = None;
                return;
            }
        }
        self.slots = Some(slots.with_gap(gap(self.full * self.share)));
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
