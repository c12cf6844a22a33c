//! A set of hashes in about two bytes each: a Bloom filter that has all bits of a hash in one word.
//!
//! Promises: when equal hashes are added, by any threads, all but the first are reported as present. A hash that was never
//! added may also be reported as present, because other hashes have set its bits.

use std::sync::atomic::{AtomicU64, Ordering};

const WORD_BITS: u64 = 64;
/// How many hashes are looked up together.
const BATCH: usize = 32;

#[derive(Debug)]
pub(super) struct Filter {
    words: Vec<AtomicU64>,
}

impl Filter {
    /// Makes a filter for this number of hashes. Fewer bits cause more false reports: until that number of hashes is added, one
    /// in a thousand with 16 bits each, one in twenty thousand with 64.
    pub(super) fn new(hashes: u64, bits_each: u64) -> Self {
        let words = hashes.saturating_mul(bits_each).div_ceil(WORD_BITS);
        let words = words.clamp(1, u64::from(u32::MAX));
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Returns the word of a hash, chosen by its upper half, and the bits of the hash, chosen by its lower half.
    fn place(&self, hash: u64) -> (&AtomicU64, u64) {
        // There are at most 2^32 words, so the product cannot overflow, and its upper half is less than the number of words.
        let at = ((hash >> 32) * self.words.len() as u64) >> 32;
        let at = usize::try_from(at).unwrap_or_default();
        let bits = (0..5).fold(0, |bits, n| bits | 1 << ((hash >> (6 * n)) % WORD_BITS));
        (&self.words[at], bits)
    }

    /// Adds hashes, and calls `present` for each that was present or seemed to be.
    pub(super) fn add(&self, hashes: &[u64], mut present: impl FnMut(u64)) {
        for batch in hashes.chunks(BATCH) {
            // All words are read before any is written, so that the memory accesses overlap.
            let mut before = [0; BATCH];
            for (before, hash) in before.iter_mut().zip(batch) {
                *before = self.place(*hash).0.load(Ordering::Relaxed);
            }
            for (before, hash) in before.into_iter().zip(batch) {
                let (word, bits) = self.place(*hash);
                // Bits are only ever set, and all threads see the changes of one word in the same order. So when two threads set
                // the same bits, the second thread finds them set.
                if before & bits == bits || word.fetch_or(bits, Ordering::Relaxed) & bits == bits {
                    present(*hash);
                }
            }
        }
    }

    /// Whether the hash was added, or seems to have been.
    pub(super) fn has(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        word.load(Ordering::Relaxed) & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldhash::fast::FixedState;
    use std::hash::BuildHasher;

    fn hashes(range: std::ops::Range<u64>) -> Vec<u64> {
        let state = FixedState::with_seed(1);
        range.map(|n| state.hash_one(n)).collect()
    }

    fn present(filter: &Filter, hashes: &[u64]) -> u64 {
        let mut count = 0;
        filter.add(hashes, |_| count += 1);
        count
    }

    #[test]
    fn added_hashes_are_present_with_few_false_positives() {
        let filter = Filter::new(100_000, 16);
        let all = hashes(0..100_000);
        let wrongly = present(&filter, &all);
        assert!(wrongly < 300, "{wrongly}");
        assert_eq!(present(&filter, &all), 100_000);
        assert!(all.iter().all(|hash| filter.has(*hash)));
        let others = hashes(100_000..200_000);
        let wrongly = others.iter().filter(|hash| filter.has(**hash)).count();
        assert!(wrongly < 1_000, "{wrongly}");
    }

    #[test]
    fn one_of_two_threads_adding_a_hash_finds_it_present() {
        for seed in 0..20 {
            let all = hashes(seed * 5_000..(seed + 1) * 5_000);
            let filter = Filter::new(5_000, 256);
            let (first, second) = rayon::join(
                || present(&filter, &all),
                || {
                    let turned: Vec<u64> = all.iter().rev().copied().collect();
                    present(&filter, &turned)
                },
            );
            assert!(first + second >= 5_000, "{first} {second}");
        }
    }

    #[test]
    fn a_filter_that_is_full_forgets_nothing() {
        let filter = Filter::new(1, 1);
        let all = hashes(0..1_000);
        present(&filter, &all);
        assert_eq!(present(&filter, &all), 1_000);
        assert!(filter.has(u64::MAX) && filter.has(0));
    }
}
