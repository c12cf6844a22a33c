//! The calls that wait for a turn of one limit from one address, the turns granted for them, and what the next question
//! reports: unused turns, and slow calls.

use crate::limits::{GrantedTurns, Lane};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Without a rate or quota, a turn can be used this long after its time, plus the lead of the waiting calls. The
/// question for the next turn then learns whether calls are held.
const GOOD_FOR: Duration = Duration::from_millis(250);
/// A call is assumed to have reached the server within this time after its departure. Slower calls are reported.
const ARRIVES: Duration = Duration::from_secs(1);

/// The time at which one call may depart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Its time, in microseconds by the clock that all processes use.
    pub(super) at_us: i64,
    /// How much later the call may depart.
    pub(super) late: Duration,
    /// Whether the time of departure matters: there is a rate or a quota.
    pub(super) is_paced: bool,
    /// The number of the grant, if a quota counts it.
    number: Option<i64>,
    /// Slots of an older generation are void.
    generation: u64,
}

/// A request for turns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Number of turns.
    pub(super) calls: u32,
    /// How long before their time the turns are needed.
    pub(super) lead: Duration,
    /// If turns became void after the request, the turns of the answer are void too: they were granted at the former
    /// rate, or before a hold.
    generation: u64,
}

/// What a question reports. If this value is dropped without [`Reported::arrived`] (no answer, or the caller stopped
/// waiting), the next question reports the calls that came late again.
#[derive(Debug)]
pub(super) struct Reported<'l> {
    queue: &'l TurnQueue,
    pub(super) slow: u32,
    pub(super) came_late: u32,
    /// Grant and number of unused turns. Reported once only: turns that are given back twice would be granted twice.
    pub(super) unused: Vec<(i64, u32)>,
}

impl Reported<'_> {
    /// Notes that the question was answered.
    pub(super) fn arrived(mut self) {
        self.came_late = 0;
    }
}

impl Drop for Reported<'_> {
    fn drop(&mut self) {
        self.queue.inner().came_late += self.came_late;
    }
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Its number, if a quota counts it.
    number: Option<u64>,
    departed: Instant,
}

/// The calls of one limit from one address.
#[derive(Debug)]
pub(super) struct TurnQueue {
    pub(super) lane: Lane,
    /// The local address, by its place in the list.
    pub(super) from: usize,
    /// Whether a quota counts its calls.
    counts: bool,
    first: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stock: VecDeque<Slot>,
    generation: u64,
    waiting: u32,
    /// The longest lead of the waiting calls.
    lead: Duration,
    unused: Vec<(i64, u32)>,
    /// Calls under way, and when they departed.
    flights: BTreeMap<u64, Instant>,
    last_flight: u64,
    came_late: u32,
}

impl Inner {
    fn give_back(&mut self, slot: Slot) {
        self.unused.extend(slot.number.map(|number| (number, 1)));
    }
}

/// A call that waits; dropped when it stops waiting.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a TurnQueue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.waiting -= 1;
        if inner.waiting == 0 {
            inner.lead = Duration::ZERO;
        }
    }
}

