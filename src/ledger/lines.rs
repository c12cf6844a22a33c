//! A set of line numbers that stays small for millions of lines.

use crate::domain::Line;

/// A set of line numbers: one bit for each line up to the highest, 125 KB for a million.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineSet {
    words: Vec<u64>,
    len: u64,
}

impl LineSet {
    /// Puts a line in; says whether it is new.
    pub fn insert(&mut self, line: Line) -> bool {
        let (word, bit) = place(line);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(new);
        new
    }

    /// The lines of both sets.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
        let ones = self.words.iter().map(|word| u64::from(word.count_ones()));
        self.len = ones.sum();
        self
    }

    /// One bit for each line, the lowest line first.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bits in words of eight bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let words = self.words.iter();
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The set of these bits; `None`: they are no whole words.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let len = words.iter().map(|word| u64::from(word.count_ones())).sum();
        rest.is_empty().then_some(Self { words, len })
    }

    /// Whether the line is in the set.
    pub fn contains(&self, line: Line) -> bool {
        let (word, bit) = place(line);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// How many lines are in the set.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no line is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Extend<Line> for LineSet {
    fn extend<I: IntoIterator<Item = Line>>(&mut self, lines: I) {
        for line in lines {
            self.insert(line);
        }
    }
}

impl FromIterator<Line> for LineSet {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut set = Self::default();
        set.extend(lines);
        set
    }
}

fn place(line: Line) -> (usize, u64) {
    (line as usize / 64, 1 << (line % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(lines in proptest::collection::vec(0_u32..5000, 0..200)) {
            let model: BTreeSet<Line> = lines.iter().copied().collect();
            let set: LineSet = lines.into_iter().collect();
            prop_assert_eq!(set.len(), model.len() as u64);
            for line in 0..5100 {
                prop_assert_eq!(set.contains(line), model.contains(&line));
            }
        }

        #[test]
        fn a_union_holds_the_lines_of_both(
            one in proptest::collection::btree_set(0_u32..5000, 0..100),
            other in proptest::collection::btree_set(0_u32..9000, 0..100),
        ) {
            let set = |lines: &BTreeSet<Line>| lines.iter().copied().collect::<LineSet>();
            let both: BTreeSet<Line> = one.union(&other).copied().collect();
            let union = set(&one).union(&set(&other));
            prop_assert_eq!(union.len(), both.len() as u64);
            for line in 0..9100 {
                prop_assert_eq!(union.contains(line), both.contains(&line));
            }
        }
    }
}
