//! The wall clock, for time stamps and for times that a person reads.

use crate::config::{self, ConfigError};
use crate::ui;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use std::time::Duration;

/// Milliseconds since 1970, UTC.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Refuses an unknown local time zone. Times are shown and entered in that zone.
pub(crate) fn check_zone() -> Result<(), ConfigError> {
    config::local_zone().map(drop)
}

/// Returns the current time in the local zone. A command that shows local times has called [`check_zone`] before.
pub(super) fn now() -> ZonedDateTime {
    Timestamp::now().to_zoned_datetime(config::local_zone().unwrap_or(TimeZone::UTC))
}

/// The local zone: `Europe/Berlin`, or an offset where it has no name.
pub(super) fn zone() -> String {
    let now = now();
    let name = now.time_zone().iana_name().map(str::to_owned);
    name.unwrap_or_else(|| now.strftime("%:z").to_string())
}

/// A time in the local zone, with that zone.
pub(super) fn words(time: Timestamp) -> String {
    let now = now();
    config::local_words(&time.to_zoned_datetime(now.time_zone().clone()), &now)
}

/// Returns the local time when `left` has passed, in short form: `23:08 CET`, with the date if that is not today.
pub(super) fn brief_in(left: Duration) -> String {
    let now = now();
    now.checked_add(left).map_or_else(
        |_| "a date too far in the future".to_owned(),
        |then| brief(&then, &now),
    )
}

/// `16 min 40 s (22:30 CET to 22:47 CET)`, from milliseconds since 1970.
pub(super) fn from_to(started_ms: i64, finished_ms: i64) -> String {
    let took = match finished_ms.saturating_sub(started_ms) / 1000 {
        ..1 => "less than 1 s".to_owned(),
        seconds => ui::duration(seconds.unsigned_abs()),
    };
    let now = now();
    let local = |ms| {
        let time = Timestamp::from_millisecond(ms).ok()?;
        Some(brief(
            &time.to_zoned_datetime(now.time_zone().clone()),
            &now,
        ))
    };
    match (local(started_ms), local(finished_ms)) {
        (Some(from), Some(to)) if from == to => format!("{took} (at {to})"),
        (Some(from), Some(to)) => format!("{took} ({from} to {to})"),
        _ => took,
    }
}

fn brief(time: &ZonedDateTime, now: &ZonedDateTime) -> String {
    // Some zones have no abbreviation of letters: jiff then shows the offset.
    let day = if time.date() == now.date() {
        ""
    } else {
        " on %Y-%m-%d"
    };
    time.strftime(&format!("%H:%M %Z{day}")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_below_one_second_is_not_shown_as_0_s() {
        assert!(from_to(1000, 1900).starts_with("less than 1 s (at "));
        let later = from_to(0, 1_000_000);
        assert!(
            later.starts_with("16 min (") && later.contains(" to "),
            "{later}"
        );
    }

    #[test]
    fn brief_time_shows_its_zone_and_the_date_if_not_today() {
        let zoned = |text: &str| text.parse::<ZonedDateTime>().unwrap();
        let now = zoned("2026-11-20T22:30[Europe/Berlin]");
        assert_eq!(
            brief(&zoned("2026-11-20T23:08[Europe/Berlin]"), &now),
            "23:08 CET"
        );
        assert_eq!(
            brief(&zoned("2026-11-21T01:08[Europe/Berlin]"), &now),
            "01:08 CET on 2026-11-21"
        );
        let dubai = zoned("2026-11-20T23:08[Asia/Dubai]");
        assert_eq!(brief(&dubai, &dubai), "23:08 +04");
    }
}
