//! Limits that a person sets in numbers or in parts of the whole: `20` or `5%`.

use std::fmt;
use std::str::FromStr;

/// The number of lines that must have come to their end before a percentage means anything.
const SAMPLE: u64 = 100;

/// A number, or a part of the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// At most this number.
    Count(u64),
    /// At most this percentage.
    Percent(f64),
}

/// A text that is neither a number nor a percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number such as 20 nor a percentage such as 5%")]
pub struct ShareError(String);

impl Threshold {
    /// Whether nothing is too much.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::Percent(most) if *most >= 100.0)
    }

    /// Whether `part` of `whole` is more than is allowed.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of lines are far below 2^52"
    )]
    pub fn is_exceeded(&self, part: u64, whole: u64) -> bool {
        match self {
            Self::Count(most) => part > *most,
            Self::Percent(most) => whole > 0 && part as f64 * 100.0 > most * whole as f64,
        }
    }

    /// What it comes to of a whole, rounded up.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of lines are far below 2^52, and a percentage is at most 100"
    )]
    pub fn of(&self, whole: u64) -> u64 {
        match self {
            Self::Count(number) => *number,
            Self::Percent(percent) => (whole as f64 * percent / 100.0).ceil() as u64,
        }
    }

    /// How many of a whole are not too many, where a percentage counts only from a hundred on.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of lines are far below 2^52, and a percentage is at most 100"
    )]
    pub fn most_of(&self, whole: u64) -> u64 {
        match self {
            Self::Count(number) => *number,
            Self::Percent(percent) => (whole.max(SAMPLE) as f64 * percent / 100.0).floor() as u64,
        }
    }

    /// Whether `part` of `whole` is more than is allowed, where a percentage counts only from a hundred on.
    pub fn is_exceeded_after_sample(&self, part: u64, whole: u64) -> bool {
        let counts = matches!(self, Self::Count(_)) || whole >= SAMPLE;
        counts && self.is_exceeded(part, whole)
    }
}

impl FromStr for Threshold {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let wrong = || ShareError(text.to_owned());
        match text.trim().strip_suffix('%') {
            Some(number) => {
                let percent: f64 = number.trim().parse().map_err(|_| wrong())?;
                let sane = (0.0..=100.0).contains(&percent);
                if sane {
                    Ok(Self::Percent(percent))
                } else {
                    Err(wrong())
                }
            }
            None => text.trim().parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}
