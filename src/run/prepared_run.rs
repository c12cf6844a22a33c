//! A run that is ready to be carried out by this process: its task, and what is needed for it.

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
    /// Only look up.
    Plan,
    /// Look up and write in one pass.
    Apply,
    /// Look everything up, check the guards, then write.
    PlanThenApply,
    /// Write a share of the open lines of a run that another process leads.
    Join,
}

impl Work {
    /// Returns the mode of the engine in the last pass.
    pub(super) const fn mode(self) -> Mode {
        match self {
            Self::Plan => Mode::Plan,
            Self::Apply | Self::PlanThenApply | Self::Join => Mode::Apply,
        }
    }

    /// Returns the phase with which this work begins.
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

/// What happens to a run that a person has drained, once another process has joined it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// It ends, as was ordered.
    Ends,
    /// It goes on in all processes.
    GoesOn,
}

/// What a process does with its run, and how it reports that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(super) work: Work,
    /// The command, for messages.
    pub(super) title: &'static str,
    pub(super) output: Output,
    /// Whether one line of output is enough if nothing was changed.
    pub(super) quiet_if_unchanged: bool,
    /// Whether lines that would change cause exit code 3.
    pub(super) differences_count: bool,
    /// Whether a person at a terminal is asked if a doubtful run should continue.
    pub(super) may_ask: bool,
    /// What happens to a drained run that this process joins.
    pub(super) drained: Drained,
    /// How consent is obtained after everything was looked up; `None`: it was given before.
    pub(super) asks_after_look: Option<Consent>,
}

impl Task {
    /// Makes the task of this command.
    pub(super) fn of(request: &Request, title: &'static str, work: Work) -> Self {
        Self {
            work,
            title,
            output: request.output,
            quiet_if_unchanged: false,
            differences_count: false,
            may_ask: !request.consent.no_input,
            drained: Drained::Ends,
            asks_after_look: None,
        }
    }

    /// Changes the task: everything is looked up and shown before the consent to the writes is obtained.
    pub(super) fn look_first(self, consent: Consent) -> Self {
        Self {
            work: Work::PlanThenApply,
            asks_after_look: Some(consent),
            ..self
        }
    }
}

/// A run that is ready to be carried out: with its claim on the target, its input and its task.
pub(crate) struct PreparedRun {
    pub(super) run: OpenRun,
    pub(super) claim: TargetClaim,
    pub(super) known: PassInput,
    pub(super) task: Task,
}

/// Returns the lines that need no further work.
pub(super) fn done(ledger: &Ledger, mode: Mode) -> Result<LineSet, CommandError> {
    let done = ledger.done()?;
    Ok(match mode {
        // Lines that an interrupted plan has looked up are not looked up again.
        Mode::Plan => done.union(&ledger.planned()?),
        Mode::Resolve | Mode::Apply => done,
    })
}