impl TurnQueue {
    pub(super) fn new(lane: Lane, from: usize, counts: bool) -> Self {
        Self {
            lane,
            from,
            counts,
            first: tokio::sync::Mutex::default(),
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a waiting call that needs `lead` before it departs.
    pub(super) fn wait(&self, lead: Duration) -> Waiting<'_> {
        let mut inner = self.inner();
        inner.waiting += 1;
        inner.lead = inner.lead.max(lead);
        drop(inner);
        Waiting(self)
    }

    /// Waits until this call is the first one that has no turn.
    pub(super) async fn first(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.first.lock().await
    }

    pub(super) fn wanted(&self) -> Wanted {
        let inner = self.inner();
        Wanted {
            calls: inner.waiting.max(1),
            lead: inner.lead,
            generation: inner.generation,
        }
    }

    /// Takes the first turn that still can be used by a call that needs `lead` before it departs. Gives back the turns
    /// that have passed.
    pub(super) fn take(&self, lead: Duration, due: impl Fn(&Slot) -> Instant) -> Option<Slot> {
        let now = Instant::now();
        let mut inner = self.inner();
        while let Some(slot) = inner.stock.front().copied() {
            if due(&slot) + slot.late >= now {
                break;
            }
            inner.stock.pop_front();
            inner.give_back(slot);
        }
        let mut slots = inner.stock.iter();
        let at = slots.position(|slot| due(slot) + slot.late >= now + lead)?;
        inner.stock.remove(at)
    }

    /// Adds the turns that were granted for `wanted`. `late`: how long after its turn a call may depart.
    pub(super) fn put(&self, turns: GrantedTurns, late: Duration, wanted: Wanted) {
        let mut inner = self.inner();
        let generation = inner.generation;
        if wanted.generation != generation {
            let unused = turns.number.map(|number| (number, turns.many));
            inner.unused.extend(unused);
            return;
        }
        let is_paced = turns.step_us > 0.0 || turns.number.is_some();
        let late = if is_paced {
            late
        } else {
            inner.lead + GOOD_FOR
        };
        let slots = (0..turns.many).map(|n| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "turns are given for a fraction of a second ahead"
            )]
            let since = (f64::from(n) * turns.step_us).ceil() as i64;
            Slot {
                at_us: turns.first_us + since,
                late,
                is_paced,
                number: turns.number,
                generation,
            }
        });
        inner.stock.extend(slots);
    }

    /// Makes all granted turns void and gives them back.
    pub(super) fn void_all(&self) {
        let mut inner = self.inner();
        inner.generation += 1;
        for slot in std::mem::take(&mut inner.stock) {
            inner.give_back(slot);
        }
    }

    pub(super) fn is_valid(&self, slot: &Slot) -> bool {
        self.inner().generation == slot.generation
    }

    /// Gives a turn back, because no call is made in it.
    pub(super) fn give_back(&self, slot: Slot) {
        self.inner().give_back(slot);
    }

    /// Registers a departing call; it is reported if it becomes slow.
    pub(super) fn depart(&self, departed: Instant) -> Flight {
        let mut number = None;
        if self.counts {
            let mut inner = self.inner();
            inner.last_flight += 1;
            number = Some(inner.last_flight);
            let last = inner.last_flight;
            inner.flights.insert(last, departed);
        }
        Flight { number, departed }
    }

    /// Notes that a call is completed.
    pub(super) fn land(&self, flight: &Flight) {
        let Some(number) = flight.number else { return };
        let is_late = flight.departed.elapsed() > ARRIVES;
        let mut inner = self.inner();
        inner.flights.remove(&number);
        inner.came_late += u32::from(is_late);
    }

    /// Takes what the next question reports.
    pub(super) fn reported(&self) -> Reported<'_> {
        let mut inner = self.inner();
        // Sorted by departure, so the slow calls come first.
        let slow = inner
            .flights
            .values()
            .take_while(|departed| departed.elapsed() > ARRIVES)
            .count();
        Reported {
            queue: self,
            slow: u32::try_from(slow).unwrap_or(u32::MAX),
            came_late: std::mem::take(&mut inner.came_late),
            unused: std::mem::take(&mut inner.unused),
        }
    }

    /// Takes all turns that are left at the end.
    pub(super) fn all_unused(&self) -> Vec<(i64, u32)> {
        self.void_all();
        std::mem::take(&mut self.inner().unused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlimited_turn_does_not_expire_while_an_intent_is_recorded() {
        let (lead, late) = (Duration::from_millis(40), Duration::from_millis(2));
        let queue = TurnQueue::new(Lane::Find, 0, false);
        let _waiting = queue.wait(lead);
        let now = Instant::now();
        let due = |_: &Slot| now;
        let one = |step_us, number| GrantedTurns {
            many: 1,
            first_us: 0,
            step_us,
            number,
        };
        queue.put(one(50.0, None), late, queue.wanted());
        assert!(queue.take(lead, due).is_none(), "there is a rate");
        queue.void_all();
        queue.put(one(0.0, Some(7)), late, queue.wanted());
        assert!(queue.take(lead, due).is_none(), "there is a quota");
        queue.void_all();
        queue.put(one(0.0, None), late, queue.wanted());
        let slot = queue.take(lead, due).unwrap();
        assert!(slot.late >= 2 * lead && !slot.is_paced);
    }

    #[test]
    fn turns_requested_before_invalidation_are_returned_unused() {
        let queue = TurnQueue::new(Lane::Find, 0, true);
        let turns = GrantedTurns {
            many: 3,
            first_us: 0,
            step_us: 50.0,
            number: Some(7),
        };
        let now = Instant::now();
        let take = || queue.take(Duration::ZERO, |_: &Slot| now);
        let wanted = queue.wanted();
        queue.void_all();
        queue.put(turns, Duration::from_secs(1), wanted);
        assert!(take().is_none());
        assert_eq!(queue.reported().unused, [(7, 3)]);
        queue.put(turns, Duration::from_secs(1), queue.wanted());
        assert!(take().is_some_and(|slot| queue.is_valid(&slot)));
    }

    #[test]
    fn late_calls_are_reported_again_until_a_report_is_answered() {
        let queue = TurnQueue::new(Lane::Find, 0, true);
        let departed = Instant::now().checked_sub(2 * ARRIVES).unwrap();
        queue.land(&queue.depart(departed));
        // The question has no answer.
        assert_eq!(queue.reported().came_late, 1);
        let again = queue.reported();
        assert_eq!(again.came_late, 1);
        again.arrived();
        assert_eq!(queue.reported().came_late, 0);
    }
}
