//! The shape of a value: which kinds of characters stand where.
//!
//! Promises: two values have the same signature if they have the same shape; an ASCII value is read eight bytes at a time,
//! once for the two finer levels. Each of the three levels is coarser than the one before: the first distinguishes upper-case
//! letters, lower-case letters and digits; the second only letters or digits from separators; the third does the same and
//! ignores how many there are.
//!
//! Must not keep a value.

use crate::domain::words;

/// How finely shapes are distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) enum Level {
    /// `CRM-2000` is three upper-case letters, a hyphen, four digits.
    #[default]
    Exact,
    /// `3f2a-9b` is four letters or digits, a hyphen, two letters or digits.
    Merged,
    /// `Müller-1` is letters or digits, a hyphen, letters or digits.
    Runs,
}

impl Level {
    /// The next coarser level.
    pub(super) fn coarser(self) -> Option<Self> {
        match self {
            Self::Exact => Some(Self::Merged),
            Self::Merged => Some(Self::Runs),
            Self::Runs => None,
        }
    }
}

/// The result of one scan of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scan {
    exact: u64,
    merged: u64,
    /// Digits and nothing else.
    pub(super) only_digits: bool,
    /// At least one digit.
    pub(super) any_digit: bool,
    /// ASCII and nothing else.
    pub(super) is_ascii: bool,
}

impl Scan {
    /// Returns a number that is the same for all values of one shape; `value`: the value that was scanned.
    pub(super) fn signature(&self, value: &str, level: Level) -> u64 {
        match level {
            Level::Exact => self.exact,
            Level::Merged => self.merged,
            Level::Runs => by_characters(value, level),
        }
    }
}

/// The high bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;
/// The low bit of each byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The bit of each byte in which upper-case and lower-case letters differ.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// Returns the high bit of each byte that is in the range; all bytes must be ASCII.
fn in_range(word: u64, first: u8, last: u8) -> u64 {
    let from = word.wrapping_add(ONES * u64::from(0x80 - first));
    let beyond = word.wrapping_add(ONES * u64::from(0x7F - last));
    from & !beyond & HIGH
}

/// Returns all bits of each byte whose high bit is set in the mask.
fn whole(mask: u64) -> u64 {
    (mask >> 7).wrapping_mul(0xFF)
}

fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ (mixed >> 29)
}

/// Scans a value.
pub(super) fn scan(value: &str) -> Scan {
    let bytes = value.as_bytes();
    let length = bytes.len() as u64;
    let (mut exact, mut merged) = (length, length);
    let (mut any_high, mut any_digit, mut any_other) = (0, 0, 0);
    words(bytes).for_each(|word| {
        let digit = in_range(word, b'0', b'9');
        let letter = in_range(word | SMALL, b'a', b'z');
        let either = digit | letter;
        // The high bit marks a letter or a digit, and the next two bits tell which one; all other bytes are kept.
        let same = (word & !whole(either)) | either;
        exact = mix(exact, same | (letter >> 1) | (word & (letter >> 2)));
        merged = mix(merged, same);
        any_high |= word & HIGH;
        any_digit |= digit;
        any_other |= word & !whole(digit);
    });
    if any_high != 0 {
        return beyond_ascii(value);
    }
    Scan {
        exact,
        merged,
        only_digits: any_digit != 0 && any_other == 0,
        any_digit: any_digit != 0,
        is_ascii: true,
    }
}

#[cold]
fn beyond_ascii(value: &str) -> Scan {
    Scan {
        exact: by_characters(value, Level::Exact),
        merged: by_characters(value, Level::Merged),
        only_digits: false,
        any_digit: value.bytes().any(|byte| byte.is_ascii_digit()),
        is_ascii: false,
    }
}

/// Returns the signature of a value at one level.
pub(super) fn signature(value: &str, level: Level) -> u64 {
    scan(value).signature(value, level)
}

fn class(c: char, level: Level) -> char {
    let exact = level == Level::Exact;
    match c {
        _ if c.is_numeric() => ['x', '9'][usize::from(exact)],
        _ if c.is_lowercase() => ['x', 'a'][usize::from(exact)],
        _ if c.is_uppercase() => ['x', 'A'][usize::from(exact)],
        _ if c.is_alphabetic() => 'x',
        _ => c,
    }
}

fn by_characters(value: &str, level: Level) -> u64 {
    let (mut hash, mut last) = (1, None);
    for c in value.chars() {
        let class = class(c, level);
        if level == Level::Runs && last == Some(class) {
            continue;
        }
        last = Some(class);
        hash = mix(hash, u64::from(u32::from(class)));
    }
    hash
}

/// Returns the shape as a person reads it: `AAA-9999999`.
pub(super) fn drawn(value: &str, level: Level) -> String {
    let mut text = String::new();
    let mut last = None;
    for c in value.chars() {
        let class = class(c, level);
        if level == Level::Runs && last == Some(class) {
            continue;
        }
        last = Some(class);
        text.push(class);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_of_one_shape_have_one_signature_at_each_level() {
        let same = |a: &str, b: &str, level| signature(a, level) == signature(b, level);
        for (a, b, levels) in [
            ("CRM-2000001", "ABC-9999999", [true, true, true]),
            ("CRM-2000001", "crm-2000001", [false, true, true]),
            ("3f2a91-bc", "aaaa11-22", [false, true, true]),
            ("A-1", "A-100000", [false, false, true]),
            ("A-1", "A_1", [false, false, false]),
            ("12345", "Total", [false, true, true]),
            ("Müller", "Köhler", [true, true, true]),
            ("Müller", "Mueller", [false, false, true]),
            ("日本", "東京", [true, true, true]),
        ] {
            for (level, expected) in [Level::Exact, Level::Merged, Level::Runs]
                .iter()
                .zip(levels)
            {
                assert_eq!(same(a, b, *level), expected, "{a} {b} {level:?}");
            }
        }
        assert!(scan("0123456789").only_digits);
        assert!(!scan("01234567x9").only_digits);
        assert!(scan("abcdefgh-1").any_digit);
        assert!(!scan("").only_digits);
        assert_eq!(drawn("CRM-20", Level::Exact), "AAA-99");
        assert_eq!(drawn("CRM-20", Level::Runs), "x-x");
    }

    proptest! {
        #[test]
        fn scan_by_eight_bytes_equals_scan_by_character(value in "[ -~]{0,30}") {
            for level in [Level::Exact, Level::Merged] {
                let seen = scan(&value);
                prop_assert!(seen.is_ascii);
                prop_assert_eq!(
                    seen.only_digits,
                    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
                );
                prop_assert_eq!(seen.any_digit, value.bytes().any(|byte| byte.is_ascii_digit()));
                let again = drawn(&value, level).replace('x', "z");
                prop_assert_eq!(seen.signature(&value, level), signature(&again, level));

            }
        }
    }
}
