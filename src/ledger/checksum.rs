//! A checksum over the fields of one row, so that a changed letter in an ID is noticed before it is written
//! back to a customer's account. It detects damaged data, not changes on purpose.
//!
//! FNV-1a over eight bytes at a time: each step is a bijection of the state, so one changed byte always shows.

use super::columns::Value;

/// The checksum of a row.
pub(super) fn of(values: &[Value<'_>]) -> i64 {
    let values = values.iter();
    let sum = values.fold(Checksum::new(), |sum, value| match *value {
        Value::None => sum.text(None),
        Value::Number(number) => sum.number(number),
        Value::Text(text) => sum.text(Some(text)),
    });
    sum.finish()
}

pub(super) struct Checksum(u64);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }

    pub(super) fn number(mut self, number: i64) -> Self {
        self.mix(number.cast_unsigned());
        self
    }

    /// Adds a text after its length, so that `None` differs from the empty text, and `ab`,`c` from `a`,`bc`.
    pub(super) fn text(mut self, text: Option<&str>) -> Self {
        let Some(text) = text else {
            self.mix(u64::MAX);
            return self;
        };
        self.bytes(text.as_bytes())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.mix(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let last = rest
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.mix(last);
        }
        self
    }

    pub(super) fn finish(self) -> i64 {
        self.0.cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(fields: &[Option<String>]) -> i64 {
        fields
            .iter()
            .fold(Checksum::new(), |sum, field| sum.text(field.as_deref()))
            .finish()
    }

    proptest! {
        #[test]
        fn one_changed_bit_changes_the_checksum(text in "[ -~]{1,40}", at: proptest::sample::Index, bit in 0..7_u32) {
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let other = String::from_utf8(bytes).unwrap();
            prop_assert_ne!(sum(&[Some(text)]), sum(&[Some(other)]));
        }

        #[test]
        fn field_boundaries_affect_the_checksum(a in "[ab]{0,3}", b in "[ab]{0,3}") {
            let joined = [Some(format!("{a}{b}")), Some(String::new())];
            if !b.is_empty() {
                prop_assert_ne!(sum(&[Some(a.clone()), Some(b)]), sum(&joined));
            }
            prop_assert_ne!(sum(&[Some(String::new())]), sum(&[None]));
        }
    }
}
