//! Which customers and account IDs a run has changed, or may have: two runs that have none in common can have worked in any
//! order.

use super::store::WritesOf;
use super::write_columns::WriteSketch;
use super::{Ledger, LedgerError, Verdict};
use std::hash::{BuildHasher, RandomState};

/// What a run has changed; eight bytes for each customer and account ID.
#[derive(Debug)]
pub struct Touched {
    hasher: RandomState,
    /// In order.
    marks: Vec<u64>,
}

impl Touched {
    /// Returns a customer or an account ID that both runs have changed, or may have.
    pub fn first_common(&self, other: &Ledger) -> Result<Option<String>, LedgerError> {
        let mut common = None;
        other.each_touched(&mut |kind, id| {
            let mark = self.hasher.hash_one((kind, id));
            if common.is_none() && self.marks.binary_search(&mark).is_ok() {
                common = Some(format!("{kind} {id}"));
            }
        })?;
        Ok(common)
    }
}

impl Ledger {
    /// Returns the customers and account IDs that the run has changed, or may have.
    pub fn touched(&self) -> Result<Touched, LedgerError> {
        let hasher = RandomState::new();
        let mut marks = Vec::new();
        self.each_touched(&mut |kind, id| marks.push(hasher.hash_one((kind, id))))?;
        marks.sort_unstable();
        marks.dedup();
        Ok(Touched { hasher, marks })
    }

    fn each_touched(&self, each: &mut dyn FnMut(&str, &str)) -> Result<(), LedgerError> {
        let mut tell = |write: WriteSketch<'_>| {
            if write.verdict != Some(Verdict::NotApplied) {
                each("customer", write.customer);
                let accounts = [write.before, write.after].into_iter().flatten();
                accounts.for_each(|account| each("account ID", account));
            }
            Ok(())
        };
        self.store().each_write(WritesOf::All, &mut tell)
    }
}
