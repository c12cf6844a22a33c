//! What is recorded about runs and targets outside of their ledgers.

use std::path::PathBuf;

/// What is registered of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRun {
    /// The folder, absolute.
    pub path: PathBuf,
    /// The run's ID.
    pub run: String,
    /// The system's name.
    pub system: String,
    /// The key of its target.
    pub target: String,
    /// The highest epoch of a process that may have written for the run, or the epoch in which the run was made.
    pub epoch: u64,
    /// Whether it has changed account IDs, or may have.
    pub renames: bool,
    /// A customer that the run has changed, and the relationship.
    pub customer: Option<(String, Option<String>)>,
}

/// Whether two targets are one system, and when that was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sameness {
    /// Whether they are.
    pub same: bool,
    /// The highest epoch of the other target's runs when that was found out.
    pub epoch: u64,
}
