//! The file: its making, its opening, its header and its state.

use super::journal::{Journal, JournalThread};
use super::private::{create_private, sync_folder};
use super::{Calls, LedgerError, RunDir};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::PathBuf;
use std::time::Duration;

/// `idsh`: says whose file this is.
const APPLICATION: i64 = 0x6964_7368;
/// The format that this program writes.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE outcome (
  line INTEGER PRIMARY KEY, status TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,
  customer_id TEXT, account_id_before TEXT, account_id_after TEXT, location_id TEXT,
  service_id_before TEXT, service_id_after TEXT, profile_before TEXT, profile_after TEXT,
  http_status INTEGER, attempts INTEGER NOT NULL, correlation_id TEXT,
  finished_at_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE write (
  id INTEGER PRIMARY KEY, unit INTEGER NOT NULL, line INTEGER NOT NULL, attempt INTEGER NOT NULL,
  customer_id TEXT NOT NULL, reseller TEXT, kind TEXT NOT NULL, location_id TEXT,
  account_id_before TEXT, account_id_after TEXT, service_id_before TEXT, service_id_after TEXT,
  profile_before TEXT, profile_after TEXT, correlation_id TEXT NOT NULL,
  intended_at_ms INTEGER NOT NULL, verdict TEXT, http_status INTEGER
) STRICT;
CREATE TABLE calls (
  session INTEGER PRIMARY KEY, find INTEGER NOT NULL, read INTEGER NOT NULL, write INTEGER NOT NULL,
  retried INTEGER NOT NULL, throttled INTEGER NOT NULL, limit_per_s REAL, active_ms INTEGER NOT NULL
) STRICT;
";

/// What a run is about; written once.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Header {
    /// The run's ID.
    pub run: String,
    /// Which command made it.
    pub command: String,
    /// The system's name.
    pub system: String,
    /// Where it is.
    pub base_url: String,
    /// Whose part of it, where there are several.
    pub tenant: String,
    /// System, address and tenant in one text: what the lock is for.
    pub target: String,
    /// The input's name as it was given.
    pub input_name: String,
    /// SHA-256 of the run's copy of it.
    pub input_sha256: String,
    /// How the run is carried out, as JSON; `resume` takes it from here.
    pub settings: String,
    /// The run that this one undoes.
    pub parent: Option<String>,
    /// The program's version.
    pub tool_version: String,
    /// Milliseconds since 1970, UTC.
    pub created_at_ms: i64,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was done yet.
    Created,
    /// Looked up, nothing written.
    Planned,
    /// Under way, or killed.
    Running,
    /// Every line came to its end.
    Finished,
    /// A guard or an outage stopped it.
    Stopped,
    /// The operator stopped it.
    Interrupted,
}

impl State {
    /// The word of the reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Created,
            Self::Planned,
            Self::Running,
            Self::Finished,
            Self::Stopped,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

/// How far a run got.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// The exit code of the last process that worked on it.
    pub exit_code: Option<u8>,
    /// Why it stopped, in words; empty where it did not.
    pub why: String,
    /// Milliseconds since 1970, UTC.
    pub started_at_ms: i64,
    /// Milliseconds since 1970, UTC; `None` while it is under way.
    pub finished_at_ms: Option<i64>,
}

/// The record of one run.
#[derive(Debug)]
pub struct Ledger {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    header: Header,
}

