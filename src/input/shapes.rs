//! Counts how often each shape occurs in a column.
//!
//! Promises: constant memory, whatever the column holds; if there are more shapes than can be kept, they are counted at the
//! next coarser level; the result does not depend on how the file is cut into parts.

use super::shape::{Level, Scan, drawn, signature};
use crate::domain::{KEPT_PER_KIND, Line};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// The maximum number of shapes that are counted at one level.
const MOST_SHAPES: usize = 64;

/// The shapes of one column.
#[derive(Debug, Clone, Default)]
pub(super) struct Shapes {
    /// The level at which shapes are counted; `None`: the finest. If they are too many at every level, `varied` is set.
    level: Option<Level>,
    varied: bool,
    entries: Vec<Entry>,
    last: usize,
    /// The signature of a shape that has enough examples further up in the file; 0: none.
    known: u64,
}

/// One shape.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    signature: u64,
    pub(super) count: u64,
    /// Values of this shape that consist of digits only.
    pub(super) digits: u64,
    /// The first values of this shape, with their lines.
    pub(super) first: Vec<(Line, SmolStr)>,
}

impl Entry {
    fn sample(&self) -> &str {
        self.first.first().map_or("", |(_, value)| value)
    }

    /// Returns the length of the values, if they consist of digits only.
    pub(super) fn digits_long(&self) -> Option<usize> {
        (self.digits == self.count).then(|| self.sample().len())
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.digits += other.digits;
        if self.first.len() < KEPT_PER_KIND || self.first.last() > other.first.first() {
            self.first.extend(other.first);
            self.first.sort_unstable_by_key(|(line, _)| *line);
            self.first.truncate(KEPT_PER_KIND);
        }
    }
}

/// The maximum number of examples of a shape that are examined again.
const EXAMPLES: usize = 100;

/// The weight of one value, so that parts of a value can be counted.
const WHOLE: u64 = 1000;

/// What most values share, apart from the values of one shape.
pub(super) struct Usual {
    /// How many values share it, and how many values there are apart from that shape, in parts of [`WHOLE`].
    pub(super) count: u64,
    pub(super) others: u64,
    /// Whether most of them have digits.
    pub(super) has_digits: bool,
    /// The level at which they share it; `None`: they share which kinds of characters follow each other.
    pub(super) level: Option<Level>,
}

impl Usual {
    /// Whether nine of ten share it.
    pub(super) fn is_nearly_all(&self) -> bool {
        self.count * 10 >= self.others * 9
    }
}

/// Returns which kinds of characters follow each other: `Aa-9` for `Haus-17`.
fn outline(value: &str) -> String {
    let mut kinds: Vec<char> = drawn(value, Level::Exact).chars().collect();
    kinds.dedup();
    kinds.into_iter().collect()
}

/// The values that differ from the shape that most values of a column have.
pub(super) struct Outliers {
    /// The common shape, drawn.
    pub(super) shape: String,
    /// How many values have it.
    pub(super) common: u64,
    /// How many do not.
    pub(super) count: u64,
    pub(super) first: Vec<(Line, SmolStr)>,
}

impl Shapes {
    fn level(&self) -> Level {
        self.level.unwrap_or_default()
    }

    /// Counts a value; if the values are too varied, nothing is counted.
    pub(super) fn add(&mut self, line: Line, value: &str, seen: &Scan) {
        if self.varied {
            return;
        }
        let signature = seen.signature(value, self.level());
        let is_it = |entry: &Entry| entry.signature == signature;
        let at = match self.entries.get(self.last) {
            Some(entry) if is_it(entry) => self.last,
            _ => self.entries.iter().position(is_it).unwrap_or_else(|| {
                self.entries.push(Entry {
                    signature,
                    count: 0,
                    digits: 0,
                    first: Vec::new(),
                });
                self.entries.len() - 1
            }),
        };
        self.last = at;
        let entry = &mut self.entries[at];
        entry.count += 1;
        entry.digits += u64::from(seen.only_digits);
        let is_known = signature == self.known && !entry.first.is_empty();
        if !is_known && entry.first.len() < KEPT_PER_KIND {
            entry.first.push((line, SmolStr::new(value)));
        }
        self.limit();
    }

    /// Makes an empty counter for a part further down in the file. Only one example is kept of the shape `known`, which has
    /// enough examples already.
    pub(super) fn below(known: u64) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// Returns the signature of the most common shape if enough examples of it are kept, otherwise 0.
    pub(super) fn well_known(&self) -> u64 {
        let common = self.entries.iter().max_by_key(|entry| entry.count);
        let full = common.filter(|entry| entry.first.len() == KEPT_PER_KIND);
        full.map_or(0, |entry| entry.signature)
    }

