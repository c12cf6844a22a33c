//! The noted writes: in the order of noting, or those that `resume` and the reports must look at.

use super::{Ledger, LedgerError, LineSet, Verdict, WriteId, WriteRecord, write_row};
use crate::domain::Line;
use rusqlite::OptionalExtension;
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

    /// The units for which something was about to be written.
    pub fn units_with_writes(&self) -> Result<LineSet, LedgerError> {
        self.line_set("SELECT unit FROM writes")
    }

    /// Everything that was about to be written for one unit, in the order of noting. Without
    /// [`Ledger::index_writes`] every write is looked at.
    pub fn writes_of(&self, unit: Line) -> Result<Vec<WriteRecord>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE unit = ?1 ORDER BY write_id",
            write_row::COLUMNS
        );
        self.page(&sql, i64::from(unit))
    }

    /// All that was about to be written for a line, in its order.
    pub fn writes_of_line(&self, line: Line) -> Result<Vec<WriteRecord>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE line = ?1 ORDER BY write_id",
            write_row::COLUMNS
        );
        self.page(&sql, i64::from(line))
    }

    /// Makes looking writes up by their unit fast; worth it once a run is resumed. While a run is under
    /// way for the first time it would only cost.
    pub fn index_writes(&self) -> Result<(), LedgerError> {
        let sql = "CREATE INDEX IF NOT EXISTS writes_by_unit ON writes (unit)";
        self.with(|connection| connection.execute_batch(sql))
    }

    /// Whether anything was ever about to be written.
    pub fn has_writes(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM writes)";
        self.with(|connection| connection.query_row(sql, (), |row| row.get(0)))
    }

    /// Whether an account ID was ever about to be written.
    pub fn has_renames(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM writes WHERE kind <> 'location')";
        self.with(|connection| connection.query_row(sql, (), |row| row.get(0)))
    }

    /// A customer that was written to, and the relationship in which it was; `None`: none was. One of which the write is
    /// known to have taken effect is preferred.
    pub fn any_customer(&self) -> Result<Option<(String, Option<String>)>, LedgerError> {
        let sql = "SELECT customer_id, reseller FROM writes ORDER BY verdict IS NOT 'applied', write_id LIMIT 1";
        self.with(|connection| {
            connection
                .query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
    }

    /// Those that were to give a customer a temporary ID, in the order of noting: one for each swap, or a few.
    pub fn parkings(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE write_id > ?1 AND kind = 'temporary' ORDER BY write_id",
            write_row::COLUMNS
        );
        self.page(&sql, 0)
    }

    /// Those of which the system stored another value than was written, temporary IDs left out, in the order of noting.
    pub fn altered(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE write_id > ?1 AND altered AND kind <> 'temporary' \
             ORDER BY write_id",
            write_row::COLUMNS
        );
        self.page(&sql, 0)
    }

    /// The writes of lines without a final outcome, that took effect or of which this is unknown: by line, and
    /// for each line in the order of recording.
    pub fn unresolved_writes(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        let done = self.done()?;
        let mut found = Vec::new();
        for (_, write) in self.places(|_, line| !done.contains(line))? {
            let write = self.write(write)?;
            if write.verdict != Some(Verdict::NotApplied) {
                found.push(write);
            }
        }
        found.sort_by_key(|write| (write.intent.line, write.id));
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
    pub(super) fn write(&self, write: u32) -> Result<WriteRecord, LedgerError> {
        self.writes_numbered(&[write])?
            .pop()
            .ok_or_else(|| LedgerError::sqlite(self.path(), rusqlite::Error::QueryReturnedNoRows))
    }

    /// The writes of these numbers.
    pub(super) fn writes_numbered(&self, numbers: &[u32]) -> Result<Vec<WriteRecord>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE write_id = ?1",
            write_row::COLUMNS
        );
        let failed = |source| LedgerError::sqlite(self.path(), source);
        let connection = self.lock();
        // One for all of them: else SQLite locks and unlocks the file for each.
        let reading = connection.unchecked_transaction().map_err(failed)?;
        let mut statement = reading.prepare_cached(&sql).map_err(failed)?;
        let mut writes = Vec::with_capacity(numbers.len());
        for number in numbers {
            let mut rows = statement.query([number]).map_err(failed)?;
            let row = rows.next().map_err(failed)?;
            let row = row.ok_or_else(|| failed(rusqlite::Error::QueryReturnedNoRows))?;
            writes.push(write_row::read(self.path(), row)?);
        }
        Ok(writes)
    }

    fn page(&self, sql: &str, from: i64) -> Result<Vec<WriteRecord>, LedgerError> {
        let failed = |source| LedgerError::sqlite(self.path(), source);
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query([from]).map_err(failed)?;
        let mut page = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            page.push(write_row::read(self.path(), row)?);
        }
        Ok(page)
    }
}

/// Noted writes in their order, read page by page.
#[derive(Debug)]
pub struct Writes<'a> {
    ledger: &'a Ledger,
    after: Option<i64>,
    page: vec::IntoIter<WriteRecord>,
}

impl Writes<'_> {
    fn load_page(&mut self, after: i64) -> Result<(), LedgerError> {
        let sql = format!(
            "SELECT {} FROM writes WHERE write_id > ?1 ORDER BY write_id LIMIT {PAGE}",
            write_row::COLUMNS
        );
        let page = self.ledger.page(&sql, after)?;
        self.after = page.last().map(|last: &WriteRecord| {
            let WriteId(number) = last.id;
            number
        });
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Writes<'_> {
    type Item = Result<WriteRecord, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(write) = self.page.next() {
            return Some(Ok(write));
        }
        let after = self.after.take()?;
        if let Err(error) = self.load_page(after) {
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}
