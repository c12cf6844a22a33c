//! What stays of a run when its input and its reports are removed: the header, every write, and of the lines only what
//! later runs need. Messages, service IDs, profiles and the answers' numbers go.
//!
//! A run that is marked as pruned stays marked. If the process is killed after that, the next prune completes the work.

use super::checksum::Checksum;
use super::outcome_row::{self, damaged};
use super::progress_row::store_counts;
use super::sqlite::lock::RunLock;
use super::{Ledger, LedgerError};
use crate::domain::{CustomerId, Outcome, Status, Unchanged};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// Keeps every other process from writing to a run, while this value lives.
pub struct RunHold {
    _lock: RunLock,
}

/// What is known of a pruned run beside its compact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// When, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// How many lines its reports counted as half done.
    pub half_done: u64,
}

/// A file that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedFile {
    /// Its name in the run's folder.
    pub name: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What a run is reduced to.
#[derive(Debug)]
pub struct Remains {
    /// When it is pruned.
    pub pruned: Pruned,
    /// Which customers its lines meant, by what the lines asked for.
    pub wishes: Vec<(u64, CustomerId)>,
    /// Digests of the values that it has replaced at locations, each with its customer and location.
    pub replaced: Vec<u64>,
    /// The files that will be removed.
    pub removed: Vec<RemovedFile>,
}

impl Ledger {
    /// Whether only the compact record is left of the run, and since when.
    pub fn pruned(&self) -> Result<Option<Pruned>, LedgerError> {
        let sql = "SELECT pruned_at_ms, half_done FROM progress WHERE pruned_at_ms IS NOT NULL";
        self.with(|connection| {
            let read = |row: &rusqlite::Row<'_>| {
                let half_done: Option<i64> = row.get(1)?;
                Ok(Pruned {
                    at_ms: row.get(0)?,
                    half_done: half_done.unwrap_or(0).cast_unsigned(),
                })
            };
            connection.query_row(sql, (), read).optional()
        })
    }

    /// Takes the run's lock, or says which process has it.
    pub fn hold(&self) -> Result<RunHold, LedgerError> {
        let path = self.path().with_file_name("run.lock");
        let lock = RunLock::acquire(&path, &self.header().run)?;
        Ok(RunHold { _lock: lock })
    }

    /// Marks the run as pruned, in one transaction with everything that cannot be found out again afterwards.
    pub fn mark_pruned(&self, _hold: &RunHold, remains: &Remains) -> Result<(), LedgerError> {
        let counts = self.counts()?;
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            store_counts(&transaction, &counts)?;
            let mut statement =
                transaction.prepare("INSERT OR IGNORE INTO wishes VALUES (?1, ?2, ?3)")?;
            for (wish, customer) in &remains.wishes {
                let sum = checksum(wish.cast_signed(), customer.as_str());
                statement.execute(params![wish.cast_signed(), customer.as_str(), sum])?;
            }
            drop(statement);
            let mut statement =
                transaction.prepare("INSERT OR IGNORE INTO replaced VALUES (?1)")?;
            for digest in &remains.replaced {
                statement.execute([digest.cast_signed()])?;
            }
            drop(statement);
            for file in &remains.removed {
                transaction.execute(
                    "INSERT OR IGNORE INTO removed VALUES (?1, ?2, ?3)",
                    params![file.name, file.sha256, file.bytes.cast_signed()],
                )?;
            }
            transaction.execute(
                "UPDATE progress SET why = '', pruned_at_ms = ?1, half_done = ?2",
                params![remains.pruned.at_ms, remains.pruned.half_done.cast_signed()],
            )?;
            transaction.commit()
        })
    }

    /// Strips the outcomes of a pruned run and gives the room back to the disk. `keeps_found`: whether a line that was
    /// found as wished stays, because a run that may still be resumed must not overwrite what it found.
    pub fn strip(
        &self,
        _hold: &RunHold,
        keeps_found: impl Fn(&Outcome) -> bool,
    ) -> Result<(), LedgerError> {
        let mut from = 0;
        loop {
            let page: Vec<Outcome> = self
                .outcomes_from(from)
                .take(2_000)
                .collect::<Result<_, _>>()?;
            let Some(last) = page.last() else {
                break;
            };
            let next = last.line.checked_add(1);
            self.with(|connection| strip_page(connection, &page, &keeps_found))?;
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        let folder = self.path().parent().unwrap_or(Path::new("."));
        self.with(|connection| shrink(connection, folder))
    }

    /// Of a pruned run: the customers that lines with this wish meant.
    pub fn customers_of_wish(&self, wish: u64) -> Result<Vec<CustomerId>, LedgerError> {
        let sql = "SELECT customer_id, checksum FROM wishes WHERE wish = ?1";
        let rows: Vec<(String, i64)> = self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows =
                statement.query_map([wish.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })?;
        let altered = || {
            damaged(
                self.path(),
                "a customer of its lines was altered".to_owned(),
            )
        };
        rows.into_iter()
            .map(|(customer, stored)| {
                if checksum(wish.cast_signed(), &customer) != stored {
                    return Err(altered());
                }
                CustomerId::new(&customer).map_err(|_| altered())
            })
            .collect()
    }

    /// Of a pruned run: digests of the values that it has replaced at locations.
    pub fn replaced(&self) -> Result<Vec<u64>, LedgerError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT digest FROM replaced")?;
            let rows = statement.query_map((), |row| row.get(0).map(i64::cast_unsigned))?;
            rows.collect()
        })
    }

    /// A copy of the whole record as it is now, in one file.
    pub fn snapshot(&self, to: &Path) -> Result<(), LedgerError> {
        let to = to.to_string_lossy();
        self.with(|connection| connection.execute("VACUUM INTO ?1", [to]).map(drop))
    }

    /// The files that a prune has removed.
    pub fn removed_files(&self) -> Result<Vec<RemovedFile>, LedgerError> {
        let sql = "SELECT name, sha256, bytes FROM removed ORDER BY name";
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), |row| {
                Ok(RemovedFile {
                    name: row.get(0)?,
                    sha256: row.get(1)?,
                    bytes: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            })?;
            rows.collect()
        })
    }
}

