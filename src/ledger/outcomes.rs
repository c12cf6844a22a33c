//! What became of the lines: counted, as a set, or one by one in the order of the file.
//!
//! Pages are read one at a time and closed again, so that a reader never keeps the log from being checkpointed
//! while a run is under way, and memory stays flat.

use super::outcome_row;
use super::{Ledger, LedgerError, LineSet};
use crate::domain::{Line, Outcome, Status};
use std::vec;

/// Outcomes of one page.
const PAGE: u32 = 2_000;

/// How many lines ended with a status, and the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Status and reason.
    pub status: Status,
    /// How many lines.
    pub lines: u64,
    /// The lowest of them.
    pub first_line: Line,
}

impl Counted {
    /// How many lines ended with the status of this name.
    pub fn lines_named(counts: &[Self], name: &str) -> u64 {
        let named = counts.iter().filter(|one| one.status.name() == name);
        named.map(|one| one.lines).sum()
    }
}

impl Ledger {
    /// How many groups of rows were committed: it grows with whatever the run records.
    pub fn commits(&self) -> Result<i64, LedgerError> {
        let sql = "SELECT commits FROM seal";
        self.with(|connection| connection.query_row(sql, (), |row| row.get(0)))
    }

    /// The lines that need no further work: changed, unchanged, failed for good or suppressed.
    /// A line that would be changed, was skipped or is in doubt is not done.
    pub fn done(&self) -> Result<LineSet, LedgerError> {
        self.line_set(
            "SELECT line FROM outcomes WHERE status IN ('changed', 'unchanged', 'failed') OR reason = 'suppressed'",
        )
    }

    /// The lines that a plan would change.
    pub fn planned(&self) -> Result<LineSet, LedgerError> {
        self.line_set("SELECT line FROM outcomes WHERE status = 'would_change'")
    }

    /// The lines of a plan that was begun to be carried out which still need work: those that were not reached, and
    /// those with a write in doubt.
    pub fn still_planned(&self) -> Result<LineSet, LedgerError> {
        self.line_set("SELECT line FROM outcomes WHERE status IN ('would_change', 'in_doubt')")
    }

    pub(super) fn line_set(&self, sql: &str) -> Result<LineSet, LedgerError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let lines = statement.query_map((), |row| row.get::<_, Line>(0))?;
            lines.collect()
        })
    }

    /// How many lines ended with which status, in the order of [`Status::ALL`].
    pub fn counts(&self) -> Result<Vec<Counted>, LedgerError> {
        let mut counts = match self.closed_counts()? {
            Some(counts) => counts,
            None => self.count()?,
        };
        let place = |status| Status::ALL.iter().position(|known| *known == status);
        counts.sort_by_key(|counted| place(counted.status));
        Ok(counts)
    }

    /// Reads every outcome for that.
    fn count(&self) -> Result<Vec<Counted>, LedgerError> {
        // Counted here and not by GROUP BY, which sorts all rows first and takes three times as long.
        let sql = "SELECT status, reason, line FROM outcomes ORDER BY line";
        let failed = |source: rusqlite::Error| LedgerError::sqlite(self.path(), source);
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(()).map_err(failed)?;
        let mut counts: Vec<Counted> = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let word = |at| outcome_row::word(row, at).map_err(|fault| fault.name(self.path()));
            let (name, reason) = (word(0)?, word(1)?);
            let known = counts
                .iter_mut()
                .find(|counted| counted.status.name() == name && counted.status.reason() == reason);
            if let Some(counted) = known {
                counted.lines += 1;
                continue;
            }
            let status = Status::parse(name, reason)
                .ok_or_else(|| outcome_row::unknown_status(self.path()))?;
            counts.push(Counted {
                status,
                lines: 1,
                first_line: row.get(2).map_err(failed)?,
            });
        }
        Ok(counts)
    }

    /// The outcome of one line.
    pub fn outcome_of(&self, line: Line) -> Result<Option<Outcome>, LedgerError> {
        let mut one = Outcomes {
            ledger: self,
            next: Some(line),
            last: line,
            page: Vec::new().into_iter(),
        };
        one.next().transpose()
    }

    /// All outcomes, ordered by line.
    pub fn outcomes(&self) -> Outcomes<'_> {
        self.outcomes_from(0)
    }

    /// The outcomes from this line on, ordered by line.
    pub fn outcomes_from(&self, line: Line) -> Outcomes<'_> {
        Outcomes {
            ledger: self,
            next: Some(line),
            last: Line::MAX,
            page: Vec::new().into_iter(),
        }
    }
}

/// Outcomes in the order of the file, read page by page.
#[derive(Debug)]
pub struct Outcomes<'a> {
    ledger: &'a Ledger,
    next: Option<Line>,
    last: Line,
    page: vec::IntoIter<Outcome>,
}

impl Outcomes<'_> {
    fn load_page(&mut self, from: Line) -> Result<(), LedgerError> {
        let sql = format!(
            "SELECT {} FROM outcomes WHERE line BETWEEN ?1 AND ?2 ORDER BY line LIMIT {PAGE}",
            outcome_row::COLUMNS,
        );
        let path = self.ledger.path();
        let failed = |source| LedgerError::sqlite(path, source);
        let connection = self.ledger.lock();
        let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query([from, self.last]).map_err(failed)?;
        let mut page = Vec::with_capacity(64);
        while let Some(row) = rows.next().map_err(failed)? {
            page.push(outcome_row::read(path, row)?);
        }
        self.next = page
            .last()
            .and_then(|last: &Outcome| last.line.checked_add(1));
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Outcomes<'_> {
    type Item = Result<Outcome, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(outcome) = self.page.next() {
            return Some(Ok(outcome));
        }
        // Nothing after an error: a damaged ledger is not read on.
        let from = self.next.take()?;
        if let Err(error) = self.load_page(from) {
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}
