//! Finds the customers that earlier runs have renamed, in their ledgers.
//!
//! The ledgers are read when the first line asks for a rename, which never happens in most nights. Then sixteen bytes are
//! kept for each rename. The customer is read from its ledger when a line asks for that rename.

use super::kept_run::KeptRun;
use crate::domain::{AccountId, CustomerId, Reseller};
use crate::engine::{PriorRenames, Taken};
use crate::ledger::{Ledger, LedgerError, NetRename};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A rename: the hash of its wish, the run in the order of age (0: the newest), and the number of the write.
type Applied = (u64, u32, u32);

/// The renames of earlier runs. These runs do not change meanwhile, because this process holds the target.
#[derive(Debug)]
pub(crate) struct LedgerRenames {
    hasher: RandomState,
    /// The newest rename of each wish, sorted; empty until the first request.
    applied: OnceLock<Vec<Applied>>,
    /// The same by the account ID that was taken; empty until a line is not found.
    taken: OnceLock<Vec<Applied>>,
    /// Held while `taken` is read. It is not `open`, because `customer_of` must not wait meanwhile: it is called where
    /// nothing else proceeds until it returns.
    reads_taken: Mutex<()>,
    /// The newest first.
    runs: Vec<KeptRun>,
    /// The ledger that was used last. The lock is held while the renames are read.
    open: Mutex<Option<(u32, Ledger)>>,
}

impl LedgerRenames {
    /// Prepares the renames of these runs, which must be ordered with the newest first.
    pub(crate) fn of(runs: Vec<KeptRun>) -> Self {
        Self {
            hasher: RandomState::new(),
            applied: OnceLock::new(),
            taken: OnceLock::new(),
            reads_taken: Mutex::new(()),
            runs,
            open: Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u32, Ledger)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the renames; reads them at the first call.
    fn applied(
        &self,
        _held: &MutexGuard<'_, Option<(u32, Ledger)>>,
    ) -> Result<&[Applied], LedgerError> {
        if let Some(applied) = self.applied.get() {
            return Ok(applied);
        }
        let applied = self.read(|net| {
            let before = net.before.as_ref()?;
            let wish = (before, net.after.as_ref(), net.reseller.as_ref());
            Some(self.hasher.hash_one(wish))
        })?;
        Ok(self.applied.get_or_init(|| applied))
    }

    /// The account IDs that were taken, read at the first question for one.
    fn taken(&self) -> Result<&[Applied], LedgerError> {
        let _held = self.reads_taken.lock();
        if let Some(taken) = self.taken.get() {
            return Ok(taken);
        }
        let taken = self.read(|net| {
            let before = net.before.as_ref()?;
            Some(self.hasher.hash_one((before, net.reseller.as_ref())))
        })?;
        Ok(self.taken.get_or_init(|| taken))
    }

    /// The renames by this key, the newest of each.
    fn read(&self, key: impl Fn(&NetRename) -> Option<u64>) -> Result<Vec<Applied>, LedgerError> {
        let mut applied: Vec<Applied> = Vec::new();
        for (number, run) in (0_u32..).zip(&self.runs) {
            // If a newer run has applied a wish, an older run says nothing about it.
            let mut of_run = Vec::new();
            run.ledger()?.net_renames(|net| {
                if let Some(wish) = key(&net).filter(|wish| find(&applied, *wish).is_none()) {
                    of_run.push((wish, number, net.write));
                }
            })?;
            applied.append(&mut of_run);
            applied.sort_unstable();
            applied.dedup_by_key(|(wish, ..)| *wish);
            applied.shrink_to_fit();
        }
        Ok(applied)
    }
}

impl LedgerRenames {
    /// The customer of a write of a run, and the account ID that it gave.
    fn given_by(
        &self,
        open: &mut Option<(u32, Ledger)>,
        number: u32,
        write: u32,
    ) -> Result<(CustomerId, Option<AccountId>), LedgerError> {
        let ledger = match open.take() {
            Some((same, ledger)) if same == number => ledger,
            _ => self.runs[number as usize].ledger()?,
        };
        let given = ledger.given_by(write)?;
        *open = Some((number, ledger));
        Ok(given)
    }
}

fn find(applied: &[Applied], wish: u64) -> Option<Applied> {
    let at = applied
        .binary_search_by_key(&wish, |(wish, ..)| *wish)
        .ok()?;
    applied.get(at).copied()
}

impl PriorRenames for LedgerRenames {
    fn customer_of(
        &self,
        account: &AccountId,
        new_account: Option<&AccountId>,
        reseller: Option<&Reseller>,
    ) -> Result<Option<CustomerId>, LedgerError> {
        let mut open = self.lock();
        let wish = self.hasher.hash_one((account, new_account, reseller));
        let Some((_, number, write)) = find(self.applied(&open)?, wish) else {
            return Ok(None);
        };
        let (customer, _) = self.given_by(&mut open, number, write)?;
        Ok(Some(customer))
    }

