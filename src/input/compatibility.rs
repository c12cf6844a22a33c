//! Characters that Unicode keeps only for compatibility, and that look like ordinary ones: full-width letters and digits,
//! Roman numerals, circled and superscript digits, letters of mathematics, ligatures, the Kelvin sign.
//!
//! A person reads and types the ordinary character. A system treats the two as different, or silently changes one into the
//! other.

use super::scripts::EAST_ASIAN;
use unicode_normalization::UnicodeNormalization;
use unicode_script::ScriptExtension;

/// Returns the ordinary characters that a character stands for; `None`: it is an ordinary one. `east_asian`: the value has
/// Japanese, Chinese or Korean letters, among which full-width punctuation is usual.
pub(super) fn ordinary(c: char, east_asian: bool) -> Option<String> {
    // The numero and trade mark signs are on keyboards, and look like nothing else.
    if c.is_ascii() || matches!(c, '\u{2116}' | '\u{2122}') {
        return None;
    }
    let is_wide = matches!(c, '\u{FF01}'..='\u{FF5E}' | '\u{3000}'..='\u{303F}');
    if east_asian && is_wide && !c.is_alphanumeric() {
        return None;
    }
    let plain: String = std::iter::once(c).nfkc().collect();
    let same = plain.chars().eq([c]);
    let on_keyboard = plain.bytes().all(|byte| byte.is_ascii_graphic());
    let one = plain.chars().count() == 1;
    (!same && (on_keyboard || (one && is_twin(c)))).then_some(plain)
}

/// Whether a character stands for a letter beyond ASCII and looks exactly like it.
fn is_twin(c: char) -> bool {
    matches!(
        c,
        // Ångström and other letters that became signs.
        '\u{2100}'..='\u{214F}'
            // Radicals and ideographs of old code pages.
            | '\u{2E9F}' | '\u{2EF3}' | '\u{2F00}'..='\u{2FD5}' | '\u{F900}'..='\u{FAD9}' | '\u{2F800}'..='\u{2FA1D}'
            // Arabic letters in the form that they have at one place of a word.
            | '\u{FB50}'..='\u{FDFB}' | '\u{FE70}'..='\u{FEFC}'
            // Letters of mathematics.
            | '\u{1D400}'..='\u{1D7FF}' | '\u{1EE00}'..='\u{1EEBB}'
    )
}

/// Whether a value has letters of Japanese, Chinese or Korean.
pub(super) fn is_east_asian(value: &str) -> bool {
    value
        .chars()
        .filter(|c| c.is_alphabetic())
        .map(ScriptExtension::from)
        .any(|of| !of.is_common() && EAST_ASIAN.iter().any(|one| of.contains_script(*one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatibility_characters_are_distinguished_from_ordinary_ones() {
        for (form, plain) in [
            ('\u{FF23}', "C"),
            ('\u{FF12}', "2"),
            ('\u{FF0D}', "-"),
            ('\u{2163}', "IV"),
            ('\u{2460}', "1"),
            ('\u{B2}', "2"),
            ('\u{FB01}', "fi"),
            ('\u{1D400}', "A"),
            ('\u{1D7D8}', "0"),
            ('\u{24B6}', "A"),
            ('\u{212A}', "K"),
            ('\u{212B}', "\u{C5}"),
            ('\u{2126}', "\u{3A9}"),
            ('\u{2F00}', "\u{4E00}"),
            ('\u{F900}', "\u{8C48}"),
            ('\u{FEED}', "\u{648}"),
            ('\u{2024}', "."),
        ] {
            assert_eq!(ordinary(form, false).as_deref(), Some(plain), "{form}");
        }
        for own in [
            'C',
            '\u{FC}',
            '\u{DF}',
            '\u{2116}',
            '\u{2122}',
            '\u{B5}',
            '\u{BD}',
            '\u{65E5}',
            '\u{30AB}',
            '\u{FF76}',
            '\u{30FC}',
            '\u{AC00}',
            '\u{3131}',
            '\u{E33}',
            '\u{639}',
            '\u{410}',
            '\u{3A9}',
            '\u{3001}',
            '\u{1F600}',
            '\u{FA11}',
        ] {
            assert_eq!(ordinary(own, false), None, "{own}");
        }
        assert_eq!(ordinary('\u{FF08}', true), None, "brackets of Japanese");
        assert_eq!(ordinary('\u{FF21}', true).as_deref(), Some("A"));
        assert!(is_east_asian("A\u{682A}") && !is_east_asian("M\u{FC}ller-\u{FF11}"));
    }
}
