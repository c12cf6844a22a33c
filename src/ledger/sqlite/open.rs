//! Makes the ledger's file of a new run, and opens that of an existing one.

use super::moved;
use super::page_check::PageCheck;
use super::rows::{self, failed};
use super::schema;
use super::seal::Seal;
use super::store::SqliteStore;
use crate::domain::{Outcome, Shard};
use crate::ledger::store::{Draft, Store};
use crate::ledger::{
    Check, Header, LedgerError, LineSet, RunDir, header_columns, outcome_columns, private, shard,
};
use rusqlite::{Connection, params};
use std::io;
use std::path::{Path, PathBuf};

/// A file in which nothing is on record yet. Everything is written in one transaction, because a process that finds a
/// header asks how far the run got.
#[derive(Debug)]
struct SqliteDraft {
    connection: Connection,
    path: PathBuf,
    insert: String,
}

/// Makes the file, with mode 0600 from its creation.
pub(in crate::ledger) fn create(dir: &RunDir) -> Result<Box<dyn Draft>, LedgerError> {
    let path = dir.ledger();
    let file = private::create_private(&path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => LedgerError::Exists { path: path.clone() },
        _ => LedgerError::io(&path, "created", source),
    })?;
    // Closed before SQLite opens it: closing it later would free SQLite's own locks.
    drop(file);
    let connection = schema::create(&path)?;
    connection
        .execute_batch("BEGIN")
        .map_err(|source| failed(&path, source))?;
    Ok(Box::new(SqliteDraft {
        connection,
        insert: rows::insert("INSERT OR REPLACE", "outcomes", outcome_columns::COLUMNS),
        path,
    }))
}

impl Draft for SqliteDraft {
    fn put(&mut self, outcome: &Outcome) -> Result<(), LedgerError> {
        let mut insert = self
            .connection
            .prepare_cached(&self.insert)
            .map_err(|source| failed(&self.path, source))?;
        rows::insert_summed(&mut insert, &outcome_columns::values(outcome))
            .map(drop)
            .map_err(|source| failed(&self.path, source))
    }

    fn begin(
        self: Box<Self>,
        header: &Header,
        shard: Option<&(Shard, LineSet)>,
    ) -> Result<Box<dyn Store>, LedgerError> {
        let Self {
            connection, path, ..
        } = *self;
        begin(&connection, header, shard).map_err(|source| failed(&path, source))?;
        Seal::open(&path)?.note(0);
        let folder = path.parent().unwrap_or(&path);
        private::sync_folder(folder).map_err(|source| LedgerError::io(folder, "synced", source))?;
        Ok(Box::new(SqliteStore::of(connection, path)))
    }
}

fn begin(
    connection: &Connection,
    header: &Header,
    share: Option<&(Shard, LineSet)>,
) -> rusqlite::Result<()> {
    // The table allows one row: SQLite gives the first row the number 1.
    let mut insert = connection.prepare(&rows::insert("INSERT", "run", header_columns::COLUMNS))?;
    let origins = header.origins.join("\n");
    rows::insert_summed(&mut insert, &header_columns::values(header, &origins))?;
    drop(insert);
    let progress = "INSERT INTO progress (id, state, phase, started_at_ms) VALUES (1, 'created', 'created', ?1)";
    connection.execute(progress, [header.created_at_ms])?;
    if let Some((part, lines)) = share {
        let name = part.to_string();
        let sum = shard::checksum(&name, lines);
        let sql = "INSERT INTO shard (id, shard, lines, checksum) VALUES (1, ?1, ?2, ?3)";
        connection.execute(sql, params![name, lines.to_bytes(), sum])?;
    }
    connection.execute_batch("COMMIT")?;
    // Moves the header out of the log: a run must be recognised even if its log is lost.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
}

/// Opens a ledger; refuses one that is damaged, foreign or newer, and leaves it as it is.
pub(in crate::ledger) fn open(dir: &RunDir, check: Check) -> Result<Box<dyn Store>, LedgerError> {
    match open_at(dir, dir.ledger(), check) {
        Err(LedgerError::Missing { path }) => Err(match moved::place(dir)? {
            Some(place) => LedgerError::Moved {
                folder: dir.path().to_owned(),
                place,
            },
            None => LedgerError::Missing { path },
        }),
        opened => opened,
    }
}

/// Opens the ledger of a run that was moved to a database.
pub(in crate::ledger) fn open_moved(
    dir: &RunDir,
    check: Check,
) -> Result<Box<dyn Store>, LedgerError> {
    open_at(dir, dir.moved_ledger(), check)
}

fn open_at(dir: &RunDir, path: PathBuf, check: Check) -> Result<Box<dyn Store>, LedgerError> {
    // The seal is read before the ledger: a run under way commits more groups meanwhile.
    let sealed = Seal::read(&path)?;
    let opened = schema::open(&path).and_then(|connection| {
        let under_way = PageCheck::of(check, &connection, &path)?;
        let store = SqliteStore::of(connection, path.clone()).under(under_way);
        Ok((store.header()?, store))
    });
    let (header, store) = match opened {
        // The seal is made once the ledger is complete. Without it, the run had not begun.
        Err(LedgerError::Damaged { .. }) if sealed.is_none() => {
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
    let lost = sealed.map_or(Ok(0), |sealed| Ok(sealed - store.commits()?))?;
    if lost > 0 {
        return Err(LedgerError::damaged(
            &path,
            format!("its last {lost} commits are missing (ledger.db-wal was removed or cut)"),
        ));
    }
    if check != Check::Beside {
        store.trust()?;
    }
    Ok(Box::new(store))
}

/// Opens a ledger for reading; makes and changes no file in its folder.
pub(in crate::ledger) fn open_read_only(path: &Path) -> Result<Box<dyn Store>, LedgerError> {
    let connection = schema::open_read_only(path)?;
    Ok(Box::new(SqliteStore::of(connection, path.to_owned())))
}
