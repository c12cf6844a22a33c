//! Finds characters that look like others, or are invisible: a person reads one ID, and the system another.
//!
//! Scripts and confusable letters are those of Unicode TS 39, "highly restrictive": Japanese, Chinese and Korean letters
//! beside Latin ones are no doubt. Must not change a value: the likely value is only named.

use super::compatibility;
use super::doubt::DoubtKind;
use super::mojibake;
use super::scripts::{is_foreign, is_restrictive};
use unicode_security::confusable_detection::skeleton;

/// What was found in a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: DoubtKind,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The value that is probably meant, if it is known.
    pub(super) likely: Option<String>,
}

/// Returns the number and the name of a character.
pub(super) fn named(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    match unicode_names2::name(c) {
        Some(name) => format!("{number} ({name})"),
        None => number,
    }
}

/// Returns the first doubt about the characters of a value.
pub(super) fn find(value: &str) -> Option<Found> {
    if value.contains('&')
        && let Some(found) = entity(value)
    {
        return Some(found);
    }
    if value.is_ascii() {
        return None;
    }
    decoded_twice(value)
        .or_else(|| invisible(value))
        .or_else(|| typographic(value))
        .or_else(|| compatible(value))
        .or_else(|| foreign_digit(value))
        .or_else(|| scripts(value))
}

fn entity(value: &str) -> Option<Found> {
    let likely = html_escape::decode_html_entities(value);
    if likely == value || !value.contains(';') {
        return None;
    }
    Some(Found {
        kind: DoubtKind::Entity,
        code: "html_entity",
        message: "the value contains an HTML entity, which a web page or an export put there"
            .to_owned(),
        likely: Some(likely.into_owned()),
    })
}

fn decoded_twice(value: &str) -> Option<Found> {
    let (encoding, likely) = mojibake::undo(value)?;
    Some(Found {
        kind: DoubtKind::DecodedTwice,
        code: "decoded_twice",
        message: format!("the text was decoded twice: UTF-8 was read as {encoding}"),
        likely: Some(likely),
    })
}

fn invisible(value: &str) -> Option<Found> {
    let c = value.chars().find(|c| is_invisible(*c))?;
    let visible = |c: char| match c {
        _ if c.is_whitespace() => Some(' '),
        _ if is_invisible(c) => None,
        _ => Some(c),
    };
    Some(Found {
        kind: DoubtKind::Invisible,
        code: "invisible_character",
        message: format!("the value contains the invisible character {}", named(c)),
        likely: Some(value.chars().filter_map(visible).collect()),
    })
}

/// Whether a person does not see a character that a system distinguishes: white space other than the plain space, joiners,
/// directions, fillers, variation selectors, tags.
pub(super) fn is_invisible(c: char) -> bool {
    !c.is_ascii()
        && (c.is_whitespace()
            || matches!(
                c,
                '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
                    | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
                    | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
                    | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
                    | '\u{E0000}'..='\u{E0FFF}'
            ))
}

/// Returns the keyboard character that a typographic character stands for.
fn keyboard(c: char) -> Option<char> {
    Some(match c {
        '\u{2010}'..='\u{2015}'
        | '\u{2212}'
        | '\u{FE58}'
        | '\u{FE63}'
        | '\u{2043}'
        | '\u{2D7}'
        | '\u{2796}' => '-',
        '\u{2018}'..='\u{201B}'
        | '\u{2032}'
        | '\u{2035}'
        | '\u{B4}'
        | '\u{2BC}'
        | '\u{2B9}'
        | '\u{2039}'
        | '\u{203A}' => '\'',
        '\u{201C}'..='\u{201F}' | '\u{2033}' | '\u{2036}' | '\u{AB}' | '\u{BB}' => '"',
        '\u{2044}' | '\u{2215}' | '\u{29F8}' => '/',
        '\u{2236}' | '\u{A789}' => ':',
        _ => return None,
    })
}

fn typographic(value: &str) -> Option<Found> {
    let c = value.chars().find(|c| keyboard(*c).is_some())?;
    Some(Found {
        kind: DoubtKind::Typographic,
        code: "typographic_character",
        message: format!(
            "the value contains {}, which a word processor or a mail program puts in place of another character",
            named(c)
        ),
        likely: Some(value.chars().map(|c| keyboard(c).unwrap_or(c)).collect()),
    })
}

