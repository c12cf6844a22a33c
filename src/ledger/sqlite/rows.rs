//! Converts values and rows for SQLite, and explains its errors.

use crate::ledger::checksum;
use crate::ledger::columns::{Fault, Row, Value};
use crate::ledger::{LedgerError, is_of_disk};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Error, ErrorCode, Statement, ToSql, params_from_iter};
use std::iter;
use std::path::Path;

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::None => ValueRef::Null,
            Self::Number(number) => ValueRef::Integer(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl Row for rusqlite::Row<'_> {
    fn number(&self, at: usize) -> Result<Option<i64>, Fault> {
        Ok(self.get(at)?)
    }

    fn text(&self, at: usize) -> Result<Option<&str>, Fault> {
        Ok(self.get_ref(at)?.as_str_or_null().map_err(Error::from)?)
    }
}

/// A value of another type than idshift writes.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(error.to_string().into())
    }
}

/// Returns the SQL that adds a row to a table.
pub(super) fn insert(verb: &str, table: &str, columns: &str) -> String {
    let places = vec!["?"; columns.split(',').count()].join(", ");
    format!("{verb} INTO {table} ({columns}) VALUES ({places})")
}

/// Returns the SQL that sets columns of a row.
pub(super) fn assign(columns: &str) -> String {
    let columns: Vec<&str> = columns.split(", ").collect();
    format!("{} = ?", columns.join(" = ?, "))
}

/// Adds a row with the checksum over the other columns in its last one.
pub(super) fn insert_summed(
    statement: &mut Statement<'_>,
    values: &[Value<'_>],
) -> rusqlite::Result<usize> {
    let sum = Value::Number(checksum::of(values));
    statement.execute(params_from_iter(values.iter().chain(iter::once(&sum))))
}

/// Makes the error for what SQLite refused.
pub(super) fn failed(path: &Path, source: Error) -> LedgerError {
    let path = path.to_owned();
    let what = source.to_string();
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LedgerError::Full { path },
        // The shared memory beside the log could not grow: that is a full disk, too.
        Some(ErrorCode::SystemIoFailure)
            if source.sqlite_error().is_some_and(|error| {
                error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
            }) =>
        {
            LedgerError::Full { path }
        }
        Some(ErrorCode::SystemIoFailure) => LedgerError::Disk {
            path,
            source: source.into(),
        },
        // SQLite cannot create a file beside the ledger, and this process cannot create one there either.
        Some(ErrorCode::CannotOpen) if has_no_room(&path) => LedgerError::Full { path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => LedgerError::ReadOnly { path },
        Some(ErrorCode::DatabaseCorrupt) => LedgerError::Damaged { path, what },
        Some(ErrorCode::NotADatabase) => LedgerError::NotALedger { path, what },
        _ if matches!(source, Error::FromSqlConversionFailure(..))
            || matches!(source, Error::InvalidColumnType(..))
            || matches!(source, Error::IntegralValueOutOfRange(..))
            || matches!(source, Error::Utf8Error(..))
            // Our SQL is constant: what it names is missing from the file.
            || matches!(source, Error::SqlInputError { .. }) =>
        {
            LedgerError::Damaged { path, what }
        }
        _ => LedgerError::Database {
            path,
            source: source.into(),
        },
    }
}

/// Whether no other file can be created in the folder of this file, because the disk is full or has failed.
fn has_no_room(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    tempfile::tempfile_in(folder).is_err_and(|why| is_of_disk(&why))
}
