//! The wall clock, for stamps and for what a person reads.

use crate::config::{self, ConfigError};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// Milliseconds since 1970, UTC.
pub(crate) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Refuses where the zone in which times are shown and given is not known.
pub(crate) fn check_zone() -> Result<(), ConfigError> {
    config::local_zone().map(drop)
}

/// The present in the local zone. A command that shows local times has called [`check_zone`] before.
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
