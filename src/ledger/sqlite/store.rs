//! Answers questions about the record of a run in an SQLite file.

use super::commit;
use super::orders;
use super::page_check::PageCheck;
use super::put::put;
use super::questions::{START, condition, from, writes};
use super::rows::failed;
use super::run_lock::RunLock;
use super::schema;
use super::unlooked;
use super::writes_by_number;
use crate::domain::{CustomerId, Line, Outcome, Shard};
use crate::ledger::columns::{Fault, Row, Value};
use crate::ledger::commit::Commit;
use crate::ledger::mutex::lock;
use crate::ledger::store::{
    EachMoved, Fact, Facts, LinesOf, OrderChange, Put, Store, Wanted, WritesOf,
};
use crate::ledger::write_columns::{self, WriteSketch};
use crate::ledger::{
    BriefOutcome, Calls, Counted, DriftedLine, ExclusiveLock, Header, LedgerError, LineSet, Orders,
    PastSession, RecordPlace, RemovedFile, Session, StopReason, Unlooked, WriteId, WriteRecord,
    drift, header_columns, outcome_columns, remains, shard,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Params, params_from_iter};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

/// The record of one run. Readers may open it while a run is under way.
#[derive(Debug)]
pub(super) struct SqliteStore {
    /// More connections, for threads that read at the same time. They are closed first: closing `connection` may move the
    /// log into the file.
    readers: Mutex<Vec<Connection>>,
    connection: Mutex<Connection>,
    path: PathBuf,
    /// A check that is under way.
    check: Mutex<Option<PageCheck>>,
}

impl SqliteStore {
    pub(super) fn of(connection: Connection, path: PathBuf) -> Self {
        Self {
            readers: Mutex::default(),
            connection: Mutex::new(connection),
            path,
            check: Mutex::default(),
        }
    }

    /// Takes over a check that was begun.
    pub(super) fn under(self, check: Option<PageCheck>) -> Self {
        let check = Mutex::new(check);
        Self { check, ..self }
    }

    /// Declares that the ledger was checked: closing it may move the log into the file from now on.
    pub(super) fn trust(&self) -> Result<(), LedgerError> {
        schema::trust(&self.lock(), &self.path)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // SQLite rolls back by itself a transaction that a panic left open.
        lock(&self.connection)
    }

    /// Reads with a connection that no other thread is using.
    fn on_a_free_connection<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        if let Ok(free) = self.connection.try_lock() {
            return read(&free);
        }
        let reader = lock(&self.readers).pop();
        let reader = reader.map_or_else(|| schema::connect(&self.path), Ok)?;
        let found = read(&reader);
        lock(&self.readers).push(reader);
        found
    }

    fn run_lock(&self) -> PathBuf {
        self.path.with_file_name("run.lock")
    }

    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        ask(&self.lock()).map_err(|source| failed(&self.path, source))
    }

    /// Calls `each` for the rows of an answer.
    pub(super) fn each(
        &self,
        sql: &str,
        values: impl Params,
        mut each: impl FnMut(&rusqlite::Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), LedgerError> {
        let failed = |source| failed(&self.path, source);
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(values).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(row).map_err(|fault| fault.name(&self.path))?;
        }
        Ok(())
    }

    /// All rows of an answer.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut all = Vec::new();
        self.each(sql, values, |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// The only row of an answer.
    fn one<T>(
        &self,
        sql: &str,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        let first = self.all(sql, (), read)?.pop();
        first.ok_or_else(|| failed(&self.path, Error::QueryReturnedNoRows))
    }
}

impl Store for SqliteStore {
    fn place(&self) -> RecordPlace {
        RecordPlace::from(&self.path)
    }

    fn checked(&self) -> Result<(), LedgerError> {
        let mut check = lock(&self.check);
        if let Some(under_way) = check.as_mut() {
            under_way.wait(&self.path)?;
            *check = None;
            self.trust()?;
        }
        Ok(())
    }

    fn header(&self) -> Result<Header, LedgerError> {
        let sql = format!("SELECT {} FROM run", header_columns::COLUMNS);
        let header = self.all(&sql, (), |row| header_columns::read(row))?.pop();
        header.ok_or_else(|| {
            LedgerError::damaged(&self.path, "it has no header: the run was never begun")
        })
    }

    fn shard(&self) -> Result<Option<(Shard, LineSet)>, LedgerError> {
        let sql = "SELECT shard, lines, checksum FROM shard";
        let shard = self.all(sql, (), |row| {
            let lines = row.get_ref(1)?.as_blob().map_err(Error::from)?;
            shard::read(row.word(0)?, lines, row.required(2)?)
        })?;
        Ok(shard.into_iter().next())
    }

    fn facts(&self, which: &[Fact]) -> Result<Facts, LedgerError> {
        let names: Vec<&str> = which.iter().map(|Fact(name)| *name).collect();
        let sql = format!("SELECT {} FROM progress", names.join(", "));
        self.one(&sql, |row| {
            let text = |at| {
                Ok(match row.get_ref(at)? {
                    ValueRef::Integer(number) => Some(number.to_string()),
                    other => other
                        .as_str_or_null()
                        .map_err(Error::from)?
                        .map(str::to_owned),
                })
            };
            let texts: Result<_, Fault> = (0..names.len()).map(text).collect();
            Ok(Facts(texts?))
        })
    }

