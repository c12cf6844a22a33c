//! What this process reports and learns with each question for shared turns: its rate, the rate that applies, its usual
//! delay, and the time.

use super::percentile::DurationPercentile;
use super::rate_limiter::gap_of;
use super::settings::Rate;
use super::shared_clock::SharedClock;
use super::trace::event;
use super::turn_queue::Slot;
use crate::limits::{Lane, TurnsGrant};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lower and upper limit of how much later than its turn a call may depart.
const LATE: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(9)];
/// Lower and upper limit of the round-trip time that is assumed when turns are requested ahead.
const ROUND_TRIP: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(100)];

/// What a question reports about the pace of this process.
#[derive(Debug)]
pub(super) struct PaceReport {
    pub(super) per_second: Option<f64>,
    pub(super) gap: Duration,
    pub(super) orders: Option<i32>,
    pub(super) late: Duration,
    pub(super) round_trip: Duration,
    pub(super) answered: u32,
}

/// What this process knows of the pace of all processes.
#[derive(Debug)]
pub(super) struct SharedPace {
    inner: Mutex<Inner>,
    /// Accepted calls that were not reported yet.
    answered: [AtomicU32; 2],
}

#[derive(Debug)]
struct Inner {
    clock: SharedClock,
    late: DurationPercentile,
    round_trip: DurationPercentile,
    lanes: [OfLane; 2],
}

/// What is known of one limit.
#[derive(Debug, Clone, Copy)]
struct OfLane {
    /// The rate that this process is set to.
    own: Option<f64>,
    /// The rate that applies, if another process is set to a lower one.
    lower: Option<f64>,
    orders: Option<i32>,
}

impl SharedPace {
    pub(super) fn new(find: Rate, write: Option<Rate>) -> Self {
        let lane = |rate: Rate| OfLane {
            own: rate.per_second(),
            lower: None,
            orders: None,
        };
        let [least, most] = LATE;
        let [quickest, slowest] = ROUND_TRIP;
        Self {
            inner: Mutex::new(Inner {
                clock: SharedClock::new(),
                // It starts with the maximum: a turn that a busy machine misses costs more than a slightly longer gap.
                late: DurationPercentile::new(most, least, most),
                round_trip: DurationPercentile::new(quickest, quickest, slowest),
                lanes: [lane(find), lane(write.unwrap_or(find))],
            }),
            answered: Default::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn report(&self, lane: Lane) -> PaceReport {
        let answered = self.answered[lane as usize].swap(0, Ordering::Relaxed);
        let inner = self.inner();
        let OfLane { own, orders, .. } = inner.lanes[lane as usize];
        let tolerance = inner.late.get();
        PaceReport {
            per_second: own,
            gap: own.map_or(Duration::ZERO, |rate| gap_of(rate, tolerance)),
            orders,
            late: tolerance,
            round_trip: inner.round_trip.get(),
            answered,
        }
    }

    /// Learns from the answer to a question that was sent at `sent`.
    pub(super) fn learn(&self, lane: Lane, sent: Instant, grant: &TurnsGrant) {
        let received = Instant::now();
        let mut inner = self.inner();
        inner.clock.learn(sent, received, grant.now_us);
        inner.round_trip.learn(received - sent);
        let (orders, ordered) = grant.ordered;
        let of_lane = &mut inner.lanes[lane as usize];
        let is_new = of_lane.orders.is_some_and(|known| known < orders);
        of_lane.orders = Some(orders);
        if is_new && ordered.is_some() {
            inner.set_rate(ordered);
        }
        let of_lane = &mut inner.lanes[lane as usize];
        let own = of_lane.own.unwrap_or(f64::INFINITY);
        let lower = grant.lowest_per_second.filter(|lowest| *lowest < own);
        if lower != of_lane.lower {
            of_lane.lower = lower;
            event!(
                WARN,
                event = "shared_rate",
                own = of_lane.own,
                lower,
                "another process on this target has a lower rate, which applies to all processes"
            );
        }
    }

    /// Returns when this turn is due.
    pub(super) fn due(&self, slot: &Slot) -> Instant {
        self.inner().clock.local(slot.at_us)
    }

    /// Notes that a call was ready to depart this long after its turn.
    pub(super) fn woke_late(&self, by: Duration) {
        self.inner().late.learn(by);
    }

    pub(super) fn accepted(&self, lane: Lane) {
        self.answered[lane as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the numbers of accepted calls that were not reported yet.
    pub(super) fn take_answered(&self) -> [u32; 2] {
        [Lane::Find, Lane::Write]
            .map(|lane| self.answered[lane as usize].swap(0, Ordering::Relaxed))
    }

    /// Sets the rate of this process, and returns the gap between its calls.
    pub(super) fn set_rate(&self, per_second: f64) -> Duration {
        let mut inner = self.inner();
        inner.set_rate(Some(per_second));
        gap_of(per_second, inner.late.get())
    }

    /// Returns the rate that applies to reads, in calls per second; `None`: no limit.
    pub(super) fn rate(&self) -> Option<f64> {
        let OfLane { own, lower, .. } = self.inner().lanes[Lane::Find as usize];
        lower.or(own)
    }

    /// Returns the rate that this process is set to, and the lower rate of another process, which applies instead.
    pub(super) fn lower_rate(&self) -> Option<(Option<f64>, f64)> {
        let lanes = self.inner().lanes;
        lanes
            .iter()
            .find_map(|lane| lane.lower.map(|lower| (lane.own, lower)))
    }
}

impl Inner {
    fn set_rate(&mut self, per_second: Option<f64>) {
        for lane in &mut self.lanes {
            lane.own = per_second;
            lane.lower = None;
        }
    }
}
