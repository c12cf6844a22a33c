//! Which customers earlier runs have renamed, from their ledgers.
//!
//! Sixteen bytes are kept for each rename; the customer is read from its ledger where a line comes upon one.

use super::kept_run::KeptRun;
use crate::domain::{AccountId, CustomerId, Reseller};
use crate::engine::PriorRenames;
use crate::ledger::{Ledger, LedgerError, WriteId};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// A rename: the hash of its wish, the run in the order of age (0: the newest), and the write.
type Applied = (u64, u32, WriteId);

/// The renames of earlier runs.
#[derive(Debug)]
pub(crate) struct LedgerRenames {
    hasher: RandomState,
    applied: Vec<Applied>,
    runs: Vec<KeptRun>,
    /// The ledger that was asked last.
    open: Mutex<Option<(u32, Ledger)>>,
}

impl LedgerRenames {
    /// Those of these runs, the newest first.
    pub(crate) fn of(runs: Vec<KeptRun>) -> Result<Self, LedgerError> {
        let hasher = RandomState::new();
        let mut applied = Vec::new();
        for (number, run) in (0_u32..).zip(&runs) {
            run.ledger()?.net_renames(|net| {
                if let Some(before) = &net.before {
                    let wish = (before, net.after.as_ref(), net.reseller.as_ref());
                    applied.push((hasher.hash_one(wish), number, net.write));
                }
            })?;
        }
        applied.sort_unstable();
        applied.dedup_by_key(|(wish, ..)| *wish);
        applied.shrink_to_fit();
        Ok(Self {
            hasher,
            applied,
            runs,
            open: Mutex::new(None),
        })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.applied.is_empty()
    }
}

impl PriorRenames for LedgerRenames {
    fn customer_of(
        &self,
        account: &AccountId,
        new_account: Option<&AccountId>,
        reseller: Option<&Reseller>,
    ) -> Result<Option<CustomerId>, LedgerError> {
        let wish = self.hasher.hash_one((account, new_account, reseller));
        let found = self.applied.binary_search_by_key(&wish, |(wish, ..)| *wish);
        let Ok(at) = found else {
            return Ok(None);
        };
        let (_, number, write) = self.applied[at];
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = match open.take() {
            Some((same, ledger)) if same == number => ledger,
            _ => self.runs[number as usize].ledger()?,
        };
        let customer = ledger.customer_of(write)?;
        *open = Some((number, ledger));
        Ok(Some(customer))
    }
}
