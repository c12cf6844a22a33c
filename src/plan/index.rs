//! Finds the lines that have to do with each other, from hashes alone.
//!
//! Each line leaves two to four 64-bit hashes with its number: 16 bytes each. Sorted, equal hashes lie side
//! by side. A collision makes a line *entangled* for nothing, which costs a comparison and changes no result,
//! because entangled lines are compared as text. The memory is flat: five million renames take 160 MB.

use crate::domain::{Change, Line, Reseller, words};
use foldhash::fast::FixedState;
use rayon::prelude::*;
use std::hash::{BuildHasher, Hash, Hasher};

/// The hashes of what a line touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    from: Option<u64>,
    to: Option<u64>,
    customer: Option<u64>,
    location: Option<u64>,
}

impl Keys {
    /// The keys of one line.
    pub fn of(change: &Change) -> Self {
        let reseller = change.reseller.as_ref();
        let from = change
            .account
            .as_ref()
            .map(|id| folded_hash(id.as_str(), reseller));
        let to = change
            .new_account
            .id()
            .map(|id| folded_hash(id.as_str(), reseller));
        Self {
            from,
            // A wish that is fulfilled by itself touches only the current ID.
            to: to.filter(|to| Some(*to) != from),
            customer: change
                .customer
                .as_ref()
                .map(|id| customer_hash(id.as_str(), reseller)),
            location: change
                .location
                .as_ref()
                .map(|id| hash(&(2_u8, id.as_str()))),
        }
    }
}

/// The hash of an account ID without regard to case: IDs that differ only in case are compared as text, and told.
fn folded_hash(id: &str, reseller: Option<&Reseller>) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    if !id.is_ascii() {
        return hash(&(0_u8, id.to_lowercase(), reseller));
    }
    let mut hasher = FixedState::with_seed(0x1d5_417f).build_hasher();
    words(id.as_bytes()).for_each(|word| {
        // The high bit of each byte that is a capital, moved to the bit in which small letters differ.
        let capitals =
            word.wrapping_add(ONES * 0x3F) & !word.wrapping_add(ONES * 0x25) & (ONES * 0x80);
        hasher.write_u64(word | (capitals >> 2));
    });
    (0_u8, id.len(), reseller).hash(&mut hasher);
    hasher.finish()
}

pub(super) fn account_hash(id: &str, reseller: Option<&Reseller>) -> u64 {
    hash(&(0_u8, id, reseller))
}

pub(super) fn customer_hash(id: &str, reseller: Option<&Reseller>) -> u64 {
    hash(&(1_u8, id, reseller))
}

fn hash(key: &impl Hash) -> u64 {
    FixedState::with_seed(0x1d5_417f).hash_one(key)
}

/// A hash and the line it comes from, in one number that sorts by hash.
type Entry = u128;

fn entry(hash: u64, line: Line) -> Entry {
    (u128::from(hash) << 32) | u128::from(line)
}

fn hash_of(entry: Entry) -> u64 {
    u64::try_from(entry >> 32).unwrap_or(u64::MAX)
}

fn line_of(entry: Entry) -> Line {
    Line::try_from(entry & u128::from(u32::MAX)).unwrap_or(Line::MAX)
}

/// Collects the keys of all lines.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    entries: Vec<Entry>,
}

impl IndexBuilder {
    /// Adds one line.
    pub fn push(&mut self, line: Line, keys: &Keys) {
        let all = [keys.from, keys.to, keys.customer, keys.location];
        self.entries
            .extend(all.into_iter().flatten().map(|hash| entry(hash, line)));
    }

    /// Adds what another builder has collected.
    pub fn append(&mut self, mut other: Self) {
        self.entries.append(&mut other.entries);
    }

    /// Sorts, and keeps the lines that share a key with another line.
    pub fn finish(mut self) -> Index {
        self.entries.par_sort_unstable();
        let mut entangled = Vec::new();
        for group in self.entries.chunk_by(|a, b| hash_of(*a) == hash_of(*b)) {
            let first = line_of(group[0]);
            if group.iter().any(|entry| line_of(*entry) != first) {
                entangled.extend(group.iter().map(|entry| line_of(*entry)));
            }
        }
        drop(self.entries);
        entangled.par_sort_unstable();
        entangled.dedup();
        entangled.shrink_to_fit();
        Index { entangled }
    }
}

/// Which lines share a customer, an account ID or a location with another line.
#[derive(Debug, Default)]
pub struct Index {
    entangled: Vec<Line>,
}

impl Index {
    /// Whether this line has to do with another one.
    pub fn is_entangled(&self, line: Line) -> bool {
        self.entangled.binary_search(&line).is_ok()
    }

    /// All such lines, in order.
    pub fn entangled(&self) -> &[Line] {
        &self.entangled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_case_is_folded() {
        let same = |a: &str, b: &str| folded_hash(a, None) == folded_hash(b, None);
        assert!(same("CRM-00azAZ", "crm-00AZaz") && same("M\u{dc}LLER", "m\u{fc}ller"));
        for (a, b) in [
            ("A", "B"),
            ("ab", "ab\0"),
            ("[", "{"),
            ("@", "`"),
            ("", "a"),
            ("Z-", "z_"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
