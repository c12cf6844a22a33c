//! The calls that wait for a turn of one limit from one address, the turns that were given for them, and what is to be told
//! with the next question: turns that were not used, and calls that took long.

use crate::limits::{GrantedTurns, Lane};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Without a limit, a turn is good for so long, beside what the calls need that wait: with the next one, it is heard whether
/// calls are held.
const GOOD_FOR: Duration = Duration::from_millis(250);
/// A call is taken to have arrived within this time after it departed. What takes longer is told.
const ARRIVES: Duration = Duration::from_secs(1);

/// The time at which one call may depart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// By the clock that all go by.
    pub(super) at_us: i64,
    /// It may depart so much later.
    pub(super) late: Duration,
    /// When it departs matters: there is a rate or a quota.
    pub(super) is_paced: bool,
    /// Of its grant, where a quota counts.
    number: Option<i64>,
    /// Slots of an older generation are void.
    generation: u64,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// How many turns.
    pub(super) calls: u32,
    /// How long before their time.
    pub(super) lead: Duration,
    /// Where turns became void since, those of the answer are void, too: they were given at the former rate, or before a hold.
    generation: u64,
}

/// What is told with a question. Where that has no answer, also because its caller does not wait for one any more, calls that
/// came late are told again with the next one.
#[derive(Debug)]
pub(super) struct Reported<'l> {
    line: &'l TurnLine,
    pub(super) slow: u32,
    pub(super) came_late: u32,
    /// They are told once: turns that are given back twice would be made twice.
    pub(super) unused: Vec<(i64, u32)>,
}

impl Reported<'_> {
    /// The question has its answer.
    pub(super) fn arrived(mut self) {
        self.came_late = 0;
    }
}

impl Drop for Reported<'_> {
    fn drop(&mut self) {
        self.line.inner().came_late += self.came_late;
    }
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Where a quota counts it.
    number: Option<u64>,
    departed: Instant,
}

/// One line of calls.
#[derive(Debug)]
pub(super) struct TurnLine {
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
    /// The longest of those that wait.
    lead: Duration,
    unused: Vec<(i64, u32)>,
    /// Calls on their way, and when they departed.
    flights: BTreeMap<u64, Instant>,
    last_flight: u64,
    came_late: u32,
}

impl Inner {
    fn give_back(&mut self, slot: Slot) {
        self.unused.extend(slot.number.map(|number| (number, 1)));
    }
}

/// A call that waits; dropped when it does no longer.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a TurnLine);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.waiting -= 1;
        if inner.waiting == 0 {
            inner.lead = Duration::ZERO;
        }
    }
}

impl TurnLine {
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

    /// A call waits, and needs this time before it departs.
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

    /// The first turn for a call that needs this time before it departs. Those that have passed are given back.
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

    /// Turns that were given for what was wanted. `late`: a call may depart so much after its turn.
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

    /// Turns that were given are void.
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

    /// No call is made in this turn.
    pub(super) fn give_back(&self, slot: Slot) {
        self.inner().give_back(slot);
    }

    /// A call departs, and is to be told of where it takes long.
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

    /// A call is completed.
    pub(super) fn land(&self, flight: &Flight) {
        let Some(number) = flight.number else { return };
        let is_late = flight.departed.elapsed() > ARRIVES;
        let mut inner = self.inner();
        inner.flights.remove(&number);
        inner.came_late += u32::from(is_late);
    }

    /// What is to be told with the next question.
    pub(super) fn reported(&self) -> Reported<'_> {
        let mut inner = self.inner();
        // In the order of departure.
        let slow = inner
            .flights
            .values()
            .take_while(|departed| departed.elapsed() > ARRIVES)
            .count();
        Reported {
            line: self,
            slow: u32::try_from(slow).unwrap_or(u32::MAX),
            came_late: std::mem::take(&mut inner.came_late),
            unused: std::mem::take(&mut inner.unused),
        }
    }

    /// All turns that are left, at the end.
    pub(super) fn all_unused(&self) -> Vec<(i64, u32)> {
        self.void_all();
        std::mem::take(&mut self.inner().unused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_a_turn_does_not_pass_while_an_intent_is_recorded() {
        let (lead, late) = (Duration::from_millis(40), Duration::from_millis(2));
        let line = TurnLine::new(Lane::Find, 0, false);
        let _waiting = line.wait(lead);
        let now = Instant::now();
        let due = |_: &Slot| now;
        let one = |step_us, number| GrantedTurns {
            many: 1,
            first_us: 0,
            step_us,
            number,
        };
        line.put(one(50.0, None), late, line.wanted());
        assert!(line.take(lead, due).is_none(), "there is a rate");
        line.void_all();
        line.put(one(0.0, Some(7)), late, line.wanted());
        assert!(line.take(lead, due).is_none(), "there is a quota");
        line.void_all();
        line.put(one(0.0, None), late, line.wanted());
        let slot = line.take(lead, due).unwrap();
        assert!(slot.late >= 2 * lead && !slot.is_paced);
    }

    #[test]
    fn turns_that_were_asked_for_before_all_became_void_are_not_used_and_given_back() {
        let line = TurnLine::new(Lane::Find, 0, true);
        let turns = GrantedTurns {
            many: 3,
            first_us: 0,
            step_us: 50.0,
            number: Some(7),
        };
        let now = Instant::now();
        let take = || line.take(Duration::ZERO, |_: &Slot| now);
        let wanted = line.wanted();
        line.void_all();
        line.put(turns, Duration::from_secs(1), wanted);
        assert!(take().is_none());
        assert_eq!(line.reported().unused, [(7, 3)]);
        line.put(turns, Duration::from_secs(1), line.wanted());
        assert!(take().is_some_and(|slot| line.is_valid(&slot)));
    }

    #[test]
    fn calls_that_came_late_are_told_until_the_question_has_an_answer() {
        let line = TurnLine::new(Lane::Find, 0, true);
        let departed = Instant::now().checked_sub(2 * ARRIVES).unwrap();
        line.land(&line.depart(departed));
        // Without an answer.
        assert_eq!(line.reported().came_late, 1);
        let again = line.reported();
        assert_eq!(again.came_late, 1);
        again.arrived();
        assert_eq!(line.reported().came_late, 0);
    }
}
