//! Recognises in a single value what spreadsheets and exports do to identifiers.
//!
//! Must not need other values: what only a column can decide is a `DoubtKind`, and `verdict` decides it.

use super::cell;
use super::dates;
use super::finding::{Damage, Finding};
use super::numbers::number_damage;
use super::placeholder;

/// Returns the damage of a value, if any. `ours`: the value is from a file that idshift wrote, without its apostrophe.
pub(super) fn find(value: &str, ours: bool) -> Option<Finding> {
    let bytes = value.as_bytes();
    let (first, last) = (*bytes.first()?, *bytes.last()?);
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    if !(plain(first) && plain(last))
        && let Some(damage) = wrapped(value, (first, last), ours)
    {
        return Some(Finding::Sure(damage));
    }
    let word = placeholder::word(value);
    if word.is_some() {
        return word;
    }
    let number = first.is_ascii_digit() || matches!(first, b'+' | b'-');
    if number && last.is_ascii_digit() {
        return number_damage(bytes);
    }
    if dates::may_be(bytes) {
        return dates::find(value).map(Finding::Doubt);
    }
    None
}

/// Whether a value looks like something that only spreadsheets and exports write.
pub fn is_damaged(value: &str) -> bool {
    find(value, true).is_some()
}

/// Checks a value that begins or ends with something else than a letter or a digit.
fn wrapped(value: &str, (first, last): (u8, u8), ours: bool) -> Option<Damage> {
    if first == b'#' {
        if cell::is_mark(value) {
            return Some(Damage::Mark);
        }
        if is_sheet_error(value) {
            return Some(Damage::SheetError);
        }
    }
    if first == b'=' {
        return Some(Damage::Formula);
    }
    let mut characters = value.chars();
    let (opening, closing) = (characters.next()?, characters.next_back());
    if closing.is_some_and(|closing| is_quoted(opening, closing)) {
        return Some(Damage::Quoted);
    }
    let escapes = |c: &u8| matches!(c, b'+' | b'-' | b'=' | b'@');
    if first == b'\'' && !ours && value.as_bytes().get(1).is_some_and(escapes) {
        return Some(Damage::Escaped);
    }
    let in_brackets = matches!((first, last), (b'<', b'>') | (b'(', b')') | (b'[', b']'));
    let no_id = !matches!(value, "." | "..") && value.chars().all(is_filling);
    let cut = value.ends_with("...") || value.ends_with('\u{2026}');
    (in_brackets || no_id || cut || value == "\\N").then_some(Damage::Placeholder)
}

/// Whether a character is punctuation or a line; no ID consists of these alone.
fn is_filling(c: char) -> bool {
    c.is_ascii_punctuation()
        || c == ' '
        || matches!(c, '\u{2010}'..='\u{2027}' | '\u{2212}' | '\u{2500}'..='\u{259F}' | '\u{B7}' | '\u{BF}')
}

fn is_quoted(opening: char, closing: char) -> bool {
    matches!(
        (opening, closing),
        ('\'', '\'')
            | ('"', '"')
            | ('`', '`' | '\'' | '\u{B4}')
            | ('\u{B4}', '\u{B4}')
            | ('\u{AB}', '\u{BB}')
            | ('\u{BB}', '\u{AB}' | '\u{BB}')
            | ('\u{2039}', '\u{203A}')
            | ('\u{203A}', '\u{2039}' | '\u{203A}')
            | (
                '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}',
                '\u{2018}' | '\u{2019}' | '\''
            )
            | (
                '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}',
                '\u{201C}' | '\u{201D}' | '"'
            )
            | ('\u{2032}', '\u{2032}')
            | ('\u{2033}', '\u{2033}')
            | ('\u{300C}', '\u{300D}')
            | ('\u{300E}', '\u{300F}')
            | ('\u{FF02}', '\u{FF02}')
            | ('\u{FF07}', '\u{FF07}')
    )
}

/// Whether a value is an error of a spreadsheet: `#VALEUR!`, `#ЗНАЧ!`, `#NOMBRE?`, `#N/D`, `#####`.
fn is_sheet_error(value: &str) -> bool {
    // The errors that end in a letter, in the languages of spreadsheets.
    const NOT_AVAILABLE: [&str; 11] = [
        "#N/A",
        "#NV",
        "#N/D",
        "#I/T",
        "#NA",
        "#\u{41D}/\u{414}",
        "#YOK",
        "#HI\u{C1}NYZIK",
        "#N/B",
        "#ERROR",
        "#GETTING_DATA",
    ];
    let name = &value[1..];
    // Spanish also has an opening sign: `#¡REF!`, `#¿NOMBRE?`.
    let name = name.strip_prefix(['\u{A1}', '\u{BF}']).unwrap_or(name);
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '/' | '_' | ' ' | '.'))
    };
    name.bytes().all(|byte| byte == b'#') && !name.is_empty()
        || name.strip_suffix(['!', '?']).is_some_and(is_name)
        || NOT_AVAILABLE
            .iter()
            .any(|error| is_or_explains(&value.to_uppercase(), error))
}

