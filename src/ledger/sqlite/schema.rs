//! The form of the ledger file, and the checks before one is trusted.
//!
//! Column names are for people: `sqlite3 ledger.db 'SELECT * FROM results'` is a supported way to look.
//! SQLite notices damaged structure, but not a changed letter. So every row that tells what a run was asked, wrote and found
//! has a checksum: those of `run`, `shard`, `writes`, `outcomes`, `unlooked`, `drift` and `wishes`. The other tables have none.

use super::rows::failed;
use crate::ledger::LedgerError;
use crate::regular_file;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// `idsh`: marks the file as ours, for `file` and for [`open`].
const APPLICATION_ID: i64 = 0x6964_7368;
/// The format that this program writes and reads.
const VERSION: i64 = 5;

const DDL: &str = "
CREATE TABLE run (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    run TEXT NOT NULL, kind TEXT NOT NULL, system TEXT NOT NULL, base_url TEXT NOT NULL,
    tenant TEXT NOT NULL, target TEXT NOT NULL, input_name TEXT NOT NULL, input_sha256 TEXT NOT NULL,
    lines INTEGER NOT NULL, origins TEXT NOT NULL, settings TEXT NOT NULL, parent TEXT,
    user TEXT NOT NULL, host TEXT NOT NULL, zone TEXT NOT NULL, tool_version TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    state TEXT NOT NULL, phase TEXT NOT NULL, exit_code INTEGER, stopped_by TEXT, why TEXT NOT NULL DEFAULT '',
    started_at_ms INTEGER NOT NULL, finished_at_ms INTEGER,
    -- Where the system is since it moved, and the targets before that, a line each.
    base_url TEXT, target TEXT, former_targets TEXT NOT NULL DEFAULT '',
    -- Settings that were given anew, as JSON.
    settings TEXT,
    -- Of a run that looked all its lines up before the first write: the digest of what was to change, and what that takes.
    plan_digest TEXT, forecast TEXT,
    -- Lines that were not found, and would be with another spelling of their account ID, as JSON.
    near_misses TEXT,
    -- Of a run that writes: what it was expected to take before anything was looked up, as JSON.
    estimate TEXT,
    -- Of an undo: what cannot be undone, as JSON.
    cannot_undo TEXT,
    -- Of a reconcile: which share of the unchanged lines it looked at.
    audit_round INTEGER,
    -- Since when only the compact record is left, and how many lines its reports counted as half done.
    pruned_at_ms INTEGER, half_done INTEGER,
    -- Which wave is begun or comes next, and the lines of one that was begun and is not verified: 2-6,9.
    wave INTEGER, wave_lines TEXT
) STRICT;
-- Of a reconcile: why lines were not as the file has them, and for how many nights in a row.
CREATE TABLE drift (
    line INTEGER PRIMARY KEY, cause TEXT NOT NULL, nights INTEGER NOT NULL, key INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
-- Of a run that carries out a share of its file: which share, and one bit for each of its lines, in words of eight bytes.
CREATE TABLE shard (
    id INTEGER PRIMARY KEY CHECK (id = 1), shard TEXT NOT NULL, lines BLOB NOT NULL, checksum INTEGER NOT NULL
) STRICT;
-- Of a pruned run: which customer a line meant, by what the line asked for.
CREATE TABLE wishes (
    wish INTEGER NOT NULL, customer_id TEXT NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (wish, customer_id)
) STRICT, WITHOUT ROWID;
-- Of a pruned run: digests of the values that it has replaced at locations, each with its customer and location.
CREATE TABLE replaced (digest INTEGER PRIMARY KEY) STRICT;
-- Of a pruned run: the files that were removed.
CREATE TABLE removed (
    name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- How many lines ended in each way when the last process closed the run, and at which commit that was.
CREATE TABLE closed (
    status TEXT NOT NULL, reason TEXT NOT NULL, lines INTEGER NOT NULL, first_line INTEGER NOT NULL, commits INTEGER NOT NULL,
    PRIMARY KEY (status, reason)
) STRICT, WITHOUT ROWID;
-- What a person asks of the process that is at work; `seen` is the number of the last order that it has followed.
CREATE TABLE orders (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0,
    paused INTEGER NOT NULL DEFAULT 0, draining INTEGER NOT NULL DEFAULT 0, rate_per_s REAL
) STRICT;
INSERT INTO orders (id) VALUES (1);
-- One row for each process that worked on the run.
CREATE TABLE sessions (
    session INTEGER PRIMARY KEY,
    started_at_ms INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
    -- Whether it may write to the system; the epoch orders the sessions of all runs on a target.
    epoch INTEGER NOT NULL, writing INTEGER NOT NULL,
    find INTEGER NOT NULL DEFAULT 0, read INTEGER NOT NULL DEFAULT 0, write INTEGER NOT NULL DEFAULT 0,
    retried INTEGER NOT NULL DEFAULT 0, throttled INTEGER NOT NULL DEFAULT 0,
    limit_per_s REAL, active_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Each write, noted before it is sent. No verdict: the answer was never noted.
CREATE TABLE writes (
    write_id INTEGER PRIMARY KEY,
    unit INTEGER NOT NULL, line INTEGER NOT NULL, attempt INTEGER NOT NULL,
    -- Not with IN, for which SQLite builds a table anew for every row.
    verdict TEXT CHECK (verdict = 'applied' OR verdict = 'not_applied' OR verdict = 'unknown'), http_status INTEGER,
    customer_id TEXT NOT NULL, reseller TEXT,
    kind TEXT NOT NULL CHECK (kind = 'account' OR kind = 'temporary' OR kind = 'location'),
    location_id TEXT, account_id_before TEXT, account_id_after TEXT,
    service_id_before TEXT, service_id_after TEXT, profile_before TEXT, profile_after TEXT,
    -- What the system stored, where that is not what was asked.
    altered INTEGER NOT NULL DEFAULT 0, account_id_stored TEXT, service_id_stored TEXT, profile_stored TEXT,
    correlation_id TEXT NOT NULL, noted_at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
-- Few writes are such, and each later run asks for them before its first call. A ledger without these is read whole for that.
CREATE INDEX writes_temporary ON writes (kind) WHERE kind = 'temporary';
CREATE INDEX writes_altered ON writes (altered) WHERE altered = 1;
-- What became of each line.
CREATE TABLE outcomes (
    line INTEGER PRIMARY KEY,
    status TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,
    customer_id TEXT, account_id_before TEXT, account_id_after TEXT,
    location_id TEXT, service_id_before TEXT, service_id_after TEXT, profile_before TEXT, profile_after TEXT,
    http_status INTEGER, attempts INTEGER NOT NULL, correlation_id TEXT,
    finished_at_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL, checksum INTEGER NOT NULL
) STRICT;
-- Of a reconcile: lines that were not looked at, some thousands in a row, packed as `unlooked.rs` says. They are `unchanged`.
CREATE TABLE unlooked (
    last_line INTEGER PRIMARY KEY, first_line INTEGER NOT NULL, lines INTEGER NOT NULL,
    message TEXT NOT NULL, noted_at_ms INTEGER NOT NULL, packed BLOB NOT NULL, checksum INTEGER NOT NULL
) STRICT;
-- How many groups of rows were committed; the file ledger.seal repeats it, so that a lost log shows.
CREATE TABLE seal (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    commits INTEGER NOT NULL
) STRICT;
CREATE VIEW results AS
    SELECT line, status, reason, message, customer_id, account_id_before, account_id_after, location_id,
        service_id_before, service_id_after, profile_before, profile_after, http_status, attempts,
        correlation_id, datetime(finished_at_ms / 1000, 'unixepoch') AS finished_at, duration_ms
    FROM outcomes;
CREATE VIEW failures AS
    SELECT * FROM results WHERE status IN ('failed', 'skipped', 'in_doubt') AND reason <> 'suppressed';
CREATE VIEW totals AS
    SELECT status, reason, count(*) AS lines, min(line) AS first_line
    FROM outcomes GROUP BY status, reason;
CREATE VIEW in_doubt AS
    SELECT * FROM writes WHERE verdict IS NULL OR verdict = 'unknown';
INSERT INTO seal (id, commits) VALUES (1, 0);
";

/// Makes the tables in an empty file and switches it to write-ahead logging.
pub(super) fn create(path: &Path) -> Result<Connection, LedgerError> {
    let connection = connect(path)?;
    let make = || {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.execute_batch(&format!("BEGIN; {DDL} COMMIT;"))
    };
    make().map_err(|source| failed(path, source))?;
    trust(&connection, path)?;
    Ok(connection)
}

/// Opens a ledger after making sure that it is one, and that this program knows its format.
pub(super) fn open(path: &Path) -> Result<Connection, LedgerError> {
    regular_file::check(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => LedgerError::Missing {
            path: path.to_owned(),
        },
        _ => LedgerError::io(path, "opened", source),
    })?;
    let connection = connect(path)?;
    recognise(&connection, path)?;
    Ok(connection)
}

/// Opens a ledger for reading only. No file is made, and neither the ledger nor its log is changed: a log that exists is
/// read beside the process that writes it; without one the file is complete by itself.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, LedgerError> {
    let log_exists = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).exists()
    };
    if log_exists("-wal") && !log_exists("-shm") {
        // SQLite would have to make the index of the log.
        return Err(LedgerError::Missing {
            path: path.to_owned(),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let option = if log_exists("-wal") {
        ""
    } else {
        "?immutable=1"
    };
    let connection = Connection::open_with_flags(format!("file:{name}{option}"), flags)
        .map_err(|source| failed(path, source))?;
    recognise(&connection, path)?;
    Ok(connection)
}

/// Makes sure that it is a ledger, in the format of this program.
fn recognise(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let number = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(|source| failed(path, source))
    };
    let (application, found) = (number("application_id")?, number("user_version")?);
    if application != APPLICATION_ID {
        return Err(LedgerError::NotALedger {
            path: path.to_owned(),
            what: format!("its application ID is {application:#x}, ours is {APPLICATION_ID:#x}"),
        });
    }
    if found > VERSION {
        return Err(LedgerError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    if found < VERSION {
        return Err(LedgerError::Older {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    Ok(())
}

/// Lets SQLite move the log into the file when the last connection is closed.
pub(super) fn trust(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map(drop)
        .map_err(|source| failed(path, source))
}

/// Opens a connection with the settings that durability depends on; never creates the file.
pub(super) fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let set_up = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // SQLite takes a name that begins with `file:` for a URI. An absolute path, or one that begins with `./`, is none.
        let connection = Connection::open_with_flags(Path::new(".").join(path), flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        // Until the ledger is trusted, closing must not move the log into a file that is to be left as it is.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // FULL: a commit is on the disk when it returns; NORMAL lost 2000 of 2000 in a power cut.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        // Temporary files would lie outside of the private folder.
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "cache_size", -4000)?;
        connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
        Ok(connection)
    };
    set_up().map_err(|source| failed(path, source))
}

/// Below this size, in bytes, small pages save a good part of a ledger.
const SMALL_BYTES: i64 = 1 << 20;

fn is_small(connection: &Connection) -> rusqlite::Result<bool> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(pages * number("page_size")? < SMALL_BYTES)
}

/// Returns the space of what was removed to the disk. If little is left, the pages are small from then on, because
/// there are many tables with few rows.
pub(super) fn shrink(connection: &Connection, folder: &Path) -> rusqlite::Result<()> {
    if let Some(folder) = folder.to_str() {
        connection.pragma_update(None, "temp_store_directory", folder)?;
        connection.pragma_update(None, "temp_store", "file")?;
    }
    let mode = |mode: &str| {
        connection.query_row(&format!("PRAGMA journal_mode = {mode}"), (), |row| {
            row.get::<_, String>(0)
        })
    };
    // The size of pages cannot be changed with a write-ahead log. If another reader keeps the log open, the size stays.
    let is_alone = mode("delete").is_ok_and(|now| now == "delete");
    let vacuum = || {
        if is_alone && is_small(connection)? {
            connection.pragma_update(None, "page_size", 1024)?;
        }
        connection.execute_batch("VACUUM")
    };
    let vacuumed = vacuum();
    // Also after an error: the next process must find the ledger with a write-ahead log.
    if is_alone {
        mode("wal")?;
    }
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "temp_store_directory", "")?;
    vacuumed?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
}
