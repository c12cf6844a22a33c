//! Converts values and rows for SQLite, and explains its errors.

use crate::ledger::checksum;
use crate::ledger::columns::{Fault, Row, Value};
use crate::ledger::{LedgerError, is_of_disk};
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Error, ErrorCode, Statement, ToSql, params_from_iter};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::{fs, io, iter};

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
    if let Some(why) = disk_error(&path, &source) {
        return LedgerError::io(&path, "written", why);
    }
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LedgerError::Full { path },
        Some(ErrorCode::SystemIoFailure) => LedgerError::Disk {
            path,
            source: source.into(),
        },
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

/// The size by which SQLite's shared memory grows.
const SHARED_MEMORY_BYTES: usize = 32 << 10;

/// SQLite returns the same error for a full disk, a failed one and a folder in which nothing may be written if it could not
/// create a file beside the ledger, or could not extend its shared memory. Returns which of them it is, if this process cannot
/// write such a file there either.
fn disk_error(path: &Path, source: &Error) -> Option<io::Error> {
    let code = source.sqlite_error()?;
    let is_unclear =
        code.code == ErrorCode::CannotOpen || code.extended_code == SQLITE_IOERR_SHMSIZE;
    let folder = path.parent().unwrap_or(path);
    let memory = path.with_file_name(format!("{}-shm", path.file_name()?.display()));
    let write = || {
        let length = fs::metadata(memory).map_or(0, |meta| meta.len());
        tempfile::tempfile_in(folder)?.write_all_at(&vec![0; SHARED_MEMORY_BYTES], length)
    };
    let why = is_unclear.then(write)?.err()?;
    let is_refused = matches!(
        why.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    );
    (is_refused || is_of_disk(&why)).then_some(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn explained(code: i32) -> LedgerError {
        let folder = tempfile::tempdir().unwrap();
        let error = Error::SqliteFailure(ffi::Error::new(code), None);
        failed(&folder.path().join("ledger.db"), error)
    }

    /// The other cases need a disk without room: `disk::full_disk_at_any_*`.
    #[test]
    fn shared_memory_failure_is_not_reported_as_a_full_disk() {
        let error = explained(SQLITE_IOERR_SHMSIZE);
        assert!(matches!(error, LedgerError::Disk { .. }), "{error}");
        let error = explained(ffi::SQLITE_CANTOPEN);
        assert!(matches!(error, LedgerError::Database { .. }), "{error}");
        let error = explained(ffi::SQLITE_FULL);
        assert!(matches!(error, LedgerError::Full { .. }), "{error}");
    }

    /// In this folder of Linux, not even root can create a file.
    #[cfg(target_os = "linux")]
    #[test]
    fn folder_that_refuses_new_files_is_the_cause_of_a_ledger_that_cannot_be_opened() {
        let source = Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), None);
        let error = failed(Path::new("/sys/ledger.db"), source);
        let is_refused = matches!(error, LedgerError::ReadOnly { .. } | LedgerError::Io { .. });
        assert!(is_refused, "{error}");
    }
}
