//! What spreadsheets and exports do to identifiers, recognised in a single value.
//!
//! Must not need other values: what only a whole column shows is the survey's.

use super::cell;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// `1.23457E+11`
    Scientific,
    /// `1-Mar`, `2026-03-01`
    Date,
    /// `#N/A`, `########`
    SheetError,
    /// `NULL`, `n/a`, `-`, `TRUE`
    Placeholder,
    /// A mark that idshift put in the place of a cell that it could not read.
    Mark,
}

impl Damage {
    /// The stable word for scripts.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Scientific => "spreadsheet_scientific",
            Self::Date => "spreadsheet_date",
            Self::SheetError => "spreadsheet_error",
            Self::Placeholder => "placeholder",
            Self::Mark => "unmended",
        }
    }

    /// What is wrong.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Scientific => {
                "a spreadsheet turned a long number into scientific notation, and its last digits are lost"
            }
            Self::Date => "a spreadsheet turned the ID into a date",
            Self::SheetError => "a spreadsheet's error stands in the place of a value",
            Self::Placeholder => "this stands for a missing value and is not an ID",
            Self::Mark => {
                "the line could not be read exactly when it was first read, and is not mended"
            }
        }
    }

    /// What to do.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Scientific | Self::Date => {
                "export the list again with the column as text, without opening it in a spreadsheet"
            }
            Self::SheetError => "mend the formula or the width of the column, and export again",
            Self::Placeholder => "leave the cell empty, or put the real ID there",
            Self::Mark => "take the line from the original file and mend it",
        }
    }
}

/// The damage of a value, if any.
pub(super) fn find(value: &str) -> Option<Damage> {
    let bytes = value.as_bytes();
    let (first, last) = (*bytes.first()?, *bytes.last()?);
    if first == b'#' {
        if cell::is_mark(value) {
            return Some(Damage::Mark);
        }
        return is_sheet_error(value).then_some(Damage::SheetError);
    }
    if bytes.len() <= 9 && is_placeholder(value) {
        return Some(Damage::Placeholder);
    }
    let number = first.is_ascii_digit() || matches!(first, b'+' | b'-');
    if number && last.is_ascii_digit() && is_scientific(bytes) {
        return Some(Damage::Scientific);
    }
    (may_be_date(bytes) && is_date(value)).then_some(Damage::Date)
}

/// Sorts out at a glance what is no date: nearly every ID. A day, month or year has four characters at most (a
/// letter with a diacritic takes two bytes), so a separator must follow soon.
fn may_be_date(bytes: &[u8]) -> bool {
    let month_first = bytes[0].is_ascii_alphabetic();
    let (soonest, longest) = if month_first { (3, 10) } else { (1, 24) };
    (month_first || bytes[0].is_ascii_digit())
        && (4..=longest).contains(&bytes.len())
        && bytes[soonest..bytes.len().min(6)]
            .iter()
            .any(|byte| matches!(byte, b'-' | b'/' | b'.' | b' '))
}

/// Digits, `E`, digits: scientific notation, or an ID that happens to look like it.
pub(super) fn is_exponent_like(value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    value
        .split_once(['E', 'e'])
        .is_some_and(|(left, right)| digits(left) && digits(right))
}

/// A number with an exponent, and a point or a sign that no ID would have.
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
    let signed = bare.is_some();
    number && digits(bare.unwrap_or(exponent)) && exponent.len() <= 4 && (signed || point.is_some())
}

fn is_sheet_error(value: &str) -> bool {
    const ERRORS: [&str; 12] = [
        "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!",
        "#NV", "#WERT!", "#BEZUG!",
    ];
    ERRORS.iter().any(|error| value.eq_ignore_ascii_case(error))
        || (value.len() >= 2 && value.bytes().all(|byte| byte == b'#'))
}

fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 16] = [
        "null",
        "(null)",
        "<null>",
        "n/a",
        "nan",
        "none",
        "undefined",
        "true",
        "false",
        "wahr",
        "falsch",
        "\\N",
        "-",
        "--",
        "\u{2013}",
        "\u{2014}",
    ];
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn is_date(value: &str) -> bool {
    // A time may follow: `2026-03-01 00:00:00`.
    let day = match value.split_once(['T', ' ']) {
        Some((day, time)) if time.contains(':') && time.bytes().all(is_time) => day,
        _ => value,
    };
    let mut parts = [""; 3];
    let mut count = 0;
    for part in day
        .split(['-', '/', '.', ' '])
        .filter(|part| !part.is_empty())
    {
        if count == 3 {
            return false;
        }
        parts[count] = part;
        count += 1;
    }
    match count {
        2 => is_month_and(parts[0], parts[1]) || is_month_and(parts[1], parts[0]),
        3 if is_month(parts[1]) => {
            is_upto(parts[0], 31) && (is_year(parts[2]) || is_upto(parts[2], 99))
        }
        3 => is_numeric_date(day, parts),
        _ => false,
    }
}

fn is_time(byte: u8) -> bool {
    byte.is_ascii_digit()
        || matches!(
            byte,
            b':' | b'.' | b'Z' | b'+' | b'-' | b' ' | b'A' | b'P' | b'M'
        )
}

fn is_numeric_date(day: &str, [first, second, third]: [&str; 3]) -> bool {
    if day.contains(' ') {
        return false;
    }
    let year_first = is_year(first) && is_upto(second, 12) && is_upto(third, 31);
    let day_and_month =
        (is_upto(first, 31) && is_upto(second, 12)) || (is_upto(first, 12) && is_upto(second, 31));
    let short_year = day.contains('/') && third.len() == 2 && is_upto(third, 99);
    year_first || (day_and_month && (is_year(third) || short_year))
}

fn is_month_and(month: &str, other: &str) -> bool {
    is_month(month) && (is_year(other) || (other.len() <= 2 && is_upto(other, 99)))
}

fn is_month(text: &str) -> bool {
    const MONTHS: [&str; 18] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mrz",
        "m\u{e4}r", "mai", "okt", "dez", "sept",
    ];
    text.len() <= 4 && MONTHS.iter().any(|month| text.eq_ignore_ascii_case(month))
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && (text.starts_with("19") || text.starts_with("20")) && is_upto(text, 2099)
}

fn is_upto(text: &str, most: u16) -> bool {
    text.len() <= 4
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok_and(|number| number <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spreadsheets_leave_behind_is_recognised() {
        for (kind, values) in [
            (
                Damage::Scientific,
                &[
                    "1.23457E+11",
                    "1,23E+11",
                    "5.03E+02",
                    "1E+15",
                    "1.5e11",
                    "-1.2E-05",
                ][..],
            ),
            (
                Damage::Date,
                &[
                    "1-Mar",
                    "Mar-26",
                    "01-Mar-26",
                    "2026-03-01",
                    "01.03.2026",
                    "3/1/2026",
                    "3/1/26",
                    "2026-03-01 00:00:00",
                    "1. M\u{e4}r",
                    "2026-03-01T00:00:00Z",
                ],
            ),
            (Damage::SheetError, &["#N/A", "#REF!", "########", "#n/a"]),
            (
                Damage::Placeholder,
                &["NULL", "null", "n/a", "-", "TRUE", "false", "NaN", "\\N"],
            ),
        ] {
            for value in values {
                assert_eq!(find(value), Some(kind), "{value}");
            }
        }
    }

    #[test]
    fn ids_that_only_look_a_little_like_damage_are_left_alone() {
        for value in [
            "12E5",
            "A-1E+5x",
            "100234",
            "A-2026-03-0001",
            "10.0.0.1",
            "#17",
            "NULLA",
            "MARCH-1",
            "1-2",
            "12-345-6789",
            "E5",
            "2026-13-41",
            "a/../b?c#d",
            "",
            "-5",
            "3E",
            "99999-12-31",
        ] {
            assert_eq!(find(value), None, "{value}");
        }
        assert!(is_exponent_like("12E5"));
        assert!(!is_exponent_like("E5") && !is_exponent_like("12E") && !is_exponent_like("12E5A"));
    }
}
