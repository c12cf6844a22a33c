//! Checks every page of a ledger: SQLite finds damaged structure, and values that a table does not allow.

use super::rows::failed;
use super::schema;
use crate::ledger::{Check, LedgerError, RecordPlace};
use rusqlite::Connection;
use std::path::Path;
use std::thread::{self, JoinHandle};

/// A check that another thread carries out with a connection of its own. `None`: it has failed.
#[derive(Debug)]
pub(super) struct PageCheck(Option<JoinHandle<Result<(), LedgerError>>>);

impl PageCheck {
    /// Checks the ledger as asked; returns a check that is not finished.
    pub(super) fn of(
        check: Check,
        connection: &Connection,
        path: &Path,
    ) -> Result<Option<Self>, LedgerError> {
        match check {
            Check::Short => Ok(None),
            Check::Whole => all_pages(connection, path).map(|()| None),
            Check::Beside => {
                let path = path.to_owned();
                let place = RecordPlace::from(&path);
                let beside = move || all_pages(&schema::connect(&path)?, &path);
                let check = thread::Builder::new().spawn(beside);
                let check = check.map_err(|source| LedgerError::NoThread { place, source })?;
                Ok(Some(Self(Some(check))))
            }
        }
    }

    /// Waits for the result. After an error, it returns an error every time.
    pub(super) fn wait(&mut self, path: &Path) -> Result<(), LedgerError> {
        let ended = self.0.take().and_then(|check| check.join().ok());
        ended.unwrap_or_else(|| Err(LedgerError::damaged(path, "its check has failed")))
    }
}

fn all_pages(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let found = connection
        .pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0))
        .map_err(|source| failed(path, source))?;
    if found == "ok" {
        return Ok(());
    }
    Err(LedgerError::damaged(
        path,
        found.lines().next().unwrap_or_default(),
    ))
}
