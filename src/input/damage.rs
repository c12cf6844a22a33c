//! Values that a spreadsheet has damaged, and what is plainly no ID.

/// What a spreadsheet did to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// `1.23457E+11`: digits are lost.
    Scientific,
    /// `1-Mar`: a number became a date.
    Date,
    /// `#N/A`, `#REF!`: a formula failed.
    Error,
    /// `NULL`, `n/a`, `-`: a word for nothing.
    Placeholder,
    /// `TRUE`: a truth value.
    Truth,
}

impl Damage {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Scientific => "spreadsheet_scientific",
            Self::Date => "spreadsheet_date",
            Self::Error => "spreadsheet_error",
            Self::Placeholder => "placeholder",
            Self::Truth => "spreadsheet_truth",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Scientific => {
                "a spreadsheet turned the number into scientific notation, and digits are lost"
            }
            Self::Date => "a spreadsheet turned the value into a date",
            Self::Error => "this is a spreadsheet's error, not an ID",
            Self::Placeholder => "this is a word for nothing, not an ID",
            Self::Truth => "a spreadsheet turned the value into a truth value",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Placeholder => "leave the cell empty if nothing is to change",
            Self::Error => "mend the formula and export the column again",
            Self::Scientific | Self::Date | Self::Truth => {
                "export the column as text from the CRM itself, without a spreadsheet in between"
            }
        }
    }
}

/// What is wrong with a value of an ID column; digits-E-digits is a matter of its neighbours.
pub(super) fn of(value: &str) -> Option<Damage> {
    let first = *value.as_bytes().first()?;
    if first == b'#' && is_error(value) {
        return Some(Damage::Error);
    }
    if value.len() <= 5 && is_word(value) {
        let truth = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
        return Some(if truth {
            Damage::Truth
        } else {
            Damage::Placeholder
        });
    }
    if is_scientific(value) {
        return Some(Damage::Scientific);
    }
    if is_date(value) {
        return Some(Damage::Date);
    }
    None
}

fn is_error(value: &str) -> bool {
    let known = [
        "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!",
    ];
    known.iter().any(|error| value.eq_ignore_ascii_case(error))
        || (value.len() >= 3 && value.bytes().all(|byte| byte == b'#'))
}

fn is_word(value: &str) -> bool {
    [
        "null", "n/a", "-", "--", "none", "nil", "nan", "true", "false",
    ]
    .iter()
    .any(|word| value.eq_ignore_ascii_case(word))
}

/// `1.23457E+11`, `1,23E+11`, `5E+02`: a sign or a decimal mark makes it certain.
fn is_scientific(value: &str) -> bool {
    let Some(at) = value.find(['E', 'e']) else {
        return false;
    };
    let (mantissa, exponent) = (&value[..at], &value[at + 1..]);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (signed, exponent) = match exponent.strip_prefix(['+', '-']) {
        Some(rest) => (true, rest),
        None => (false, exponent),
    };
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (decimal, whole) = match mantissa.split_once(['.', ',']) {
        Some((whole, part)) => (true, digits(whole) && whole.len() == 1 && digits(part)),
        None => (false, digits(mantissa)),
    };
    whole && digits(exponent) && exponent.len() <= 3 && (signed || decimal)
}

/// `12E5`: perhaps an ID, perhaps a damaged number.
pub(super) fn is_perhaps_scientific(value: &str) -> bool {
    let Some((mantissa, exponent)) = value.split_once(['E', 'e']) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(mantissa) && digits(exponent) && exponent.len() <= 3
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// `1-Mar`, `Mar-26`, `01-Mar-26`, `2026-03-01`, `3/1/2026`, `01.03.2026`.
fn is_date(value: &str) -> bool {
    if value.len() < 5 || value.len() > 19 {
        return false;
    }
    let day_part = value.split([' ', 'T']).next().unwrap_or(value);
    for mark in ['-', '/', '.'] {
        let parts: Vec<&str> = day_part.split(mark).collect();
        let month = |text: &str| MONTHS.contains(&text.to_ascii_lowercase().as_str());
        let number = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let found = match parts.as_slice() {
            [a, b] => mark == '-' && ((number(a, 2) && month(b)) || (month(a) && number(b, 2))),
            [a, b, c] => {
                let named = mark == '-' && number(a, 2) && month(b) && number(c, 4);
                let iso = a.len() == 4 && number(a, 4) && b.len() == 2 && in_calendar(b, c);
                let other =
                    mark != '-' && number(a, 2) && number(b, 2) && c.len() == 4 && number(c, 4);
                named || iso || other
            }
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

fn in_calendar(month: &str, day: &str) -> bool {
    let within = |text: &str, most: u8| {
        text.len() == 2
            && text
                .parse::<u8>()
                .is_ok_and(|number| (1..=most).contains(&number))
    };
    within(month, 12) && within(day, 31)
}

/// A character that cannot be seen, or that turns the writing around.
pub(super) fn invisible(value: &str) -> Option<char> {
    if value.is_ascii() {
        return None;
    }
    value.chars().find(|c| {
        matches!(*c,
            '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}'
            | '\u{2000}'..='\u{200a}' | '\u{3000}')
    })
}

/// Letters put together from parts: looks like another value, and is another one.
pub(super) fn is_decomposed(value: &str) -> bool {
    !value.is_ascii() && value.chars().any(|c| matches!(c, '\u{300}'..='\u{36f}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_does_to_ids_is_recognised() {
        for (value, damage) in [
            ("1.23457E+11", Damage::Scientific),
            ("1,23E+11", Damage::Scientific),
            ("5.03E+02", Damage::Scientific),
            ("5E+02", Damage::Scientific),
            ("1-Mar", Damage::Date),
            ("Mar-26", Damage::Date),
            ("2026-03-01", Damage::Date),
            ("3/1/2026", Damage::Date),
            ("01.03.2026", Damage::Date),
            ("#N/A", Damage::Error),
            ("########", Damage::Error),
            ("NULL", Damage::Placeholder),
            ("n/a", Damage::Placeholder),
            ("-", Damage::Placeholder),
            ("TRUE", Damage::Truth),
        ] {
            assert_eq!(of(value), Some(damage), "{value}");
        }
    }

    #[test]
    fn ids_that_only_look_odd_are_left_alone() {
        for value in [
            "12E5",
            "A-1003",
            "10-20-30",
            "E+1",
            "1-2",
            "ACC-2026-03",
            "2026-13-01",
            "=x",
            "+4312345",
            "0012",
            "192.168.1.1",
            "a.b.cdef",
        ] {
            assert_eq!(of(value), None, "{value}");
        }
        assert!(is_perhaps_scientific("12E5"));
    }
}
