//! What ends a command early: said once, with the exit code that belongs to it.

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

    /// What happened before, and is worth knowing too.
    pub(crate) fn because(mut self, why: &str) -> Self {
        if !why.is_empty() {
            self.message = format!("{why}; {}", self.message);
        }
        self
    }

    /// Before a run was whole: there is nothing to go on with.
    pub(crate) fn before_anything(self) -> Self {
        self.with_help("nothing was sent; then run the same command again")
    }

    /// Once a run is under way, something may have been written already, and it can be resumed.
    pub(crate) fn in_the_middle(mut self, run: &Commands) -> Self {
        if self.exit == Exit::NothingDone {
            self.exit = Exit::Stopped;
            return self.resumable(run);
        }
        self
    }

    /// The run is not at its end.
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
