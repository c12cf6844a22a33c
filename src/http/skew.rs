//! The difference between this machine's clock and the server's, from the `Date` of an answer.
//!
//! Two things limit the precision: `Date` has whole seconds, and it is unknown at which moment of the round trip the
//! server stamped the answer.

use std::time::{Duration, SystemTime};

/// A difference between two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// How far this machine's clock is ahead, in milliseconds; negative: behind.
    pub ahead_ms: i64,
    /// Maximum error of `ahead_ms` in either direction, in milliseconds.
    pub within_ms: i64,
}

impl Skew {
    /// Calculates the difference from the `Date` of an answer that came at `now`, with this round-trip time. `None`: no
    /// valid date.
    pub(super) fn of(date: Option<&str>, now: SystemTime, round_trip: Duration) -> Option<Self> {
        let stamped = httpdate::parse_http_date(date?.trim()).ok()?;
        // On average the answer was stamped in the middle of its second, and in the middle of the round trip.
        let theirs = stamped + Duration::from_millis(500);
        let ours = now - round_trip / 2;
        let ahead_ms = match ours.duration_since(theirs) {
            Ok(ahead) => millis(ahead),
            Err(behind) => -millis(behind.duration()),
        };
        Some(Self {
            ahead_ms,
            within_ms: millis(round_trip / 2) + 500,
        })
    }

    /// Returns the minimum difference of the clocks, in milliseconds.
    pub fn at_least_ms(self) -> i64 {
        (self.ahead_ms.saturating_abs() - self.within_ms).max(0)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skew(ours: &str, theirs: &str, round_trip_ms: u64) -> Skew {
        let now = httpdate::parse_http_date(ours).unwrap();
        Skew::of(Some(theirs), now, Duration::from_millis(round_trip_ms)).unwrap()
    }

    #[test]
    fn clock_difference_has_the_precision_of_the_date_header() {
        let theirs = "Sun, 06 Nov 1994 08:49:37 GMT";
        let same = skew(theirs, theirs, 200);
        assert_eq!((same.ahead_ms, same.within_ms), (-600, 600));
        assert_eq!(same.at_least_ms(), 0);
        let ahead = skew("Sun, 06 Nov 1994 08:51:37 GMT", theirs, 200);
        assert_eq!((ahead.ahead_ms, ahead.at_least_ms()), (119_400, 118_800));
        let behind = skew("Sun, 06 Nov 1994 08:48:37 GMT", theirs, 0);
        assert_eq!((behind.ahead_ms, behind.at_least_ms()), (-60_500, 60_000));
    }

    #[test]
    fn without_valid_date_no_clock_difference_is_reported() {
        let now = SystemTime::now();
        for date in [None, Some(""), Some("yesterday")] {
            assert_eq!(Skew::of(date, now, Duration::ZERO), None);
        }
    }
}
