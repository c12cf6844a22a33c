//! The orders of a person to the processes that work on a run, and the stop of all of them.

use super::process_lease::Process;
use super::rows::kept;
use super::statement::Statement;
use crate::ledger::columns::Row;
use crate::ledger::store::OrderChange;
use crate::ledger::{LedgerError, Order, Orders, StopReason};

/// Reads the current orders.
pub(super) fn read(process: &Process, run: &str) -> Result<Orders, LedgerError> {
    let sql = "SELECT number, paused, draining, rate_per_s FROM orders WHERE run = $1";
    process.row(of_run(sql, run), |row| {
        Ok(Orders {
            number: row.required::<i64>(0)?.cast_unsigned(),
            paused: row.truth(1)?,
            draining: row.truth(2)?,
            rate_per_s: row.real(3)?,
        })
    })
}

/// Changes the orders; returns the number of the last one.
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
        // A paused run would never finish, so the pause ends.
        OrderChange::Give(Order::Drain) => of_run(
            "UPDATE orders SET number = number + 1, draining = true, paused = false WHERE run = $1 RETURNING number",
            run,
        ),
        OrderChange::Give(Order::Rate(rate)) => {
            let sql = "UPDATE orders SET number = number + 1, rate_per_s = $2 WHERE run = $1 RETURNING number";
            of_run(sql, run).with(rate)
        }
        OrderChange::GoOn => of_run(
            "WITH stopped AS (UPDATE progress SET stopped_by = NULL, why = '', changes = changes + 1 \
             WHERE run = $1 AND state = 'running' AND stopped_by IS NOT NULL) \
             UPDATE orders SET number = number + draining::int, draining = false WHERE run = $1 RETURNING number",
            run,
        ),
        OrderChange::Clear => of_run(
            "UPDATE orders SET paused = false, draining = false, rate_per_s = NULL WHERE run = $1 \
             RETURNING number",
            run,
        ),
    };
    let number: i64 = process.row(ask, |row| row.required(0))?;
    Ok(number.cast_unsigned())
}

/// Records that this process follows all orders up to this number.
pub(super) fn follow(process: &Process, run: &str, number: u64) -> Result<(), LedgerError> {
    let sql = "UPDATE sessions SET followed = $2 WHERE run = $1 AND process = $3 AND ended IS NULL";
    let follow = of_run(sql, run).with(number.cast_signed());
    process
        .rows(follow.with(process.name().to_owned()), |_| Ok(()))
        .map(drop)
}

/// Returns the number of the last order that all processes at work follow. If none is at work: the highest that one has followed.
pub(super) fn followed(process: &Process, run: &str) -> Result<u64, LedgerError> {
    let sql = "SELECT coalesce(min(s.followed) FILTER (WHERE s.session IN (SELECT * FROM at_work($1, $2))), max(s.followed), 0) \
               FROM sessions s WHERE s.run = $1";
    let ask = of_run(sql, run).with(process.gone_from(run)?);
    let number: i64 = process.row(ask, |row| row.required(0))?;
    Ok(number.cast_unsigned())
}

/// Stops the run in all processes, if it is in progress; fails if another process has taken the run over.
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

/// Makes a question about a run; the run is its first value.
fn of_run(sql: &'static str, run: &str) -> Statement {
    Statement::repeatable(sql).with(run.to_owned())
}
