//! One run's ledger: made, opened, and asked for its header and state. The queries are in `outcomes`,
//! `writes` and `net_changes`; while a run is under way, the journal writes.

use super::checksum::Checksum;
use super::outcome_row::{self, damaged};
use super::sqlite::commit_counter::CommitCounter;
use super::sqlite::lock::RunLock;
use super::sqlite::schema;
use super::{
    Calls, Header, Journal, JournalThread, LedgerError, LineSet, RunDir, RunKind, Session,
};
use super::{journal, private, shard_row};
use crate::domain::{Outcome, Shard};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The record of one run. Readers may open it while a run is under way.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
    path: PathBuf,
    header: Header,
    former: Vec<String>,
}

impl Ledger {
    /// Makes the ledger of a new run that carries out all lines of its file.
    #[cfg(test)]
    pub fn create(dir: &RunDir, header: &Header) -> Result<Self, LedgerError> {
        Self::create_shard(dir, header, None)
    }

    /// Makes the ledger of a new run; the file has mode 0600 from its creation. `shard`: the lines that the run carries out, if
    /// not all.
    pub fn create_shard(
        dir: &RunDir,
        header: &Header,
        shard: Option<&(Shard, LineSet)>,
    ) -> Result<Self, LedgerError> {
        Self::create_with(dir, |connection| {
            insert_header(connection, header, shard)
                .map_err(|source| LedgerError::sqlite(&dir.ledger(), source))?;
            Ok(header.clone())
        })
    }

    /// The same for a run of which something is known of each line: an undo. `fill` is handed what puts an outcome in, and
    /// returns the header; all of it is recorded, or nothing.
    pub fn create_seeded<E: From<LedgerError>>(
        dir: &RunDir,
        fill: impl FnOnce(&mut dyn FnMut(&Outcome) -> Result<(), LedgerError>) -> Result<Header, E>,
    ) -> Result<Self, E> {
        let path = dir.ledger();
        let failed = |source| LedgerError::sqlite(&path, source);
        Self::create_with(dir, |connection| {
            let mut statement = connection.prepare(outcome_row::INSERT).map_err(failed)?;
            let header =
                fill(&mut |outcome| outcome_row::insert(&mut statement, outcome).map_err(failed))?;
            insert_header(connection, &header, None).map_err(failed)?;
            Ok(header)
        })
    }

