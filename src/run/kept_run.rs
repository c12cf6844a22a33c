//! One run: its folder on this machine, and what keeps its record.

use super::quota::SharedLimits;
use crate::ledger::{Ledger, LedgerError, LocalRuns, RunDir, RunId, Runs, StateDb, host};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run: its folder on this machine, and what keeps its record.
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

    /// The run with this ID, whether there is one or not.
    pub(super) fn named(runs: &Arc<dyn Runs>, folder: &Path, run: &RunId) -> Option<Self> {
        let dir = RunDir::at(&folder.join(run.as_str()))?;
        Some(Self::of(runs, dir))
    }

    /// The run that has this folder, where there is one.
    pub(super) fn in_folder(runs: &Arc<dyn Runs>, folder: &Path) -> Option<Self> {
        let dir = RunDir::at(&folder.canonicalize().ok()?)?;
        runs.has(&dir).then(|| Self::of(runs, dir))
    }

    /// The run of this folder, as the register of this machine names it, where there still is one.
    pub(crate) fn registered(folder: &Path) -> Option<Self> {
        let runs: Arc<dyn Runs> = Arc::new(LocalRuns::of(folder, false, None));
        Self::in_folder(&runs, folder)
    }

    /// The run that has this file in its folder.
    pub(super) fn of_file(runs: &Arc<dyn Runs>, file: &Path) -> Option<Self> {
        Self::in_folder(runs, file.canonicalize().ok()?.parent()?)
    }

    /// Makes sure that its folder is on this machine, and refuses one that others may write into or that is a symbolic link.
    pub(super) fn checked(self) -> Result<Self, LedgerError> {
        self.runs.folder(&self.dir)?;
        Ok(self)
    }

    /// Where it is kept.
    pub(super) fn runs(&self) -> &dyn Runs {
        self.runs.as_ref()
    }

    /// Its record, for a short look.
    pub(crate) fn ledger(&self) -> Result<Ledger, LedgerError> {
        self.runs.open(&self.dir, false)
    }

    /// Its record, after all of it was looked through.
    pub(crate) fn whole_ledger(&self) -> Result<Ledger, LedgerError> {
        self.runs.open(&self.dir, true)
    }

    /// The run's copy of its input, which is on this machine from now on.
    pub(super) fn input(&self) -> Result<PathBuf, LedgerError> {
        self.runs.input(&self.dir)
    }

    /// What limits the calls to this target together with those of all other processes.
    pub(super) fn shared_limits(
        &self,
        target: String,
        has_quota: bool,
    ) -> Result<Option<SharedLimits>, LedgerError> {
        SharedLimits::of(&*self.runs, target, || {
            has_quota.then(|| StateDb::open().map(Arc::new)).transpose()
        })
    }

    /// Whether the process that worked on the run last was on another machine, or kept its files in another folder; only
    /// its own files tell whether it came to write its reports.
    pub(super) fn was_worked_on_elsewhere(&self, ledger: &Ledger) -> Result<bool, LedgerError> {
        let Some(folder) = self.runs.worked_on_in(&self.dir)? else {
            return Ok(false);
        };
        let last = ledger.sessions()?.pop();
        let is_here = last.is_none_or(|last| last.host == host());
        Ok(!is_here || folder != self.dir.absolute())
    }

    /// Leaves nothing of a run that has not begun.
    pub(super) fn discard(&self) {
        // What is left does no harm but to be seen.
        let _ = self.runs.discard(&self.dir);
    }
}

#[cfg(test)]
mod tests;
