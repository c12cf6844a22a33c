//! The orders of a person to a run in progress, as a row of an SQLite file.

use crate::ledger::columns::{Fault, Row as _};
use crate::ledger::store::OrderChange;
use crate::ledger::{Order, Orders};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

/// The current orders, for [`read`].
pub(super) const SELECT: &str = "SELECT number, paused, draining, rate_per_s FROM orders";

/// Reads a row of [`SELECT`].
pub(super) fn read(row: &Row<'_>) -> Result<Orders, Fault> {
    Ok(Orders {
        number: row.required::<i64>(0)?.cast_unsigned(),
        paused: row.get(1)?,
        draining: row.get(2)?,
        rate_per_s: row.get(3)?,
    })
}

/// Stops the run, if it is in progress.
pub(super) fn stop(connection: &Connection, reason: &str, why: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE progress SET stopped_by = coalesce(stopped_by, ?1), \
               why = CASE WHEN stopped_by IS NULL THEN ?2 ELSE why END WHERE state = 'running'";
    let transaction = connection.unchecked_transaction()?;
    if transaction.execute(sql, [reason, why])? > 0 {
        change(&transaction, OrderChange::Give(Order::Drain))?;
    }
    transaction.commit()
}

/// Changes the orders; returns the number of the last one.
pub(super) fn change(connection: &Connection, change: OrderChange) -> rusqlite::Result<u64> {
    let (set, value): (_, Option<Value>) = match change {
        OrderChange::Give(Order::Pause) => ("number = number + 1, paused = 1", None),
        OrderChange::Give(Order::Unpause) => ("number = number + 1, paused = 0", None),
        // A paused run would never finish, so the pause ends.
        OrderChange::Give(Order::Drain) => ("number = number + 1, draining = 1, paused = 0", None),
        OrderChange::Give(Order::Rate(rate)) => {
            ("number = number + 1, rate_per_s = ?1", Some(rate.into()))
        }
        OrderChange::GoOn => ("number = number + draining, draining = 0", None),
        OrderChange::Clear => (
            "seen = number, paused = 0, draining = 0, rate_per_s = NULL",
            None,
        ),
    };
    let sql = format!("UPDATE orders SET {set} RETURNING number");
    if change == OrderChange::GoOn {
        let not_stopped = "UPDATE progress SET stopped_by = NULL, why = '' WHERE state = 'running'";
        connection.execute(not_stopped, ())?;
    }
    let number = connection.query_row(&sql, params_from_iter(value), |row| row.get::<_, i64>(0))?;
    Ok(number.cast_unsigned())
}
