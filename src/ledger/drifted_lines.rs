//! The drifted lines of a reconcile, read page by page.

use super::{DriftedLine, Ledger, LedgerError};
use crate::domain::Line;
use std::vec;

/// Lines per page.
const PAGE: u32 = 2_000;

/// Drifted lines in the order of the file, read page by page.
#[derive(Debug)]
pub struct DriftedLines<'a> {
    ledger: &'a Ledger,
    next: Option<Line>,
    page: vec::IntoIter<DriftedLine>,
}

impl Ledger {
    /// Returns the lines that differed from the file, in the order of the file.
    pub fn drift(&self) -> DriftedLines<'_> {
        DriftedLines {
            ledger: self,
            next: Some(0),
            page: Vec::new().into_iter(),
        }
    }
}

impl Iterator for DriftedLines<'_> {
    type Item = Result<DriftedLine, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(one) = self.page.next() {
            return Some(Ok(one));
        }
        // After an error, nothing more is read: the ledger is damaged.
        let from = self.next.take()?;
        match self.ledger.store().drift(from, PAGE) {
            Ok(page) => {
                self.next = page.last().and_then(|last| last.line.checked_add(1));
                self.page = page.into_iter();
                self.page.next().map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}
