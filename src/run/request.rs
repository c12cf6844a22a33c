//! What a command is asked to do, independent of the command line: the parser of the command line makes a [`Request`].

use super::kept_run::KeptRun;
use crate::config::TypedSettings;
use crate::ui;
use std::sync::OnceLock;

/// What a command is asked to do.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// The settings on the command line.
    pub(crate) typed: TypedSettings,
    pub(crate) sandbox: SandboxRequest,
    pub(crate) consent: Consent,
    /// Whether everything is looked up and shown before the first write, even if no person is asked.
    pub(crate) plan_first: bool,
    /// Whether chains and swaps are carried out although runs that may have done so are lost.
    pub(crate) without_history: bool,
    pub(crate) output: Output,
    /// The key of the job: with it, the job continues its run when it is started again.
    pub(crate) key: Option<String>,
    /// The run, once it has a folder.
    pub(crate) run: OnceLock<KeptRun>,
}

impl Request {
    /// Sets the run, which has a folder from now on.
    pub(super) fn set_run(&self, run: &KeptRun) {
        // A command works on one run; the first that it names stays.
        let _ = self.run.set(run.clone());
    }
}

/// A stand-in in this process, in place of the system.
#[derive(Debug, Clone, Default)]
pub(crate) struct SandboxRequest {
    /// Whether one is started.
    pub(crate) sandbox: bool,
    /// Its faults, as `idshift sandbox` takes them.
    pub(crate) faults: Vec<String>,
    /// How long an answer takes.
    pub(crate) latency: Option<String>,
    /// How many customers it has besides those of the file.
    pub(crate) customers: u32,
}

/// Whether a command needs the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// It calls the system.
    Needed,
    /// It calls a stand-in, which takes any credentials.
    Any,
    /// It works offline.
    Unneeded,
}

impl SandboxRequest {
    /// Returns whether credentials are needed: a stand-in takes any token.
    pub(crate) fn secrets(&self) -> Secrets {
        if self.sandbox {
            Secrets::Any
        } else {
            Secrets::Needed
        }
    }
}

/// How consent to the writes is obtained.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Consent {
    /// Consent is given.
    pub(crate) yes: bool,
    /// No question is asked.
    pub(crate) no_input: bool,
}

impl Consent {
    /// Returns whether a person at a terminal is asked. Without a terminal, `resume` continues with the consent to its run.
    pub(crate) fn is_asked(self) -> bool {
        !self.yes && !self.no_input && ui::can_ask()
    }
}

/// What is printed, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Output {
    /// One JSON document on standard output, and nothing else.
    pub(crate) json: bool,
    /// Errors only.
    pub(crate) quiet: bool,
    /// Also each line that failed.
    pub(crate) verbose: bool,
    /// How progress is shown.
    pub(crate) progress: ui::Mode,
}
