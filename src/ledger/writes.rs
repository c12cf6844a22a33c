//! The noted writes: in the order of noting, or those that `resume` and the reports must look at.

use super::{Ledger, LedgerError, LineSet, Recorded, WriteId, write_row};
use crate::domain::Line;
use std::collections::{BTreeMap, HashSet};
use std::vec;

/// Writes of one page.
const PAGE: u32 = 2_000;

impl Ledger {
    /// All noted writes, in the order of noting.
    pub fn writes(&self) -> Writes<'_> {
        Writes {
            ledger: self,
            after: Some(0),
            page: Vec::new().into_iter(),
        }
    }

    /// All writes of the units for which `wanted` holds, in the order of noting.
    pub fn writes_of_units(
        &self,
        mut wanted: impl FnMut(Line) -> bool,
    ) -> Result<Vec<Recorded>, LedgerError> {
        // The numbers first: whole rows of a million finished units would be read for nothing.
        let places = self.places(|unit, _| wanted(unit))?;
        places
            .into_iter()
            .map(|(_, write)| self.write(write))
            .collect()
    }

    /// All writes of units in which a line with a noted write is not done, in the order of noting.
    pub fn writes_of_open_units(&self) -> Result<Vec<Recorded>, LedgerError> {
        let done = self.done()?;
        let open: HashSet<Line> = self
            .places(|_, line| !done.contains(line))?
            .into_iter()
            .map(|(unit, _)| unit)
            .collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        self.writes_of_units(|unit| open.contains(&unit))
    }

    /// The writes of each line that is not in `done`: killed or in doubt.
    pub fn unfinished_writes(
        &self,
        done: &LineSet,
    ) -> Result<BTreeMap<Line, Vec<Recorded>>, LedgerError> {
        let mut found: BTreeMap<Line, Vec<Recorded>> = BTreeMap::new();
        for (_, write) in self.places(|_, line| !done.contains(line))? {
            let write = self.write(write)?;
            found.entry(write.intent.line).or_default().push(write);
        }
        Ok(found)
    }

    /// Unit and number of the writes that are wanted by unit and line, in the order of noting.
    pub(super) fn places(
        &self,
        mut wanted: impl FnMut(Line, Line) -> bool,
    ) -> Result<Vec<(Line, u32)>, LedgerError> {
        self.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT unit, line, write_id FROM writes")?;
            let mut rows = statement.query(())?;
            let mut places = Vec::new();
            while let Some(row) = rows.next()? {
                let unit = row.get(0)?;
                if wanted(unit, row.get(1)?) {
                    places.push((unit, row.get(2)?));
                }
            }
            Ok(places)
        })
    }

    /// The write of this number.
    pub(super) fn write(&self, write: u32) -> Result<Recorded, LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE write_id = ?1",
            write_row::COLUMNS
        );
        let failed = |source| LedgerError::sqlite(self.path(), source);
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query([write]).map_err(failed)?;
        let row = rows.next().map_err(failed)?;
        let row = row
            .ok_or(rusqlite::Error::QueryReturnedNoRows)
            .map_err(failed)?;
        write_row::read(self.path(), row)
    }
}

/// Noted writes in their order, read page by page.
#[derive(Debug)]
pub struct Writes<'a> {
    ledger: &'a Ledger,
    after: Option<i64>,
    page: vec::IntoIter<Recorded>,
}

impl Writes<'_> {
    fn turn(&mut self, after: i64) -> Result<(), LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE write_id > ?1 ORDER BY write_id LIMIT {PAGE}",
            write_row::COLUMNS
        );
        let path = self.ledger.path();
        let failed = |source| LedgerError::sqlite(path, source);
        let connection = self.ledger.lock();
        let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query([after]).map_err(failed)?;
        let mut page = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            page.push(write_row::read(path, row)?);
        }
        self.after = page.last().map(|last: &Recorded| {
            let WriteId(number) = last.id;
            number
        });
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Writes<'_> {
    type Item = Result<Recorded, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(write) = self.page.next() {
            return Some(Ok(write));
        }
        let after = self.after.take()?;
        if let Err(error) = self.turn(after) {
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}
