//! How long something is kept.

use crate::http::Span;
use std::str::FromStr;
use std::time::Duration;

/// `90d`, of any number of days, or any other duration such as `12h`.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|n| n.parse::<u32>().ok());
    match days {
        // Retention is counted in years, which other durations are not.
        Some(days) => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        None => Span::from_str(text)
            .map(|span| span.0)
            .map_err(|why| why.to_string()),
    }
}
