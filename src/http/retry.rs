//! How long to wait before the next attempt, and whether there may be one: back-off, the retry budget, `Retry-After`.

use super::attempt;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use super::settings::Rate;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(20);
/// Wait before a retry that the budget does not cover: slow, but no line fails because of the budget.
pub(super) const WITHOUT_BUDGET: Duration = Duration::from_secs(5);

/// Returns an exponential back-off with full jitter: a random time between zero and the step.
pub(super) fn back_off(failures: u32) -> Duration {
    full_jitter(FIRST, LONGEST, failures)
}

/// Returns a random part of `first · 2^step`, or of `longest` if that is shorter.
pub(super) fn full_jitter(first: Duration, longest: Duration, step: u32) -> Duration {
    first
        .saturating_mul(1_u32.checked_shl(step.min(31)).unwrap_or(u32::MAX))
        .min(longest)
        .mul_f64(fastrand::f64())
}

/// A token bucket of retries, as in the AWS SDKs: a retry costs 5, after a time-out 10. A success at the first attempt
/// returns 1, a success at a later attempt returns the cost of that attempt. An outage empties the bucket.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicI64,
    size: i64,
}

/// The cost of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost(i64);

impl Cost {
    pub(super) const NONE: Self = Self(0);
}

impl Budget {
    /// Creates a full bucket. The AWS size of 500 allows 100 retries without a success; slow limits get a smaller size,
    /// for five seconds' worth of calls, but 200 at least.
    pub(super) fn new(rate: Rate) -> Self {
        let size = rate
            .per_second()
            .map_or(500.0, |rate| (rate * 25.0).clamp(200.0, 500.0));
        #[expect(clippy::cast_possible_truncation, reason = "between 200 and 500")]
        let size = size as i64;
        Self {
            left: AtomicI64::new(size),
            size,
        }
    }

    /// Pays for one retry if the budget is sufficient.
    pub(super) fn withdraw(&self, after_timeout: bool) -> Option<Cost> {
        let cost = if after_timeout { 10 } else { 5 };
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left >= cost).then_some(left - cost)
            })
            .ok()
            .map(|_| Cost(cost))
    }

    /// Notes that a call succeeded; `last` is the cost of its last attempt.
    pub(super) fn deposit(&self, last: Cost) {
        let back = last.0.max(1);
        // The bucket is nearly always full; then one load is enough.
        if self.left.load(Ordering::Relaxed) < self.size {
            let _ = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    Some((left + back).min(self.size))
                });
        }
    }
}

/// Returns the wait that `Retry-After` asks for: seconds, also with a fraction, or a date in any of HTTP's three forms.
/// Dates are compared with the answer's own `Date` if it has one, because our clock may be wrong. Of several values the
/// longest wait counts. `None`: the header cannot be understood.
pub(super) fn retry_after(header: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let parts: Vec<&str> = header.split(',').map(str::trim).collect();
    let mut longest = None;
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        at += 1;
        let mut wait = seconds(part).or_else(|| until(part, date, now));
        // A date may contain a comma.
        if wait.is_none()
            && let Some(rest) = parts.get(at)
        {
            wait = until(&format!("{part}, {rest}"), date, now);
            at += usize::from(wait.is_some());
        }
        longest = longest.max(wait);
    }
    longest
}

fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // More digits than fit mean a wait without end, after which the gate gives up.
    let whole = Duration::from_secs(whole.parse().unwrap_or(u64::MAX));
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    Some(whole.saturating_add(Duration::from_secs_f64(fraction)))
}

fn until(text: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let at = httpdate::parse_http_date(text).ok()?;
    let now = date
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .unwrap_or(now);
    Some(at.duration_since(now).unwrap_or(Duration::ZERO))
}

/// Returns the longest wait of all `Retry-After` headers.
pub(super) fn read_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let date = attempt::text(headers, &DATE);
    let now = SystemTime::now();
    let all = headers.get_all(RETRY_AFTER).into_iter();
    all.filter_map(|value| retry_after(value.to_str().ok()?, date, now))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_in_all_three_date_forms() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        let read = |header| retry_after(header, None, now);
        assert_eq!(read(" 120 "), Some(Duration::from_secs(120)));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(date), Some(Duration::from_secs(37)), "{date}");
        }
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(read("1, 1"), Some(Duration::from_secs(1)));
        assert_eq!(read("1,7.25 , 3"), Some(Duration::from_millis(7250)));
        assert_eq!(
            read("2, Sun, 06 Nov 1994 08:49:37 GMT, soon"),
            Some(Duration::from_secs(37))
        );
        assert_eq!(read("1000000000000").unwrap().as_secs(), 1_000_000_000_000);
        assert_eq!(read("99999999999999999999999").unwrap().as_secs(), u64::MAX);
        for garbage in [
            "",
            "-1",
            "soon",
            "2026-01-01T00:00:00Z",
            "1e3",
            "1.",
            ".5",
            "1;2",
        ] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn retry_after_date_is_relative_to_the_server_clock() {
        let wrong_clock = SystemTime::UNIX_EPOCH;
        let wait = retry_after(
            "Sun, 06 Nov 1994 08:49:37 GMT",
            Some("Sun, 06 Nov 1994 08:49:35 GMT"),
            wrong_clock,
        );
        assert_eq!(wait, Some(Duration::from_secs(2)));
    }

    #[test]
    fn back_off_is_random_below_a_doubling_limit() {
        for step in [0_u32, 1, 3, 40] {
            let most = (0..500).map(|_| back_off(step)).max().unwrap();
            let ceiling = FIRST
                .saturating_mul(2_u32.saturating_pow(step))
                .min(LONGEST);
            assert!(most <= ceiling && most > ceiling / 2, "{step}: {most:?}");
        }
    }

    #[test]
    fn an_outage_empties_the_budget_and_successes_fill_it() {
        let budget = Budget::new(Rate::PerSecond(20.0));
        let paid = (0..1000).filter_map(|_| budget.withdraw(false)).count();
        assert_eq!(paid, 100);
        assert_eq!(budget.withdraw(true), None);
        for _ in 0..5 {
            budget.deposit(Cost::NONE);
        }
        let cost = budget.withdraw(false).unwrap();
        budget.deposit(cost);
        assert!(budget.withdraw(false).is_some());
        assert!(budget.withdraw(false).is_none());
    }
}
