//! Recognises what spreadsheets make of IDs that they take for numbers.

use super::dates;
use super::doubt::DoubtKind;
use super::finding::{Damage, Finding};

/// The number of digits that a spreadsheet keeps.
pub(super) const KEPT_DIGITS: usize = 15;

/// Checks a value that begins and ends like a number.
pub(super) fn number_damage(bytes: &[u8]) -> Option<Finding> {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == bytes.len() {
        let is_rounded =
            digits > KEPT_DIGITS && bytes[KEPT_DIGITS..].iter().all(|digit| *digit == b'0');
        return is_rounded.then_some(Finding::Doubt(DoubtKind::Rounded));
    }
    // After its first digits a number or a date has a separator or an `E`; most hexadecimal IDs have another letter.
    let next = bytes[digits];
    if digits > 0 && next.is_ascii_alphabetic() && !matches!(next, b'E' | b'e') {
        return None;
    }
    if is_scientific(bytes) {
        return Some(Finding::Sure(Damage::Scientific));
    }
    if digits > 0 && is_zero_fraction(&bytes[digits..]) {
        return Some(Finding::Doubt(DoubtKind::DecimalZero));
    }
    if is_exponent_like(bytes) {
        return Some(Finding::Doubt(DoubtKind::Exponent));
    }
    if is_grouped(bytes) {
        return Some(Finding::Doubt(DoubtKind::Thousands));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    if !dates::may_be(bytes) {
        return None;
    }
    dates::find(text).map(Finding::Doubt)
}

fn is_zero_fraction(rest: &[u8]) -> bool {
    matches!(rest, [b'.' | b',', zeros @ ..] if !zeros.is_empty() && zeros.len() <= 2 && zeros.iter().all(|zero| *zero == b'0'))
}

/// Whether a value is digits, `E`, digits: scientific notation, or an ID that happens to look like it.
fn is_exponent_like(bytes: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let mut parts = bytes.splitn(2, |byte| matches!(byte, b'E' | b'e'));
    parts.next().is_some_and(digits) && parts.next().is_some_and(digits)
}

/// `1,234,567`: groups of three after the first, with one separator.
fn is_grouped(bytes: &[u8]) -> bool {
    let Some(separator) = bytes.iter().find(|byte| !byte.is_ascii_digit()) else {
        return false;
    };
    if !matches!(separator, b'.' | b',' | b'\'' | b' ') || bytes[0] == b'0' {
        return false;
    }
    let mut groups = bytes.split(|byte| byte == separator);
    let digits = |group: &[u8]| group.iter().all(u8::is_ascii_digit);
    let first = groups
        .next()
        .is_some_and(|first| (1..=3).contains(&first.len()) && digits(first));
    first && groups.all(|group| group.len() == 3 && digits(group))
}

/// Whether a value is a number with an exponent, and has a point or a sign that no ID would have.
fn is_scientific(bytes: &[u8]) -> bool {
    let Some(at) = bytes.iter().position(|byte| matches!(byte, b'E' | b'e')) else {
        return false;
    };
    let (mantissa, exponent) = (&bytes[..at], &bytes[at + 1..]);
    let mantissa = mantissa
        .strip_prefix(b"-")
        .or(mantissa.strip_prefix(b"+"))
        .unwrap_or(mantissa);
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let point = mantissa.iter().position(|byte| matches!(byte, b'.' | b','));
    let number = match point {
        Some(point) => digits(&mantissa[..point]) && digits(&mantissa[point + 1..]),
        None => digits(mantissa),
    };
    let bare = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-"));
    // `12E-5` may be an ID, just like `12-E5`; a spreadsheet writes a plus sign or a decimal sign.
    let signed = exponent.first() == Some(&b'+');
    number && digits(bare.unwrap_or(exponent)) && exponent.len() <= 4 && (signed || point.is_some())
}
