//! Reads all rows of a run's record page by page, so that memory stays flat: for copying a record, and for comparing two.

use super::store::{Store, WritesOf};
use super::{DriftedLine, LedgerError, RemovedFile, Unlooked, WriteId, WriteRecord};
use crate::domain::{CustomerId, Line, Outcome};

/// Rows per page.
const PAGE: u32 = 2_000;

/// Some rows of one kind.
#[derive(Debug, PartialEq)]
pub(super) enum Page {
    Outcomes(Vec<Outcome>),
    Writes(Vec<WriteRecord>),
    Unlooked(Unlooked),
    Drift(Vec<DriftedLine>),
    Wishes(Vec<(u64, CustomerId)>),
    Replaced(Vec<u64>),
    Removed(Vec<RemovedFile>),
}

impl Page {
    /// Names its rows, for messages.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Outcomes(_) | Self::Unlooked(_) => "the outcome of a line",
            Self::Writes(_) => "a write",
            Self::Drift(_) => "the cause of the drift of a line",
            Self::Wishes(_) => "the customer of a line",
            Self::Replaced(_) => "a value that was replaced",
            Self::Removed(_) => "a file that was removed",
        }
    }
}

/// Where the next page begins.
enum At {
    Outcomes(Line),
    Writes(WriteId),
    Unlooked(Line),
    Drift(Line),
    Wishes(Option<(u64, CustomerId)>),
    /// The digests that are left, the lowest last.
    Replaced(Option<Vec<u64>>),
    Removed,
    End,
}

/// The pages of a record, in the same order for every database.
pub(super) struct Pages<'s> {
    store: &'s dyn Store,
    at: At,
}

impl<'s> Pages<'s> {
    pub(super) fn of(store: &'s dyn Store) -> Self {
        Self {
            store,
            at: At::Outcomes(0),
        }
    }

    /// Returns the next page; `None`: there is none left.
    pub(super) fn next(&mut self) -> Result<Option<Page>, LedgerError> {
        while !matches!(self.at, At::End) {
            if let Some(page) = self.of_kind()? {
                return Ok(Some(page));
            }
            self.at = match self.at {
                At::Outcomes(_) => At::Writes(WriteId(0)),
                At::Writes(_) => At::Unlooked(0),
                At::Unlooked(_) => At::Drift(0),
                At::Drift(_) => At::Wishes(None),
                At::Wishes(_) => At::Replaced(None),
                At::Replaced(_) => At::Removed,
                At::Removed | At::End => At::End,
            };
        }
        Ok(None)
    }

    /// The next page of this kind; `None`: there is none left.
    fn of_kind(&mut self) -> Result<Option<Page>, LedgerError> {
        let store = self.store;
        Ok(match &mut self.at {
            At::Outcomes(from) => {
                let page = store.outcomes(&[], *from..=Line::MAX, PAGE)?;
                page.last().map(|last| last.line).map(|last| {
                    *from = last.saturating_add(1);
                    Page::Outcomes(page)
                })
            }
            At::Writes(after) => {
                let page = store.writes(WritesOf::All, *after, PAGE)?;
                page.last().map(|last| last.id).map(|last| {
                    *after = last;
                    Page::Writes(page)
                })
            }
            At::Unlooked(from) => store.unlooked(*from..=Line::MAX)?.map(|(lines, last)| {
                *from = last.saturating_add(1);
                Page::Unlooked(lines)
            }),
            At::Drift(from) => {
                let page = store.drift(*from, PAGE)?;
                page.last().map(|last| last.line).map(|last| {
                    *from = last.saturating_add(1);
                    Page::Drift(page)
                })
            }
            At::Wishes(after) => {
                let page = store.wishes(after.as_ref(), PAGE)?;
                page.last().cloned().map(|last| {
                    *after = Some(last);
                    Page::Wishes(page)
                })
            }
            At::Replaced(left) => {
                if left.is_none() {
                    *left = Some(reversed(store)?);
                }
                let left = left.get_or_insert_default();
                let rest = left.len().saturating_sub(PAGE as usize);
                let page = left.split_off(rest);
                (!page.is_empty()).then_some(Page::Replaced(page))
            }
            At::Removed => {
                self.at = At::End;
                let page = store.removed_files()?;
                (!page.is_empty()).then_some(Page::Removed(page))
            }
            At::End => None,
        })
    }
}

/// Returns the digests of replaced values in descending order: pages are taken from the end.
fn reversed(store: &dyn Store) -> Result<Vec<u64>, LedgerError> {
    let mut all = store.replaced()?;
    all.sort_unstable_by(|a, b| b.cmp(a));
    Ok(all)
}
