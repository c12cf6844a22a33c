//! Writes by their numbers.

use super::rows::failed;
use crate::domain::Line;
use crate::ledger::store::Wanted;
use crate::ledger::{LedgerError, WriteRecord, write_columns};
use rusqlite::{Connection, Error};
use std::path::Path;

/// Returns the writes of these numbers, in the order of the question.
pub(super) fn read(
    connection: &Connection,
    path: &Path,
    numbers: &[u32],
) -> Result<Vec<WriteRecord>, LedgerError> {
    let (first, last) = (numbers.first(), numbers.last());
    let is_dense = |(first, last): (&u32, &u32)| {
        let reach = last.saturating_sub(*first) as usize;
        reach < numbers.len() * 4 && numbers.is_sorted_by(|a, b| a < b)
    };
    if first.zip(last).is_some_and(is_dense) {
        return between(connection, path, numbers);
    }
    one_by_one(connection, path, numbers)
}

/// Reads numbers that rise and are close together, with one query over the range from the first to the last.
fn between(
    connection: &Connection,
    path: &Path,
    numbers: &[u32],
) -> Result<Vec<WriteRecord>, LedgerError> {
    let columns = write_columns::all();
    let sql =
        format!("SELECT {columns} FROM writes WHERE write_id BETWEEN ?1 AND ?2 ORDER BY write_id");
    let failed = |source| failed(path, source);
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let mut rows = statement
        .query([numbers.first(), numbers.last()])
        .map_err(failed)?;
    let mut wanted = numbers.iter().map(|number| i64::from(*number)).peekable();
    let mut writes = Vec::with_capacity(numbers.len());
    while let Some(row) = rows.next().map_err(failed)? {
        let number = row.get::<_, i64>(0).map_err(failed)?;
        if wanted.next_if_eq(&number).is_some() {
            writes.push(write_columns::read(row).map_err(|fault| fault.name(path))?);
        }
    }
    match wanted.next() {
        None => Ok(writes),
        Some(_) => Err(failed(Error::QueryReturnedNoRows)),
    }
}

/// Returns unit and number of each write of the wanted units. Reads all writes once: an index over the units would cost
/// more, and would slow each later write down.
pub(super) fn of_units(
    connection: &Connection,
    path: &Path,
    wanted: Wanted<'_>,
) -> Result<Vec<(Line, u32)>, LedgerError> {
    let failed = |source| failed(path, source);
    let sql = "SELECT unit, write_id FROM writes";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(()).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let unit = row.get(0).map_err(failed)?;
        if wanted(unit) {
            found.push((unit, row.get(1).map_err(failed)?));
        }
    }
    Ok(found)
}

fn one_by_one(
    connection: &Connection,
    path: &Path,
    numbers: &[u32],
) -> Result<Vec<WriteRecord>, LedgerError> {
    let columns = write_columns::all();
    let sql = format!("SELECT {columns} FROM writes WHERE write_id = ?1");
    let failed = |source| failed(path, source);
    // One transaction for all of them; otherwise SQLite locks and unlocks the file for each.
    let reading = connection.unchecked_transaction().map_err(failed)?;
    let mut statement = reading.prepare_cached(&sql).map_err(failed)?;
    let mut writes = Vec::with_capacity(numbers.len());
    for number in numbers {
        let mut rows = statement.query([number]).map_err(failed)?;
        let row = rows.next().map_err(failed)?;
        let row = row.ok_or_else(|| failed(Error::QueryReturnedNoRows))?;
        writes.push(write_columns::read(row).map_err(|fault| fault.name(path))?);
    }
    Ok(writes)
}
