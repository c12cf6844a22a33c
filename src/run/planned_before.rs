//! Finds what the last reconcile of a file has saved of its plan, if it has planned the same bytes.
//!
//! A plan depends on the bytes, on how they are read, and on the version of this program. If any of these differs, or the
//! run cannot be read, the file is planned.

use super::plain_file::PlainFile;
use super::saved_settings::SavedSettings;
use crate::ledger::{Header, Ledger, LedgerError, ListedRun, RunDir, RunKind, Runs, State};

/// How many runs are searched, the newest first: the last reconcile of a file that is reconciled every night is among them.
const MOST: usize = 100;

/// Everything that a plan depends on.
pub(super) struct PlannedAs<'a> {
    pub(super) name: &'a str,
    pub(super) sha256: &'a str,
    pub(super) kept: &'a SavedSettings,
    /// The name of the system.
    pub(super) system: &'a str,
}

impl PlannedAs<'_> {
    /// Returns what the last reconcile of the file has saved of its plan; `None`: the file must be planned.
    pub(super) fn known(&self, runs: &dyn Runs) -> Option<PlainFile> {
        let of_run = |run| match run {
            ListedRun::There(dir, _) => Some(dir),
            ListedRun::Gone(_) | ListedRun::Elsewhere(_) => None,
        };
        let mut all: Vec<RunDir> = runs.list().ok()?.into_iter().filter_map(of_run).collect();
        all.sort_by(|a, b| b.run().as_str().cmp(a.run().as_str()));
        let mut newest = all
            .iter()
            .take(MOST)
            .flat_map(|dir| runs.open_read_only(dir));
        let last = newest.find(|ledger| self.is_of_same_file(ledger.header()))?;
        self.kept_by(&last).ok().flatten()
    }

    fn is_of_same_file(&self, its: &Header) -> bool {
        its.kind == RunKind::Reconcile
            && (its.input_sha256 == self.sha256 || its.input_name == self.name)
    }

    /// Returns what a run has saved of its plan, if it is a good run with the same bytes, read in the same way.
    fn kept_by(&self, ledger: &Ledger) -> Result<Option<PlainFile>, LedgerError> {
        let its = ledger.header();
        let is_same = its.input_sha256 == self.sha256
            && its.system == self.system
            && ledger.progress()?.state == State::Finished
            && ledger.pruned()?.is_none();
        let kept = SavedSettings::of(ledger).ok();
        let kept = kept.filter(|kept| is_same && kept.reads_as(self.kept));
        Ok(kept.and_then(|kept| kept.plain_file(its)))
    }
}

#[cfg(test)]
mod tests;