/// Whether a value is an error, or an error and words about it: `#N/A N/A`.
fn is_or_explains(value: &str, error: &str) -> bool {
    value.strip_prefix(error).is_some_and(|rest| {
        rest.is_empty()
            || (rest.starts_with(' ') && !rest.bytes().any(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::doubt::DoubtKind;
    use super::*;

    #[test]
    fn damage_by_spreadsheets_and_exports_is_recognised() {
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
                Damage::SheetError,
                &[
                    "#N/A",
                    "#REF!",
                    "########",
                    "#n/a",
                    "#VALEUR!",
                    "#\u{417}\u{41d}\u{410}\u{427}!",
                    "#NOMBRE?",
                    "#\u{A1}REF!",
                    "#\u{A1}VALOR!",
                    "#\u{BF}NOMBRE?",
                    "#GETTING_DATA",
                    "#N/D",
                    "#DIV/0!",
                    "#PUUTTUU!",
                    "Err:502",
                    "Fehler:508",
                    "Erreur : 502",
                    "#NV",
                ],
            ),
            (
                Damage::Placeholder,
                &[
                    "NULL",
                    "null",
                    "n/a",
                    "N.A.",
                    "-",
                    "-----",
                    "???",
                    "\u{2014}",
                    "TRUE",
                    "NaN",
                    "NaT",
                    "nil",
                    "\\N",
                    "[NULL]",
                    "(blank)",
                    "<none>",
                    "(leer)",
                    "CRM-20...",
                    "CRM\u{2026}",
                    "***",
                ],
            ),
            (Damage::Formula, &["=A1", "=1+1", "=\"a\"&B2"]),
            (
                Damage::Quoted,
                &[
                    "'A-1'",
                    "\u{201c}A\u{201d}",
                    "\u{201e}A\u{201c}",
                    "\u{ab}A\u{bb}",
                    "\"A\"",
                    "\u{bb}A\u{ab}",
                    "`A`",
                ],
            ),
            (Damage::Escaped, &["'+4930", "'-1", "'@x"]),
        ] {
            for value in values {
                assert_eq!(find(value, false), Some(Finding::Sure(kind)), "{value}");
            }
        }
        assert_eq!(find("'+4930", true), None);
    }

    #[test]
    fn spreadsheet_error_with_extra_words_is_recognised() {
        for value in ["#N/A N/A", "#N/A Field Not Applicable"] {
            let error = Some(Finding::Sure(Damage::SheetError));
            assert_eq!(find(value, false), error, "{value}");
        }
        assert_eq!(find("#NV 17", false), None);
    }

    #[test]
    fn value_that_needs_its_column_to_decide_is_a_doubt() {
        for (kind, values) in [
            (
                DoubtKind::MonthDate,
                &[
                    "1-Mar",
                    "Mar-26",
                    "01-Mar-26",
                    "1. M\u{e4}r",
                    "03-avr",
                    "2024-\u{44f}\u{43d}\u{432}",
                    "3 de marzo",
                    "1-\u{fa}no",
                ][..],
            ),
            (
                DoubtKind::NumericDate,
                &[
                    "2026-03-01",
                    "01.03.2026",
                    "3/1/2026",
                    "3/1/26",
                    "2026-03-01 00:00:00",
                    "2026-03-01T00:00:00Z",
                ],
            ),
            (
                DoubtKind::DecimalZero,
                &["20011.0", "20011.00", "20011,0", "7,00"],
            ),
            (DoubtKind::Exponent, &["12E5", "1e10"]),
            (
                DoubtKind::Rounded,
                &["1234567890123450", "12345678901234500000"],
            ),
            (
                DoubtKind::Thousands,
                &["1,234", "1.234.567", "12 345", "1'234'567"],
            ),
            (
                DoubtKind::Placeholder,
                &["unbekannt", "k.A.", "Desconocido", "N/D", "s/o", "NA"],
            ),
        ] {
            for value in values {
                assert_eq!(find(value, false), Some(Finding::Doubt(kind)), "{value}");
            }
        }
    }

    #[test]
    fn ids_that_resemble_damage_are_not_reported() {
        for value in [
            "A-1E+5x",
            "100234",
            "A-2026-03-0001",
            "10.0.0.1",
            "#17",
            "#1234",
            "NULLA",
            "MARCH-1x",
            "1-2",
            "12-345-6789",
            "E5",
            "2026-13-41",
            "a/../b?c#d",
            "",
            "-5",
            "3E",
            "99999-12-31",
            "JAN-0001",
            "MAR12345",
            "+4930123456",
            "@x",
            "-12",
            "O'Neil",
            "'n Sync",
            "ERR-502",
            "12E-5",
            "{3f2a}",
            "A(1)",
            "[1]2",
            "1234,5678",
            "0.123",
            "1234567890123456",
            "20011.05",
            "M\u{fc}ller & S\u{f6}hne",
            "ABC-12",
            "\u{65e5}\u{672c}",
            "a.b",
            "1,2345",
        ] {
            let found = find(value, false);
            // Short abbreviations are decided by the column.
            assert!(
                found.is_none() || found == Some(Finding::Doubt(DoubtKind::Placeholder)),
                "{value}: {found:?}"
            );
        }
    }
}
