//! Why a step cannot go on: the end of the run, as against the failure of one line.

use crate::ledger::LedgerError;
use crate::system::{Fatal, SystemError};

/// Why an executor stopped before its unit came to an end.
#[derive(Debug)]
pub enum Halt {
    /// The system cannot be worked with any more.
    Fatal(Fatal, String),
    /// What happens cannot be noted any more, so nothing more may happen.
    Ledger(LedgerError),
    /// The run is stopping, and the unit is at a point where it can go on later.
    Stopping,
}

impl From<LedgerError> for Halt {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// What a call brought: an answer, a trouble of the line, or the end of the run.
pub(super) type StepResult<T> = Result<Result<T, SystemError>, Halt>;
