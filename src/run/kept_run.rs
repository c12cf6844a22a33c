//! One run: its folder on this machine, and the storage of its record.

use super::quota::SharedLimits;
use crate::ledger::{Check, Ledger, LedgerError, LocalRuns, RunDir, RunId, Runs, StateDb, host};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run: its folder on this machine, and the storage of its record.
#[derive(Debug, Clone)]
pub(crate) struct KeptRun {
    runs: Arc<dyn Runs>,
    dir: RunDir,
}

impl Deref for KeptRun {
    type Target = RunDir;

    fn deref(&self) -> &RunDir {
        &self.dir
    }
}

impl KeptRun {
    pub(super) fn of(runs: &Arc<dyn Runs>, dir: RunDir) -> Self {
        Self {
            runs: Arc::clone(runs),
            dir,
        }
    }

    /// Returns the run with this ID, without checking that it exists.
    pub(super) fn named(runs: &Arc<dyn Runs>, folder: &Path, run: &RunId) -> Option<Self> {
        let dir = RunDir::at(&folder.join(run.as_str()))?;
        Some(Self::of(runs, dir))
    }

    /// Returns the run in this folder; `None`: there is none.
    pub(super) fn in_folder(runs: &Arc<dyn Runs>, folder: &Path) -> Option<Self> {
        let dir = RunDir::at(&folder.canonicalize().ok()?)?;
        runs.has(&dir).then(|| Self::of(runs, dir))
    }

    /// Returns the run that is kept in files in this registered folder; `None`: there is none any more.
    pub(crate) fn registered(folder: &Path) -> Option<Self> {
        let runs: Arc<dyn Runs> = Arc::new(LocalRuns::of(folder, false, None));
        Self::in_folder(&runs, folder)
    }

    /// Returns the run that has this file in its folder; `None`: there is none.
    pub(super) fn of_file(runs: &Arc<dyn Runs>, file: &Path) -> Option<Self> {
        Self::in_folder(runs, file.canonicalize().ok()?.parent()?)
    }

    /// Makes sure that its folder is on this machine, and refuses one that others may write into or that is a symbolic link.
    pub(super) fn checked(self) -> Result<Self, LedgerError> {
        self.runs.folder(&self.dir)?;
        Ok(self)
    }

    /// Returns the storage of its record.
    pub(super) fn runs(&self) -> &dyn Runs {
        self.runs.as_ref()
    }

    /// Opens its record without checking all of it.
    pub(crate) fn ledger(&self) -> Result<Ledger, LedgerError> {
        self.runs.open(&self.dir, Check::Short)
    }

    /// Opens its record after checking all of it.
    pub(crate) fn whole_ledger(&self) -> Result<Ledger, LedgerError> {
        self.runs.open(&self.dir, Check::Whole)
    }

    /// Opens its record, and begins to check all of it: [`Ledger::checked`] waits for the result.
    pub(super) fn ledger_under_check(&self) -> Result<Ledger, LedgerError> {
        self.runs.open(&self.dir, Check::Beside)
    }

    /// Returns the path of the run's copy of its input, after making sure that the copy is on this machine.
    pub(super) fn input(&self) -> Result<PathBuf, LedgerError> {
        self.runs.input(&self.dir)
    }

    /// Returns the limits that this process shares with all other processes that call this target.
    pub(super) fn shared_limits(
        &self,
        target: String,
        has_quota: bool,
    ) -> Result<Option<SharedLimits>, LedgerError> {
        SharedLimits::of(&*self.runs, target, || {
            has_quota.then(|| StateDb::open().map(Arc::new)).transpose()
        })
    }

    /// Returns whether the last process on the run was on another machine, or kept its files in another folder. Only the
    /// files of that process show whether it has written its reports.
    pub(super) fn was_worked_on_elsewhere(&self, ledger: &Ledger) -> Result<bool, LedgerError> {
        let Some(folder) = self.runs.worked_on_in(&self.dir)? else {
            return Ok(false);
        };
        let last = ledger.sessions()?.pop();
        let is_here = last.is_none_or(|last| last.host == host());
        Ok(!is_here || folder != self.dir.absolute())
    }

    /// Whether a process has taken the run: it is about to work on the lines, works on them, or writes the reports.
    pub(crate) fn is_taken(&self, ledger: &Ledger) -> bool {
        ledger.is_live() || self.is_claimed(ledger)
    }

    /// Fails if a process has taken the run, and names that process.
    pub(super) fn refuse_if_taken(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        ledger.refuse_if_live()?;
        self.runs
            .refuse_if_at(&ledger.header().target, self.run().as_str())
    }

    /// Whether a process has claimed the run's target for this run.
    pub(super) fn is_claimed(&self, ledger: &Ledger) -> bool {
        self.runs
            .is_at(&ledger.header().target, self.run().as_str())
    }

    /// Removes everything of a run that has not begun.
    pub(super) fn discard(&self) {
        // Remains are visible, but do no harm.
        let _ = self.runs.discard(&self.dir);
    }
}

#[cfg(test)]
mod tests;
