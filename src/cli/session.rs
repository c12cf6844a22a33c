//! A run that is ready to be worked on by this process.

use super::claim::TargetClaim;
use super::command_error::CommandError;
use super::feed::Known;
use super::guards::Guards;
use super::input_plan::InputPlan;
use super::options::OutputArgs;
use crate::config::Resolved;
use crate::engine::Mode;
use crate::ledger::{Ledger, LineSet, RunDir};
use std::sync::Arc;

/// The note of a run that has looked at all its lines, and now writes what is to change.
pub(super) const LOOKED: &str = "looked";

/// What a process does with its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Look only.
    Plan,
    /// Look and write as it goes.
    Apply,
    /// Look at everything, check the guards, then write.
    PlanThenApply,
}

/// A run that is ready to be worked on.
pub(super) struct Session<'a> {
    pub(super) dir: RunDir,
    pub(super) ledger: Ledger,
    pub(super) claim: TargetClaim,
    pub(super) draft: Arc<InputPlan>,
    pub(super) known: Known,
    pub(super) resolved: Resolved,
    pub(super) limits: Guards,
    pub(super) work: Work,
    pub(super) title: &'static str,
    pub(super) speech: &'a OutputArgs,
    /// Where one line is enough when nothing was changed: how many lines were not even looked at.
    pub(super) quiet_if_unchanged: Option<u64>,
    pub(super) differences_count: bool,
    pub(super) on_stand_in: bool,
    /// Whether a person at a terminal is asked whether a doubtful run goes on.
    pub(super) may_ask: bool,
}

/// The lines that need no further work.
pub(super) fn done(ledger: &Ledger, mode: Mode) -> Result<LineSet, CommandError> {
    let done = ledger.done()?;
    Ok(match mode {
        // What an interrupted look has already seen stays seen.
        Mode::Plan => done.union(&ledger.planned()?),
        Mode::Apply => done,
    })
}
