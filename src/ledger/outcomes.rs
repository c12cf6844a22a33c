//! What became of the lines: counted, as a set, or one by one in the order of the file.
//!
//! Each page is read with a query of its own, so that a reader never blocks a checkpoint of the write-ahead log while a
//! run is under way, and memory stays flat.

use super::store::LinesOf;
use super::unlooked::{STATUS, UnlookedOutcomes};
use super::{BriefOutcome, Counted, Ledger, LedgerError, LineSet, RunKind, UnlookedLine};
use crate::domain::{Line, Outcome, Status};
use std::vec;

/// Outcomes per page.
const PAGE: u32 = 2_000;

impl Ledger {
    /// Returns the number of committed groups of rows; it grows with everything that the run records.
    pub fn commits(&self) -> Result<i64, LedgerError> {
        self.store().commits()
    }

    /// The lines that need no further work: changed, unchanged, failed for good or suppressed.
    /// A line that would be changed, was skipped or is in doubt is not done.
    pub fn done(&self) -> Result<LineSet, LedgerError> {
        let mut done = self.store().lines(LinesOf::Done)?;
        let mut from = Some(0);
        while let Some(first) = from {
            let Some((unlooked, last)) = self.store().unlooked(first..=Line::MAX)? else {
                break;
            };
            done.extend(unlooked.lines.into_iter().map(|one| one.line));
            from = last.checked_add(1);
        }
        Ok(done)
    }

    /// The lines that a plan would change.
    pub fn planned(&self) -> Result<LineSet, LedgerError> {
        Ok(self
            .store()
            .lines(LinesOf::Planned)?
            .union(&self.unrecorded()?))
    }

    /// Returns the lines of a partly executed plan that still need work: lines that were not reached, and lines with a
    /// write in doubt.
    pub fn still_planned(&self) -> Result<LineSet, LedgerError> {
        let planned = self.store().lines(LinesOf::StillPlanned)?;
        Ok(planned.union(&self.unrecorded()?))
    }

    /// Returns the lines of an undo that have no row: the line in the file says what to change, and which value must be there.
    fn unrecorded(&self) -> Result<LineSet, LedgerError> {
        let header = self.header();
        if header.kind != RunKind::Undo {
            return Ok(LineSet::default());
        }
        let recorded = self.store().lines(LinesOf::Recorded)?;
        // Line 1 of its file is the header.
        let last = Line::try_from(header.lines).unwrap_or(Line::MAX - 1) + 1;
        Ok((2..=last)
            .filter(|line| !recorded.contains(*line))
            .collect())
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
        let mut one = Outcomes {
            last: line,
            ..self.outcomes_from(line)
        };
        one.next().transpose()
    }

    /// Calls `each` for every line with an outcome, in the order of the file.
    pub fn each_brief_outcome(
        &self,
        mut each: impl FnMut(BriefOutcome<'_>),
    ) -> Result<(), LedgerError> {
        if self.store().unlooked(0..=Line::MAX)?.is_none() {
            return self.store().each_brief_outcome(&mut each);
        }
        // A line's own outcome takes precedence over the record that the line was not looked at.
        for outcome in self.outcomes() {
            each(BriefOutcome::of(&outcome?));
        }
        Ok(())
    }

    /// All outcomes, ordered by line.
    pub fn outcomes(&self) -> Outcomes<'_> {
        self.outcomes_from(0)
    }

    /// The outcomes from this line on, ordered by line.
    pub fn outcomes_from(&self, line: Line) -> Outcomes<'_> {
        Outcomes {
            ledger: self,
            only: &[],
            next: Some(line),
            last: Line::MAX,
            page: Vec::new().into_iter(),
            unlooked: UnlookedOutcomes::default(),
        }
    }

    /// The outcomes with a status of one of these names, ordered by line. The others are not read.
    pub fn outcomes_with(&self, only: &'static [&'static str]) -> Outcomes<'_> {
        Outcomes {
            only,
            ..self.outcomes()
        }
    }
}

/// Outcomes in the order of the file, read page by page.
#[derive(Debug)]
pub struct Outcomes<'a> {
    ledger: &'a Ledger,
    /// The names of the statuses that are wanted; none: all.
    only: &'static [&'static str],
    next: Option<Line>,
    last: Line,
    page: vec::IntoIter<Outcome>,
    /// The lines of the page that were not looked at.
    unlooked: UnlookedOutcomes,
}

impl Outcomes<'_> {
    fn load_page(&mut self, from: Line) -> Result<(), LedgerError> {
        let store = self.ledger.store();
        let is_wanted = self.only.is_empty() || self.only.contains(&STATUS.name());
        let unlooked = if is_wanted {
            store.unlooked(from..=self.last)?
        } else {
            None
        };
        let (unlooked, last) = match unlooked {
            None => (None, self.last),
            Some((unlooked, last)) => (Some(unlooked), last.min(self.last)),
        };
        let page = store.outcomes(self.only, from..=last, PAGE)?;
        let is_full = page.len() == PAGE as usize;
        let read_to = match page.last() {
            Some(outcome) if is_full => outcome.line,
            _ => last,
        };
        let mut unlooked = unlooked.unwrap_or_default();
        let of_page = |one: &UnlookedLine| one.line >= from && one.line <= read_to;
        unlooked.lines.retain(of_page);
        self.unlooked = unlooked.outcomes();
        let next = read_to.checked_add(1);
        self.next = next.filter(|next| *next <= self.last);
        self.page = page.into_iter();
        Ok(())
    }
}

impl Outcomes<'_> {
    /// Returns the next outcome of the page: the lower line of its two parts, which are both in the order of the file.
    fn next_of_page(&mut self) -> Option<Outcome> {
        let of_row = self.page.as_slice().first().map(|outcome| outcome.line);
        let unlooked = self.unlooked.next_line();
        match of_row {
            Some(line) if unlooked.is_none_or(|unlooked| line <= unlooked) => {
                // A line's own outcome takes precedence over the record that the line was not looked at.
                if unlooked == Some(line) {
                    self.unlooked.next();
                }
                self.page.next()
            }
            Some(_) | None => self.unlooked.next(),
        }
    }
}

impl Iterator for Outcomes<'_> {
    type Item = Result<Outcome, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(outcome) = self.next_of_page() {
                return Some(Ok(outcome));
            }
            // After an error, nothing more is read: the ledger is damaged.
            let from = self.next.take()?;
            if let Err(error) = self.load_page(from) {
                return Some(Err(error));
            }
        }
    }
}
