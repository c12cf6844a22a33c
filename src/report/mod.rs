//! Ledger and input → files: results.csv, failures.csv, summary.json, report.html.
//!
//! Reports are functions of the two and can be drawn at any time, during a run too. A report is written to a
//! temporary name beside its place, synced and renamed, so it is whole or absent. Memory is flat: input and
//! outcomes are both in the order of lines, and are merged as they come.

mod failures;
mod file;
mod html;
mod next;
mod results;
pub mod standing;
mod summary;
#[cfg(test)]
mod tests;
mod unfinished;

pub use next::{Commands, Next, Typed, columns, option, path_word, shell};
pub use summary::{Calls, Pace, Summary};

use crate::input::{InputError, Table};
use crate::ledger::{Ledger, LedgerError, RunDir};
use std::path::PathBuf;

/// Why a report could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The record cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The run's copy of the input cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The report cannot be written.
    #[error("the report {} cannot be written: {source}", path.display())]
    Write {
        /// The report.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Draws all reports of a run, and returns what they sum up to.
pub fn draw(dir: &RunDir, ledger: &Ledger, table: &Table) -> Result<Summary, ReportError> {
    let tally = results::write(dir, ledger, table)?;
    let summary = Summary::of(dir, ledger, &tally)?;
    summary.write(dir)?;
    html::write(dir, &summary, &tally)?;
    Ok(summary)
}
