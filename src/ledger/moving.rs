//! Moves a run from files into a database. After that, processes work on the run only in the database.

use super::pages::Pages;
use super::sqlite::{moved, open};
use super::store::{Fact, Store};
use super::{Check, ExclusiveLock, Header, Ledger, LedgerError, RunDir};
use std::path::PathBuf;

/// A run in files, locked against other processes. Its whole record was checked when it was opened.
#[derive(Debug)]
pub struct MovingRun {
    dir: RunDir,
    ledger: Ledger,
    moved_to: Option<String>,
    hold: ExclusiveLock,
}

impl MovingRun {
    /// Opens and locks the run, also if it was moved before.
    pub fn open(dir: &RunDir) -> Result<Self, LedgerError> {
        dir.check()?;
        let moved_to = moved::place(dir)?;
        let ledger = opened(dir, moved_to.is_some(), Check::Whole)?;
        Ok(Self {
            hold: ledger.hold()?,
            dir: dir.clone(),
            ledger,
            moved_to,
        })
    }

    /// Returns the header of the run in this folder, without checking its whole record.
    pub fn peek(dir: &RunDir) -> Result<Header, LedgerError> {
        let is_moved = moved::place(dir)?.is_some();
        opened(dir, is_moved, Check::Short)?.store().header()
    }

    /// Its record.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The database to which it was moved, or was about to be.
    pub fn moved_to(&self) -> Option<&str> {
        self.moved_to.as_deref()
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.ledger.store()
    }

    /// Where its copy of its input is, if it has one.
    pub(super) fn input(&self) -> PathBuf {
        self.dir.local_input()
    }

    /// Marks the run as moved: from now on no process works on its files.
    pub fn set_moved(self, place: &str) -> Result<MovedRun, LedgerError> {
        let Self {
            dir,
            ledger,
            moved_to,
            hold,
        } = self;
        // Closes the last connection: `moved::set` needs the ledger closed.
        drop(ledger);
        if moved_to.is_none() {
            moved::set(&dir, place)?;
        }
        Ok(MovedRun { dir, _hold: hold })
    }

    /// Whether another record belongs to the same run, whatever its progress.
    pub fn is_of(&self, other: &Ledger) -> Result<bool, LedgerError> {
        Ok(self.store().header()? == other.store().header()?)
    }

    /// Returns, in words, the first kind of data in which another record of the run differs; `None`: both are the same.
    pub fn differs_from(&self, other: &Ledger) -> Result<Option<&'static str>, LedgerError> {
        let (one, other) = (self.store(), other.store());
        if one.header()? != other.header()? || one.shard()? != other.shard()? {
            return Ok(Some("its command, input or settings"));
        }
        let (mut pages, mut others) = (Pages::of(one), Pages::of(other));
        loop {
            let (page, other) = (pages.next()?, others.next()?);
            let Some(either) = page.as_ref().or(other.as_ref()) else {
                break;
            };
            if page != other {
                return Ok(Some(either.words()));
            }
        }
        if one.sessions()? != other.sessions()? {
            return Ok(Some("the list of its processes"));
        }
        let facts = |store: &dyn Store| store.facts(&Fact::ALL).map(|facts| facts.0);
        if facts(one)? != facts(other)? {
            return Ok(Some("its progress"));
        }
        Ok(None)
    }
}

fn opened(dir: &RunDir, is_moved: bool, check: Check) -> Result<Ledger, LedgerError> {
    Ledger::of(if is_moved {
        open::open_moved(dir, check)?
    } else {
        open::open(dir, check)?
    })
}

/// A moved run: no process works on its files any more.
#[derive(Debug)]
pub struct MovedRun {
    dir: RunDir,
    _hold: ExclusiveLock,
}

impl MovedRun {
    /// Removes the mark, where the run is certainly in no database: processes work on its files again.
    pub(super) fn revoke(self) -> Result<(), LedgerError> {
        moved::revoke(&self.dir)
    }
}