impl Ledger {
    /// Makes the record of a new run.
    pub fn create(dir: &RunDir, header: &Header) -> Result<Self, LedgerError> {
        let path = dir.ledger();
        create_private(&path).map_err(|source| LedgerError::io(&path, "made", source))?;
        let connection = connect(&path)?;
        let ledger = Self {
            connection,
            path,
            header: header.clone(),
        };
        let sql = |source| LedgerError::sqlite(&ledger.path, source);
        let make = format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};\nBEGIN;{SCHEMA}COMMIT;"
        );
        ledger.connection.execute_batch(&make).map_err(sql)?;
        ledger.set("header", &serde_json::to_string(header).unwrap_or_default())?;
        ledger.set_progress(&Progress {
            state: State::Created,
            exit_code: None,
            why: String::new(),
            started_at_ms: header.created_at_ms,
            finished_at_ms: None,
        })?;
        sync_folder(dir.path()).map_err(|source| LedgerError::io(dir.path(), "written", source))?;
        Ok(ledger)
    }

    /// Opens the record of a run, and refuses one that is not whole.
    pub fn open(dir: &RunDir) -> Result<Self, LedgerError> {
        Self::open_checked(dir, true)
    }

    /// Opens the record of a run to look at its header and counts, without checking every page.
    pub fn glance(dir: &RunDir) -> Result<Self, LedgerError> {
        Self::open_checked(dir, false)
    }

    fn open_checked(dir: &RunDir, thorough: bool) -> Result<Self, LedgerError> {
        let path = dir.ledger();
        if !path.exists() {
            return Err(LedgerError::Missing { path });
        }
        let connection = connect(&path)?;
        check_format(&connection, &path)?;
        if thorough {
            check_integrity(&connection, &path)?;
        }
        let text: Option<String> = connection
            .query_row("SELECT value FROM meta WHERE key = 'header'", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|source| LedgerError::sqlite(&path, source))?;
        let damaged = |what: &str| LedgerError::Damaged {
            path: path.clone(),
            what: what.to_owned(),
        };
        let text = text.ok_or_else(|| damaged("it has no header"))?;
        let header: Header =
            serde_json::from_str(&text).map_err(|_| damaged("its header cannot be read"))?;
        if header.run != dir.run().as_str() {
            return Err(LedgerError::OtherRun {
                path,
                found: header.run,
            });
        }
        Ok(Self {
            connection,
            path,
            header,
        })
    }

    /// What the run is about.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How far the run got.
    pub fn progress(&self) -> Result<Progress, LedgerError> {
        let get = |key: &str| self.get(key);
        let state = get("state")?.and_then(|text| State::parse(&text));
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(Progress {
            state: state.ok_or_else(|| LedgerError::Damaged {
                path: self.path.clone(),
                what: "its state cannot be read".to_owned(),
            })?,
            exit_code: get("exit_code")?.and_then(|text| text.parse().ok()),
            why: get("why")?.unwrap_or_default(),
            started_at_ms: number(get("started_at_ms")?).unwrap_or(0),
            finished_at_ms: number(get("finished_at_ms")?),
        })
    }

    /// Notes how far the run got.
    pub fn set_progress(&self, progress: &Progress) -> Result<(), LedgerError> {
        let text = |number: Option<String>| number.unwrap_or_default();
        self.set("state", progress.state.as_str())?;
        self.set(
            "exit_code",
            &text(progress.exit_code.map(|code| code.to_string())),
        )?;
        self.set("why", &progress.why)?;
        self.set("started_at_ms", &progress.started_at_ms.to_string())?;
        self.set(
            "finished_at_ms",
            &text(progress.finished_at_ms.map(|ms| ms.to_string())),
        )
    }

    /// A note of the run that is not part of its header.
    pub fn get(&self, key: &str) -> Result<Option<String>, LedgerError> {
        self.connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|source| LedgerError::sqlite(&self.path, source))
    }

    /// Keeps a note.
    pub fn set(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.connection
            .execute(sql, params![key, value])
            .map(|_| ())
            .map_err(|source| LedgerError::sqlite(&self.path, source))
    }

    /// Starts the thread that commits, and gives the way in.
    pub fn journal(&self) -> Result<(Journal, JournalThread), LedgerError> {
        super::journal::start(connect(&self.path)?, self.path.clone())
    }

    /// The calls of all processes that worked on the run.
    pub fn calls(&self) -> Result<Calls, LedgerError> {
        let sql = "SELECT coalesce(sum(find), 0), coalesce(sum(read), 0), coalesce(sum(write), 0),
            coalesce(sum(retried), 0), coalesce(sum(throttled), 0), coalesce(sum(active_ms), 0),
            (SELECT limit_per_s FROM calls ORDER BY session DESC LIMIT 1) FROM calls";
        self.connection
            .query_row(sql, [], |row| {
                Ok(Calls {
                    find: unsigned(row.get(0)?),
                    read: unsigned(row.get(1)?),
                    write: unsigned(row.get(2)?),
                    retried: unsigned(row.get(3)?),
                    throttled: unsigned(row.get(4)?),
                    active_ms: unsigned(row.get(5)?),
                    limit_per_s: row.get(6)?,
                })
            })
            .map_err(|source| LedgerError::sqlite(&self.path, source))
    }
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn connect(path: &std::path::Path) -> Result<Connection, LedgerError> {
    let sql = |source| LedgerError::sqlite(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sql)?;
    connection
        .busy_timeout(Duration::from_secs(30))
        .map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(32);
    // FULL: a commit that was answered survives a power cut. In WAL mode, NORMAL would not promise that.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;",
        )
        .map_err(sql)?;
    Ok(connection)
}

fn check_format(connection: &Connection, path: &std::path::Path) -> Result<(), LedgerError> {
    let pragma = |name: &str| -> Result<i64, LedgerError> {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|source| LedgerError::sqlite(path, source))
    };
    if pragma("application_id")? != APPLICATION {
        return Err(LedgerError::NotALedger {
            path: path.to_owned(),
            what: "another program's database".to_owned(),
        });
    }
    let found = pragma("user_version")?;
    if found > VERSION {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    Ok(())
}

fn check_integrity(connection: &Connection, path: &std::path::Path) -> Result<(), LedgerError> {
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|source| LedgerError::sqlite(path, source))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(LedgerError::Damaged {
        path: path.to_owned(),
        what: verdict,
    })
}