    fn taken_by(
        &self,
        account: &AccountId,
        reseller: Option<&Reseller>,
    ) -> Result<Option<Taken>, LedgerError> {
        let key = self.hasher.hash_one((account, reseller));
        let Some((_, number, write)) = find(self.taken()?, key) else {
            return Ok(None);
        };
        let (customer, now) = self.given_by(&mut self.lock(), number, write)?;
        Ok(Some(Taken {
            run: self.runs[number as usize].run().to_string(),
            customer,
            now,
        }))
    }

    fn is_ready(&self) -> bool {
        self.applied.get().is_some()
    }

    fn prepare(&self) -> Result<(), LedgerError> {
        self.applied(&self.lock()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{
        Header, Intent, LocalRuns, RunId, Runs, Session, Verdict, Write, WriteVerdict,
    };
    use std::sync::Arc;

    /// A run that has given customers these account IDs, in this order.
    fn run(folder: &std::path::Path, id: &str, renames: &[(&str, &str, &str)]) -> KeptRun {
        let runs: Arc<dyn Runs> = Arc::new(LocalRuns::of(folder, false, None));
        let (dir, new) = runs.create(&RunId::parse(id).unwrap()).unwrap();
        let header = Header {
            run: id.to_owned(),
            ..Header::example()
        };
        let ledger = new.begin(&header, None).unwrap();
        let session = Session {
            epoch: 1,
            writing: true,
        };
        let (journal, thread) = ledger.journal(session).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            for (&(customer, before, after), line) in renames.iter().zip(2..) {
                let intent = Intent {
                    unit: line,
                    line,
                    attempt: 1,
                    customer: CustomerId::new(customer).unwrap(),
                    reseller: None,
                    write: Write::Account {
                        before: AccountId::new(before).ok(),
                        after: AccountId::new(after).ok(),
                        temporary: false,
                    },
                    correlation: format!("c-{line}"),
                    at_ms: 1_795_213_815_123,
                };
                let write = journal.intend(intent).await.unwrap().granted();
                let applied = WriteVerdict {
                    verdict: Verdict::Applied,
                    http_status: Some(200),
                    effect: None,
                };
                journal.verdict(write, applied).await.unwrap();
            }
        });
        drop(journal);
        thread.join();
        KeptRun::of(&runs, dir)
    }

    fn customer(renames: &LedgerRenames, before: &str, after: &str) -> Option<String> {
        let (before, after) = (AccountId::new(before).unwrap(), AccountId::new(after).ok());
        let found = renames.customer_of(&before, after.as_ref(), None).unwrap();
        found.map(|id| id.to_string())
    }

    #[test]
    fn writes_of_earlier_runs_are_read_only_when_needed() {
        let base = tempfile::tempdir().unwrap();
        let dir = run(base.path(), "20261120-223015-k3f9", &[("C-1", "A", "B")]);
        let ledger = dir.path().join("ledger.db");
        let away = base.path().join("away.db");
        std::fs::rename(&ledger, &away).unwrap();
        let renames = LedgerRenames::of(vec![dir]);
        assert!(!renames.is_ready());
        assert!(renames.prepare().is_err(), "it is read now");
        assert!(!renames.is_ready());
        std::fs::rename(&away, &ledger).unwrap();
        renames.prepare().unwrap();
        assert!(renames.is_ready());
        assert_eq!(customer(&renames, "A", "B").as_deref(), Some("C-1"));
    }

    #[test]
    fn newest_run_that_applied_a_rename_determines_the_customer() {
        let base = tempfile::tempdir().unwrap();
        let newest = [("C-1", "A", "B"), ("C-2", "X", "Y"), ("C-2", "Y", "Z")];
        let newest = run(base.path(), "20261122-223015-k3f9", &newest);
        let older = [("C-8", "A", "B"), ("C-9", "X", "Y"), ("C-7", "K", "")];
        let older = run(base.path(), "20261120-223015-k3f9", &older);
        let renames = LedgerRenames::of(vec![newest, older]);
        assert_eq!(customer(&renames, "A", "B").as_deref(), Some("C-1"));
        assert_eq!(customer(&renames, "X", "Z").as_deref(), Some("C-2"));
        assert_eq!(customer(&renames, "X", "Y").as_deref(), Some("C-9"));
        assert_eq!(customer(&renames, "K", "").as_deref(), Some("C-7"));
        assert_eq!(customer(&renames, "Y", "Z"), None);
        let taken = |account: &str| {
            let account = AccountId::new(account).unwrap();
            let taken = renames.taken_by(&account, None).unwrap()?;
            let now = taken.now.map(|id| id.to_string());
            Some((taken.run, taken.customer.to_string(), now))
        };
        let expected = |run: &str, customer: &str, now: Option<&str>| {
            Some((
                format!("{run}-223015-k3f9"),
                customer.to_owned(),
                now.map(str::to_owned),
            ))
        };
        assert_eq!(taken("X"), expected("20261122", "C-2", Some("Z")));
        assert_eq!(taken("K"), expected("20261120", "C-7", None));
        assert_eq!(taken("Y"), None);
        let kept = renames.applied.get().unwrap();
        assert_eq!((kept.len(), size_of_val(&kept[0])), (4, 16));
    }
}