    /// Changes to coarser levels until there are few enough shapes.
    fn limit(&mut self) {
        while self.entries.len() > MOST_SHAPES {
            if let Some(level) = self.level().coarser() {
                self.coarsen(level);
            } else {
                self.varied = true;
                self.entries = Vec::new();
            }
        }
    }

    fn coarsen(&mut self, level: Level) {
        self.level = Some(level);
        self.last = 0;
        let mut coarse: Vec<Entry> = Vec::new();
        for mut entry in std::mem::take(&mut self.entries) {
            entry.signature = signature(entry.sample(), level);
            let same = |other: &&mut Entry| other.signature == entry.signature;
            match coarse.iter_mut().find(same) {
                Some(other) => other.merge(entry),
                None => coarse.push(entry),
            }
        }
        self.entries = coarse;
    }

    /// Adds the shapes of a part further down in the file.
    pub(super) fn append(&mut self, mut other: Self) {
        if self.varied || other.varied {
            self.varied = true;
            self.entries = Vec::new();
            return;
        }
        let level = self.level().max(other.level());
        for one in [&mut *self, &mut other] {
            if one.level() < level {
                one.coarsen(level);
            }
        }
        for entry in other.entries {
            let same = |mine: &&mut Entry| mine.signature == entry.signature;
            match self.entries.iter_mut().find(same) {
                Some(mine) => mine.merge(entry),
                None => self.entries.push(entry),
            }
        }
        self.limit();
    }

    /// Returns the shapes if they are counted at the finest level.
    pub(super) fn exact(&self) -> Option<&[Entry]> {
        (!self.varied && self.level() == Level::Exact).then_some(&self.entries)
    }

    /// Returns how many values have this exact shape; 0 if shapes are not counted at the finest level.
    pub(super) fn count_of(&self, signature: u64) -> u64 {
        let entries = self.exact().unwrap_or_default().iter();
        let mut same = entries.filter(|entry| entry.signature == signature);
        same.next().map_or(0, |entry| entry.count)
    }

    /// Whether two values have one shape at the given level, or at the coarser one that is counted.
    pub(super) fn are_alike(&self, one: &str, other: &str, level: Level) -> bool {
        let level = level.max(self.level());
        signature(one, level) == signature(other, level)
    }

    /// Returns how many values have the shape of this one at the given level, or at the coarser one that is counted; `None` if
    /// the values are too varied.
    pub(super) fn like(&self, value: &str, level: Level) -> Option<u64> {
        if self.varied {
            return None;
        }
        let level = level.max(self.level());
        let wanted = signature(value, level);
        let same = self
            .entries
            .iter()
            .filter(|entry| signature(entry.sample(), level) == wanted);
        Some(same.map(|entry| entry.count).sum())
    }

    /// Returns what the values of other shapes than this one share, at each level at which shapes are distinguished.
    pub(super) fn usual_besides(&self, value: &str) -> Vec<Usual> {
        if self.varied {
            return Vec::new();
        }
        let exact = (self.level() == Level::Exact).then_some(Some(Level::Exact));
        let levels = [None, Some(Level::Merged), Some(Level::Runs)];
        let levels = exact.into_iter().chain(levels);
        levels
            .filter(|level| level.is_none_or(|level| level >= self.level()))
            .filter_map(|level| self.usual_at(level, value))
            .collect()
    }

    /// Returns what they share at one level; `None`: which kinds of characters follow each other, whatever their number.
    fn usual_at(&self, level: Option<Level>, value: &str) -> Option<Usual> {
        let shape = |value: &str| match level {
            Some(level) => drawn(value, level),
            None => outline(value),
        };
        let own = shape(value);
        // The kept examples of each shape stand for all of its values.
        let mut groups: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for entry in &self.entries {
            let examples = entry.first.iter().take(EXAMPLES);
            let weight = entry.count * WHOLE / examples.len().max(1) as u64;
            for (_, example) in examples {
                let (count, digits) = groups.entry(shape(example)).or_default();
                *count += weight;
                let has_digit = example.bytes().any(|byte| byte.is_ascii_digit());
                *digits += if has_digit { weight } else { 0 };
            }
        }
        groups.remove(&own);
        let others = groups.values().map(|(count, _)| count).sum();
        let (count, digits) = groups.into_values().max()?;
        Some(Usual {
            count,
            others,
            has_digits: digits * 2 > count,
            level,
        })
    }

