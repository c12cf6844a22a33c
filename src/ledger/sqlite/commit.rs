//! Commits the groups of one session to a ledger's file.

use super::rows::{self, failed};
use super::run_lock::RunLock;
use super::schema;
use super::seal::Seal;
use super::unlooked;
use crate::ledger::commit::{Commit, Entry, Item};
use crate::ledger::{
    Calls, Lease, LedgerError, Noted, Session, WriteId, checksum, holder, outcome_columns,
    write_columns,
};
use rusqlite::{CachedStatement, Connection, params, params_from_iter};
use std::iter;
use std::path::{Path, PathBuf};

/// A session: this process works on the run, and no other.
pub(super) struct SqliteCommit {
    connection: Connection,
    path: PathBuf,
    file: Option<Identity>,
    seal: Seal,
    session: i64,
    commits: i64,
    sql: Sql,
    _lock: RunLock,
}

/// Device and inode number of a file: a rename keeps them, and another file in its place has others.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Takes the run's lock and begins a session.
pub(super) fn join(run: &str, path: &Path, session: Session) -> Result<SqliteCommit, LedgerError> {
    let lock = RunLock::acquire(&path.with_file_name("run.lock"), run)?;
    let connection = schema::connect(path)?;
    schema::trust(&connection, path)?;
    let begin = || {
        connection.execute(
            "INSERT INTO sessions (started_at_ms, pid, host, epoch, writing) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                jiff::Timestamp::now().as_millisecond(),
                std::process::id(),
                holder::host(),
                session.epoch.cast_signed(),
                session.writing
            ],
        )?;
        let session = connection.last_insert_rowid();
        let commits = connection.query_row("SELECT commits FROM seal", (), |row| row.get(0))?;
        Ok((session, commits))
    };
    let (session, commits) = begin().map_err(|source| failed(path, source))?;
    Ok(SqliteCommit {
        connection,
        path: path.to_owned(),
        file: identity(path),
        seal: Seal::open(path)?,
        session,
        commits,
        sql: Sql::new(),
        _lock: lock,
    })
}

/// The SQL that adds rows.
struct Sql {
    intent: String,
    verdict: String,
    outcome: String,
}

impl Sql {
    fn new() -> Self {
        let verdict = rows::assign(write_columns::VERDICT);
        Self {
            intent: rows::insert("INSERT", "writes", write_columns::NOTED),
            verdict: format!("UPDATE writes SET {verdict} WHERE write_id = ?"),
            outcome: rows::insert("INSERT OR REPLACE", "outcomes", outcome_columns::COLUMNS),
        }
    }
}

/// The statements of nearly every group. Rare ones are prepared where they are used.
struct Statements<'c> {
    connection: &'c Connection,
    intent: CachedStatement<'c>,
    verdict: CachedStatement<'c>,
    outcome: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection, sql: &Sql) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            intent: connection.prepare_cached(&sql.intent)?,
            verdict: connection.prepare_cached(&sql.verdict)?,
            outcome: connection.prepare_cached(&sql.outcome)?,
        })
    }

    /// Records one entry; returns the number of an intent.
    fn put(&mut self, entry: &Entry, session: i64) -> rusqlite::Result<Option<WriteId>> {
        match entry {
            Entry::Intend(intent) => {
                let values = write_columns::noted_values(intent);
                let sum = checksum::of(&values).into();
                let values = values.iter().chain(iter::once(&sum));
                let number = self.intent.insert(params_from_iter(values))?;
                return Ok(Some(WriteId(number)));
            }
            Entry::Verdict(WriteId(number), verdict) => {
                let number = (*number).into();
                let values = write_columns::verdict_values(verdict);
                let values = values.iter().chain(iter::once(&number));
                self.verdict.execute(params_from_iter(values))?;
            }
            Entry::Outcomes(outcomes) => {
                for outcome in outcomes {
                    rows::insert_summed(&mut self.outcome, &outcome_columns::values(outcome))?;
                }
            }
            Entry::Reopen(lines, instead) => {
                let sql = "DELETE FROM outcomes WHERE line = ?1 AND status = 'failed'";
                let mut reopen = self.connection.prepare_cached(sql)?;
                for line in lines {
                    let reopened = reopen.execute([line])? > 0;
                    for outcome in instead.iter().filter(|one| reopened && one.line == *line) {
                        rows::insert_summed(&mut self.outcome, &outcome_columns::values(outcome))?;
                    }
                }
            }
            Entry::Unlooked(lines) => {
                let mut insert = self.connection.prepare_cached(unlooked::INSERT)?;
                unlooked::insert(&mut insert, lines)?;
            }
            Entry::Calls(calls) => self.note_calls(session, calls)?,
        }
        Ok(None)
    }

    fn note_calls(&self, session: i64, calls: &Calls) -> rusqlite::Result<()> {
        let numbers = [
            calls.find,
            calls.read,
            calls.write,
            calls.retried,
            calls.throttled,
        ];
        let [find, read, write, retried, throttled] = numbers.map(u64::cast_signed);
        let (limit, active_ms) = (calls.limit_per_s, calls.active_ms.cast_signed());
        let values = params![
            session, find, read, write, retried, throttled, limit, active_ms
        ];
        let sql = "UPDATE sessions SET find = ?2, read = ?3, write = ?4, retried = ?5, throttled = ?6, limit_per_s = ?7, \
                   active_ms = ?8 WHERE session = ?1";
        self.connection
            .prepare_cached(sql)?
            .execute(values)
            .map(drop)
    }
}

impl SqliteCommit {
    /// Fails if the file is not in its place any more. A removed file can still be written, but no process can open it
    /// later: no write may depend on such a record.
    fn is_in_its_place(&self) -> Result<(), LedgerError> {
        if identity(&self.path) == self.file {
            return Ok(());
        }
        Err(LedgerError::Gone {
            path: self.path.clone(),
        })
    }

    /// Writes one group in one transaction; returns the numbers of its intents, in order. No other process can have the run.
    fn write(&self, group: &[Item]) -> rusqlite::Result<Vec<Noted>> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let mut statements = Statements::prepare(connection, &self.sql)?;
        let mut noted = Vec::new();
        for Item { entry, .. } in group {
            let number = statements.put(entry, self.session)?;
            noted.extend(number.map(|number| Noted::Granted(number, Lease::default())));
        }
        connection
            .prepare_cached("UPDATE seal SET commits = ?1")?
            .execute([self.commits + 1])?;
        connection.prepare_cached("COMMIT")?.execute(())?;
        Ok(noted)
    }
}

impl Commit for SqliteCommit {
    fn commit(&mut self, group: &[Item]) -> Result<Vec<Noted>, LedgerError> {
        let committed = self
            .write(group)
            .map_err(|source| failed(&self.path, source))
            .and_then(|noted| self.is_in_its_place().map(|()| noted));
        if committed.is_ok() {
            self.commits += 1;
            self.seal.note(self.commits);
        } else {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        committed
    }
}
