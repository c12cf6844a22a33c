//! The account IDs that a run has changed, customer by customer: what later runs go by.

use super::columns::Fault;
use super::store::WritesOf;
use super::write_columns::{WriteSketch, reseller};
use super::{Ledger, LedgerError, record};
use crate::domain::{AccountId, CustomerId, Reseller};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// What a run has made, or may have made, of one customer's account ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetRename {
    /// The number of the write by which the customer can be looked up.
    pub write: u32,
    /// Before the first write.
    pub before: Option<AccountId>,
    /// After the last write.
    pub after: Option<AccountId>,
    /// The reseller of the relationship.
    pub reseller: Option<Reseller>,
}

impl Ledger {
    /// Calls `each` for what the run has made of each customer's account ID, or may have. What was rolled back, and a
    /// temporary ID with which a customer was left, is no such thing.
    pub fn net_renames(&self, mut each: impl FnMut(NetRename)) -> Result<(), LedgerError> {
        // Nearly every customer is written once. Eight bytes for each tell which are not.
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
                // A temporary ID counts as where the customer comes from, and never as where it goes.
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

    /// The writes of account IDs that took effect or may have. Those that certainly did not are left out: never sent, or
    /// refused.
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

    /// Calls `each` with the account ID that each write took from a customer, or may have, the one that it gave, and the
    /// relationship.
    pub fn each_account_moved(
        &self,
        mut each: impl FnMut(Option<&str>, Option<&str>, Option<&str>),
    ) -> Result<(), LedgerError> {
        self.store().each_account_moved(&mut each)
    }

    /// The customer of a write.
    pub fn customer_of(&self, number: u32) -> Result<CustomerId, LedgerError> {
        let writes = self.store().numbered(&[number])?;
        let customer = writes.into_iter().next().map(|write| write.intent.customer);
        customer.ok_or_else(|| LedgerError::damaged(self.place(), "a write is missing"))
    }
}
