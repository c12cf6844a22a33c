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

    /// Reads the set from these bytes; `None`: they are not whole words of eight bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let len = words.iter().map(|word| u64::from(word.count_ones())).sum();
        rest.is_empty().then_some(Self { words, len })
    }

    /// The lines, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Line> {
        let words = (0..).step_by(64).zip(&self.words);
        words.flat_map(|(first, word)| {
            (0..u64::BITS).filter_map(move |bit| (word >> bit & 1 == 1).then_some(first + bit))
        })
    }

    /// The highest line; `None`: there is none.
    pub fn last(&self) -> Option<Line> {
        let mut words = self.words.iter().enumerate().rev();
        let (at, word) = words.find(|(_, word)| **word != 0)?;
        Some(Line::try_from(at).ok()? * u64::BITS + word.ilog2())
    }

    /// The lines as a text, `2-6,9`.
    pub(super) fn to_text(&self) -> String {
        let mut parts: Vec<(Line, Line)> = Vec::new();
        for line in self.iter() {
            match parts.last_mut() {
                Some((_, last)) if *last + 1 == line => *last = line,
                _ => parts.push((line, line)),
            }
        }
        let words = parts.into_iter().map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        });
        words.collect::<Vec<_>>().join(",")
    }

    /// Reads such a text; `None`: the text is not a set of lines.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (Line, Line) = (first.parse().ok()?, last.parse().ok()?);
            set.extend(first..=last);
        }
        Some(set)
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
        fn line_set_behaves_like_a_set(lines in proptest::collection::vec(0_u32..5000, 0..200)) {
            let model: BTreeSet<Line> = lines.iter().copied().collect();
            let set: LineSet = lines.into_iter().collect();
            prop_assert_eq!(set.len(), model.len() as u64);
            for line in 0..5100 {
                prop_assert_eq!(set.contains(line), model.contains(&line));
            }
            prop_assert_eq!(set.last(), model.last().copied());
            prop_assert!(set.iter().eq(model.iter().copied()));
            let text = set.to_text();
            let read = LineSet::of_text(&text).unwrap();
            prop_assert!(read.iter().eq(model.iter().copied()), "{}", text);
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