    /// Returns the few values that do not have the common shape of all others, at the finest level that has a common shape.
    pub(super) fn outliers(&self) -> Option<Outliers> {
        let mut shapes = self.clone();
        if shapes.varied {
            return None;
        }
        loop {
            let all: u64 = shapes.entries.iter().map(|entry| entry.count).sum();
            let common = shapes.entries.iter().max_by_key(|entry| entry.count)?;
            let others = all - common.count;
            if all >= 10 && others <= (all / 20).max(1) {
                let rest = shapes
                    .entries
                    .iter()
                    .filter(|entry| entry.signature != common.signature);
                let mut first: Vec<_> = rest.flat_map(|entry| entry.first.clone()).collect();
                first.sort_unstable_by_key(|(line, _)| *line);
                first.truncate(KEPT_PER_KIND);
                return Some(Outliers {
                    shape: drawn(common.sample(), shapes.level()),
                    common: common.count,
                    count: others,
                    first,
                });
            }
            let coarser = shapes.level().coarser()?;
            shapes.coarsen(coarser);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::scan;
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[String]) -> Shapes {
        let mut shapes = Shapes::default();
        for (line, value) in (2..).zip(values) {
            shapes.add(line, value, &scan(value));
        }
        shapes
    }

    fn found(shapes: &Shapes) -> Option<(String, u64, u64, Vec<(Line, SmolStr)>)> {
        let outliers = shapes.outliers()?;
        Some((
            outliers.shape,
            outliers.common,
            outliers.count,
            outliers.first,
        ))
    }

    #[test]
    fn outliers_are_found_at_the_finest_level_most_values_share() {
        let mut crm: Vec<String> = (0..60)
            .map(|n| format!("CRM-{:07}", n + 2_000_000))
            .collect();
        crm[20] = "Total".to_owned();
        let outliers = of(&crm).outliers().unwrap();
        assert_eq!(
            (outliers.shape.as_str(), outliers.common, outliers.count),
            ("AAA-9999999", 59, 1)
        );
        assert_eq!(outliers.first, [(22, SmolStr::new("Total"))]);
        let numbers: Vec<String> = (1..1000).map(|n| format!("A-{n}")).collect();
        assert_eq!(
            of(&numbers).outliers().unwrap().count,
            0,
            "numbers of several lengths"
        );
        let uuid = |n: u64| {
            let hash = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!(
                "{:08x}-{:04x}-4000-8000-{hash:012x}",
                hash >> 32,
                hash & 0xFFFF
            )[..36]
                .to_owned()
        };
        let mut uuids: Vec<String> = (1..2000).map(uuid).collect();
        assert_eq!(
            of(&uuids).outliers().unwrap().count,
            0,
            "hexadecimal digits"
        );
        uuids[700].truncate(30);
        assert_eq!(
            of(&uuids).outliers().unwrap().first[0].0,
            702,
            "one that was cut"
        );
        let names: Vec<String> = (0..2000)
            .map(|n| "ab c-d.e_f".repeat(n % 200 + 1))
            .collect();
        assert!(of(&names).outliers().is_none());
    }

    #[test]
    fn knowledge_of_earlier_parts_does_not_change_the_result() {
        let values: Vec<String> = (0..5000)
            .map(|n| {
                if n % 700 == 0 {
                    format!("X{n}")
                } else {
                    format!("CRM-{n:06}")
                }
            })
            .collect();
        let mut whole = Shapes::default();
        for (at, part) in values.chunks(900).enumerate() {
            let mut shapes = Shapes::below(whole.well_known());
            for (line, value) in (2..).zip(part) {
                shapes.add(
                    line + Line::try_from(at).unwrap() * 900,
                    value,
                    &scan(value),
                );
            }
            whole.append(shapes);
        }
        assert_ne!(whole.well_known(), 0);
        assert_eq!(found(&whole), found(&of(&values)));
    }

    proptest! {
        #[test]
        fn parts_give_the_same_result_as_the_whole(
            values in proptest::collection::vec("[A-C]{1,3}-?[0-9a]{0,3}", 1..200),
            at in 0_usize..200,
        ) {
            let whole = of(&values);
            let at = at.min(values.len());
            let mut parts = of(&values[..at]);
            let mut rest = Shapes::default();
            for (line, value) in (2..).zip(&values).skip(at) {
                rest.add(line, value, &scan(value));
            }
            parts.append(rest);
            prop_assert_eq!(found(&parts), found(&whole));
        }
    }
}
