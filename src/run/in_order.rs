//! Reads outcomes in the order of the file, while its lines are fed.

use crate::domain::{Line, Outcome};
use crate::ledger::{Ledger, LedgerError, Outcomes};
use std::iter::Peekable;

/// Finds the outcomes of lines that are units of their own, in the order of the file, with one query for each page.
///
/// A line of this kind gets no other outcome before it is fed, so that a page may be older than the ledger.
pub(super) struct InOrder<'a> {
    ledger: &'a Ledger,
    outcomes: Peekable<Outcomes<'a>>,
    /// The line after the last one that was asked for.
    next: Line,
}

/// If more lines than this lie between two requests, a new query is made; otherwise their outcomes are skipped one by one.
const NEAR: Line = 10_000;

impl<'a> InOrder<'a> {
    /// Reads the outcomes of this ledger.
    pub(super) fn of(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            outcomes: ledger.outcomes_from(0).peekable(),
            next: 0,
        }
    }

    /// Returns the outcome of a line. Lines should be asked for in rising order.
    pub(super) fn find(&mut self, line: Line) -> Result<Option<Outcome>, LedgerError> {
        if line < self.next || line - self.next > NEAR {
            self.outcomes = self.ledger.outcomes_from(line).peekable();
        }
        self.next = line.saturating_add(1);
        let is_reached =
            |next: &Result<Outcome, _>| next.as_ref().map_or(true, |one| one.line <= line);
        while let Some(outcome) = self.outcomes.next_if(is_reached) {
            let outcome = outcome?;
            if outcome.line == line {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// Returns the outcome of any line, and does not change the position in the file.
    pub(super) fn find_any(&self, line: Line) -> Result<Option<Outcome>, LedgerError> {
        self.ledger.outcome_of(line)
    }
}
