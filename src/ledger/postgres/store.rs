//! Answers questions about the record of a run in PostgreSQL.

use super::chunks::{self, PgChunks};
use super::commit;
use super::orders;
use super::overviews::{RunOverview, session};
use super::process_lease::Process;
use super::put::put;
use super::questions;
use super::rows::PgRow;
use super::statement::Statement;
use crate::domain::{CustomerId, Line, Outcome, Shard};
use crate::ledger::columns::{Fault, Row};
use crate::ledger::commit::Commit;
use crate::ledger::coordinator::Coordinator;
use crate::ledger::store::{Fact, Facts, LinesOf, OrderChange, Put, Store, WritesOf};
use crate::ledger::unlooked::{PackedLines, STATUS};
use crate::ledger::write_columns::{self, WriteSketch};
use crate::ledger::{
    AtWork, Counted, DriftedLine, ExclusiveLock, Header, LedgerError, LineSet, Orders, PastSession,
    RecordPlace, RemovedFile, Session, StopReason, Unlooked, WriteId, WriteRecord, drift,
    header_columns, outcome_columns, remains, shard,
};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum number of lines in a page of ranges.
const LINES: i64 = 20_000;
/// Maximum number of writes in a page.
const WRITES: u32 = 2_000;

/// The record of one run.
#[derive(Debug)]
pub(super) struct PgStore {
    process: Arc<Process>,
    run: String,
    /// The last session of this process. Once another process has begun a later one, what this process records is refused.
    session: Mutex<Option<i32>>,
    changes: AtomicI64,
    /// What a list has just read of the run.
    overview: Option<RunOverview>,
}

impl PgStore {
    pub(super) fn of(process: &Arc<Process>, run: &str) -> Self {
        Self {
            process: Arc::clone(process),
            run: run.to_owned(),
            session: Mutex::default(),
            changes: AtomicI64::new(0),
            overview: None,
        }
    }

    /// The same, with what a list has just read of the run.
    pub(super) fn with(self, overview: Option<RunOverview>) -> Self {
        Self { overview, ..self }
    }

    /// Whether the run has begun.
    pub(super) fn exists(&self) -> Result<bool, LedgerError> {
        let ask = self.about("SELECT true FROM run WHERE run = $1");
        Ok(!self.process.rows(ask, |_| Ok(()))?.is_empty())
    }

    fn overview(&self) -> Option<&RunOverview> {
        self.overview
            .as_ref()
            .filter(|overview| overview.is_fresh())
    }

    /// Makes a question about the run; the run is its first value.
    fn about(&self, sql: &'static str) -> Statement {
        Statement::repeatable(sql).with(self.run.clone())
    }

