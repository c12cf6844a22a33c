//! Why a report could not be drawn.

use crate::input::InputError;
use crate::ledger::LedgerError;
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
