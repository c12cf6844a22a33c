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

impl FromIterator<Line> for LineSet {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        let mut set = Self::default();
        for line in lines {
            set.insert(line);
        }
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
    }
}
