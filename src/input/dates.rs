//! Recognises dates that stand in the place of an ID.
//!
//! Must not decide whether a date is damage: an ID may look like a date, and its column decides.

use super::doubt::DoubtKind;
use super::months;

/// The maximum length of a date, in bytes.
pub(super) const LONGEST: usize = 30;

/// Quickly excludes what cannot be a date, which is nearly every ID: a date has a separator near its beginning, and no five
/// digits at either end.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if !(4..=LONGEST).contains(&bytes.len())
        || bytes.last_chunk::<5>().is_some_and(|end| digits(end))
        || bytes.first_chunk::<5>().is_some_and(|start| digits(start))
    {
        return false;
    }
    let separates = |byte: &u8| matches!(byte, b'-' | b'/' | b'.' | b' ');
    if bytes[0].is_ascii_digit() {
        return bytes[1..bytes.len().min(6)].iter().any(separates);
    }
    let is_word = bytes[0].is_ascii_alphabetic() || !bytes[0].is_ascii();
    is_word && bytes[3..].iter().any(separates)
}

/// Returns the name of the month in a date, in lower case.
pub(super) fn month_word(value: &str) -> Option<String> {
    let mut parts = value.split(['-', '/', '.', ' ']);
    parts
        .find(|part| months::month(part).is_some())
        .map(str::to_lowercase)
}

/// Returns which kind of date the value is.
pub(super) fn find(value: &str) -> Option<DoubtKind> {
    // A time may follow: `2026-03-01 00:00:00`.
    let day = match value.split_once(['T', ' ']) {
        Some((day, time)) if time.contains(':') && time.bytes().all(is_time) => day,
        _ => value,
    };
    let mut parts = [""; 3];
    let mut count = 0;
    let words = day.split(['-', '/', '.', ' ']);
    // `3 de marzo de 2026`, `3. marts 2026`
    for part in words.filter(|part| !part.is_empty() && !matches!(*part, "de" | "of" | "den")) {
        if count == 3 {
            return None;
        }
        parts[count] = part;
        count += 1;
    }
    let is_month = |part: &str| months::month(part).is_some();
    let is_day_or_year = |part: &str| is_upto(part, 31) || is_year(part) || is_short(part);
    match count {
        2 if is_day_or_year(parts[1]) && is_month(parts[0]) => Some(DoubtKind::MonthDate),
        2 if is_day_or_year(parts[0]) && is_month(parts[1]) => Some(DoubtKind::MonthDate),
        3 if is_day_or_year(parts[0]) && is_day_or_year(parts[2]) && is_month(parts[1]) => {
            Some(DoubtKind::MonthDate)
        }
        3 if is_upto(parts[1], 31) && is_day_or_year(parts[2]) && is_month(parts[0]) => {
            Some(DoubtKind::MonthDate)
        }
        3 if is_numeric(day, parts) => Some(DoubtKind::NumericDate),
        _ => None,
    }
}

fn is_time(byte: u8) -> bool {
    byte.is_ascii_digit() || b":.Z+- APM".contains(&byte)
}

fn is_numeric(day: &str, [first, second, third]: [&str; 3]) -> bool {
    if day.contains(' ') {
        return false;
    }
    let year_first = is_year(first) && is_upto(second, 12) && is_upto(third, 31);
    let day_and_month =
        (is_upto(first, 31) && is_upto(second, 12)) || (is_upto(first, 12) && is_upto(second, 31));
    let short_year = day.contains('/') && is_short(third);
    year_first || (day_and_month && (is_year(third) || short_year))
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && (text.starts_with("19") || text.starts_with("20")) && is_number(text)
}

/// A year of two digits.
fn is_short(text: &str) -> bool {
    text.len() == 2 && is_number(text)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_upto(text: &str, most: u16) -> bool {
    text.len() <= 2
        && is_number(text)
        && text
            .parse::<u16>()
            .is_ok_and(|number| (1..=most).contains(&number))
}
