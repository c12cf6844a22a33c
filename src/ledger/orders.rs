//! What a person asks of a run in progress, from any terminal: the process that works on it reads it several times a second.

use super::{Ledger, LedgerError};
use rusqlite::params;

/// What is asked of the process that works on a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Orders {
    /// The number of the last order.
    pub number: u64,
    /// The number of the last order that the process has followed.
    pub seen: u64,
    /// No call is made.
    pub paused: bool,
    /// No unit is begun any more.
    pub draining: bool,
    /// Calls a second; `None`: as the run was begun.
    pub rate_per_s: Option<f64>,
}

/// One thing that is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    /// Make no calls.
    Pause,
    /// Make calls again.
    Unpause,
    /// Make this many calls a second.
    Rate(f64),
    /// Finish what is under way, and begin nothing else.
    Drain,
}

impl Ledger {
    /// What is asked of the process that works on the run.
    pub fn orders(&self) -> Result<Orders, LedgerError> {
        let sql = "SELECT number, seen, paused, draining, rate_per_s FROM orders";
        self.with(|connection| {
            connection.query_row(sql, (), |row| {
                Ok(Orders {
                    number: row.get::<_, i64>(0)?.cast_unsigned(),
                    seen: row.get::<_, i64>(1)?.cast_unsigned(),
                    paused: row.get(2)?,
                    draining: row.get(3)?,
                    rate_per_s: row.get(4)?,
                })
            })
        })
    }

    /// Asks something of the process that works on the run; returns the number of the order.
    pub fn order(&self, order: Order) -> Result<u64, LedgerError> {
        let set = match order {
            Order::Pause => "paused = 1",
            Order::Unpause => "paused = 0",
            // What is paused would never finish.
            Order::Drain => "draining = 1, paused = 0",
            Order::Rate(_) => "rate_per_s = ?1",
        };
        let sql = format!("UPDATE orders SET number = number + 1, {set} RETURNING number");
        let number = self.with(|connection| match order {
            Order::Rate(rate) => {
                connection.query_row(&sql, params![rate], |row| row.get::<_, i64>(0))
            }
            _ => connection.query_row(&sql, (), |row| row.get::<_, i64>(0)),
        })?;
        Ok(number.cast_unsigned())
    }

    /// Records that the process follows all orders up to this number.
    pub fn follow_orders(&self, number: u64) -> Result<(), LedgerError> {
        let sql = "UPDATE orders SET seen = ?1";
        self.with(|connection| connection.execute(sql, [number.cast_signed()]))
            .map(drop)
    }

    /// A process begins to work: what was asked of an earlier one does not concern it.
    pub fn clear_orders(&self) -> Result<(), LedgerError> {
        let sql = "UPDATE orders SET seen = number, paused = 0, draining = 0, rate_per_s = NULL";
        self.with(|connection| connection.execute(sql, ()))
            .map(drop)
    }
}
