//! Local time: the zone of this process, and what `--until` means in it.

use super::ConfigError;
use crate::http::Span;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ZonedDateTime, civil};
use std::str::FromStr;
use std::time::Duration;

/// The zone of a machine that has no `TZ`.
const LOCALTIME: &str = "/etc/localtime";

/// The zone of `TZ` (a name, `:name`, a path or a POSIX rule), else that of `/etc/localtime`, else UTC.
///
/// Zones are looked up in the machine's database, and in the bundled one where that does not have them.
/// A zone that is in neither is an error: no time may be shown or kept in another zone than the one that was named.
pub fn local_zone() -> Result<TimeZone, ConfigError> {
    let why = match TimeZone::try_system() {
        Ok(zone) => return Ok(zone),
        Err(why) => why,
    };
    let Some(named) = std::env::var_os("TZ") else {
        let missing = std::path::Path::new(LOCALTIME).symlink_metadata().is_err();
        return if missing {
            Ok(TimeZone::UTC)
        } else {
            Err(unknown(LOCALTIME, &why))
        };
    };
    let named = named.to_string_lossy();
    let name = named.strip_prefix(':').unwrap_or(&named);
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| unknown(&format!("TZ `{named}`"), &why))
}

fn unknown(what: &str, why: &jiff::Error) -> ConfigError {
    ConfigError::Zone {
        what: what.to_owned(),
        why: why.to_string(),
    }
}

/// A time as it is shown to a person: `06:00 CET (+01:00)`, with the date where that is not today.
pub fn local_words(time: &ZonedDateTime, now: &ZonedDateTime) -> String {
    let abbreviation = time.strftime("%Z").to_string();
    let offset = time.strftime("%:z").to_string();
    let zone = match abbreviation.as_str() {
        "UTC" => abbreviation,
        // Some zones have no abbreviation of letters.
        numeric if numeric.starts_with(['+', '-']) => offset,
        _ => format!("{abbreviation} ({offset})"),
    };
    let day = if time.date() == now.date() {
        String::new()
    } else {
        time.strftime(" on %Y-%m-%d").to_string()
    };
    format!("{} {zone}{day}", time.strftime("%H:%M"))
}

/// A time of day, or a time from now, after which no unit is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The next time that local clocks show this.
    At(civil::Time),
    /// This time after the run began.
    In(Duration),
}

impl Until {
    /// Returns the time that is meant, as seen from `now`; `None`: it is later than any date.
    pub fn after(self, now: &ZonedDateTime) -> Option<Timestamp> {
        match self {
            Self::In(span) => now.timestamp().checked_add(span).ok(),
            Self::At(time) => {
                // A time in the hour that the change to summer time skips becomes later by as much as clocks are put forward.
                let on = |date: civil::Date| {
                    let zoned = date
                        .to_datetime(time)
                        .to_zoned_datetime(now.time_zone().clone());
                    zoned.ok().map(|zoned| zoned.timestamp())
                };
                let today = on(now.date())?;
                if today > now.timestamp() {
                    return Some(today);
                }
                on(now.date().tomorrow().ok()?)
            }
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is neither a time of day such as 06:00 nor a duration such as 4h");
        if !text.contains(':') {
            return Span::from_str(text)
                .map(|span| Self::In(span.0))
                .map_err(|_| wrong());
        }
        // The parser would silently drop an offset.
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':')
        {
            return Err(format!(
                "`{text}` is not a time of day: write it as 06:00, in the time zone of this machine or of TZ"
            ));
        }
        text.parse().map(Self::At).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> ZonedDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn time_of_day_means_its_next_occurrence_in_the_time_zone() {
        let until: Until = "06:00".parse().unwrap();
        let after = |now: &str| {
            let now = zoned(now);
            local_words(
                &until
                    .after(&now)
                    .unwrap()
                    .to_zoned_datetime(now.time_zone().clone()),
                &now,
            )
        };
        assert_eq!(
            after("2026-07-01T05:59[Europe/Berlin]"),
            "06:00 CEST (+02:00)"
        );
        assert_eq!(
            after("2026-07-01T06:00[Europe/Berlin]"),
            "06:00 CEST (+02:00) on 2026-07-02"
        );
        // The clocks are put back in between.
        assert_eq!(
            after("2026-10-24T22:00[Europe/Berlin]"),
            "06:00 CET (+01:00) on 2026-10-25"
        );
        assert_eq!(after("2026-07-01T05:59[UTC]"), "06:00 UTC");
        assert_eq!(after("2026-07-01T05:59[Asia/Dubai]"), "06:00 +04:00");
    }

    #[test]
    fn time_skipped_by_daylight_saving_is_moved_later_by_the_gap() {
        let until: Until = "02:30".parse().unwrap();
        let now = zoned("2026-03-29T01:00[Europe/Berlin]");
        assert_eq!(
            until.after(&now).unwrap(),
            zoned("2026-03-29T03:30[Europe/Berlin]").timestamp()
        );
        let now = zoned("2026-03-29T04:00[Europe/Berlin]");
        assert_eq!(
            until.after(&now).unwrap(),
            zoned("2026-03-30T02:30[Europe/Berlin]").timestamp()
        );
    }

    #[test]
    fn invalid_time_of_day_is_rejected() {
        for text in ["25:00", "06:00Z", "06:00+02:00", "6 o'clock", "", "soon"] {
            assert!(Until::from_str(text).is_err(), "{text}");
        }
        assert_eq!("4h".parse(), Ok(Until::In(Duration::from_secs(4 * 3600))));
    }
}