    /// `record` works within one transaction: whoever finds a header asks how far the run got.
    fn create_with<E: From<LedgerError>>(
        dir: &RunDir,
        record: impl FnOnce(&Connection) -> Result<Header, E>,
    ) -> Result<Self, E> {
        let path = dir.ledger();
        let file = private::create_private(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => LedgerError::Exists { path: path.clone() },
            _ => LedgerError::io(&path, "created", source),
        })?;
        // Closed before SQLite opens it: closing it later would free SQLite's own locks.
        drop(file);
        let failed = |source| LedgerError::sqlite(&path, source);
        let connection = schema::create(&path)?;
        let transaction = connection.unchecked_transaction().map_err(failed)?;
        let header = record(&transaction)?;
        transaction.commit().map_err(failed)?;
        // Moved out of the log: a run must be recognised even if its log is lost.
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
            .map_err(failed)?;
        CommitCounter::open(&path)?.note(0);
        private::sync_folder(dir.path())
            .map_err(|source| LedgerError::io(dir.path(), "synced", source))?;
        Ok(Self {
            connection: Mutex::new(connection),
            path,
            header,
            former: Vec::new(),
        })
    }

    /// Opens a ledger and looks it through; what is damaged, foreign or newer is refused and left as it is.
    pub fn open(dir: &RunDir) -> Result<Self, LedgerError> {
        Self::open_with(dir, true)
    }

    /// Opens a ledger for a short look at its header, state and counts, without checking every page.
    pub fn open_unchecked(dir: &RunDir) -> Result<Self, LedgerError> {
        Self::open_with(dir, false)
    }

    /// Opens a ledger for a look at its header and state that makes and changes no file in its folder.
    pub fn open_read_only(dir: &RunDir) -> Result<Self, LedgerError> {
        let path = dir.ledger();
        let connection = schema::open_read_only(&path)?;
        let header = read_header(&connection, &path)?;
        Ok(Self {
            connection: Mutex::new(connection),
            path,
            header,
            former: Vec::new(),
        })
    }

    fn open_with(dir: &RunDir, thorough: bool) -> Result<Self, LedgerError> {
        let path = dir.ledger();
        // Read before the ledger: a run under way goes on counting meanwhile.
        let witness = CommitCounter::read(&path);
        let opened = schema::open(&path, thorough)
            .and_then(|connection| Ok((read_header(&connection, &path)?, connection)));
        let (header, connection) = match opened {
            // Sealed only once it was whole.
            Err(LedgerError::Damaged { .. }) if witness.is_none() => {
                return Err(LedgerError::Unbegun { path });
            }
            opened => opened?,
        };
        if header.run != dir.run().as_str() {
            return Err(LedgerError::OtherRun {
                path,
                found: header.run.escape_debug().to_string(),
            });
        }
        let commits: i64 = connection
            .query_row("SELECT commits FROM seal", (), |row| row.get(0))
            .map_err(|source| LedgerError::sqlite(&path, source))?;
        if let Some(lost) = witness
            .map(|witness| witness - commits)
            .filter(|lost| *lost > 0)
        {
            return Err(damaged(
                &path,
                format!("its last {lost} commits are missing (ledger.db-wal was removed or cut)"),
            ));
        }
        schema::trust(&connection, &path)?;
        let mut ledger = Self {
            connection: Mutex::new(connection),
            path,
            header,
            former: Vec::new(),
        };
        ledger.read_address()?;
        Ok(ledger)
    }

    /// Where the system is now, if it has moved since the run began.
    fn read_address(&mut self) -> Result<(), LedgerError> {
        let sql = "SELECT base_url, target, former_targets FROM progress";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (base_url, target, former): (Option<String>, Option<String>, String) =
            self.with(|connection| connection.query_row(sql, (), read))?;
        if let (Some(base_url), Some(target)) = (base_url, target) {
            (self.header.base_url, self.header.target) = (base_url, target);
            self.former = former.lines().map(str::to_owned).collect();
        }
        Ok(())
    }

    /// What the run was asked to do.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Notes that the system is at another address from now on: the run continues there, and `undo` writes there.
    pub fn moved_to(&mut self, base_url: &str, target: &str) -> Result<(), LedgerError> {
        self.former.push(self.header.target.clone());
        let sql = "UPDATE progress SET base_url = ?1, target = ?2, former_targets = ?3";
        let former = self.former.join("\n");
        self.with(|connection| connection.execute(sql, [base_url, target, &former]))?;
        base_url.clone_into(&mut self.header.base_url);
        target.clone_into(&mut self.header.target);
        Ok(())
    }

    /// The target of the run, and those before its system moved.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let former = self.former.iter().map(String::as_str);
        former.chain([self.header.target.as_str()])
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a living process is writing to it.
    pub fn is_live(&self) -> bool {
        RunLock::is_held(&self.path.with_file_name("run.lock"))
    }

    /// Refuses where a living process is writing to it, and names that process.
    pub fn refuse_if_live(&self) -> Result<(), LedgerError> {
        RunLock::acquire(&self.path.with_file_name("run.lock"), &self.header.run).map(drop)
    }

    /// Opens the journal: takes the run's lock, begins a session and starts the thread that commits.
    pub fn journal(&self, session: Session) -> Result<(Journal, JournalThread), LedgerError> {
        journal::start(&self.header.run, &self.path, session)
    }

    /// The first and the last epoch at which a process worked on the run that might write; `None`: no process has.
    pub fn writing_epochs(&self) -> Result<Option<(u64, u64)>, LedgerError> {
        let sql = "SELECT min(epoch), max(epoch) FROM sessions WHERE writing";
        self.with(|connection| {
            connection.query_row(sql, (), |row| {
                let number = |at| row.get::<_, Option<i64>>(at);
                let both = number(0)?.zip(number(1)?);
                Ok(both.map(|(first, last)| (first.cast_unsigned(), last.cast_unsigned())))
            })
        })
    }

    /// When the last session that might write began, in milliseconds since 1970, by the clock of that time.
    pub fn last_session_at_ms(&self) -> Result<Option<i64>, LedgerError> {
        let sql = "SELECT started_at_ms FROM sessions WHERE writing ORDER BY session DESC LIMIT 1";
        self.with(|connection| connection.query_row(sql, (), |row| row.get(0)).optional())
    }

    /// Puts outcomes in before the run begins, all or none: what a plan found, or what must still be there
    /// for an undo.
    pub fn seed(&mut self, outcomes: impl IntoIterator<Item = Outcome>) -> Result<(), LedgerError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached(outcome_row::INSERT)?;
            for outcome in outcomes {
                outcome_row::insert(&mut statement, &outcome)?;
            }
            drop(statement);
            transaction.commit()
        })
    }

    /// When the first session that might write began, in milliseconds since 1970; `None`: there was none.
    pub fn first_writer_at_ms(&self) -> Result<Option<i64>, LedgerError> {
        let sql = "SELECT min(started_at_ms) FROM sessions WHERE writing";
        self.with(|connection| connection.query_row(sql, (), |row| row.get(0)))
    }

    /// The calls of all sessions together; the limit is the last session's.
    pub fn calls(&self) -> Result<Calls, LedgerError> {
        self.calls_of("TRUE")
    }

    /// The calls of the sessions that might write: those of a plan are not among them.
    pub fn writers_calls(&self) -> Result<Calls, LedgerError> {
        self.calls_of("writing")
    }

    fn calls_of(&self, which: &str) -> Result<Calls, LedgerError> {
        let sql = format!(
            "SELECT find, read, write, retried, throttled, limit_per_s, active_ms \
             FROM sessions WHERE {which} ORDER BY session"
        );
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(())?;
            let mut all = Calls::default();
            while let Some(row) = rows.next()? {
                let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
                all.find += number(0)?;
                all.read += number(1)?;
                all.write += number(2)?;
                all.retried += number(3)?;
                all.throttled += number(4)?;
                all.limit_per_s = row.get(5)?;
                all.active_ms += number(6)?;
            }
            Ok(all)
        })
    }

    /// How many gaps there were between calls, and how many milliseconds they took together: in each session there
    /// is one gap less than there are calls, and between sessions there is none. Only sessions under the present limit
    /// tell how it was kept.
    pub fn pace(&self) -> Result<(u64, u64), LedgerError> {
        // The time is noted in whole milliseconds, and the last one had begun.
        let sql = "SELECT COALESCE(SUM(find + read + write - 1), 0), COALESCE(SUM(active_ms + 1), 0) FROM sessions \
                   WHERE find + read + write > 1 AND limit_per_s IS \
                   (SELECT limit_per_s FROM sessions ORDER BY session DESC LIMIT 1)";
        self.with(|connection| {
            connection.query_row(sql, (), |row| {
                let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
                Ok((number(0)?, number(1)?))
            })
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // SQLite rolls back by itself what a panic left open.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn with<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        ask(&self.lock()).map_err(|source| LedgerError::sqlite(&self.path, source))
    }
}

/// The columns of the table `run`, with the checksum last.
const HEADER: &str = "run, kind, system, base_url, tenant, target, input_name, input_sha256, origins, settings, user, \
                      host, zone, tool_version, parent, lines, created_at_ms, epoch, checksum";

fn checksum(header: &Header) -> i64 {
    let texts = [
        &header.run,
        header.kind.as_str(),
        &header.system,
        &header.base_url,
        &header.tenant,
        &header.target,
        &header.input_name,
        &header.input_sha256,
        &header.origins.join("\n"),
        &header.settings,
        &header.user,
        &header.host,
        &header.zone,
        &header.tool_version,
    ];
    texts
        .into_iter()
        .fold(Checksum::new(), |sum, text| sum.text(Some(text)))
        .text(header.parent.as_deref())
        .number(header.lines.cast_signed())
        .number(header.created_at_ms)
        .number(header.epoch.cast_signed())
        .finish()
}

fn insert_header(
    connection: &Connection,
    header: &Header,
    shard: Option<&(Shard, LineSet)>,
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO run (id, {HEADER}) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
         ?16, ?17, ?18, ?19)"
    );
    let values = params![
        header.run,
        header.kind.as_str(),
        header.system,
        header.base_url,
        header.tenant,
        header.target,
        header.input_name,
        header.input_sha256,
        header.origins.join("\n"),
        header.settings,
        header.user,
        header.host,
        header.zone,
        header.tool_version,
        header.parent,
        header.lines.cast_signed(),
        header.created_at_ms,
        header.epoch.cast_signed(),
        checksum(header),
    ];
    connection.execute(&sql, values)?;
    let progress = "INSERT INTO progress (id, state, phase, started_at_ms) VALUES (1, 'created', 'created', ?1)";
    connection.execute(progress, [header.created_at_ms])?;
    if let Some(shard) = shard {
        shard_row::insert(connection, shard)?;
    }
    Ok(())
}

