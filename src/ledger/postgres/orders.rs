//! What a person asks of the processes that work on a run, and what stops all of them.

use super::process::Process;
use super::rows::kept;
use super::statement::Statement;
use crate::ledger::columns::Row;
use crate::ledger::store::OrderChange;
use crate::ledger::{LedgerError, Order, Orders, StopReason};

/// What is asked.
pub(super) fn read(process: &Process, run: &str) -> Result<Orders, LedgerError> {
    let sql = "SELECT number, seen, paused, draining, rate_per_s FROM orders WHERE run = $1";
    process.row(of_run(sql, run), |row| {
        Ok(Orders {
            number: row.required::<i64>(0)?.cast_unsigned(),
            seen: row.required::<i64>(1)?.cast_unsigned(),
            paused: row.truth(2)?,
            draining: row.truth(3)?,
            rate_per_s: row.real(4)?,
        })
    })
}

/// Changes what is asked; the number of the last order.
pub(super) fn change(
    process: &Process,
    run: &str,
    change: OrderChange,
) -> Result<u64, LedgerError> {
    let ask = match change {
        OrderChange::Give(Order::Pause) => of_run(
            "UPDATE orders SET number = number + 1, paused = true WHERE run = $1 RETURNING number",
            run,
        ),
        OrderChange::Give(Order::Unpause) => of_run(
            "UPDATE orders SET number = number + 1, paused = false WHERE run = $1 RETURNING number",
            run,
        ),
        // What is paused would never finish.
        OrderChange::Give(Order::Drain) => of_run(
            "UPDATE orders SET number = number + 1, draining = true, paused = false WHERE run = $1 RETURNING number",
            run,
        ),
        OrderChange::Give(Order::Rate(rate)) => {
            let sql = "UPDATE orders SET number = number + 1, rate_per_s = $2 WHERE run = $1 RETURNING number";
            of_run(sql, run).with(rate)
        }
        OrderChange::Followed(number) => {
            let sql = "UPDATE orders SET seen = $2 WHERE run = $1 RETURNING number";
            of_run(sql, run).with(number.cast_signed())
        }
        OrderChange::Clear => of_run(
            "UPDATE orders SET seen = number, paused = false, draining = false, rate_per_s = NULL WHERE run = $1 \
             RETURNING number",
            run,
        ),
    };
    let number: i64 = process.row(ask, |row| row.required(0))?;
    Ok(number.cast_unsigned())
}

/// Stops the run in all processes, where it is in progress; refused where this session may say nothing any more.
pub(super) fn stop_all(
    process: &Process,
    (run, session): (&str, Option<i32>),
    reason: StopReason,
    why: &str,
) -> Result<(), LedgerError> {
    let stop = of_run("SELECT stop_all($1, $2, $3, $4)", run);
    let stop = stop
        .with(session)
        .with(reason.as_str())
        .with(kept(why).into_owned());
    let refused = process.row(stop, |row| Ok(row.word(0)?.to_owned()))?;
    if refused.is_empty() {
        return Ok(());
    }
    Err(LedgerError::TakenOver {
        at: process.place().to_owned(),
        run: run.to_owned(),
        why: refused,
    })
}

/// A question about a run, which is its first value.
fn of_run(sql: &'static str, run: &str) -> Statement {
    Statement::repeatable(sql).with(run.to_owned())
}
