//! The account IDs that a run has changed, customer by customer, for later runs.

use super::columns::Fault;
use super::store::WritesOf;
use super::write_columns::{WriteSketch, reseller};
use super::{Ledger, LedgerError, Verdict, Write, record};
use crate::domain::{AccountId, CustomerId, Reseller};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The total change that a run has made, or may have made, to one customer's account ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetRename {
    /// The number of a write to the customer; [`Ledger::given_by`] finds the customer by it.
    pub write: u32,
    /// Before the first write.
    pub before: Option<AccountId>,
    /// After the last write.
    pub after: Option<AccountId>,
    /// The reseller of the relationship.
    pub reseller: Option<Reseller>,
}

impl Ledger {
    /// Calls `each` with the total change, certain or possible, of each customer's account ID. Leaves out changes that
    /// were rolled back, and temporary IDs with which customers were left.
    pub fn net_renames(&self, mut each: impl FnMut(NetRename)) -> Result<(), LedgerError> {
        // Nearly every customer has one write. A hash of eight bytes for each write finds the customers with several.
        let hasher = RandomState::new();
        let key = |one: &WriteSketch<'_>| hasher.hash_one((one.customer, one.reseller));
        let mut customers = Vec::new();
        self.each_rename(&mut |one| {
            customers.push(key(&one));
            Ok(())
        })?;
        customers.sort_unstable();
        let mut several: HashMap<u64, Option<NetRename>> = customers
            .windows(2)
            .filter(|two| two[0] == two[1])
            .map(|two| (two[0], None))
            .collect();
        drop(customers);
        self.each_rename(&mut |one| {
            let key = key(&one);
            let is_temporary = one.is_temporary;
            let net = NetRename {
                write: one.id,
                before: one.before.map(AccountId::new).transpose()?,
                after: one.after.map(AccountId::new).transpose()?,
                reseller: one.reseller.and_then(|text| reseller(text).ok()),
            };
            match several.get_mut(&key) {
                None | Some(Some(_)) if is_temporary => {}
                None => each(net),
                // A temporary ID is never the end of a change: only the ID before it counts.
                Some(None) if is_temporary => {
                    let after = net.before.clone();
                    several.insert(key, Some(NetRename { after, ..net }));
                }
                Some(None) => drop(several.insert(key, Some(net))),
                Some(Some(known)) => {
                    known.write = net.write;
                    known.after = net.after;
                }
            }
            Ok(())
        })?;
        let changed = several.into_values().flatten();
        changed.filter(|net| net.before != net.after).for_each(each);
        Ok(())
    }

    /// Calls `each` for the writes of account IDs that took effect or may have. Leaves out those that certainly failed
    /// (never sent, or refused), and those for which the system stored another value.
    fn each_rename(
        &self,
        each: &mut dyn FnMut(WriteSketch<'_>) -> Result<(), Fault>,
    ) -> Result<(), LedgerError> {
        self.store().each_write(WritesOf::Accounts, &mut |write| {
            if write.is_altered || record::certainly_failed(write.verdict, write.http_status) {
                return Ok(());
            }
            each(write)
        })
    }

    /// Calls `each` for every write of an account ID that took effect or may have: with the ID before, the ID after,
    /// and the relationship.
    pub fn each_account_moved(
        &self,
        mut each: impl FnMut(Option<&str>, Option<&str>, Option<&str>),
    ) -> Result<(), LedgerError> {
        self.store().each_account_moved(&mut each)
    }

    /// Calls `each` for every write of an account ID that is known to have taken effect, in the order of noting: with the ID
    /// before and the ID after.
    pub fn each_account_replaced(
        &self,
        mut each: impl FnMut(Option<&str>, Option<&str>),
    ) -> Result<(), LedgerError> {
        self.store().each_write(WritesOf::Accounts, &mut |write| {
            if write.verdict == Some(Verdict::Applied) {
                each(write.before, write.after);
            }
            Ok(())
        })
    }

    /// Returns the customer of a write and the account ID that it gave; `None`: it removed the ID, or was about a location.
    pub fn given_by(&self, number: u32) -> Result<(CustomerId, Option<AccountId>), LedgerError> {
        let writes = self.store().numbered(&[number])?;
        let Some(intent) = writes.into_iter().next().map(|write| write.intent) else {
            return Err(LedgerError::damaged(self.place(), "a write is missing"));
        };
        let after = match intent.write {
            Write::Account { after, .. } => after,
            Write::Location { .. } => None,
        };
        Ok((intent.customer, after))
    }
}
