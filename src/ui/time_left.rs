//! Estimates how long a run still takes, by the rate of the last minute in which calls were made, the quota and holds.
//!
//! It keeps no clock of its own, so that it can be tested: the caller passes the time.

use std::collections::VecDeque;
use std::time::Duration;

/// The rate is measured over this much time in which calls were not held.
const MEASURED: Duration = Duration::from_secs(60);
/// The minimum time between two samples.
const STEP: Duration = Duration::from_secs(1);
/// No rate is computed from fewer seconds than this.
const TOO_SHORT: f64 = 0.5;

/// The progress of a run at one time.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// The time since the display began.
    at: Duration,
    /// The part of that time in which calls were not held.
    worked: Duration,
    done: u64,
    calls: u64,
}

/// Lines and calls in a second of work.
#[derive(Debug, Clone, Copy)]
struct Rate {
    lines: f64,
    calls: f64,
}

/// The progress of a run that was seen so far.
#[derive(Debug, Default)]
pub(super) struct TimeLeft {
    /// The maximum number of calls, and the window in which they count.
    quota: Option<(u64, Duration)>,
    samples: VecDeque<Sample>,
    now: Sample,
}

impl TimeLeft {
    pub(super) fn new(quota: Option<(u64, Duration)>) -> Self {
        Self {
            quota,
            samples: VecDeque::from([Sample::default()]),
            now: Sample::default(),
        }
    }

    /// Takes in how far the run is, and whether calls were held since this function was called last.
    pub(super) fn see(&mut self, at: Duration, held: bool, done: u64, calls: u64) {
        let since = at.saturating_sub(self.now.at);
        let worked = self.now.worked + if held { Duration::ZERO } else { since };
        self.now = Sample {
            at,
            worked,
            done,
            calls,
        };
        let last = self.samples.back().map_or(Duration::ZERO, |last| last.at);
        if at.saturating_sub(last) >= STEP {
            self.samples.push_back(self.now);
        }
        let window = self.quota.map_or(Duration::ZERO, |(_, window)| window);
        // One sample that is too old is kept: it says how far the run was when the window began.
        while self.samples.get(1).is_some_and(|second| {
            at.saturating_sub(second.at) > window && worked.saturating_sub(second.worked) > MEASURED
        }) {
            self.samples.pop_front();
        }
    }

    /// Returns the calls per second over the last minute in which calls were made.
    pub(super) fn calls_per_second(&self) -> Option<f64> {
        self.rate()
            .map(|rate| rate.calls)
            .filter(|calls| *calls > 0.0)
    }

    /// Returns how long `lines` more lines take, if all calls still wait for `held`.
    pub(super) fn of(&self, lines: u64, held: Duration) -> Option<Duration> {
        let rate = self.rate().filter(|rate| rate.lines > 0.0)?;
        let work = float(lines) / rate.lines;
        let after_hold = held.as_secs_f64() + work;
        let seconds = match self.quota {
            Some((calls, window)) if calls > 0 => {
                after_hold.max(self.with_quota(work, rate.calls, calls, window))
            }
            _ => after_hold,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    fn rate(&self) -> Option<Rate> {
        let is_recent =
            |sample: &&Sample| self.now.worked.saturating_sub(sample.worked) <= MEASURED;
        let from = self.samples.iter().find(is_recent)?;
        let seconds = self.now.worked.saturating_sub(from.worked).as_secs_f64();
        let lines = self.now.done.saturating_sub(from.done);
        if seconds < TOO_SHORT {
            return None;
        }
        Some(Rate {
            lines: float(lines) / seconds,
            calls: float(self.now.calls.saturating_sub(from.calls)) / seconds,
        })
    }

    /// Returns the seconds that the work takes with the quota. A call may be made one window after the call that is
    /// `quota` calls before it. So the time of the last call is at least that of the call at the same place in the
    /// present window, plus the windows in between.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of calls"
    )]
    fn with_quota(&self, work: f64, per_second: f64, quota: u64, window: Duration) -> f64 {
        let calls = (work * per_second).ceil() as u64;
        let begins = self.now.at.checked_sub(window);
        let before = self
            .samples
            .iter()
            .take_while(|sample| begins.is_some_and(|begins| sample.at <= begins))
            .last()
            .map_or(0, |sample| sample.calls);
        let used = self.now.calls.saturating_sub(before);
        let Some(over) = calls
            .checked_sub(quota.saturating_sub(used))
            .filter(|n| *n > 0)
        else {
            return work;
        };
        let windows = over.div_ceil(quota);
        let place = before + over - (windows - 1) * quota;
        let reached = self.samples.iter().find(|sample| sample.calls >= place);
        let from_now = match reached {
            Some(sample) => -(self.now.at.saturating_sub(sample.at)).as_secs_f64(),
            None => float(place.saturating_sub(self.now.calls)) / per_second,
        };
        work.max(from_now + float(windows) * window.as_secs_f64())
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for a display")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Makes a run with two calls for each line, and this number of lines in each second.
    fn run(quota: Option<(u64, Duration)>, lines_by_second: &[u64]) -> TimeLeft {
        let mut left = TimeLeft::new(quota);
        let mut done = 0;
        for (second, lines) in (1..).zip(lines_by_second) {
            done += lines;
            left.see(s(second), *lines == 0, done, 2 * done);
        }
        left
    }

    #[test]
    fn estimate_uses_only_the_last_minute() {
        let mut lines = vec![100; 600];
        lines.extend([10; 60]);
        let left = run(None, &lines);
        assert_eq!(left.of(600, Duration::ZERO), Some(s(60)));
    }

    #[test]
    fn hold_does_not_lower_the_speed_and_is_added_to_the_estimate() {
        let mut lines = vec![10; 100];
        lines.extend([0; 300]);
        let left = run(None, &lines);
        assert_eq!(left.of(600, s(20)), Some(s(80)));
    }

    #[test]
    fn estimate_includes_waits_for_quota_windows() {
        // 10 lines and 20 calls a second: the 2,000 calls of five minutes are used up after 100 s.
        let quota = Some((2000, s(300)));
        let left = run(quota, &[10; 50]);
        // The rest of this window's calls.
        assert_eq!(left.of(500, Duration::ZERO), Some(s(50)));
        // One call of the next window, which begins 300 s after the first of this one.
        let one_more = left.of(501, Duration::ZERO).unwrap();
        assert!((s(250)..=s(252)).contains(&one_more), "{one_more:?}");
        // Ten windows, half of the first one used: simulated call by call it is 300 s for each, and 100 s for the last.
        let many = left.of(9500, Duration::ZERO).unwrap();
        assert!((s(2740)..=s(2760)).contains(&many), "{many:?}");
        // While the run waits for the quota.
        let mut lines = vec![10; 100];
        lines.extend([0; 100]);
        let waiting = run(quota, &lines).of(1000, s(100)).unwrap();
        assert!((s(199)..=s(202)).contains(&waiting), "{waiting:?}");
    }

    #[test]
    fn no_estimate_is_given_before_any_line_ends() {
        assert_eq!(TimeLeft::new(None).of(10, s(5)), None);
        assert_eq!(run(None, &[0; 10]).of(10, s(5)), None);
    }
}
