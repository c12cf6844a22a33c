//! Marks a run that was moved to a database: its ledger gets another name, and records where the run is kept.
//!
//! The name changes before the run is in the database, so that no two places work on it at any time. A move that was
//! interrupted is repeated from the ledger with the new name.

use super::rows::failed;
use super::schema;
use crate::ledger::{LedgerError, RunDir, private};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs;

const DDL: &str = "CREATE TABLE IF NOT EXISTS moved (
    id INTEGER PRIMARY KEY CHECK (id = 1), place TEXT NOT NULL, moved_at_ms INTEGER NOT NULL
) STRICT;";

/// Marks the run as moved: from now on no process works on its files. The ledger must be open nowhere.
pub(in crate::ledger) fn set(dir: &RunDir, place: &str) -> Result<(), LedgerError> {
    let path = dir.ledger();
    let connection = schema::connect(&path)?;
    schema::trust(&connection, &path)?;
    // Puts everything into one file. This works only if no other process has the ledger open.
    if !in_mode(&connection, "delete").map_err(|why| failed(&path, why))? {
        return Err(LedgerError::InUse { path });
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let note = || {
        connection.execute_batch(DDL)?;
        let sql = "INSERT OR REPLACE INTO moved VALUES (1, ?1, ?2)";
        connection.execute(sql, params![place, now])
    };
    let noted = note().map_err(|why| failed(&path, why));
    let moved = noted.and_then(|_| rename(dir, true));
    if moved.is_err() && path.exists() {
        // The run stays where it is: the next process must find its ledger with a write-ahead log. The first error is the
        // one to report.
        let _ = in_mode(&connection, "wal");
    }
    moved
}

/// Removes the mark, because the run is nowhere else: processes work on its files again.
pub(in crate::ledger) fn revoke(dir: &RunDir) -> Result<(), LedgerError> {
    let path = dir.moved_ledger();
    let connection = schema::connect(&path)?;
    if !in_mode(&connection, "wal").map_err(|why| failed(&path, why))? {
        return Err(LedgerError::InUse { path });
    }
    schema::trust(&connection, &path)?;
    drop(connection);
    rename(dir, false)
}

/// Returns the database to which the run was moved; `None`: it was not moved.
pub(in crate::ledger) fn place(dir: &RunDir) -> Result<Option<String>, LedgerError> {
    let path = dir.moved_ledger();
    if dir.ledger().exists() || !path.exists() {
        return Ok(None);
    }
    let connection = schema::connect(&path)?;
    let sql = "SELECT place FROM moved";
    let place = connection.query_row(sql, (), |row| row.get(0)).optional();
    let place: Option<String> = place.map_err(|why| failed(&path, why))?;
    Ok(Some(place.unwrap_or_default()))
}

/// Switches the journal mode; returns whether that worked.
fn in_mode(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    let switched = connection.query_row(&format!("PRAGMA journal_mode = {mode}"), (), |row| {
        row.get::<_, String>(0)
    });
    match switched {
        Ok(now) => Ok(now == mode),
        Err(rusqlite::Error::SqliteFailure(why, _))
            if matches!(
                why.code,
                rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked
            ) =>
        {
            Ok(false)
        }
        Err(why) => Err(why),
    }
}

fn rename(dir: &RunDir, is_moved: bool) -> Result<(), LedgerError> {
    let (from, to) = if is_moved {
        (dir.ledger(), dir.moved_ledger())
    } else {
        (dir.moved_ledger(), dir.ledger())
    };
    fs::rename(&from, &to).map_err(|why| LedgerError::io(&from, "renamed", why))?;
    let folder = dir.path();
    private::sync_folder(folder).map_err(|why| LedgerError::io(folder, "synced", why))
}