fn checksum(wish: i64, customer: &str) -> i64 {
    Checksum::new().number(wish).text(Some(customer)).finish()
}

fn strip_page(
    connection: &Connection,
    page: &[Outcome],
    keeps_found: &impl Fn(&Outcome) -> bool,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut insert = transaction.prepare_cached(outcome_row::INSERT)?;
    let mut delete = transaction.prepare_cached("DELETE FROM outcomes WHERE line = ?1")?;
    for outcome in page {
        match stripped(outcome, keeps_found) {
            Some(left) => outcome_row::insert(&mut insert, &left)?,
            None => drop(delete.execute([outcome.line])?),
        }
    }
    drop((insert, delete));
    transaction.commit()
}

/// What later runs go by.
fn stripped(outcome: &Outcome, keeps_found: &impl Fn(&Outcome) -> bool) -> Option<Outcome> {
    let wrote_account = outcome.account.before != outcome.account.after;
    let with_ids = match outcome.status {
        Status::Changed | Status::InDoubt => true,
        Status::Failed(_) => wrote_account,
        Status::Unchanged(Unchanged::Already) if keeps_found(outcome) => true,
        Status::Unchanged(_) | Status::Skipped(_) | Status::WouldChange => return None,
    };
    let mut left = Outcome::bare(outcome.line, outcome.status);
    left.finished_at_ms = outcome.finished_at_ms;
    if with_ids {
        left.customer.clone_from(&outcome.customer);
        left.location.clone_from(&outcome.location);
        left.account = outcome.account.clone();
    }
    Some(left)
}

/// Pages of one kilobyte: a compact record has many tables and few rows. What SQLite builds anew meanwhile is as large as the
/// record; it is kept in a file of the run's private folder, which has no name.
fn shrink(connection: &Connection, folder: &Path) -> rusqlite::Result<()> {
    if let Some(folder) = folder.to_str() {
        connection.pragma_update(None, "temp_store_directory", folder)?;
        connection.pragma_update(None, "temp_store", "file")?;
    }
    let mode = |mode: &str| {
        connection.query_row(&format!("PRAGMA journal_mode = {mode}"), (), |row| {
            row.get::<_, String>(0)
        })
    };
    // The size of pages cannot be changed with a write-ahead log. Another reader keeps the log open; then it stays.
    let is_alone = mode("delete").is_ok_and(|now| now == "delete");
    if is_alone {
        connection.pragma_update(None, "page_size", 1024)?;
    }
    let vacuumed = connection.execute_batch("VACUUM");
    if is_alone {
        mode("wal")?;
    }
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "temp_store_directory", "")?;
    vacuumed?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
}
