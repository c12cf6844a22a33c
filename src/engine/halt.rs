//! Why a step cannot continue: the failure of one line, or the end of the run.

use crate::domain::Failed;
use crate::ledger::LedgerError;
use crate::system::{Fatal, SystemError};

/// Why an executor stopped before its unit ended.
#[derive(Debug)]
pub enum Halt {
    /// The system cannot be used any more: the reason, and the message.
    Fatal(Fatal, String),
    /// The ledger failed: nothing more can be recorded, so nothing more may be done.
    Ledger(LedgerError),
    /// The run is stopping, and the unit is at a point where it can continue later.
    Stopping,
    /// A task panicked, which is a bug of idshift.
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
    /// Makes a failure of the lines, with this reason.
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
    /// Returns a failure of the lines as a value and the end of the run as an error, so that `?` passes on only the latter.
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
