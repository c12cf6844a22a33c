//! One pace and one quota for all processes of a target: the next calls, holds after a refusal, and a rate that a
//! person sets. The functions of `turns.sql` decide, in the server's time; this file calls them.

use super::error::PostgresError;
use super::process_lease::{HeldTokens, Process};
use super::statement::Statement;
use super::thread::Postgres;
use crate::ledger::LedgerError;
use crate::limits::{GrantedTurns, Lane, NoTurns, TurnsAsk, TurnsGrant, TurnsWait};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;

const GRANT: &str = "SELECT many, first_us, step_us, now_us, number, wait_us, cause, told, lowest_per_s, ordered, ordered_rate \
    FROM grant_calls($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

/// A process that makes calls of a target. Its lease is renewed, so that it counts as there, until this is dropped.
#[derive(Debug)]
pub struct Presence {
    process: Arc<Process>,
    _lease: HeldTokens,
}

impl Presence {
    pub(super) fn of(process: Arc<Process>) -> Result<Self, LedgerError> {
        // Processes of this machine that were killed no longer count, even before their leases are over.
        let gone = process.gone_of(Statement::repeatable(ASKED))?;
        if !gone.is_empty() {
            let forget = Statement::repeatable("DELETE FROM asked WHERE process = ANY ($1)");
            process.rows(forget.with(gone), |_| Ok(()))?;
        }
        // Holding nothing still keeps the lease renewed.
        Ok(Self {
            _lease: process.take(Vec::new(), "")?,
            process,
        })
    }

    /// The name of the process in the ledger.
    pub fn name(&self) -> &str {
        self.process.name()
    }
}

/// The processes that have asked for a rate, as [`Process::gone_of`] reads them.
const ASKED: &str = "SELECT ''::text, q.process, q.host, q.pid, q.machine, 0::bigint, 0::bigint FROM process q \
    WHERE q.process IN (SELECT a.process FROM asked a)";

impl Postgres {
    /// Returns the presence of a separate process.
    #[cfg(test)]
    pub(crate) fn presence(&self) -> Presence {
        Presence::of(Process::of(self.clone(), Duration::from_secs(20))).unwrap()
    }

    /// Grants the next calls of a target, or none before some time. `process`: the process that asks
    /// ([`Presence::name`]); `from`: the address of the calls as all processes name it, empty if it is not known.
    pub async fn grant_calls(
        &self,
        target: &str,
        (process, from): (&str, String),
        ask: TurnsAsk,
    ) -> Result<TurnsGrant, LedgerError> {
        let lane = match ask.lane {
            Lane::Find => "find",
            Lane::Write => "write",
        };
        let (numbers, counts): (Vec<i64>, Vec<i32>) = ask
            .unused
            .iter()
            .map(|(number, calls)| (*number, count(*calls)))
            .unzip();
        let (quota, window) = ask.quota.unzip();
        // Not repeated, because unused turns would be given back twice.
        let statement = Statement::once(GRANT)
            .with(target.to_owned())
            .with(lane)
            .with(from)
            .with(process.to_owned())
            .with(count(ask.wanted))
            .with(micros(ask.ahead))
            .with(ask.per_second)
            .with(ask.gap.as_secs_f64() * 1e6)
            .with(ask.orders)
            .with(micros(ask.late))
            .with(quota.map(count))
            .with(window.map(micros))
            .with(count(ask.answered))
            .with(count(ask.slow))
            .with(count(ask.came_late))
            .with(numbers)
            .with(counts);
        let mut rows = self.ask_from_task(statement, read).await?;
        match rows.pop().flatten() {
            Some(grant) => Ok(grant),
            None => Err(LedgerError::Postgres(PostgresError::Damaged {
                at: self.place().to_owned(),
                why: "grant_calls did not answer as it does in this format".to_owned(),
            })),
        }
    }

    /// Holds the calls of all processes for this time, because the system refuses calls; with `slows`, they are slower
    /// afterwards. `answered`: calls that find and that write, accepted since the last question. Does not wait for an answer.
    pub fn hold_calls(
        &self,
        target: &str,
        wait: Duration,
        slows: bool,
        why: &str,
        answered: [u32; 2],
    ) {
        let [find, write] = answered;
        // May be repeated, because a hold that is known is only made longer.
        let statement = Statement::repeatable("SELECT hold_target($1, $2, $3, $4, $5, $6)::text")
            .with(target.to_owned())
            .with(micros(wait))
            .with(slows)
            .with(why.to_owned())
            .with(count(find))
            .with(count(write));
        self.tell(statement);
    }

    /// Holds the calls of all processes from this address for this time. Does not wait for an answer.
    pub fn hold_calls_from(&self, target: &str, from: &str, wait: Duration, why: &str) {
        let statement = Statement::repeatable("SELECT hold_address($1, $2, $3, $4)::text")
            .with(target.to_owned())
            .with(from.to_owned())
            .with(micros(wait))
            .with(why.to_owned());
        self.tell(statement);
    }

    /// Sets the rate and the gap of all processes that are at work. Does not wait for an answer.
    pub fn order_rate(&self, target: &str, per_second: f64, gap: Duration) {
        let statement = Statement::repeatable("SELECT order_rate($1, $2, $3)::text")
            .with(target.to_owned())
            .with(per_second)
            .with(gap.as_secs_f64() * 1e6);
        self.tell(statement);
    }

    /// Records that a process makes no further calls of a target. Does not wait for an answer.
    pub fn leave_turns(&self, target: &str, process: &str) {
        let statement = Statement::repeatable("SELECT leave_turns($1, $2)::text")
            .with(target.to_owned())
            .with(process.to_owned());
        self.tell(statement);
    }

    /// Gives back calls that were granted and will not be made. Does not wait for an answer.
    pub fn give_calls_back(&self, unused: &[(i64, u32)]) {
        let (numbers, counts): (Vec<i64>, Vec<i32>) = unused
            .iter()
            .map(|(number, calls)| (*number, count(*calls)))
            .unzip();
        let statement = Statement::once("SELECT give_back($1, $2)::text")
            .with(numbers)
            .with(counts);
        self.tell(statement);
    }
}

fn read(row: &Row) -> Result<Option<TurnsGrant>, tokio_postgres::Error> {
    let cause: String = row.try_get(6)?;
    let cause = match cause.as_str() {
        "" => None,
        "rate" => Some(TurnsWait::Rate),
        "quota" => Some(TurnsWait::Quota),
        "target" => Some(TurnsWait::Target),
        "address" => Some(TurnsWait::Address),
        _ => return Ok(None),
    };
    let (many, wait): (i32, i64) = (row.try_get(0)?, row.try_get(5)?);
    let turns = match (u32::try_from(many), cause) {
        (Ok(many @ 1..), None) => Ok(GrantedTurns {
            many,
            first_us: row.try_get::<_, Option<i64>>(1)?.unwrap_or(0),
            step_us: row.try_get::<_, Option<f64>>(2)?.unwrap_or(0.0),
            number: row.try_get(4)?,
        }),
        (Ok(0), Some(cause)) => Err(NoTurns {
            wait: Duration::from_micros(u64::try_from(wait).unwrap_or(0)),
            cause,
            why: row.try_get(7)?,
        }),
        _ => return Ok(None),
    };
    Ok(Some(TurnsGrant {
        now_us: row.try_get(3)?,
        turns,
        lowest_per_second: row.try_get(8)?,
        ordered: (row.try_get(9)?, row.try_get(10)?),
    }))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

fn count(calls: u32) -> i32 {
    i32::try_from(calls).unwrap_or(i32::MAX)
}
