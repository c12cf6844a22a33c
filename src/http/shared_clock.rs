//! The time of another clock, the one that all processes go by, as this process's time: never too early.
//!
//! An answer names the other clock's time while it was made, which was after the question was sent and before the answer
//! came. So each answer bounds how far the clocks are apart on both sides. The lowest upper bound of the last answers is
//! used: a time translated with it is late by the quickest way there and back at most, and always by nearly the same.
//! Where an answer contradicts it, one of the clocks was set, and only that answer counts.

use std::time::Duration;
use tokio::time::Instant;

/// For this long a bound counts at least, and twice as long at most; clocks drift apart meanwhile.
const COUNTS: Duration = Duration::from_secs(10);

/// What is known of the other clock.
#[derive(Debug)]
pub(super) struct SharedClock {
    /// Local times are counted from here.
    epoch: Instant,
    /// The lowest upper bound of the time before, and of the present one: microseconds to be added to the other's.
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

    /// A question that was sent then was answered then, and the other clock showed `theirs_us` in between.
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

    /// When the other clock shows this time, or a little later.
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

    /// Answers that take between 2 and 40 ms, at random places in between.
    #[test]
    fn a_time_is_never_translated_too_early_and_hardly_too_late() {
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
    fn a_clock_that_is_set_is_followed() {
        let mut clock = SharedClock::new();
        let begun = clock.epoch;
        clock.learn(begun, begun + MS, 5_000_000);
        assert_eq!(clock.local(6_000_000), begun + MS * 1001);
        // An hour back, then an hour on.
        let hour = 3_600_000_000;
        clock.learn(begun + MS * 10, begun + MS * 12, 5_010_000 - hour);
        assert_eq!(clock.local(5_010_000 - hour), begun + MS * 12);
        clock.learn(begun + MS * 20, begun + MS * 21, 5_020_000);
        assert_eq!(clock.local(5_020_000), begun + MS * 21);
    }
}
