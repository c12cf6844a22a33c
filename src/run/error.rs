//! The error that ends a command early, with its message and exit code.

use super::exit_code::Exit;
use crate::config::ConfigError;
use crate::input::InputError;
use crate::ledger::LedgerError;
use crate::report::{Commands, ReportError};
use crate::system::SetupError;

/// A command's failure.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl CommandError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::NothingDone, message)
    }

    /// Puts the reason of an earlier failure before the message.
    pub(crate) fn because(mut self, why: &str) -> Self {
        if !why.is_empty() {
            self.message = format!("{why}; {}", self.message);
        }
        self
    }

    /// Sets the help for a failure before the run was complete: there is no run to resume.
    pub(crate) fn before_anything(self) -> Self {
        self.with_help("nothing was sent; then run the same command again")
    }

    /// Turns the error into a failure of a run in progress: the run may have written something, and it can be resumed.
    pub(crate) fn in_the_middle(mut self, run: &Commands) -> Self {
        if self.exit == Exit::NothingDone {
            self.exit = Exit::Stopped;
            return self.resumable(run);
        }
        self
    }

    /// Adds the command that resumes the run, unless the error has a help text already.
    pub(crate) fn resumable(mut self, run: &Commands) -> Self {
        let resume = || format!("then `{}` goes on where it stopped", run.resume(&[]));
        self.help.get_or_insert_with(resume);
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<InputError> for CommandError {
    fn from(error: InputError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self::usage(format!("{error}{}", cause.unwrap_or_default())).with_help(error.help())
    }
}

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        let exit = match error.root() {
            LedgerError::Held { .. } => Exit::Busy,
            _ => Exit::NothingDone,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ReportError> for CommandError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Ledger(error) => error.into(),
            ReportError::Input(error) => error.into(),
            ReportError::Write { .. } => Self::new(Exit::Stopped, error.to_string()),
        }
    }
}

impl From<SetupError> for CommandError {
    fn from(error: SetupError) -> Self {
        Self::usage(error.to_string())
    }
}
