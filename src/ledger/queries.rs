//! What the record tells: outcomes in the order of lines, counts, what is done, what was written.

use super::rows::{
    INSERT_OUTCOME, OUTCOME_COLUMNS, WRITE_COLUMNS, insert_outcome, outcome, recorded,
};
use super::store::unsigned;
use super::{Ledger, LedgerError, LineSet, Recorded};
use crate::domain::{Line, Outcome, Status};

/// Lines that have no final outcome: looked at only, not begun, or in doubt.
const OPEN: &str = "('would_change', 'skipped', 'in_doubt')";
/// Outcomes are read so many at a time.
const PAGE: usize = 2000;

/// How many lines ended in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// In which way.
    pub status: Status,
    /// How many lines.
    pub lines: u64,
    /// The first of them.
    pub first_line: Line,
}

/// All outcomes in the order of lines, a page at a time.
pub struct Outcomes<'a> {
    ledger: &'a Ledger,
    page: std::vec::IntoIter<Outcome>,
    next: Option<Line>,
}

impl Iterator for Outcomes<'_> {
    type Item = Result<Outcome, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(outcome) = self.page.next() {
            return Some(Ok(outcome));
        }
        let page = match self.ledger.outcome_page(self.next?) {
            Ok(page) => page,
            Err(error) => {
                self.next = None;
                return Some(Err(error));
            }
        };
        let full = page.len() >= PAGE;
        self.next = page
            .last()
            .filter(|_| full)
            .and_then(|last| last.line.checked_add(1));
        self.page = page.into_iter();
        self.page.next().map(Ok)
    }
}

impl Ledger {
    /// All outcomes, in the order of lines.
    pub fn outcomes(&self) -> Outcomes<'_> {
        Outcomes {
            ledger: self,
            page: Vec::new().into_iter(),
            next: Some(0),
        }
    }

    fn outcome_page(&self, from: Line) -> Result<Vec<Outcome>, LedgerError> {
        let sql = format!(
            "SELECT {OUTCOME_COLUMNS} FROM outcome WHERE line >= ?1 ORDER BY line LIMIT {PAGE}"
        );
        self.rows(&sql, &[&from], outcome)
    }

    /// The outcome of one line.
    pub fn outcome_of(&self, line: Line) -> Result<Option<Outcome>, LedgerError> {
        let sql = format!("SELECT {OUTCOME_COLUMNS} FROM outcome WHERE line = ?1");
        Ok(self.rows(&sql, &[&line], outcome)?.pop())
    }

    /// Notes outcomes before the run begins: what a plan found, or what is to be undone.
    pub fn seed(&mut self, outcomes: impl IntoIterator<Item = Outcome>) -> Result<(), LedgerError> {
        let path = self.path.clone();
        let sql = |source| LedgerError::sqlite(&path, source);
        let transaction = self.connection.transaction().map_err(sql)?;
        {
            let mut statement = transaction.prepare_cached(INSERT_OUTCOME).map_err(sql)?;
            for outcome in outcomes {
                insert_outcome(&mut statement, &outcome).map_err(sql)?;
            }
        }
        transaction.commit().map_err(sql)
    }

    /// Lines with a final outcome.
    pub fn done(&self) -> Result<LineSet, LedgerError> {
        self.line_set(&format!(
            "SELECT line FROM outcome WHERE status NOT IN {OPEN}"
        ))
    }

    /// Lines that a plan would change.
    pub fn planned(&self) -> Result<LineSet, LedgerError> {
        self.line_set("SELECT line FROM outcome WHERE status = 'would_change'")
    }

    /// Units for which something was about to be written.
    pub fn units_with_writes(&self) -> Result<LineSet, LedgerError> {
        self.line_set("SELECT DISTINCT unit FROM write")
    }

    /// Everything that was about to be written for one unit, in order.
    pub fn writes_of(&self, unit: Line) -> Result<Vec<Recorded>, LedgerError> {
        let sql = format!("SELECT {WRITE_COLUMNS} FROM write WHERE unit = ?1 ORDER BY id");
        self.rows(&sql, &[&unit], recorded)
    }

    /// Makes looking writes up by their unit fast; worth it once a run is resumed or reported.
    pub fn index_writes(&self) -> Result<(), LedgerError> {
        self.connection
            .execute_batch("CREATE INDEX IF NOT EXISTS write_by_unit ON write (unit)")
            .map_err(|source| LedgerError::sqlite(&self.path, source))
    }

    /// Writes whose effect nobody knows, of lines that have no outcome: in the order of lines.
    pub fn doubtful(&self) -> Result<Vec<Recorded>, LedgerError> {
        let sql = format!(
            "SELECT {WRITE_COLUMNS} FROM write WHERE (verdict IS NULL OR verdict = 'unknown')
             AND line NOT IN (SELECT line FROM outcome WHERE status NOT IN {OPEN}) ORDER BY line, id"
        );
        self.rows(&sql, &[], recorded)
    }

    /// How many lines ended in which way.
    pub fn counts(&self) -> Result<Vec<Counted>, LedgerError> {
        let sql = "SELECT status, reason, count(*), min(line) FROM outcome GROUP BY status, reason";
        let rows = self.rows(sql, &[], |row| {
            let (status, reason): (String, String) = (row.get(0)?, row.get(1)?);
            let counted = Status::parse(&status, &reason).map(|status| {
                Ok(Counted {
                    status,
                    lines: unsigned(row.get(2)?),
                    first_line: row.get(3)?,
                })
            });
            counted.transpose()
        })?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Whether anything was ever about to be written.
    pub fn has_writes(&self) -> Result<bool, LedgerError> {
        let rows = self.rows("SELECT 1 FROM write LIMIT 1", &[], |_| Ok(()))?;
        Ok(!rows.is_empty())
    }

    fn line_set(&self, sql: &str) -> Result<LineSet, LedgerError> {
        let error = |source| LedgerError::sqlite(&self.path, source);
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let lines = statement.query_map([], |row| row.get(0)).map_err(error)?;
        lines.collect::<Result<LineSet, _>>().map_err(error)
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: &[&dyn rusqlite::ToSql],
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let error = |source| LedgerError::sqlite(&self.path, source);
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let rows = statement.query_map(params, read).map_err(error)?;
        rows.collect::<Result<_, _>>().map_err(error)
    }
}