fn compatible(value: &str) -> Option<Found> {
    let east_asian = compatibility::is_east_asian(value);
    let plain = |c: char| compatibility::ordinary(c, east_asian);
    let (c, looks_like) = value.chars().find_map(|c| Some((c, plain(c)?)))?;
    let likely = value
        .chars()
        .map(|c| plain(c).unwrap_or_else(|| c.to_string()));
    Some(Found {
        kind: DoubtKind::Compatibility,
        code: "compatibility_character",
        message: format!(
            "the value contains {}, which means `{looks_like}` but is another character",
            named(c)
        ),
        likely: Some(likely.collect()),
    })
}

/// Finds a digit of another script in an otherwise Latin value: a person reads the number, and a system another text.
fn foreign_digit(value: &str) -> Option<Found> {
    let digit = |c: char| {
        let names = [
            "ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE",
        ];
        let numeric = !c.is_ascii() && c.is_numeric();
        let name = numeric.then(|| unicode_names2::name(c))??.to_string();
        let (_, word) = name.rsplit_once(" DIGIT ")?;
        let number = names.iter().position(|name| *name == word)?;
        char::from_digit(u32::try_from(number).ok()?, 10)
    };
    let (c, plain) = value.chars().find_map(|c| Some((c, digit(c)?)))?;
    let is_latin =
        value.chars().any(|c| c.is_ascii_alphanumeric()) && !value.chars().any(is_foreign);
    is_latin.then(|| Found {
        kind: DoubtKind::MixedScripts,
        code: "mixed_scripts",
        message: format!(
            "the value contains {}, which is a digit of another script, and not `{plain}`",
            named(c)
        ),
        likely: Some(value.chars().map(|c| digit(c).unwrap_or(c)).collect()),
    })
}

/// Returns the plain letters that a letter looks like, as text.
fn looks_like(c: char) -> String {
    skeleton(c.encode_utf8(&mut [0; 4])).collect()
}

