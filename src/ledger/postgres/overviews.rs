//! An overview of each run: what a list of runs shows of it. Two statements read those of all runs: questions for each
//! run would take several round trips per run, in every command.

use super::process_lease::Process;
use super::questions;
use super::rows::PgRow;
use super::statement::Statement;
use crate::ledger::columns::{Fault, Row};
use crate::ledger::store::{Fact, Facts, WritesOf};
use crate::ledger::{Calls, Header, LedgerError, PastSession, header_columns};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an overview may be used after it was read.
const FRESH: Duration = Duration::from_secs(5);
/// Number of columns of the header, with its checksum.
const HEADER: usize = 19;
/// The facts with the address of a system that has moved.
const ADDRESS: [&str; 3] = [Fact::BASE_URL.0, Fact::TARGET.0, Fact::FORMER_TARGETS.0];

/// A customer and its relationship, as they are on record.
type Customer = (String, Option<String>);

/// What was read of one run.
#[derive(Debug, Clone)]
pub(super) struct RunOverview {
    at: Instant,
    pub(super) header: Header,
    address: Vec<Option<String>>,
    pub(super) sessions: Vec<PastSession>,
    /// The customers of the first write, of the first one that took effect, and of the first one of an account ID.
    customers: [Option<Customer>; 3],
}

impl RunOverview {
    pub(super) fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH
    }

    /// Returns these facts, if they were read.
    pub(super) fn facts(&self, which: &[Fact]) -> Option<Facts> {
        let is_address = which.iter().map(|Fact(name)| *name).eq(ADDRESS);
        is_address.then(|| Facts(self.address.clone()))
    }

    /// Returns the customer of the first of these writes, if that was read.
    #[expect(clippy::option_option, reason = "there may be no such write")]
    pub(super) fn customer(&self, which: WritesOf) -> Option<Option<Customer>> {
        let at = match which {
            WritesOf::All => 0,
            WritesOf::Applied => 1,
            WritesOf::Accounts => 2,
            WritesOf::Locations
            | WritesOf::Temporary
            | WritesOf::Altered
            | WritesOf::Unit(_)
            | WritesOf::Line(_) => return None,
        };
        Some(self.customers[at].clone())
    }

    fn read(row: &PgRow<'_>) -> Result<Self, Fault> {
        let text = |at: usize| Ok::<_, Fault>(row.text(at)?.map(str::to_owned));
        let customer = |at| Ok::<_, Fault>(text(at)?.zip(Some(text(at + 1)?)));
        Ok(Self {
            at: Instant::now(),
            header: header_columns::read(row)?,
            address: (HEADER..HEADER + 3).map(text).collect::<Result<_, _>>()?,
            sessions: Vec::new(),
            customers: [
                customer(HEADER + 3)?,
                customer(HEADER + 5)?,
                customer(HEADER + 7)?,
            ],
        })
    }
}

/// Reads all runs, by their IDs. Leaves out a run with damaged data: the damage is reported when the run is opened.
pub(super) fn read(process: &Process) -> Result<HashMap<String, RunOverview>, LedgerError> {
    let ask = Statement::repeatable(questions::OVERVIEWS.as_str());
    let read = process.rows(ask, |row| Ok(RunOverview::read(row).ok()))?;
    let runs = read.into_iter().flatten();
    let mut runs: HashMap<String, RunOverview> = runs
        .map(|overview| (overview.header.run.clone(), overview))
        .collect();
    let ask = Statement::repeatable(questions::ALL_SESSIONS.as_str());
    let sessions = process.rows(ask, |row| Ok((row.word(13)?.to_owned(), session(row)?)))?;
    for (run, session) in sessions {
        if let Some(overview) = runs.get_mut(&run) {
            overview.sessions.push(session);
        }
    }
    Ok(runs)
}

/// Reads a row of [`questions::SESSIONS`].
pub(super) fn session(row: &PgRow<'_>) -> Result<PastSession, Fault> {
    let number = |at| row.required::<i64>(at).map(i64::cast_unsigned);
    Ok(PastSession {
        started_at_ms: row.required(0)?,
        pid: row.required(1)?,
        host: row.word(2)?.to_owned(),
        epoch: number(3)?,
        writing: row.truth(4)?,
        calls: Calls {
            find: number(5)?,
            read: number(6)?,
            write: number(7)?,
            retried: number(8)?,
            throttled: number(9)?,
            active_ms: number(10)?,
            limit_per_s: row.real(11)?,
        },
        is_whole: row.truth(12)?,
    })
}
