//! How often something happened within the last second.

use std::time::Duration;

const TENTH: Duration = Duration::from_millis(100);

/// Counts what happened in the last second, by tenths.
#[derive(Debug, Default)]
pub(super) struct LastSecond {
    tenths: [u32; 10],
    /// The tenth that was counted in last.
    at: u128,
    /// When it happened first.
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

    /// How fast it happened, where it began within this second.
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
