//! Why a step cannot go on: the failure of one line, or the end of the run.

use crate::domain::Failed;
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
    /// A task ended in a way that is our bug.
    Bug(String),
}

impl From<LedgerError> for Halt {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// Why a step of a unit failed.
#[derive(Debug)]
pub(super) enum StepError {
    /// Only the lines that the step is for have failed.
    Line(SystemError),
    /// The run ends.
    Run(Halt),
}

impl StepError {
    /// The lines have failed for this reason.
    pub(super) fn line(reason: Failed, message: impl Into<String>) -> Self {
        Self::Line(SystemError::new(reason, message))
    }
}

impl From<SystemError> for StepError {
    fn from(error: SystemError) -> Self {
        Self::Line(error)
    }
}

impl From<Halt> for StepError {
    fn from(halt: Halt) -> Self {
        Self::Run(halt)
    }
}

impl From<LedgerError> for StepError {
    fn from(error: LedgerError) -> Self {
        Self::Run(error.into())
    }
}

/// What a step returns.
pub(super) type StepResult<T> = Result<T, StepError>;

/// For callers that handle a failure of the lines themselves.
pub(super) trait OrHalt<T> {
    /// The failure of the lines is a value; the end of the run is the error, so that `?` passes only that on.
    fn or_halt(self) -> Result<Result<T, SystemError>, Halt>;
}

impl<T> OrHalt<T> for StepResult<T> {
    fn or_halt(self) -> Result<Result<T, SystemError>, Halt> {
        let of_the_lines = match self {
            Ok(value) => Ok(value),
            Err(StepError::Line(error)) => Err(error),
            Err(StepError::Run(halt)) => return Err(halt),
        };
        Ok(of_the_lines)
    }
}