fn read_header(connection: &Connection, path: &Path) -> Result<Header, LedgerError> {
    let read = |row: &Row<'_>| {
        let kind: String = row.get(1)?;
        let origins: String = row.get(8)?;
        let header = Header {
            run: row.get(0)?,
            kind: RunKind::Plan,
            system: row.get(2)?,
            base_url: row.get(3)?,
            tenant: row.get(4)?,
            target: row.get(5)?,
            input_name: row.get(6)?,
            input_sha256: row.get(7)?,
            origins: origins.lines().map(str::to_owned).collect(),
            settings: row.get(9)?,
            user: row.get(10)?,
            host: row.get(11)?,
            zone: row.get(12)?,
            tool_version: row.get(13)?,
            parent: row.get(14)?,
            lines: row.get::<_, i64>(15)?.cast_unsigned(),
            created_at_ms: row.get(16)?,
            epoch: row.get::<_, i64>(17)?.cast_unsigned(),
        };
        let kind = RunKind::parse(&kind);
        Ok((
            kind.map(|kind| Header { kind, ..header }),
            row.get::<_, i64>(18)?,
        ))
    };
    let (header, stored) =
        match connection.query_row(&format!("SELECT {HEADER} FROM run"), (), read) {
            Ok(row) => row,
            Err(rusqlite::Error::QueryReturnedNoRows) => {
                return Err(damaged(
                    path,
                    "it has no header: the run was never begun".to_owned(),
                ));
            }
            Err(source) => return Err(LedgerError::sqlite(path, source)),
        };
    match header {
        Some(header) if checksum(&header) == stored => Ok(header),
        _ => Err(damaged(
            path,
            "the header of the run was altered".to_owned(),
        )),
    }
}
