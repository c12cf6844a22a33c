//! The rate of an event within the last second.

use std::time::Duration;

const TENTH: Duration = Duration::from_millis(100);

/// Counts the events of the last second in tenths of a second.
#[derive(Debug, Default)]
pub(super) struct LastSecond {
    tenths: [u32; 10],
    /// The latest tenth in which an event was counted, as a number of tenths.
    at: u128,
    /// When the first event was counted.
    since: Option<Duration>,
}

impl LastSecond {
    fn move_to(&mut self, now: Duration) {
        let at = now.as_nanos() / TENTH.as_nanos();
        for passed in (self.at + 1..=at).take(self.tenths.len()) {
            self.tenths[Self::index(passed)] = 0;
        }
        self.at = self.at.max(at);
    }

    fn index(tenth: u128) -> usize {
        usize::try_from(tenth % 10).unwrap_or(0)
    }

    pub(super) fn count(&mut self, now: Duration) {
        self.move_to(now);
        self.since.get_or_insert(now);
        self.tenths[Self::index(self.at)] += 1;
    }

    /// Returns events per second, also if the first event was less than a second ago; at least 2.
    pub(super) fn per_second(&mut self, now: Duration) -> f64 {
        let since = self.since.unwrap_or(now);
        let time = now.saturating_sub(since).clamp(TENTH / 2, TENTH * 10);
        (self.total(now) / time.as_secs_f64()).max(2.0)
    }

    pub(super) fn total(&mut self, now: Duration) -> f64 {
        self.move_to(now);
        f64::from(self.tenths.iter().sum::<u32>())
    }
}
