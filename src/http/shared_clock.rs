//! Translates the times of another clock, which all processes use, into this process's time: never too early.
//!
//! An answer contains the other clock's time at a moment after the question was sent and before the answer came. So
//! each answer gives a lower and an upper bound for the difference of the clocks. The lowest upper bound of the last
//! answers is used: a translated time is late by at most the shortest round trip, and always by nearly the same. If an
//! answer contradicts that bound, one of the clocks was set; then only that answer counts.

use std::time::Duration;
use tokio::time::Instant;

/// A bound is used for this long at least, and for twice as long at most, because the clocks drift apart.
const COUNTS: Duration = Duration::from_secs(10);

/// The known difference to the other clock.
#[derive(Debug)]
pub(super) struct SharedClock {
    /// The zero of local times.
    epoch: Instant,
    /// The lowest upper bounds of the previous and of the present period: microseconds to add to the other clock's
    /// time.
    bounds: [Option<i64>; 2],
    since: Instant,
}

impl SharedClock {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            epoch: now,
            bounds: [None; 2],
            since: now,
        }
    }

    /// Learns from an answer: the other clock showed `theirs_us` at some time between `sent` and `received`.
    pub(super) fn learn(&mut self, sent: Instant, received: Instant, theirs_us: i64) {
        let micros = |at: Instant| {
            let since = at.saturating_duration_since(self.epoch).as_micros();
            i64::try_from(since).unwrap_or(i64::MAX / 2)
        };
        let (least, most) = (micros(sent) - theirs_us, micros(received) - theirs_us);
        if self.bound().is_some_and(|known| known < least) {
            self.bounds = [None; 2];
        }
        if received.saturating_duration_since(self.since) >= COUNTS {
            self.bounds = [self.bounds[1], None];
            self.since = received;
        }
        self.bounds[1] = Some(self.bounds[1].map_or(most, |known| known.min(most)));
    }

    /// Returns the local time at which the other clock shows `theirs_us`, or a little later.
    pub(super) fn local(&self, theirs_us: i64) -> Instant {
        let at = theirs_us.saturating_add(self.bound().unwrap_or(0));
        self.epoch + Duration::from_micros(u64::try_from(at).unwrap_or(0))
    }

    fn bound(&self) -> Option<i64> {
        self.bounds.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Answers take between 2 and 40 ms; the other clock is read at a random moment in between.
    #[test]
    fn translated_time_is_never_early_and_at_most_3_ms_late() {
        let mut clock = SharedClock::new();
        let begun = clock.epoch;
        let real = |theirs_us: i64| {
            begun + Duration::from_micros(u64::try_from(theirs_us - 77_000_000).unwrap())
        };
        let random = fastrand::Rng::with_seed(7);
        let mut random = random;
        for n in 0..2000_u32 {
            let sent = begun + MS * 20 * n;
            let there = Duration::from_micros(random.u64(1000..20_000));
            let back = Duration::from_micros(random.u64(1000..20_000));
            let theirs = 77_000_000 + i64::try_from((sent + there - begun).as_micros()).unwrap();
            clock.learn(sent, sent + there + back, theirs);
            let (at, is) = (clock.local(theirs), real(theirs));
            assert!(at >= is);
            assert!(n < 200 || at - is < MS * 3, "{:?}", at - is);
        }
    }

    #[test]
    fn change_of_the_other_clock_is_followed() {
        let mut clock = SharedClock::new();
        let begun = clock.epoch;
        clock.learn(begun, begun + MS, 5_000_000);
        assert_eq!(clock.local(6_000_000), begun + MS * 1001);
        // The other clock is set back by an hour, then forward by an hour.
        let hour = 3_600_000_000;
        clock.learn(begun + MS * 10, begun + MS * 12, 5_010_000 - hour);
        assert_eq!(clock.local(5_010_000 - hour), begun + MS * 12);
        clock.learn(begun + MS * 20, begun + MS * 21, 5_020_000);
        assert_eq!(clock.local(5_020_000), begun + MS * 21);
    }
}
