//! Harmless shapes: no check of a value can find a fault in a value of such a shape, whatever its letters and digits are.
//!
//! Promise: a value of such a shape passes `spreadsheet_damage`, `placeholder`, `dates`, `numbers`, `lookalike` and the rules for
//! account IDs. Most files have one or two such shapes in each column, so the checks are made once for the shape and
//! not again for each value.

use super::dates;
use super::numbers::KEPT_DIGITS;
use super::shape::{Level, Scan};
use super::{Rules, placeholder};

/// The number of shapes that are remembered; a power of two.
const REMEMBERED: usize = 16;

/// The shapes that were found to be harmless.
#[derive(Debug, Default)]
pub(super) struct HarmlessShapes {
    /// The signatures of the shapes, each at the index that its last bits give; 0: none.
    signatures: [u64; REMEMBERED],
}

/// Returns the index of a signature.
fn place(signature: u64) -> usize {
    usize::try_from(signature % REMEMBERED as u64).unwrap_or_default()
}

impl HarmlessShapes {
    /// Whether the value is known to have a harmless shape; `false` does not mean that the value is bad.
    pub(super) fn has(&mut self, value: &str, seen: &Scan, rules: &Rules) -> bool {
        if !seen.is_ascii {
            return false;
        }
        let known = |level| {
            let signature = seen.signature(value, level);
            signature != 0 && self.signatures[place(signature)] == signature
        };
        if known(Level::Exact) || known(Level::Merged) {
            return true;
        }
        let Some(level) = harmless_level(value, seen, rules) else {
            return false;
        };
        let signature = seen.signature(value, level);
        self.signatures[place(signature)] = signature;
        true
    }
}

/// Returns the coarsest level at which all values of the shape are harmless; `None`: there is no such level.
fn harmless_level(value: &str, seen: &Scan, rules: &Rules) -> Option<Level> {
    let bytes = value.as_bytes();
    let (first, last) = (*bytes.first()?, *bytes.last()?);
    // A value that begins and ends with a letter or a digit is not wrapped, escaped, cut or a formula.
    let is_plain = first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && !value.contains(['&', ':', '"'])
        && value.len() <= rules.max_account_chars
        && !value.contains(|c| rules.forbidden_in_account.contains(c))
        && !rules
            .forbidden_accounts
            .iter()
            .any(|word| word.len() == value.len());
    if !is_plain {
        return None;
    }
    // No number has two hyphens between its digits, and no date is as long.
    if value.len() > dates::LONGEST
        && value.len() > placeholder::LONGEST
        && value.matches('-').nth(1).is_some()
    {
        return Some(Level::Merged);
    }
    let is_word = !last.is_ascii_digit() && value.len() <= placeholder::LONGEST;
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic());
    // A number has no more than one letter, the `E` before its exponent.
    let is_number = first.is_ascii_digit()
        && letters.count() < 2
        && !(seen.only_digits && value.len() <= KEPT_DIGITS);
    (!is_word && !is_number && !dates::may_be(bytes)).then_some(Level::Exact)
}

#[cfg(test)]
mod tests {
    use super::super::shape::scan;
    use super::super::{Accept, lookalike, spreadsheet_damage};
    use super::*;
    use proptest::prelude::*;

    fn rules() -> Rules {
        Rules {
            max_account_chars: 50,
            min_account_chars: 3,
            forbidden_in_account: "<>",
            forbidden_accounts: &["null", "undefined"],
            has_locations: true,
            per_reseller: false,
            ids_are_guids: false,
            reseller: None,
            allow_clear: false,
            accept: Accept::default(),
            verbatim: false,
        }
    }

    #[test]
    fn shapes_of_ordinary_ids_are_harmless_but_not_of_doubtful_values() {
        let mut shapes = HarmlessShapes::default();
        let mut has = |value: &str| shapes.has(value, &scan(value), &rules());
        for value in [
            "CRM-1000000",
            "00123456",
            "123456789012345",
            "AB12CD34",
            "4f1c",
            "cd613e30-d8f1-4adf-91b7-584a2265b1f5",
            "customer_4711",
        ] {
            assert_eq!(has(value), value != "4f1c", "{value}");
        }
        for value in [
            "",
            "null",
            "Mar-26",
            "2026-03-01",
            "1.5E+11",
            "12E5",
            "20011.0",
            "1,234",
            "1234567890123450",
            "Err:502",
            "unknown",
            "'A-1'",
            "=A1",
            "M\u{fc}ller-1",
            "a&amp;1",
            "A<1",
            "A\t1",
            "12345678901234567890123456789012345678901234567890A1",
        ] {
            assert!(!has(value), "{value}");
        }
    }

    /// Makes another value of the same shape at the level, chosen by the numbers.
    fn sibling(value: &str, level: Level, numbers: &[u8]) -> String {
        let pick = |from: &[u8], n: u8| char::from(from[usize::from(n) % from.len()]);
        let (digits, small, capital) = (
            b"0123456789",
            b"abcdefghijklmnopqrstuvwxyz",
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        );
        let any = b"0123456789EeMAay";
        let change = |(c, n): (char, &u8)| match c {
            _ if !c.is_ascii_alphanumeric() => c,
            _ if level == Level::Merged => pick(any, *n),
            _ if c.is_ascii_digit() => pick(digits, *n % 3),
            _ if c.is_ascii_lowercase() => pick(small, *n),
            _ => pick(capital, *n),
        };
        value
            .chars()
            .zip(numbers.iter().cycle())
            .map(change)
            .collect()
    }

    proptest! {
        #[test]
        fn value_of_a_harmless_shape_passes_all_checks(
            value in prop_oneof![
                "[A-Za-z0-9 .,'+:/#&E-]{1,12}",
                "[A-Za-z0-9.-]{24,40}",
                "[0-9]{1,3}[-/. ][A-Za-z]{2,9}([-/. ][0-9]{2,4})?",
                "(Mar|May|Juni|Sept|October)[-/. ][0-9]{1,8}",
                "[0-9]{1,18}([.,E][+-]?[0-9]{0,3}){0,2}",
                "[a-z]{2,8}( [0-9]{1,3})?",
            ],
            numbers in proptest::collection::vec(any::<u8>(), 40),
        ) {
            let rules = rules();
            let value = value.trim();
            if let Some(level) = harmless_level(value, &scan(value), &rules) {
                for value in [value.to_owned(), sibling(value, level, &numbers)] {
                    prop_assert_eq!(spreadsheet_damage::find(&value, false), None, "{}", &value);
                    prop_assert_eq!(lookalike::find(&value), None);
                    prop_assert!(!value.starts_with('+') && !value.contains(['<', '>']));
                    prop_assert!(!rules.forbidden_accounts.contains(&value.as_str()));
                    prop_assert!(value.len() <= rules.max_account_chars);
                    prop_assert!(crate::domain::AccountId::new(&value).is_ok());
                }
            }
        }
    }
}
