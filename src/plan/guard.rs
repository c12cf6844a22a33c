//! Limits that the user sets as a number or as a percentage: `20` or `5%`.

use std::fmt;
use std::str::FromStr;

/// The minimum number of completed lines from which a percentage applies.
const SAMPLE: u64 = 100;

/// A number, or a percentage of the whole.
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
    /// Whether the limit allows everything.
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

    /// Returns the limit for a whole of this size, rounded up.
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

    /// Returns the largest number of lines that the limit allows; a percentage is taken of at least 100 lines.
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

    /// Whether `part` of `whole` is more than is allowed; a percentage applies only from 100 lines on.
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
