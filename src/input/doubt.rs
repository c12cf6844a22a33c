//! Doubts about values: a value may be damaged, or an ID that looks so. The value alone does not show it; its column does.
//!
//! Promises: constant memory, except for the numbers of the lines; parts are merged in the order of the file.

use super::column::Column;
use crate::domain::{KEPT_PER_KIND, Line, Problem};
use std::collections::BTreeSet;

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DoubtKind {
    /// A word that stands for a missing value in some language.
    Placeholder,
    /// A date with the name of a month.
    MonthDate,
    /// A date of numbers.
    NumericDate,
    /// Digits with `.0`.
    DecimalZero,
    /// `12E5`.
    Exponent,
    /// Digits that end in zeros after the fifteenth.
    Rounded,
    /// Digits in groups of three.
    Thousands,
    /// A typographic dash or quote.
    Typographic,
    /// A letter of another script among Latin ones.
    MixedScripts,
    /// All letters are of another script, and each looks like a Latin one.
    WholeScript,
    /// An invisible character.
    Invisible,
    /// A full-width letter, a Roman numeral and the like.
    Compatibility,
    /// An HTML entity.
    Entity,
    /// Text that was decoded twice.
    DecodedTwice,
    /// Not a doubt: the value has a letter of another script that looks like no Latin one, so the script is intended.
    OtherScript,
    /// A line that begins with `#`.
    Hash,
}

/// One value in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub(super) column: Column,
    pub(super) kind: DoubtKind,
    /// The signature of the value's shape.
    pub(super) shape: u64,
    /// The name of the month, in lower case.
    pub(super) word: String,
    /// What to say if it is damage; its severity is decided with the column.
    pub(super) problem: Problem,
}

/// The maximum number of words that are kept.
const MOST_WORDS: usize = 64;

/// All doubts of one kind about one column.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// The line of each doubt, and the signature of the value's shape.
    pub(super) lines: Vec<(Line, u64)>,
    /// The names of the months.
    pub(super) words: BTreeSet<String>,
    /// Two different values, if there are two.
    pub(super) values: BTreeSet<String>,
    /// The first doubts: the signature of the value's shape, and the problem.
    pub(super) kept: Vec<(u64, Problem)>,
}

impl Group {
    pub(super) fn count(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Returns how many doubts have this shape.
    pub(super) fn of_shape(&self, shape: u64) -> u64 {
        self.lines
            .iter()
            .filter(|(_, other)| *other == shape)
            .count() as u64
    }

    pub(super) fn add(&mut self, doubt: Doubt) {
        self.lines.push((doubt.problem.line, doubt.shape));
        if self.words.len() < MOST_WORDS && !doubt.word.is_empty() {
            self.words.insert(doubt.word);
        }
        if self.values.len() < 2 && !self.values.contains(&doubt.problem.value) {
            self.values.insert(doubt.problem.value.clone());
        }
        if self.kept.len() < KEPT_PER_KIND {
            self.kept.push((doubt.shape, doubt.problem));
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.words.extend(other.words);
        self.values.extend(other.values);
        while self.values.len() > 2 {
            self.values.pop_last();
        }
        let room = KEPT_PER_KIND.saturating_sub(self.kept.len());
        self.kept.extend(other.kept.into_iter().take(room));
    }
}
