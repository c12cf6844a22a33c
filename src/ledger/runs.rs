//! Where runs are kept: lists them, opens their records, and lets one run at a time work on a target.
//!
//! `LocalRuns` is a folder of this machine with the state database of its user, `SharedRuns` a PostgreSQL database that
//! several machines share.

use super::{
    Check, ExclusiveLock, Ledger, LedgerError, NewLedger, RecordPlace, RegisteredRun, RunDir,
    RunId, Sameness,
};
use crate::limits::SharedRate;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A place where runs are kept. Each has a folder on this machine, for its copy of the input and its reports; its record may
/// be elsewhere.
pub trait Runs: fmt::Debug + Send + Sync {
    /// Where they are kept, for messages.
    fn place(&self) -> RecordPlace;

    /// Makes sure that runs can be kept here.
    fn prepare(&self) -> Result<(), LedgerError>;

    /// Returns the rate that all processes on the target with this key share; `None`: each process of this machine paces itself.
    fn rate_of(&self, target: &str) -> Result<Option<Arc<dyn SharedRate>>, LedgerError>;

    /// Lists the runs that exist, and those that were registered and are gone, in any order.
    fn list(&self) -> Result<Vec<ListedRun>, LedgerError>;

    /// Opens the record of a run.
    fn open(&self, run: &RunDir, check: Check) -> Result<Ledger, LedgerError>;

    /// Opens the record of a run to read its header and state; makes and changes nothing.
    fn open_read_only(&self, run: &RunDir) -> Result<Ledger, LedgerError>;

    /// Whether there is a record of this run, also if it cannot be read.
    fn has(&self, run: &RunDir) -> bool;

    /// Whether the record of this run was ever complete. A run whose record never was has written nothing.
    fn has_begun(&self, run: &RunDir) -> bool;

    /// Makes sure that the run's folder is on this machine, and refuses one that others may write into or that is a symbolic
    /// link.
    fn folder(&self, run: &RunDir) -> Result<(), LedgerError>;

    /// Makes sure that the run's copy of its input is in its folder; returns the path of the copy, which is
    /// missing where the run was pruned.
    fn input(&self, run: &RunDir) -> Result<PathBuf, LedgerError>;

    /// Makes a place for a new run: a folder for its files, and a record that exists once [`NewLedger::begin`] is
    /// called. By then its input must lie in the folder.
    fn create(&self, run: &RunId) -> Result<(RunDir, NewLedger), LedgerError>;

    /// Keeps all other runs from working on these targets, which are one system, or says which run does
    /// ([`LedgerError::Held`]).
    fn hold(&self, targets: &[&str], run: &str) -> Result<ExclusiveLock, LedgerError>;

    /// Holds the targets together with the other processes on this run, which the calling process joins.
    fn hold_with_others(&self, targets: &[&str], run: &str) -> Result<ExclusiveLock, LedgerError> {
        self.hold(targets, run)
    }

    /// Fails if a living process holds this target for this run, and so keeps out other runs; names that process.
    fn refuse_if_at(&self, target: &str, run: &str) -> Result<(), LedgerError>;

    /// Whether a living process holds this target for this run; `false` also if that is unknown.
    fn is_at(&self, target: &str, run: &str) -> bool {
        let refused = self.refuse_if_at(target, run);
        matches!(refused, Err(LedgerError::Held { .. }))
    }

    /// Runs in progress that another process may join.
    fn to_join(&self) -> Result<Vec<RunToJoin>, LedgerError> {
        Ok(Vec::new())
    }

    /// Returns an epoch above this one and above all that were given before.
    fn next_epoch(&self, above: u64) -> Result<u64, LedgerError>;

    /// Records what [`Runs::list`] returns of a run, also after the run is gone.
    fn register(&self, run: &RegisteredRun) -> Result<(), LedgerError>;

    /// Removes a run that has not begun: its record, its folder, and its entry in [`Runs::list`].
    fn discard(&self, run: &RunDir) -> Result<(), LedgerError>;

    /// Returns the folder in which the last process on the run kept its files; `None`: the folder of the run.
    fn worked_on_in(&self, _run: &RunDir) -> Result<Option<PathBuf>, LedgerError> {
        Ok(None)
    }

    /// Whether two targets are one system; `None`: not known yet.
    fn sameness(&self, target: &str, other: &str) -> Result<Option<Sameness>, LedgerError>;

    /// Records whether two targets are one system.
    fn set_sameness(&self, target: &str, other: &str, found: Sameness) -> Result<(), LedgerError>;
}

/// A run in progress that other processes may join.
#[derive(Debug, Clone)]
pub struct RunToJoin {
    pub run: RunId,
    /// The word for its system, and the key of its target.
    pub system: String,
    pub target: String,
    /// Whether the process that began or resumed it is at work.
    pub is_led: bool,
}

/// A run that is listed.
#[derive(Debug, Clone)]
pub enum ListedRun {
    /// Its folder exists; the second value is the register's entry of it, if there is one.
    There(RunDir, Option<RegisteredRun>),
    /// Its folder is gone.
    Gone(RegisteredRun),
    /// It is kept in files of this machine, while runs are kept in a database.
    Elsewhere(RegisteredRun),
}
