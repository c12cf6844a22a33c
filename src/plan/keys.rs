//! The hashes of what a line names: its customer, its account IDs, its location.
//!
//! Promises: equal IDs have equal hashes, and so have account IDs that differ only in case. Two different IDs may have one
//! hash: their lines are then compared as text without need, which changes no result.

use crate::domain::{Change, Reseller, words};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};

/// The hashes of what a line names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    from: Option<u64>,
    to: Option<u64>,
    customer: Option<u64>,
    location: Option<u64>,
}

impl Keys {
    /// Returns each hash.
    pub(super) fn hashes(self) -> impl Iterator<Item = u64> {
        [self.from, self.to, self.customer, self.location]
            .into_iter()
            .flatten()
    }

    /// Returns the hashes of one line.
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
            // A new ID that equals the current one adds no hash.
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

/// Returns the hash of an account ID, ignoring case: IDs that differ only in case are later compared as text and reported.
fn folded_hash(id: &str, reseller: Option<&Reseller>) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    if !id.is_ascii() {
        return hash(&(0_u8, id.to_lowercase(), reseller));
    }
    let mut hasher = FixedState::with_seed(0x1d5_417f).build_hasher();
    words(id.as_bytes()).for_each(|word| {
        // Mark each upper-case letter in the high bit of its byte. Two bits lower is the bit that makes it lower case.
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
