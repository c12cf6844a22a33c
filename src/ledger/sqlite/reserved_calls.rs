//! The calls that count against a target's quota, over all processes of this user: a table of the state database.

use super::StateDb;
use crate::ledger::LedgerError;
use crate::limits::{CallReservations, ReservedCalls};
use rusqlite::{Connection, Row, TransactionBehavior, params};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// The calls of one target in the state database.
#[derive(Debug)]
pub struct StateCalls {
    /// The database.
    pub state: Arc<StateDb>,
    /// The key of the target.
    pub target: String,
}

impl CallReservations for StateCalls {
    fn change(
        &self,
        from: Option<IpAddr>,
        owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> io::Result<()> {
        let address = from.map_or_else(String::new, |address| address.to_string());
        self.state
            .change_calls((&self.target, &address), owner, change)
            .map_err(io::Error::other)
    }
}

impl StateDb {
    /// Passes all calls that count against the quota of a target to `change`, and puts the calls of this owner that it
    /// returns in the place of the former ones. Calls of other owners that it leaves out are removed. No other process
    /// sees a state in between.
    ///
    /// Calls from a local address count together with those from the same address, and with those of processes that let
    /// the operating system choose the address (an empty text). For such processes, all calls count.
    pub fn change_calls(
        &self,
        (target, address): (&str, &str),
        owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> Result<(), LedgerError> {
        self.with(|db| {
            // A power cut takes longer than most windows, so these rows need no sync of their own.
            db.pragma_update(None, "synchronous", "normal")?;
            let changed = change_calls(db, (target, address), owner, change);
            db.pragma_update(None, "synchronous", "full")?;
            changed
        })
    }
}

fn change_calls(
    db: &mut Connection,
    (target, address): (&str, &str),
    owner: u64,
    change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before: Vec<ReservedCalls> = transaction
        .prepare_cached(
            "SELECT owner, wall_ms, boot_ms, boot_id, calls FROM calls \
             WHERE target = ?1 AND (?2 = '' OR address = ?2 OR address = '')",
        )?
        .query_map([target, address], reserved)?
        .collect::<Result<_, _>>()?;
    let known = before.clone();
    let after = change(before);
    transaction
        .prepare_cached("DELETE FROM calls WHERE target = ?1 AND owner = ?2")?
        .execute(params![target, owner.cast_signed()])?;
    // Removes calls of other owners that no longer count.
    for gone in known.iter().filter(|one| one.owner != owner) {
        if !after.contains(gone) {
            transaction
                .prepare_cached(
                    "DELETE FROM calls WHERE target = ?1 AND owner = ?2 AND wall_ms = ?3",
                )?
                .execute(params![target, gone.owner.cast_signed(), gone.wall_ms])?;
        }
    }
    for own in after.iter().filter(|one| one.owner == owner) {
        transaction
            .prepare_cached(
                "INSERT INTO calls (target, address, owner, wall_ms, boot_ms, boot_id, calls) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                target,
                address,
                owner.cast_signed(),
                own.wall_ms,
                own.boot_ms,
                own.boot_id,
                own.calls
            ])?;
    }
    transaction.commit()
}

fn reserved(row: &Row<'_>) -> rusqlite::Result<ReservedCalls> {
    Ok(ReservedCalls {
        owner: row.get::<_, i64>(0)?.cast_unsigned(),
        wall_ms: row.get(1)?,
        boot_ms: row.get(2)?,
        boot_id: row.get(3)?,
        calls: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(owner: u64) -> ReservedCalls {
        ReservedCalls {
            owner,
            wall_ms: 1000,
            boot_ms: None,
            boot_id: String::new(),
            calls: 7,
        }
    }

    fn reserve(state: &StateDb, target: &str, address: &str, owner: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        let mut change = |mut all: Vec<ReservedCalls>| {
            seen = all.iter().map(|one| one.owner).collect();
            all.push(calls(owner));
            all
        };
        state
            .change_calls((target, address), owner, &mut change)
            .unwrap();
        seen.sort_unstable();
        seen
    }

    #[test]
    fn calls_count_for_their_address_or_for_all_if_it_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        assert_eq!(reserve(&state, "t", "10.0.0.1", 1), [0_u64; 0]);
        assert_eq!(reserve(&state, "t", "10.0.0.2", 2), [0_u64; 0]);
        assert_eq!(reserve(&state, "u", "10.0.0.1", 3), [0_u64; 0]);
        // Calls from an unknown address may be over the quota of any address.
        assert_eq!(reserve(&state, "t", "", 4), [1, 2]);
        assert_eq!(reserve(&state, "t", "10.0.0.1", 5), [1, 4]);
        assert_eq!(reserve(&state, "t", "10.0.0.2", 6), [2, 4]);
        assert_eq!(reserve(&state, "t", "", 7), [1, 2, 4, 5, 6]);
    }
}
