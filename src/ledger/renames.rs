//! The account IDs that a run has changed, customer by customer: what later runs go by.

use super::outcome_row::{self, Fault};
use super::{Ledger, LedgerError, WriteId};
use crate::domain::{AccountId, CustomerId, Reseller};
use rusqlite::Row;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// What a run has made, or may have made, of one customer's account ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetRename {
    /// The write by which the customer can be looked up.
    pub write: WriteId,
    /// Before the first write.
    pub before: Option<AccountId>,
    /// After the last write.
    pub after: Option<AccountId>,
    /// The reseller of the relationship.
    pub reseller: Option<Reseller>,
}

/// A write that took effect or may have, as far as it is about an account ID.
struct Rename {
    id: i64,
    customer: String,
    reseller: Option<String>,
    before: Option<AccountId>,
    after: Option<AccountId>,
    temporary: bool,
}

/// Writes that certainly did not take effect are left out: never sent, or refused.
const RENAMES: &str = "SELECT write_id, customer_id, reseller, account_id_before, account_id_after, kind = 'temporary' \
    FROM writes WHERE kind <> 'location' AND NOT (verdict IS 'not_applied' AND http_status IS NOT NULL \
    AND (http_status = 0 OR (http_status BETWEEN 400 AND 499 AND http_status <> 408))) AND NOT altered \
    ORDER BY write_id";

impl Ledger {
    /// Calls `each` for what the run has made of each customer's account ID, or may have. What was rolled back, and a
    /// temporary ID with which a customer was left, is no such thing.
    pub fn net_renames(&self, mut each: impl FnMut(NetRename)) -> Result<(), LedgerError> {
        // Nearly every customer is written once. Eight bytes for each tell which are not.
        let hasher = RandomState::new();
        let key = |one: &Rename| hasher.hash_one((&one.customer, &one.reseller));
        let mut customers = Vec::new();
        self.each_rename(|one| customers.push(key(&one)))?;
        customers.sort_unstable();
        let mut several: HashMap<u64, Option<NetRename>> = customers
            .windows(2)
            .filter(|two| two[0] == two[1])
            .map(|two| (two[0], None))
            .collect();
        drop(customers);
        self.each_rename(|one| {
            let key = key(&one);
            let is_temporary = one.temporary;
            let net = NetRename {
                write: WriteId(one.id),
                before: one.before,
                after: one.after,
                reseller: one.reseller.as_deref().and_then(outcome_row::reseller),
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
        })?;
        let changed = several.into_values().flatten();
        changed.filter(|net| net.before != net.after).for_each(each);
        Ok(())
    }

    fn each_rename(&self, mut each: impl FnMut(Rename)) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::sqlite(self.path(), source);
        let connection = self.lock();
        let mut statement = connection.prepare_cached(RENAMES).map_err(failed)?;
        let mut rows = statement.query(()).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(rename(row).map_err(|fault| fault.name(self.path()))?);
        }
        Ok(())
    }

    /// The customer of a write.
    pub fn customer_of(&self, WriteId(number): WriteId) -> Result<CustomerId, LedgerError> {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        Ok(self.write(number)?.intent.customer)
    }
}

fn rename(row: &Row<'_>) -> Result<Rename, Fault> {
    Ok(Rename {
        id: row.get(0)?,
        customer: row.get(1)?,
        reseller: row.get(2)?,
        before: outcome_row::id(row, 3, AccountId::new)?,
        after: outcome_row::id(row, 4, AccountId::new)?,
        temporary: row.get(5)?,
    })
}
