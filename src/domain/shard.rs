//! One of several equal shares of a file, each of which runs on a machine of its own.

use std::fmt;
use std::str::FromStr;

/// The maximum number of shares of a file. With more shares, each would make hardly any calls.
const MOST: u32 = 1000;

/// A share of a file: the first of three is `1/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// How many shares there are.
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether there are other shares.
    pub const fn is_part(self) -> bool {
        self.of > 1
    }

    /// Whether a line or a group of lines with this hash is in this share. Each hash is in exactly one share.
    pub fn has(self, hash: u64) -> bool {
        hash % u64::from(self.of) == u64::from(self.number - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// The error for a text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a shard; write the second of three as 2/3: a number from 1 to the number of shards, which is at most \
     {MOST}"
)]
pub struct ShardError(String);

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let number = |text: &str| {
            let text = text.trim();
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| is_plain)
        };
        text.split_once('/')
            .and_then(|(one, all)| number(one).zip(number(all)))
            .filter(|(number, of)| (1..=MOST).contains(of) && (1..=*of).contains(number))
            .map(|(number, of)| Self { number, of })
            .ok_or_else(|| ShardError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shard_format_is_number_slash_count() {
        for text in ["1/1", "1/3", "3/3", "1000/1000", " 2 / 3 "] {
            let shard: Shard = text.parse().unwrap();
            assert_eq!(shard.to_string(), text.replace(' ', ""));
        }
        for text in [
            "",
            "1",
            "/",
            "1/",
            "/3",
            "0/3",
            "4/3",
            "1/0",
            "0/0",
            "-1/3",
            "+1/3",
            "1/3/3",
            "1.0/3",
            "1/1001",
            "1/99999999999999999999",
            "a/b",
        ] {
            let error = text.parse::<Shard>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{text}` is not a shard")),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn everything_is_in_exactly_one_shard(hash in any::<u64>(), of in 1_u32..=1000) {
            let all = (1..=of).map(|number| Shard { number, of });
            prop_assert_eq!(all.filter(|shard| shard.has(hash)).count(), 1);
        }
    }
}
