//! The calls that count against a target's quota, over all processes of this user: a table of the state database.

use super::{LedgerError, StateDb};
use rusqlite::{Connection, Row, TransactionBehavior, params};

/// Calls that one process has reserved, and when they departed at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedCalls {
    /// The process.
    pub owner: u64,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// Milliseconds since boot, suspend included, where that is known.
    pub boot_ms: Option<i64>,
    /// Which boot.
    pub boot_id: String,
    /// How many.
    pub calls: u32,
}

impl StateDb {
    /// Lets `change` see all calls that count against the quota of a target, and puts what it returns in the place of
    /// those of this owner; those for which `counts` is false are removed. No other process sees anything in between.
    pub fn change_calls(
        &self,
        target: &str,
        owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> Result<(), LedgerError> {
        self.with(|db| {
            // A power cut takes longer than most windows, so these rows need no sync of their own.
            db.pragma_update(None, "synchronous", "normal")?;
            let changed = change_calls(db, target, owner, change);
            db.pragma_update(None, "synchronous", "full")?;
            changed
        })
    }
}

fn change_calls(
    db: &mut Connection,
    target: &str,
    owner: u64,
    change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before: Vec<ReservedCalls> = transaction
        .prepare_cached(
            "SELECT owner, wall_ms, boot_ms, boot_id, calls FROM calls WHERE target = ?1",
        )?
        .query_map([target], reserved)?
        .collect::<Result<_, _>>()?;
    let known = before.clone();
    let after = change(before);
    transaction
        .prepare_cached("DELETE FROM calls WHERE target = ?1 AND owner = ?2")?
        .execute(params![target, owner.cast_signed()])?;
    // Of the others, what does not count any more goes.
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
                "INSERT INTO calls (target, owner, wall_ms, boot_ms, boot_id, calls) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                target,
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