    fn put(&self, all: Vec<Put<'_>>) -> Result<(), LedgerError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            all.into_iter().try_for_each(|one| put(&transaction, one))?;
            transaction.commit()
        })
    }

    fn sessions(&self) -> Result<Vec<PastSession>, LedgerError> {
        let sql = "SELECT started_at_ms, pid, host, epoch, writing, find, read, write, retried, throttled, \
                   limit_per_s, active_ms FROM sessions ORDER BY session";
        self.all(sql, (), |row| {
            let number = |at| row.required::<i64>(at).map(i64::cast_unsigned);
            Ok(PastSession {
                started_at_ms: row.required(0)?,
                pid: row.required(1)?,
                host: row.word(2)?.to_owned(),
                epoch: number(3)?,
                writing: row.get(4)?,
                calls: Calls {
                    find: number(5)?,
                    read: number(6)?,
                    write: number(7)?,
                    retried: number(8)?,
                    throttled: number(9)?,
                    limit_per_s: row.get(10)?,
                    active_ms: number(11)?,
                },
                is_whole: true,
            })
        })
    }

    fn commits(&self) -> Result<i64, LedgerError> {
        self.one("SELECT commits FROM seal", |row| row.required(0))
    }

    fn lines(&self, which: LinesOf) -> Result<LineSet, LedgerError> {
        let sql = match which {
            LinesOf::Done => {
                "SELECT line FROM outcomes WHERE status IN ('changed', 'unchanged', 'failed') OR reason = 'suppressed'"
            }
            LinesOf::Recorded => "SELECT line FROM outcomes",
            LinesOf::Planned => "SELECT line FROM outcomes WHERE status = 'would_change'",
            LinesOf::StillPlanned => {
                "SELECT line FROM outcomes WHERE status IN ('would_change', 'in_doubt')"
            }
            LinesOf::UnitsWithWrites => "SELECT unit FROM writes",
        };
        let mut lines = LineSet::default();
        self.each(sql, (), |row| {
            lines.insert(row.required(0)?);
            Ok(())
        })?;
        Ok(lines)
    }

    fn counts(&self) -> Result<Vec<Counted>, LedgerError> {
        let closed = self.closed_counts()?;
        if closed.is_empty() {
            return self.count_outcomes();
        }
        Ok(closed)
    }

    fn outcomes(
        &self,
        only: &[&str],
        lines: RangeInclusive<Line>,
        most: u32,
    ) -> Result<Vec<Outcome>, LedgerError> {
        let columns = outcome_columns::COLUMNS;
        let only = match only {
            [] => String::new(),
            names => format!("AND status IN ('{}')", names.join("', '")),
        };
        // The limit is no parameter: a parameter there makes SQLite plan the query anew for each call.
        let sql = format!(
            "SELECT {columns} FROM outcomes WHERE line BETWEEN ?1 AND ?2 {only} ORDER BY line LIMIT {most}"
        );
        let values = [lines.start(), lines.end()];
        self.all(&sql, values, |row| outcome_columns::read(row))
    }

    fn each_brief_outcome(
        &self,
        each: &mut dyn FnMut(BriefOutcome<'_>),
    ) -> Result<(), LedgerError> {
        let sql = "SELECT status, reason, customer_id, account_id_before IS NOT account_id_after \
                   FROM outcomes ORDER BY line";
        self.each(sql, (), |row| {
            each(BriefOutcome {
                status: outcome_columns::status(row.word(0)?, row.word(1)?)?,
                customer: row.text(2)?,
                renamed: row.get(3)?,
            });
            Ok(())
        })
    }

    fn unlooked(
        &self,
        lines: RangeInclusive<Line>,
    ) -> Result<Option<(Unlooked, Line)>, LedgerError> {
        unlooked::next(&self.lock(), &self.path, lines.into_inner())
    }

    fn writes(
        &self,
        which: WritesOf,
        after: WriteId,
        most: u32,
    ) -> Result<Vec<WriteRecord>, LedgerError> {
        let (condition, line) = condition(which);
        let sql = writes(&write_columns::all(), condition);
        let sql = format!("{sql} LIMIT {most}");
        self.all(&sql, from(after, line), |row| write_columns::read(row))
    }

    fn numbered(&self, numbers: &[u32]) -> Result<Vec<WriteRecord>, LedgerError> {
        self.on_a_free_connection(|connection| {
            writes_by_number::read(connection, &self.path, numbers)
        })
    }

    fn each_write(
        &self,
        which: WritesOf,
        each: &mut dyn FnMut(WriteSketch<'_>) -> Result<(), Fault>,
    ) -> Result<(), LedgerError> {
        let (condition, line) = condition(which);
        let sql = writes(write_columns::SKETCH, condition);
        self.each(&sql, from(START, line), |row| {
            each(write_columns::sketch(row)?)
        })
    }

    fn each_account_moved(&self, each: EachMoved<'_>) -> Result<(), LedgerError> {
        let sql = "SELECT account_id_before, account_id_after, reseller FROM writes \
                   WHERE kind <> 'location' AND verdict IS NOT 'not_applied'";
        self.each(sql, (), |row| {
            each(row.text(0)?, row.text(1)?, row.text(2)?);
            Ok(())
        })
    }

    fn customer(&self, which: WritesOf) -> Result<Option<(String, Option<String>)>, LedgerError> {
        let (condition, line) = condition(which);
        let sql = writes("customer_id, reseller", condition);
        let sql = format!("{sql} LIMIT 1");
        let first = self.all(&sql, from(START, line), |row| {
            Ok((row.word(0)?.to_owned(), row.text(1)?.map(str::to_owned)))
        })?;
        Ok(first.into_iter().next())
    }

    fn writes_of_units(&self, wanted: Wanted<'_>) -> Result<Vec<(Line, u32)>, LedgerError> {
        writes_by_number::of_units(&self.lock(), &self.path, wanted)
    }

    fn drift(&self, from: Line, most: u32) -> Result<Vec<DriftedLine>, LedgerError> {
        let columns = drift::COLUMNS;
        let sql =
            format!("SELECT {columns} FROM drift WHERE line >= ?1 ORDER BY line LIMIT {most}");
        self.all(&sql, [from], |row| drift::read(row))
    }

    fn customers_of_wish(&self, wish: u64) -> Result<Vec<CustomerId>, LedgerError> {
        let sql = "SELECT customer_id, checksum FROM wishes WHERE wish = ?1";
        self.all(sql, [wish.cast_signed()], |row| {
            remains::read_wish(wish, row.word(0)?, row.required(1)?)
        })
    }

    fn wishes(
        &self,
        after: Option<&(u64, CustomerId)>,
        most: u32,
    ) -> Result<Vec<(u64, CustomerId)>, LedgerError> {
        let (wish, customer) = remains::after(after);
        let sql = format!(
            "SELECT wish, customer_id, checksum FROM wishes WHERE (wish, customer_id) > (?1, ?2) \
             ORDER BY wish, customer_id LIMIT {most}"
        );
        let after = [Value::Number(wish), Value::Text(customer)];
        self.all(&sql, params_from_iter(after), |row| {
            remains::read_wishes(row)
        })
    }

    fn replaced(&self) -> Result<Vec<u64>, LedgerError> {
        let sql = "SELECT digest FROM replaced";
        self.all(sql, (), |row| Ok(row.required::<i64>(0)?.cast_unsigned()))
    }

    fn removed_files(&self) -> Result<Vec<RemovedFile>, LedgerError> {
        let sql = "SELECT name, sha256, bytes FROM removed ORDER BY name";
        self.all(sql, (), |row| {
            Ok(RemovedFile {
                name: row.word(0)?.to_owned(),
                sha256: row.word(1)?.to_owned(),
                bytes: row.required::<i64>(2)?.cast_unsigned(),
            })
        })
    }

    fn orders(&self) -> Result<Orders, LedgerError> {
        self.one(orders::SELECT, orders::read)
    }

    fn change_orders(&self, change: OrderChange) -> Result<u64, LedgerError> {
        self.with(|connection| orders::change(connection, change))
    }

    fn follow_orders(&self, number: u64) -> Result<(), LedgerError> {
        let sql = "UPDATE orders SET seen = ?1";
        self.with(|connection| connection.execute(sql, [number.cast_signed()]).map(drop))
    }

    fn followed_orders(&self) -> Result<u64, LedgerError> {
        let sql = "SELECT seen FROM orders";
        self.one(sql, |row| Ok(row.required::<i64>(0)?.cast_unsigned()))
    }

    fn stop_all(&self, reason: StopReason, why: &str) -> Result<(), LedgerError> {
        self.with(|connection| orders::stop(connection, reason.as_str(), why))
    }

    fn is_live(&self) -> bool {
        RunLock::is_held(&self.run_lock())
    }

    fn refuse_if_live(&self) -> Result<(), LedgerError> {
        RunLock::refuse_if_held(&self.run_lock())
    }

    fn hold(&self) -> Result<ExclusiveLock, LedgerError> {
        let run = self.header()?.run;
        Ok(ExclusiveLock::of(RunLock::acquire(&self.run_lock(), &run)?))
    }

    fn join(&self, session: Session) -> Result<Box<dyn Commit>, LedgerError> {
        self.checked()?;
        let run = self.header()?.run;
        Ok(Box::new(commit::join(&run, &self.path, session)?))
    }

    /// While SQLite rebuilds the file, it needs as much space again: an unnamed file in the run's private folder.
    fn compact(&self) -> Result<(), LedgerError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        self.with(|connection| schema::shrink(connection, folder))
    }

    fn snapshot(&self, to: &Path) -> Result<(), LedgerError> {
        let to = to.to_string_lossy();
        self.with(|connection| connection.execute("VACUUM INTO ?1", [to]).map(drop))
    }
}
