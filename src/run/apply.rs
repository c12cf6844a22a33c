//! Implements `plan` and `apply`: plans a file, plans and applies a file, or applies a finished plan.

use super::consent::{ask, question_of_plan, refuse_emails};
use super::create::{Specification, new_run};
use super::error::CommandError;
use super::exit_code::Exit;
use super::feeder::PassInput;
use super::in_progress::refuse_if_taken;
use super::open::{self, OpenRun, Purpose};
use super::prepared_run::{PreparedRun, Task, Work};
use super::request::Request;
use super::selection::Selection;
use crate::ledger::{Phase, RunKind, State};
use crate::report::plan_digest;
use std::path::Path;
use std::sync::Arc;

/// Looks up every customer and writes nothing. `differences_count`: lines that would change cause exit code 3.
pub(crate) fn plan(
    file: &Path,
    differences_count: bool,
    request: &Request,
) -> Result<Exit, CommandError> {
    let task = Task {
        differences_count,
        ..Task::of(request, "plan", Work::Plan)
    };
    carry_out(file, request, task)
}

/// Plans the file and carries it out.
pub(crate) fn apply(file: &Path, request: &Request) -> Result<Exit, CommandError> {
    carry_out(file, request, Task::of(request, "apply", Work::Apply))
}

fn carry_out(file: &Path, request: &Request, mut task: Task) -> Result<Exit, CommandError> {
    let mut new = new_run(&Specification {
        kind: if task.work == Work::Plan {
            RunKind::Plan
        } else {
            RunKind::Apply
        },
        file,
        request,
        writes: task.work != Work::Plan,
    })?;
    if task.work == Work::Apply && new.run.limits.max_changes.is_some() {
        task.work = Work::PlanThenApply;
    }
    let history = Arc::new(std::mem::take(&mut new.history));
    let known = PassInput::new(history);
    let task = if new.run.kept.asks_after_look {
        task.look_first(request.consent)
    } else {
        task
    };
    new.prepared(known, task).execute()
}

/// Carries out exactly the changes of this plan.
pub(crate) fn apply_plan(
    run: &str,
    digest: Option<&str>,
    request: &Request,
) -> Result<Exit, CommandError> {
    let known = open::open(
        Some(run),
        Selection {
            command: "apply",
            words: "run",
            fits: &|_, _| true,
            is_asked: true,
        },
        Purpose::Write,
        request,
    )?;
    request.set_run(&known.dir);
    let id = known.dir.run().to_string();
    refuse_if_taken(&known.dir, &known.ledger)?;
    refuse_unplanned(&known)?;
    refuse_another(&known, digest)?;
    refuse_emails(&known.resolved, "apply")?;
    let planned = known.ledger.planned()?;
    let lines = known.draft.counts.lines;
    known.limits.refuse_changes(planned.len(), lines)?;
    let question = question_of_plan(format!("carry out plan {id}"), &known)?;
    ask(&question, request.consent, "apply")?;
    let claim = known.claim()?;
    // Another process may have applied the plan while the question waited for its answer.
    refuse_unplanned(&known)?;
    // From now on, `resume` applies the plan instead of continuing the look-ups.
    known.ledger.set_phase(Phase::Write)?;
    known.keep()?;
    let prepared = PreparedRun {
        known: PassInput {
            done: known.ledger.done()?,
            planned: Some(planned),
            // The plan has determined the customers, so no history is needed; a customer with other values is `stale`.
            ..PassInput::new(Arc::default())
        },
        run: known,
        claim,
        task: Task::of(request, "apply", Work::Apply),
    };
    prepared.execute()
}

/// Refuses a plan that is incomplete, or that a run has already begun to apply.
fn refuse_unplanned(known: &OpenRun) -> Result<(), CommandError> {
    let id = known.dir.run();
    match known.ledger.progress()?.state {
        State::Planned => Ok(()),
        State::Created | State::Running | State::Stopped | State::Interrupted => Err(
            CommandError::usage(format!("run {id} is not a finished plan"))
                .with_help(format!("{} goes on with it", known.commands().resume(&[]))),
        ),
        State::Finished => Err(
            CommandError::usage(format!("run {id} was carried out already")).with_help(format!(
                "{} checks whether all changes are still in place",
                known.commands().verify()
            )),
        ),
    }
}

/// Computes the digest of the plan anew, and refuses the plan if it is not the approved digest.
fn refuse_another(known: &OpenRun, approved: Option<&str>) -> Result<(), CommandError> {
    let Some(approved) = approved else {
        return Ok(());
    };
    let id = known.dir.run();
    let digest = plan_digest(&known.ledger)?;
    if digest == approved {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "--digest: run {id} is another plan than the one that was approved: its digest is {digest}"
    ))
    .with_help(format!(
        "nothing was written; look at the plan again: `idshift runs show {id}`"
    )))
}
