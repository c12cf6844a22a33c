//! The age at which something is removed.

use crate::http::Span;
use std::str::FromStr;
use std::time::Duration;

/// Parses an age: any number of days, such as `90d`, or any other duration, such as `12h`.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|n| n.parse::<u32>().ok());
    match days {
        // Other durations are limited to a year, and a retention may last longer.
        Some(days) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        None => Span::from_str(text)
            .map(|span| span.0)
            .map_err(|why| why.to_string()),
    }
}
