//! The noted writes: in the order of noting, or those that `resume` and the reports must look at.

use super::store::WritesOf;
use super::{Ledger, LedgerError, Verdict, WriteId, WriteRecord};
use crate::domain::Line;
use std::vec;

/// Writes per page.
const PAGE: u32 = 2_000;

impl Ledger {
    /// All noted writes, in the order of noting.
    pub fn writes(&self) -> Writes<'_> {
        self.writes_that(WritesOf::All)
    }

    fn writes_that(&self, which: WritesOf) -> Writes<'_> {
        Writes {
            ledger: self,
            which,
            after: Some(WriteId(0)),
            page: Vec::new().into_iter(),
        }
    }

    /// Returns the writes of the wanted units.
    pub fn writes_of_units(
        &self,
        wanted: impl Fn(Line) -> bool,
    ) -> Result<UnitWrites, LedgerError> {
        let mut writes = self.store().writes_of_units(&wanted)?;
        writes.sort_unstable();
        Ok(UnitWrites(writes))
    }

    /// Returns all noted writes for a line, in the order of noting.
    pub fn writes_of_line(&self, line: Line) -> Result<Vec<WriteRecord>, LedgerError> {
        self.writes_that(WritesOf::Line(line)).collect()
    }

    /// Whether any write was noted.
    pub fn has_writes(&self) -> Result<bool, LedgerError> {
        Ok(self.store().customer(WritesOf::All)?.is_some())
    }

    /// Whether any write of an account ID was noted.
    pub fn has_renames(&self) -> Result<bool, LedgerError> {
        Ok(self.store().customer(WritesOf::Accounts)?.is_some())
    }

    /// Returns a customer that was written to, and the relationship; `None`: there is none. Prefers a customer with a
    /// write that is known to have taken effect.
    pub fn any_customer(&self) -> Result<Option<(String, Option<String>)>, LedgerError> {
        match self.store().customer(WritesOf::Applied)? {
            None => self.store().customer(WritesOf::All),
            applied => Ok(applied),
        }
    }

    /// Returns the writes that were to give a customer a temporary ID, in the order of noting: one for each swap, or a few.
    pub fn parkings(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        self.writes_that(WritesOf::Temporary).collect()
    }

    /// Returns the writes for which the system stored another value, in the order of noting; temporary IDs are left out.
    pub fn altered(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        self.writes_that(WritesOf::Altered).collect()
    }

    /// Returns the writes of lines without a final outcome that took effect or may have: by line, and for each line in
    /// the order of recording.
    pub fn unresolved_writes(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        let done = self.done()?;
        let mut open = Vec::new();
        self.store().each_write(WritesOf::All, &mut |write| {
            if write.verdict != Some(Verdict::NotApplied) && !done.contains(write.line) {
                open.push(write.id);
            }
            Ok(())
        })?;
        let mut found = self.store().numbered(&open)?;
        found.sort_by_key(|write| (write.intent.line, write.id));
        Ok(found)
    }
}

/// The numbers of the writes of some units: eight bytes each.
#[derive(Debug, Clone, Default)]
pub struct UnitWrites(Vec<(Line, u32)>);

impl UnitWrites {
    /// Whether any write was noted for this unit.
    pub fn has(&self, unit: Line) -> bool {
        self.0.binary_search_by_key(&unit, |(one, _)| *one).is_ok()
    }

    /// Returns all noted writes for this unit, in the order of noting. `ledger`: that of the run.
    pub fn of(&self, unit: Line, ledger: &Ledger) -> Result<Vec<WriteRecord>, LedgerError> {
        let first = self.0.partition_point(|(one, _)| *one < unit);
        let of_unit = self.0[first..].iter().take_while(|(one, _)| *one == unit);
        let numbers: Vec<u32> = of_unit.map(|(_, number)| *number).collect();
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        ledger.store().numbered(&numbers)
    }
}

/// Noted writes in their order, read page by page.
#[derive(Debug)]
pub struct Writes<'a> {
    ledger: &'a Ledger,
    which: WritesOf,
    /// The last one that was read; `None`: there are no more.
    after: Option<WriteId>,
    page: vec::IntoIter<WriteRecord>,
}

impl Writes<'_> {
    fn load_page(&mut self, after: WriteId) -> Result<(), LedgerError> {
        let page = self.ledger.store().writes(self.which, after, PAGE)?;
        let is_full = page.len() == PAGE as usize;
        self.after = page.last().map(|last| last.id).filter(|_| is_full);
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