fn scripts(value: &str) -> Option<Found> {
    let foreign: Vec<char> = value.chars().filter(|c| is_foreign(*c)).collect();
    let confusable = |c: &char| {
        let plain = looks_like(*c);
        !plain.is_empty() && plain.is_ascii()
    };
    let Some(first) = foreign.iter().copied().find(confusable) else {
        // None of the foreign letters looks like a Latin one, so their script is intended.
        return (!foreign.is_empty()).then(|| Found {
            kind: DoubtKind::OtherScript,
            code: "",
            message: String::new(),
            likely: None,
        });
    };
    let likely: String = value
        .chars()
        .map(|c| {
            if foreign.contains(&c) {
                looks_like(c)
            } else {
                c.to_string()
            }
        })
        .collect();
    let message = format!(
        "the value contains {}, which looks like `{}`",
        named(first),
        looks_like(first)
    );
    let kind = if !is_restrictive(value) {
        DoubtKind::MixedScripts
    } else if foreign.iter().all(confusable) {
        DoubtKind::WholeScript
    } else {
        DoubtKind::OtherScript
    };
    Some(Found {
        kind,
        code: "mixed_scripts",
        message,
        likely: likely.is_ascii().then_some(likely),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookalike_characters_are_reported_with_the_likely_value() {
        for (value, kind, word, likely) in [
            (
                "\u{412}-2000001",
                DoubtKind::WholeScript,
                "CYRILLIC CAPITAL LETTER VE",
                "B-2000001",
            ),
            (
                "CR\u{41c}-20",
                DoubtKind::MixedScripts,
                "CYRILLIC CAPITAL LETTER EM",
                "CRM-20",
            ),
            (
                "\u{391}BC-1",
                DoubtKind::MixedScripts,
                "GREEK CAPITAL LETTER ALPHA",
                "ABC-1",
            ),
            ("B\u{2013}20", DoubtKind::Typographic, "EN DASH", "B-20"),
            ("B\u{2212}20", DoubtKind::Typographic, "MINUS SIGN", "B-20"),
            (
                "O\u{2019}Neil",
                DoubtKind::Typographic,
                "RIGHT SINGLE QUOTATION MARK",
                "O'Neil",
            ),
            (
                "\u{FF23}RM-\u{FF12}0",
                DoubtKind::Compatibility,
                "FULLWIDTH LATIN CAPITAL LETTER C",
                "CRM-20",
            ),
            (
                "\u{682A}\u{FF21}\u{FF08}x\u{FF09}",
                DoubtKind::Compatibility,
                "FULLWIDTH LATIN CAPITAL LETTER A",
                "\u{682A}A\u{FF08}x\u{FF09}",
            ),
            (
                "B-\u{2163}",
                DoubtKind::Compatibility,
                "ROMAN NUMERAL FOUR",
                "B-IV",
            ),
            (
                "B\u{2044}2",
                DoubtKind::Typographic,
                "FRACTION SLASH",
                "B/2",
            ),
        ] {
            assert_found(value, kind, word, likely);
        }
    }

    fn assert_found(value: &str, kind: DoubtKind, word: &str, likely: &str) {
        let found = find(value).unwrap_or_else(|| panic!("{value}"));
        assert_eq!(found.kind, kind, "{value}: {found:?}");
        assert!(found.message.contains(word), "{value}: {found:?}");
        assert_eq!(found.likely.as_deref(), Some(likely), "{value}");
    }

    #[test]
    fn conversion_damage_is_reported_with_the_likely_value() {
        for (value, kind, word, likely) in [
            (
                "CRM-\u{660}\u{661}",
                DoubtKind::MixedScripts,
                "ARABIC-INDIC DIGIT ZERO",
                "CRM-01",
            ),
            ("AT&amp;T", DoubtKind::Entity, "HTML entity", "AT&T"),
            (
                "M&uuml;ller",
                DoubtKind::Entity,
                "HTML entity",
                "M\u{fc}ller",
            ),
            ("O&#39;Neil", DoubtKind::Entity, "HTML entity", "O'Neil"),
            (
                "M\u{c3}\u{bc}ller",
                DoubtKind::DecodedTwice,
                "windows-1252",
                "M\u{fc}ller",
            ),
            (
                "B\u{e2}\u{20ac}\u{201c}20",
                DoubtKind::DecodedTwice,
                "windows-1252",
                "B\u{2013}20",
            ),
            (
                "M\u{251c}\u{255d}ller",
                DoubtKind::DecodedTwice,
                "cp",
                "M\u{fc}ller",
            ),
            (
                "\u{420}\u{40e}\u{420}\u{455}\u{420}\u{454}",
                DoubtKind::DecodedTwice,
                "windows-1251",
                "\u{421}\u{43e}\u{43a}",
            ),
            ("A\u{200b}B", DoubtKind::Invisible, "ZERO WIDTH SPACE", "AB"),
            ("A\u{a0}B", DoubtKind::Invisible, "NO-BREAK SPACE", "A B"),
            ("A\u{ad}B", DoubtKind::Invisible, "SOFT HYPHEN", "AB"),
        ] {
            assert_found(value, kind, word, likely);
        }
    }

    #[test]
    fn ordinary_text_of_any_language_is_not_reported_as_lookalike() {
        for value in [
            "M\u{fc}ller",
            "\u{141}\u{f3}d\u{17a}-12",
            "\u{65e5}\u{672c}\u{682a}\u{5f0f}\u{4f1a}\u{793e}",
            "ABC\u{30bf}\u{30ef}\u{30fc}-12",
            "\u{5f20}\u{4f1f}",
            "\u{c774}\u{c601}\u{d76c}-A1",
            "AT&T",
            "a&b;c",
            "\u{5d0}\u{5d1}\u{5d2}-12",
            "\u{639}\u{628}\u{62f}",
            "\u{e01}\u{e02}",
            "caf\u{e9}",
            "na\u{ef}ve",
            "SP\u{d3}\u{141}KA-00001",
            "P\u{d3}\u{141}NOC",
            "M\u{dc}\u{15e}-0001",
            "\u{dc}\u{15e}",
            "KO\u{10c}\u{160}\u{cd}-1",
            "\u{632}\u{628}\u{648}\u{646}-\u{660}\u{661}A",
            "\u{682A}\u{FF08}\u{6771}\u{4EAC}\u{FF09}",
            "\u{FF76}\u{FF85}-12",
            "\u{41A}\u{41B}-\u{2116}5",
            "\u{E19}\u{E49}\u{E33}",
            "\u{df}-1",
            "Stra\u{df}e",
        ] {
            let found = find(value);
            let harmless = found
                .as_ref()
                .is_none_or(|found| found.kind == DoubtKind::OtherScript);
            assert!(harmless, "{value}: {found:?}");
        }
        for value in [
            "\u{41a}\u{43b}\u{438}\u{435}\u{43d}\u{442}-1",
            "\u{416}\u{414}-10",
            "\u{3a9}\u{3a8}-4",
        ] {
            assert_eq!(
                find(value).map(|found| found.kind),
                Some(DoubtKind::OtherScript),
                "{value}"
            );
        }
    }
}
