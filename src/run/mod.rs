//! The life of a run: on which target, in which folder, and what other runs have to do with it.
//!
//! It knows no command line and prints nothing.

mod catalog;
mod prior_renames;
mod quota;
mod same_system;
mod target;

pub(crate) use catalog::{Entry, Lost, RunCatalog, Scope, absolute, describe};
pub(crate) use prior_renames::LedgerRenames;
pub(crate) use quota::StateCalls;
pub(crate) use same_system::{Candidate, candidates};
pub(crate) use target::{Target, is_in_process};
