//! Where runs are kept: which there are, their records, and which run works on a target.
//!
//! Today that is a folder of this machine and the state database of its user. A database that several machines share
//! is another answer to the same questions.

use super::{Hold, Ledger, LedgerError, NewLedger, RegisteredRun, RunDir, RunId, Sameness};
use std::fmt;

/// A place where runs are kept.
pub trait Runs: fmt::Debug + Send + Sync {
    /// The runs that there are, and those that were registered and are gone, in any order.
    fn list(&self) -> Result<Vec<ListedRun>, LedgerError>;

    /// Opens the record of a run. `thorough`: all of it is looked through; else it is for a short look.
    fn open(&self, run: &RunDir, thorough: bool) -> Result<Ledger, LedgerError>;

    /// Makes a place for a new run: a folder for its files, and a record that is there once it is begun. Its input must
    /// lie in the folder by then.
    fn create(&self, run: &RunId) -> Result<(RunDir, NewLedger), LedgerError>;

    /// Keeps all other runs from working on these targets, which are one system, or says which run does
    /// ([`LedgerError::Held`]).
    fn hold(&self, targets: &[&str], run: &str) -> Result<Hold, LedgerError>;

    /// An epoch above this one and above all that were given before.
    fn next_epoch(&self, above: u64) -> Result<u64, LedgerError>;

    /// Keeps what [`Runs::list`] tells of a run, also when it is gone.
    fn register(&self, run: &RegisteredRun) -> Result<(), LedgerError>;

    /// Takes a run out of the register.
    fn forget(&self, run: &RunDir) -> Result<(), LedgerError>;

    /// Whether two targets are one system; `None`: not known yet.
    fn sameness(&self, target: &str, other: &str) -> Result<Option<Sameness>, LedgerError>;

    /// Keeps whether two targets are one system.
    fn set_sameness(&self, target: &str, other: &str, found: Sameness) -> Result<(), LedgerError>;
}

/// A run that is listed.
#[derive(Debug, Clone)]
pub enum ListedRun {
    /// Its folder exists; the second is what the register knows of it.
    There(RunDir, Option<RegisteredRun>),
    /// Its folder is gone.
    Gone(RegisteredRun),
}
