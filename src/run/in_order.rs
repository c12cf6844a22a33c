//! Outcomes that are asked for in the order of the file, while its lines are fed.

use crate::domain::{Line, Outcome};
use crate::ledger::{Ledger, LedgerError, Outcomes};
use std::iter::Peekable;

/// The outcomes of lines that are units of their own, asked for in the order of the file: a query for each page of them.
///
/// Such a line has no other outcome before it is fed, so that a page may be older than the ledger.
pub(super) struct InOrder<'a> {
    ledger: &'a Ledger,
    outcomes: Peekable<Outcomes<'a>>,
    /// From which line on they are read.
    next: Line,
}

/// Lines that are passed over one by one, where they are not asked for, before a new query is made.
const NEAR: Line = 10_000;

impl<'a> InOrder<'a> {
    /// Those of this ledger.
    pub(super) fn of(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            outcomes: ledger.outcomes_from(0).peekable(),
            next: 0,
        }
    }

    /// The outcome of a line, which is asked for behind the one before.
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

    /// The same of any line, which changes nothing of the order.
    pub(super) fn find_any(&self, line: Line) -> Result<Option<Outcome>, LedgerError> {
        self.ledger.outcome_of(line)
    }
}
