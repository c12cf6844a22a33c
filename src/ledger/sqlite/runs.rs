//! Runs in a folder of this machine, each with a ledger of its own, and what the user's state database knows of them.

use super::state::StateDb;
use super::target_lock::TargetLock;
use crate::ledger::{
    Check, ExclusiveLock, Ledger, LedgerError, ListedRun, NewLedger, RecordPlace, RegisteredRun,
    RunDir, RunId, Runs, Sameness,
};
use crate::limits::SharedRate;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The runs of one folder, and of others as far as they are registered.
#[derive(Debug)]
pub struct LocalRuns {
    runs_dir: PathBuf,
    everywhere: bool,
    /// `None` for a stand-in in this process, which no other process knows, and for a command that only reads.
    state: Option<Arc<StateDb>>,
}

impl LocalRuns {
    /// The runs of this folder; `everywhere`: also registered runs in other folders.
    pub fn of(runs_dir: &Path, everywhere: bool, state: Option<Arc<StateDb>>) -> Self {
        Self {
            runs_dir: runs_dir.to_owned(),
            everywhere,
            state,
        }
    }
}

impl Runs for LocalRuns {
    fn place(&self) -> RecordPlace {
        self.runs_dir.as_path().into()
    }

    fn prepare(&self) -> Result<(), LedgerError> {
        RunDir::prepare(&self.runs_dir)
    }

    fn rate_of(&self, _target: &str) -> Result<Option<Arc<dyn SharedRate>>, LedgerError> {
        Ok(None)
    }

    fn list(&self) -> Result<Vec<ListedRun>, LedgerError> {
        let state = self.state.as_ref();
        let registered = state.map(|state| state.runs()).transpose()?;
        let mut registered: HashMap<PathBuf, RegisteredRun> = registered
            .unwrap_or_default()
            .into_iter()
            .map(|run| (run.path.clone(), run))
            .collect();
        let mut all = Vec::new();
        for dir in RunDir::list(&self.runs_dir)? {
            let known = registered.remove(&dir.absolute());
            all.push(ListedRun::There(dir, known));
        }
        if self.everywhere {
            all.extend(registered.into_values().map(|run| {
                match RunDir::at(&run.path).filter(|dir| dir.ledger().exists()) {
                    Some(dir) => ListedRun::There(dir, Some(run)),
                    None => ListedRun::Gone(run),
                }
            }));
        }
        Ok(all)
    }

    fn open(&self, run: &RunDir, check: Check) -> Result<Ledger, LedgerError> {
        Ledger::open(run, check)
    }

    fn open_read_only(&self, run: &RunDir) -> Result<Ledger, LedgerError> {
        Ledger::open_read_only(run)
    }

    fn has(&self, run: &RunDir) -> bool {
        run.has_ledger()
    }

    fn has_begun(&self, run: &RunDir) -> bool {
        run.has_begun()
    }

    fn folder(&self, run: &RunDir) -> Result<(), LedgerError> {
        run.check()
    }

    fn input(&self, run: &RunDir) -> Result<PathBuf, LedgerError> {
        run.checked_input()
    }

    fn create(&self, run: &RunId) -> Result<(RunDir, NewLedger), LedgerError> {
        let dir = RunDir::create(&self.runs_dir, run)?;
        match Ledger::create(&dir) {
            Ok(new) => Ok((dir, new)),
            Err(error) => {
                let _ = fs::remove_dir_all(dir.path());
                Err(error)
            }
        }
    }

    fn hold(&self, targets: &[&str], run: &str) -> Result<ExclusiveLock, LedgerError> {
        match &self.state {
            Some(state) => TargetLock::acquire(state, targets, run, false).map(ExclusiveLock::of),
            None => Ok(ExclusiveLock::of(())),
        }
    }

    fn hold_with_others(&self, targets: &[&str], run: &str) -> Result<ExclusiveLock, LedgerError> {
        match &self.state {
            Some(state) => TargetLock::acquire(state, targets, run, true).map(ExclusiveLock::of),
            None => Ok(ExclusiveLock::of(())),
        }
    }

    fn refuse_if_at(&self, target: &str, run: &str) -> Result<(), LedgerError> {
        let state = self.state.as_ref();
        state.map_or(Ok(()), |state| {
            TargetLock::refuse_if_held_for(state, target, run)
        })
    }

    fn next_epoch(&self, above: u64) -> Result<u64, LedgerError> {
        let state = self.state.as_ref();
        state.map_or(Ok(above + 1), |state| state.next_epoch(above))
    }

    fn register(&self, run: &RegisteredRun) -> Result<(), LedgerError> {
        let state = self.state.as_ref();
        state.map_or(Ok(()), |state| state.register(run))
    }

    fn discard(&self, run: &RunDir) -> Result<(), LedgerError> {
        let state = self.state.as_ref();
        let forgotten = state.map_or(Ok(()), |state| state.forget(&run.absolute()).map(drop));
        fs::remove_dir_all(run.path())
            .map_err(|source| LedgerError::io(run.path(), "removed", source))?;
        forgotten
    }

    fn sameness(&self, target: &str, other: &str) -> Result<Option<Sameness>, LedgerError> {
        let state = self.state.as_ref();
        state.map_or(Ok(None), |state| state.sameness(target, other))
    }

    fn set_sameness(&self, target: &str, other: &str, found: Sameness) -> Result<(), LedgerError> {
        let state = self.state.as_ref();
        state.map_or(Ok(()), |state| state.set_sameness(target, other, found))
    }
}
