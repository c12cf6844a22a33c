//! A run that is ready to be worked on by this process.

use super::claim::TargetClaim;
use super::error::CommandError;
use super::feeder::PassInput;
use super::open::OpenRun;
use super::request::{Consent, Output, Request};
use crate::engine::Mode;
use crate::ledger::{Ledger, LineSet, Phase};

/// What a process does with its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Look only.
    Plan,
    /// Look and write as it goes.
    Apply,
    /// Look at everything, check the guards, then write.
    PlanThenApply,
    /// Write a share of what a run that another process leads has left.
    Join,
}

impl Work {
    /// What the engine does in the pass that ends it.
    pub(super) const fn mode(self) -> Mode {
        match self {
            Self::Plan => Mode::Plan,
            Self::Apply | Self::PlanThenApply | Self::Join => Mode::Apply,
        }
    }

    /// The phase with which it begins.
    pub(super) const fn phase(self, before: Phase) -> Phase {
        match (self, before) {
            (Self::Plan | Self::PlanThenApply, _) => Phase::Look,
            (Self::Join, before) => before,
            (Self::Apply, Phase::Write) => Phase::Write,
            (Self::Apply, Phase::Created | Phase::Look | Phase::LookAndWrite) => {
                Phase::LookAndWrite
            }
        }
    }
}

/// What a process does with its run, and how it tells about that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(super) work: Work,
    /// The command, for messages.
    pub(super) title: &'static str,
    pub(super) output: Output,
    /// Whether one line is enough when nothing was changed.
    pub(super) quiet_if_unchanged: bool,
    /// Whether lines that would change are exit code 3.
    pub(super) differences_count: bool,
    /// Whether a person at a terminal is asked whether a doubtful run goes on.
    pub(super) may_ask: bool,
    /// How consent is obtained once everything was looked up; `None`: it was given before.
    pub(super) asks_after_look: Option<Consent>,
}

impl Task {
    /// What this command does.
    pub(super) fn of(request: &Request, title: &'static str, work: Work) -> Self {
        Self {
            work,
            title,
            output: request.output,
            quiet_if_unchanged: false,
            differences_count: false,
            may_ask: !request.consent.no_input,
            asks_after_look: None,
        }
    }

    /// Everything is looked up and shown before the consent to the writes is obtained.
    pub(super) fn look_first(self, consent: Consent) -> Self {
        Self {
            work: Work::PlanThenApply,
            asks_after_look: Some(consent),
            ..self
        }
    }
}

/// A run that is ready to be worked on.
pub(crate) struct Session {
    pub(super) run: OpenRun,
    pub(super) claim: TargetClaim,
    pub(super) known: PassInput,
    pub(super) task: Task,
}

/// The lines that need no further work.
pub(super) fn done(ledger: &Ledger, mode: Mode) -> Result<LineSet, CommandError> {
    let done = ledger.done()?;
    Ok(match mode {
        // What an interrupted look has already seen stays seen.
        Mode::Plan => done.union(&ledger.planned()?),
        Mode::Resolve | Mode::Apply => done,
    })
}
