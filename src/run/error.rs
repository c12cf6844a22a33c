//! The error that ends a command early, with its message and exit code.

use super::exit_code::Exit;
use super::kept_run::KeptRun;
use crate::config::ConfigError;
use crate::input::InputError;
use crate::ledger::{Holder, LedgerError, State, is_of_disk};
use crate::report::{Commands, ReportError};
use crate::system::SetupError;
use std::io;
use std::path::Path;

/// A command's failure.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Whether the disk is full or has failed: the same command may succeed later.
    is_of_disk: bool,
    /// The process that holds the target, and its run; `None`: the error has another cause.
    holder: Option<Box<Holder>>,
}

impl CommandError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: None,
            is_of_disk: false,
            holder: None,
        }
    }

    /// Returns the other process that holds the target for this run; `None`: none does.
    pub(super) fn holder_for(&self, run: &str) -> Option<&Holder> {
        self.holder.as_deref().filter(|holder| holder.run == run)
    }

    /// Makes the error for a file that the operating system does not open, read or write.
    pub(super) fn file(message: impl Into<String>, why: &io::Error) -> Self {
        Self {
            is_of_disk: is_of_disk(why),
            ..Self::usage(message)
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::NothingDone, message)
    }

    /// Puts the reason of an earlier failure before the message, unless both are the same.
    pub(crate) fn because(mut self, why: &str) -> Self {
        if !why.is_empty() && why != self.message {
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

    /// Turns an error of the disk, whatever file was written, into a failure of the existing run, which can be resumed.
    /// `resumes`: the command continues a run, even if the run could not be opened.
    pub(super) fn on_disk_of(self, run: Option<&KeptRun>, resumes: bool) -> Self {
        if !self.is_of_disk || self.exit != Exit::NothingDone {
            return self;
        }
        let commands = match run.map(|run| (run, run.ledger())) {
            Some((run, Ok(ledger))) => {
                let progress = ledger.progress();
                if progress.is_ok_and(|progress| progress.state == State::Planned) {
                    return self;
                }
                Commands::of(run.path(), &ledger).ok()
            }
            Some((_, Err(LedgerError::Missing { .. } | LedgerError::NoRun { .. }))) => return self,
            Some((_, Err(_))) => None,
            None if resumes => None,
            None => return self,
        };
        let mut failure = self;
        failure.exit = Exit::Stopped;
        if let Some(commands) = commands {
            return failure.resumable(&commands);
        }
        let again = || "then give the same command again".to_owned();
        failure.help.get_or_insert_with(again);
        failure
    }

    /// Makes the error for a file of a run that cannot be read.
    pub(super) fn unreadable(path: &Path, why: &io::Error) -> Self {
        Self::file(format!("{}: cannot be read: {why}", path.display()), why)
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
        let words = format!("{error}{}", cause.unwrap_or_default());
        let failure = match &error {
            InputError::Io { source, .. } => Self::file(words, source),
            _ => Self::usage(words),
        };
        failure.with_help(error.help())
    }
}

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        let (exit, holder) = match error.root() {
            LedgerError::Held { holder, .. } => (Exit::Busy, Some(Box::new(holder.clone()))),
            _ => (Exit::NothingDone, None),
        };
        Self {
            is_of_disk: error.is_of_disk(),
            holder,
            ..Self::new(exit, error.to_string())
        }
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
