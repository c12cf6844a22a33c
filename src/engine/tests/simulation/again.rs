//! The same file again, perhaps at another address of the system, and after other clients gave old account IDs away.

use super::super::memory::Memory;
use super::super::world::Record;
use super::Simulation;
use crate::domain::{AccountId, CustomerId, Reseller, Status};
use crate::engine::{Ending, History, Mode, PriorRenames};
use crate::ledger::{LedgerError, Verdict, Write, WriteRecord};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

type WriteRequest = (AccountId, Option<AccountId>);

/// The renames that the first run made, each with its customer.
#[derive(Debug)]
struct Applied(HashMap<WriteRequest, CustomerId>);

impl Applied {
    fn of(writes: &[WriteRecord]) -> Self {
        let mut net: BTreeMap<CustomerId, WriteRequest> = BTreeMap::new();
        for write in writes {
            let Write::Account {
                before,
                after,
                temporary,
            } = &write.intent.write
            else {
                continue;
            };
            if write.verdict == Some(Verdict::NotApplied) && !write.may_have_landed() {
                continue;
            }
            let customer = write.intent.customer.clone();
            let before = before.clone().unwrap();
            let wish = net
                .entry(customer)
                .or_insert_with(|| (before.clone(), Some(before)));
            if !temporary {
                wish.1.clone_from(after);
            }
        }
        let changed = net
            .into_iter()
            .filter(|(_, (before, after))| Some(before) != after.as_ref());
        Self(changed.map(|(customer, wish)| (wish, customer)).collect())
    }
}

impl PriorRenames for Applied {
    fn customer_of(
        &self,
        account: &AccountId,
        new_account: Option<&AccountId>,
        _reseller: Option<&Reseller>,
    ) -> Result<Option<CustomerId>, LedgerError> {
        let wish = (account.clone(), new_account.cloned());
        Ok(self.0.get(&wish).cloned())
    }
}

impl Simulation {
    /// Carries out the file again, without faults. What the first run changed stays as it is, and a customer that got
    /// an old account ID since is not changed.
    pub(super) async fn run_again(&mut self) {
        let (applied, changed) = {
            let kept = self.notes.lock();
            let changed = kept.outcomes.values();
            let changed: Vec<_> = changed
                .filter(|outcome| outcome.status == Status::Changed)
                .filter_map(|outcome| outcome.customer.clone())
                .collect();
            (Applied::of(&kept.writes), changed)
        };
        let recycled = self.recycle(&applied);
        self.history = Arc::new(History {
            prior_renames: Some(Arc::new(applied)),
            ..History::default()
        });
        self.notes = Memory::new(self.random.fork());
        self.notes.lock().pauses = self.pauses;
        self.looked = false;
        self.canary = None;
        let left = self.world.lock().customers.clone();
        let ending = self.session(Mode::Apply, false).await;
        assert!(matches!(ending, Some(Ending::Finished)), "{ending:?}");
        let state = self.world.lock();
        assert_eq!(state.broken, None);
        for customer in changed {
            let id = customer.as_str();
            assert_eq!(
                left[id].account, state.customers[id].account,
                "{id} was renamed a second time"
            );
        }
        if let Some(id) = recycled {
            assert_eq!(
                left[&id].account, state.customers[&id].account,
                "{id} is another customer"
            );
        }
    }

    /// Lets another client rename a renamed customer again, and gives its old account ID to a new customer.
    fn recycle(&mut self, applied: &Applied) -> Option<String> {
        let mut renamed: Vec<(&WriteRequest, &CustomerId)> = applied.0.iter().collect();
        renamed.sort_by_key(|(_, customer)| customer.as_str());
        if renamed.is_empty() || self.random.bool() {
            return None;
        }
        let ((old, _), customer) = renamed[self.random.usize(0..renamed.len())];
        let mut state = self.world.lock();
        let is_taken = state
            .customers
            .values()
            .any(|record| record.account == old.as_str());
        if is_taken || state.touched.contains_key(customer.as_str()) {
            return None;
        }
        let record = state.customers.get_mut(customer.as_str()).unwrap();
        record.account = format!("M-{customer}");
        let newcomer = "C-newcomer".to_owned();
        let record = Record {
            account: old.to_string(),
            service: "old".to_owned(),
        };
        state.customers.insert(newcomer.clone(), record);
        state.touch(newcomer.clone());
        state.touch(customer.to_string());
        Some(newcomer)
    }
}
