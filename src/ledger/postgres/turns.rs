//! One pace and one quota for all processes of a target: the next calls, holds after a refusal, and a rate that a person
//! sets. What decides is in the functions of `turns.sql`, in the server's time; here they are asked.

use super::error::PostgresError;
use super::statement::Statement;
use super::thread::Postgres;
use crate::ledger::LedgerError;
use std::time::Duration;
use tokio_postgres::Row;

/// What a process asks for, and what it tells with it.
#[derive(Debug, Clone)]
pub struct CallAsk {
    /// `find` or `write`: calls that share a limit.
    pub lane: &'static str,
    /// The local address of the calls; empty: it is not known.
    pub from: String,
    /// How many calls are to be made now.
    pub wanted: u32,
    /// The first one cannot be made before this time is over.
    pub ahead: Duration,
    /// The calls a second that this process is set to; `None`: no limit.
    pub per_second: Option<f64>,
    /// The gap between two calls at that rate; zero: no limit.
    pub gap: Duration,
    /// The number of orders that this process has heard of; `None`: it has just begun.
    pub orders: Option<i32>,
    /// A call departs at most this much after its time.
    pub late: Duration,
    /// The most calls in any time of this length.
    pub quota: Option<(u32, Duration)>,
    /// Calls that were accepted since it asked last.
    pub answered: u32,
    /// Calls that departed more than a second ago and are not completed.
    pub slow: u32,
    /// Calls that were completed since it asked last, more than a second after they departed.
    pub came_late: u32,
    /// Calls that were granted and not made: the number of the grant, and how many.
    pub unused: Vec<(i64, u32)>,
}

/// What a process gets.
#[derive(Debug, Clone)]
pub struct CallGrant {
    /// The server's time, in microseconds since 1970, while it answered.
    pub now_us: i64,
    /// How many calls, or why none.
    pub many: Result<u32, NoCalls>,
    /// When the first one may depart, in the server's time.
    pub first_us: i64,
    /// The time from one to the next, in microseconds.
    pub step_us: f64,
    /// The number of the grant, where a quota counts.
    pub number: Option<i64>,
    /// The lowest rate that a process is set to, which counts; `None`: no limit.
    pub lowest_per_second: Option<f64>,
    /// The number of orders so far, and the rate of the last one.
    pub ordered: (i32, Option<f64>),
}

/// There are no calls now.
#[derive(Debug, Clone)]
pub struct NoCalls {
    /// For how long.
    pub wait: Duration,
    /// What is waited for.
    pub cause: WhyNone,
    /// In words, where a process has said why.
    pub why: String,
}

/// Why there are no calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNone {
    /// The next one is too far ahead.
    Rate,
    /// The quota of the address is used up.
    Quota,
    /// All calls are held.
    Target,
    /// The address is held.
    Address,
}

const GRANT: &str = "SELECT many, first_us, step_us, now_us, number, wait_us, cause, told, lowest_per_s, ordered, ordered_rate \
    FROM grant_calls($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

impl Postgres {
    /// The next calls of a target, or none before some time.
    pub async fn grant_calls(&self, target: &str, ask: CallAsk) -> Result<CallGrant, LedgerError> {
        let (numbers, counts): (Vec<i64>, Vec<i32>) = ask
            .unused
            .iter()
            .map(|(number, calls)| (*number, count(*calls)))
            .unzip();
        let (quota, window) = ask.quota.unzip();
        // Not repeated: turns would be given back twice.
        let statement = Statement::once(GRANT)
            .with(target.to_owned())
            .with(ask.lane)
            .with(ask.from)
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

    /// The system refuses calls: all processes make none for this time, and more slowly afterwards where `slows`.
    /// `answered`: calls that find and that write, accepted since the last question. Does not wait for an answer.
    pub fn hold_calls(
        &self,
        target: &str,
        wait: Duration,
        slows: bool,
        why: &str,
        answered: [u32; 2],
    ) {
        let [find, write] = answered;
        // A hold that is known is only made longer, so it may be repeated.
        let statement = Statement::repeatable("SELECT hold_target($1, $2, $3, $4, $5, $6)::text")
            .with(target.to_owned())
            .with(micros(wait))
            .with(slows)
            .with(why.to_owned())
            .with(count(find))
            .with(count(write));
        self.tell(statement);
    }

    /// No calls are made from this address for this time, by any process. Does not wait for an answer.
    pub fn hold_calls_from(&self, target: &str, from: &str, wait: Duration, why: &str) {
        let statement = Statement::repeatable("SELECT hold_address($1, $2, $3, $4)::text")
            .with(target.to_owned())
            .with(from.to_owned())
            .with(micros(wait))
            .with(why.to_owned());
        self.tell(statement);
    }

    /// From now on all processes that are at work make calls at this rate, and with this gap. Does not wait for an answer.
    pub fn order_rate(&self, target: &str, per_second: f64, gap: Duration) {
        let statement = Statement::repeatable("SELECT order_rate($1, $2, $3)::text")
            .with(target.to_owned())
            .with(per_second)
            .with(gap.as_secs_f64() * 1e6);
        self.tell(statement);
    }

    /// Calls that were granted and will not be made. Does not wait for an answer.
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

fn read(row: &Row) -> Result<Option<CallGrant>, tokio_postgres::Error> {
    let cause: String = row.try_get(6)?;
    let cause = match cause.as_str() {
        "" => None,
        "rate" => Some(WhyNone::Rate),
        "quota" => Some(WhyNone::Quota),
        "target" => Some(WhyNone::Target),
        "address" => Some(WhyNone::Address),
        _ => return Ok(None),
    };
    let (many, wait): (i32, i64) = (row.try_get(0)?, row.try_get(5)?);
    let many = match (u32::try_from(many), cause) {
        (Ok(many @ 1..), None) => Ok(many),
        (Ok(0), Some(cause)) => Err(NoCalls {
            wait: Duration::from_micros(u64::try_from(wait).unwrap_or(0)),
            cause,
            why: row.try_get(7)?,
        }),
        _ => return Ok(None),
    };
    Ok(Some(CallGrant {
        now_us: row.try_get(3)?,
        many,
        first_us: row.try_get::<_, Option<i64>>(1)?.unwrap_or(0),
        step_us: row.try_get::<_, Option<f64>>(2)?.unwrap_or(0.0),
        number: row.try_get(4)?,
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