    fn session(&self) -> Option<i32> {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold_name(&self) -> String {
        format!("run {}", self.run)
    }

    /// Reads a page of writes.
    fn page<T>(
        &self,
        sql: &'static str,
        (which, WriteId(after), most): (WritesOf, WriteId, u32),
        read: impl Fn(&PgRow<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, LedgerError> {
        let (kind, line) = questions::kind(which);
        let ask = self.about(sql).with(after).with(kind).with(line);
        self.process.rows(ask.with(i64::from(most)), read)
    }

    fn counts_of(&self, ask: Statement) -> Result<Vec<Counted>, LedgerError> {
        self.process.rows(ask, |row| {
            Ok(Counted {
                status: outcome_columns::status(row.word(0)?, row.word(1)?)?,
                lines: row.required::<i64>(2)?.cast_unsigned(),
                first_line: row.required(3)?,
            })
        })
    }
}

impl Store for PgStore {
    fn place(&self) -> RecordPlace {
        RecordPlace::Database(self.process.place().to_owned())
    }

    fn header(&self) -> Result<Header, LedgerError> {
        if let Some(overview) = self.overview() {
            return Ok(overview.header.clone());
        }
        let ask = self.about(questions::HEADER.as_str());
        let header = self
            .process
            .rows(ask, |row| header_columns::read(row))?
            .pop();
        header.ok_or_else(|| LedgerError::Missing {
            path: format!("{}, run {}", self.process.place(), self.run).into(),
        })
    }

    fn shard(&self) -> Result<Option<(Shard, LineSet)>, LedgerError> {
        let ask = self.about("SELECT shard, lines, checksum FROM shard WHERE run = $1");
        let shard = self.process.rows(ask, |row| {
            let lines = row.bytes(1)?.unwrap_or_default();
            shard::read(row.word(0)?, lines, row.required(2)?)
        })?;
        Ok(shard.into_iter().next())
    }

    fn facts(&self, which: &[Fact]) -> Result<Facts, LedgerError> {
        if let Some(facts) = self.overview().and_then(|overview| overview.facts(which)) {
            return Ok(facts);
        }
        let names: Vec<&str> = which.iter().map(|Fact(name)| *name).collect();
        let ask = self.about(questions::FACTS).with(names);
        let facts = self
            .process
            .rows(ask, |row| Ok(row.text(1)?.map(str::to_owned)))?;
        if facts.len() == which.len() {
            return Ok(Facts(facts));
        }
        Err(self
            .process
            .damaged(&Fault::from("the state of a run is missing")))
    }

    fn put(&self, all: Vec<Put<'_>>) -> Result<(), LedgerError> {
        let session = self.session();
        put(&self.process, &self.run, (session, &self.changes), all)
    }

    fn sessions(&self) -> Result<Vec<PastSession>, LedgerError> {
        if let Some(overview) = self.overview() {
            return Ok(overview.sessions.clone());
        }
        let ask = self.about(questions::SESSIONS.as_str());
        self.process.rows(ask, session)
    }

    fn at_work(&self) -> Result<Vec<AtWork>, LedgerError> {
        chunks::at_work(&self.process, &self.run)
    }

    fn commits(&self) -> Result<i64, LedgerError> {
        let sql = "SELECT coalesce(sum(commits), 0)::bigint FROM sessions WHERE run = $1";
        self.process.row(self.about(sql), |row| row.required(0))
    }

    fn lines(&self, which: LinesOf) -> Result<LineSet, LedgerError> {
        let mut lines = LineSet::default();
        let mut after = -1;
        loop {
            let ask = self.about(questions::ranges(which)).with(after).with(LINES);
            let ranges: Vec<(Line, Line)> = self
                .process
                .rows(ask, |row| Ok((row.required(0)?, row.required(1)?)))?;
            let found: i64 = ranges
                .iter()
                .map(|(first, last)| i64::from(last - first) + 1)
                .sum();
            after = ranges.last().map_or(after, |(_, last)| i64::from(*last));
            lines.extend(ranges.into_iter().flat_map(|(first, last)| first..=last));
            if found < LINES {
                return Ok(lines);
            }
        }
    }

    fn counts(&self) -> Result<Vec<Counted>, LedgerError> {
        let closed = self.counts_of(self.about(questions::CLOSED))?;
        if !closed.is_empty() {
            return Ok(closed);
        }
        let count = self.about(questions::COUNTED);
        self.counts_of(count.with(STATUS.name()).with(STATUS.reason()))
    }

    fn outcomes(
        &self,
        only: &[&str],
        lines: RangeInclusive<Line>,
        most: u32,
    ) -> Result<Vec<Outcome>, LedgerError> {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        let ask = self
            .about(questions::OUTCOMES.as_str())
            .with(i64::from(*lines.start()))
            .with(i64::from(*lines.end()))
            .with(only)
            .with(i64::from(most));
        self.process.rows(ask, |row| outcome_columns::read(row))
    }

    fn unlooked(
        &self,
        lines: RangeInclusive<Line>,
    ) -> Result<Option<(Unlooked, Line)>, LedgerError> {
        let ask = self
            .about(questions::UNLOOKED)
            .with(i64::from(*lines.start()))
            .with(i64::from(*lines.end()));
        let found = self.process.rows(ask, |row| {
            let last = row.required(0)?;
            let Some(packed) = row.bytes(5)? else {
                return Ok((Unlooked::default(), last));
            };
            let packed = PackedLines {
                last,
                first: row.required(1)?,
                lines: row.required(2)?,
                message: row.word(3)?,
                at_ms: row.required(4)?,
                packed: packed.into(),
            };
            Ok((packed.unpack(row.required(6)?)?, last))
        })?;
        Ok(found.into_iter().next())
    }

    fn writes(
        &self,
        which: WritesOf,
        after: WriteId,
        most: u32,
    ) -> Result<Vec<WriteRecord>, LedgerError> {
        let page = (which, after, most);
        self.page(questions::WRITES.as_str(), page, |row| {
            write_columns::read(row)
        })
    }

    fn numbered(&self, numbers: &[u32]) -> Result<Vec<WriteRecord>, LedgerError> {
        let mut all = Vec::with_capacity(numbers.len());
        for page in numbers.chunks(WRITES as usize) {
            let wanted: Vec<i64> = page.iter().copied().map(i64::from).collect();
            let ask = self
                .about(questions::NUMBERED.as_str())
                .with(wanted.clone());
            let found = self.process.rows(ask, |row| write_columns::read(row))?;
            let mut found: HashMap<i64, WriteRecord> =
                found.into_iter().map(|write| (write.id.0, write)).collect();
            for number in wanted {
                let write = found.get(&number).cloned();
                all.push(
                    write
                        .ok_or_else(|| self.process.damaged(&Fault::from("a write is missing")))?,
                );
            }
            found.clear();
        }
        Ok(all)
    }

    fn each_write(
        &self,
        which: WritesOf,
        each: &mut dyn FnMut(WriteSketch<'_>) -> Result<(), Fault>,
    ) -> Result<(), LedgerError> {
        let each = std::cell::RefCell::new(each);
        let mut after = WriteId(0);
        loop {
            let page = (which, after, WRITES);
            let read = self.page(questions::SKETCHES.as_str(), page, |row| {
                let sketch = write_columns::sketch(row)?;
                let number = sketch.id;
                each.borrow_mut()(sketch)?;
                Ok(number)
            })?;
            match read.last() {
                Some(last) if read.len() == WRITES as usize => after = WriteId((*last).into()),
                _ => return Ok(()),
            }
        }
    }

    fn customer(&self, which: WritesOf) -> Result<Option<(String, Option<String>)>, LedgerError> {
        if let Some(known) = self
            .overview()
            .and_then(|overview| overview.customer(which))
        {
            return Ok(known);
        }
        let page = (which, WriteId(0), 1);
        let first = self.page(questions::CUSTOMER.as_str(), page, |row| {
            Ok((row.word(0)?.to_owned(), row.text(1)?.map(str::to_owned)))
        })?;
        Ok(first.into_iter().next())
    }

    fn drift(&self, from: Line, most: u32) -> Result<Vec<DriftedLine>, LedgerError> {
        let ask = self.about(questions::DRIFT.as_str());
        let ask = ask.with(i64::from(from)).with(i64::from(most));
        self.process.rows(ask, |row| drift::read(row))
    }

    fn customers_of_wish(&self, wish: u64) -> Result<Vec<CustomerId>, LedgerError> {
        let sql = "SELECT customer_id, checksum FROM wishes WHERE run = $1 AND wish = $2";
        self.process
            .rows(self.about(sql).with(wish.cast_signed()), |row| {
                remains::read_wish(wish, row.word(0)?, row.required(1)?)
            })
    }

    fn wishes(
        &self,
        after: Option<&(u64, CustomerId)>,
        most: u32,
    ) -> Result<Vec<(u64, CustomerId)>, LedgerError> {
        let (wish, customer) = remains::after(after);
        // In the order of their bytes, as in every ledger.
        let sql = "SELECT wish, customer_id, checksum FROM wishes WHERE run = $1 AND wish >= $2 \
                   AND (wish > $2 OR customer_id COLLATE \"C\" > $3) ORDER BY wish, customer_id COLLATE \"C\" LIMIT $4";
        let ask = self.about(sql).with(wish).with(customer.to_owned());
        self.process
            .rows(ask.with(i64::from(most)), |row| remains::read_wishes(row))
    }

    fn replaced(&self) -> Result<Vec<u64>, LedgerError> {
        let sql = "SELECT digest FROM replaced WHERE run = $1";
        self.process.rows(self.about(sql), |row| {
            Ok(row.required::<i64>(0)?.cast_unsigned())
        })
    }

    fn removed_files(&self) -> Result<Vec<RemovedFile>, LedgerError> {
        let sql = "SELECT name, sha256, bytes FROM removed WHERE run = $1 ORDER BY name";
        self.process.rows(self.about(sql), |row| {
            Ok(RemovedFile {
                name: row.word(0)?.to_owned(),
                sha256: row.word(1)?.to_owned(),
                bytes: row.required::<i64>(2)?.cast_unsigned(),
            })
        })
    }

    fn orders(&self) -> Result<Orders, LedgerError> {
        orders::read(&self.process, &self.run)
    }

    fn change_orders(&self, change: OrderChange) -> Result<u64, LedgerError> {
        orders::change(&self.process, &self.run, change)
    }

    fn follow_orders(&self, number: u64) -> Result<(), LedgerError> {
        orders::follow(&self.process, &self.run, number)
    }

    fn followed_orders(&self) -> Result<u64, LedgerError> {
        orders::followed(&self.process, &self.run)
    }

    fn stop_all(&self, reason: StopReason, why: &str) -> Result<(), LedgerError> {
        orders::stop_all(&self.process, (&self.run, self.session()), reason, why)
    }

    fn is_live(&self) -> bool {
        // If this cannot be determined, the run counts as not live: a process that works on it gets the error.
        self.process
            .is_held_for(&self.hold_name(), &self.run)
            .unwrap_or(false)
    }

    fn refuse_if_live(&self) -> Result<(), LedgerError> {
        self.process
            .refuse_if_held_for(&self.hold_name(), &self.run)
    }

    fn hold(&self) -> Result<ExclusiveLock, LedgerError> {
        self.process
            .take(vec![self.hold_name()], &self.run)
            .map(ExclusiveLock::of)
    }

    fn join(&self, session: Session) -> Result<Box<dyn Commit>, LedgerError> {
        let hold = self.process.take(vec![self.hold_name()], &self.run)?;
        let (commit, number) = commit::join(&self.process, &self.run, hold, session, None)?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
        Ok(Box::new(commit))
    }

    fn join_others(
        &self,
        session: Session,
        leads: bool,
    ) -> Result<Option<(Box<dyn Commit>, Arc<dyn Coordinator>)>, LedgerError> {
        let names = vec![self.hold_name()];
        let hold = if leads {
            self.process.take(names, &self.run)?
        } else {
            self.process.take_with_others(names, &self.run)?
        };
        let numbers = Arc::default();
        let joined = commit::join(&self.process, &self.run, hold, session, Some(&numbers));
        let (commit, number) = joined?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
        let chunks = PgChunks::of(&self.process, &self.run, number, &numbers)?;
        Ok(Some((Box::new(commit), Arc::new(chunks))))
    }

    /// Removes the copy of the input, too, if the run was pruned. The server frees the space by itself.
    fn compact(&self) -> Result<(), LedgerError> {
        let sql = "DELETE FROM piece x USING progress p WHERE x.run = $1 AND p.run = $1 AND p.pruned_at_ms IS NOT NULL";
        self.process.rows(self.about(sql), |_| Ok(())).map(drop)
    }

    fn snapshot(&self, _to: &Path) -> Result<(), LedgerError> {
        Err(LedgerError::NotThere {
            what: "evidence of a run",
            at: self.process.place().to_owned(),
        })
    }
}
