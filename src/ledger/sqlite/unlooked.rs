//! Lines that were not looked at, as rows of an SQLite file.

use super::rows::failed;
use crate::domain::Line;
use crate::ledger::columns::Row;
use crate::ledger::unlooked::PackedLines;
use crate::ledger::{LedgerError, Unlooked};
use rusqlite::{Connection, Error, Statement, params};
use std::path::Path;

pub(super) const INSERT: &str = "INSERT INTO unlooked (last_line, first_line, lines, message, noted_at_ms, packed, checksum) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Puts lines into one row. They follow those of all earlier rows.
pub(super) fn insert(statement: &mut Statement<'_>, unlooked: &Unlooked) -> rusqlite::Result<()> {
    let row = PackedLines::of(unlooked)
        .map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))?;
    let Some(row) = row else {
        return Ok(());
    };
    let values = params![
        row.last,
        row.first,
        row.lines.cast_signed(),
        row.message,
        row.at_ms,
        &*row.packed,
        row.checksum()
    ];
    statement.execute(values).map(drop)
}

/// Returns the lines of the first row with a line at or after `from`, and the last line of that row. A row that begins
/// after `to` is not unpacked.
pub(super) fn next(
    connection: &Connection,
    path: &Path,
    (from, to): (Line, Line),
) -> Result<Option<(Unlooked, Line)>, LedgerError> {
    let failed = |source| failed(path, source);
    let sql = "SELECT last_line, first_line, lines, message, noted_at_ms, packed, checksum FROM unlooked \
               WHERE last_line >= ?1 ORDER BY last_line LIMIT 1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query([from]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else {
        return Ok(None);
    };
    let read = || {
        let packed = row.get_ref(5)?.as_blob().map_err(Error::from)?;
        let packed = PackedLines {
            last: row.required(0)?,
            first: row.required(1)?,
            lines: row.required(2)?,
            message: row.word(3)?,
            at_ms: row.required(4)?,
            packed: packed.into(),
        };
        let unlooked = if packed.first > to {
            Unlooked::default()
        } else {
            packed.unpack(row.required(6)?)?
        };
        Ok((unlooked, packed.last))
    };
    read()
        .map(Some)
        .map_err(|fault: crate::ledger::columns::Fault| fault.name(path))
}

/// Returns how many lines these are, and the first of them; `None`: there is none.
pub(super) fn count(connection: &Connection) -> rusqlite::Result<Option<(u64, Line)>> {
    let sql = "SELECT sum(lines), min(first_line) FROM unlooked";
    connection.query_row(sql, (), |row| {
        let lines: Option<i64> = row.get(0)?;
        let first: Option<Line> = row.get(1)?;
        Ok(lines.map(i64::cast_unsigned).zip(first))
    })
}
