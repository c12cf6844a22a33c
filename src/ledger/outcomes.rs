//! What became of the lines: counted, as a set, or one by one in the order of the file.
//!
//! Pages are read one at a time and closed again, so that a reader never keeps the log from being checkpointed
//! while a run is under way, and memory stays flat.

use super::store::LinesOf;
use super::{Counted, Ledger, LedgerError, LineSet};
use crate::domain::{Line, Outcome, Status};
use std::vec;

/// Outcomes of one page.
const PAGE: u32 = 2_000;

impl Ledger {
    /// How many groups of rows were committed: it grows with whatever the run records.
    pub fn commits(&self) -> Result<i64, LedgerError> {
        self.store().commits()
    }

    /// The lines that need no further work: changed, unchanged, failed for good or suppressed.
    /// A line that would be changed, was skipped or is in doubt is not done.
    pub fn done(&self) -> Result<LineSet, LedgerError> {
        self.store().lines(LinesOf::Done)
    }

    /// The lines that a plan would change.
    pub fn planned(&self) -> Result<LineSet, LedgerError> {
        self.store().lines(LinesOf::Planned)
    }

    /// The lines of a plan that was begun to be carried out which still need work: those that were not reached, and
    /// those with a write in doubt.
    pub fn still_planned(&self) -> Result<LineSet, LedgerError> {
        self.store().lines(LinesOf::StillPlanned)
    }

    /// How many lines ended with which status, in the order of [`Status::ALL`].
    pub fn counts(&self) -> Result<Vec<Counted>, LedgerError> {
        let mut counts = self.store().counts()?;
        let place = |status| Status::ALL.iter().position(|known| *known == status);
        counts.sort_by_key(|counted| place(counted.status));
        Ok(counts)
    }

    /// The outcome of one line.
    pub fn outcome_of(&self, line: Line) -> Result<Option<Outcome>, LedgerError> {
        let found = self.store().outcomes(line..=line, 1)?;
        Ok(found.into_iter().next())
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
            page: Vec::new().into_iter(),
        }
    }
}

/// Outcomes in the order of the file, read page by page.
#[derive(Debug)]
pub struct Outcomes<'a> {
    ledger: &'a Ledger,
    next: Option<Line>,
    page: vec::IntoIter<Outcome>,
}

impl Outcomes<'_> {
    fn load_page(&mut self, from: Line) -> Result<(), LedgerError> {
        let page = self.ledger.store().outcomes(from..=Line::MAX, PAGE)?;
        self.next = page.last().and_then(|last| last.line.checked_add(1));
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
