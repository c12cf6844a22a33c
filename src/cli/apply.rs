//! `idshift apply`: plans a file and carries it out, or carries out a plan that was looked at before.

use super::Exit;
use super::command_error::CommandError;
use super::feed::Known;
use super::forecast::{Forecast, Question, planned_words};
use super::open_run::{self, OpenRun, Purpose, Selection};
use super::options::ApplyOptions;
use super::prepare::{Wanted, ask, new_run, refuse_emails};
use super::session::{Session, Work};
use crate::ledger::{LineSet, State};
use crate::ui;
use std::sync::Arc;

pub(super) fn run(options: &ApplyOptions) -> Result<Exit, CommandError> {
    match (&options.file, &options.run) {
        (Some(file), _) => from_file(options, file),
        (None, Some(run)) => from_plan(options, run),
        (None, None) => Err(CommandError::usage(
            "give a file, or the plan to carry out with --run ID",
        )),
    }
}

fn from_file(options: &ApplyOptions, file: &std::path::Path) -> Result<Exit, CommandError> {
    let ready = new_run(&Wanted {
        command: if options.dry_run { "plan" } else { "apply" },
        file,
        reading: &options.reading,
        target: &options.target,
        inside: &options.inside,
        guards: Some(&options.guards),
        speech: &options.speech,
        writes: !options.dry_run,
        without_history: options.without_history,
    })?;
    let stand_in = ready.stand_in;
    let work = if options.dry_run {
        Work::Plan
    } else if ready.limits.max_changes.is_some() {
        Work::PlanThenApply
    } else {
        Work::Apply
    };
    let known = Known::new(Arc::new(ready.history), LineSet::default());
    let session = Session {
        dir: ready.dir,
        ledger: ready.ledger,
        claim: ready.claim,
        draft: Arc::new(ready.draft),
        known,
        resolved: ready.resolved,
        limits: ready.limits,
        work,
        title: if options.dry_run { "plan" } else { "apply" },
        speech: &options.speech,
        quiet_if_unchanged: None,
        differences_count: false,
        on_stand_in: stand_in.is_some(),
        may_ask: !options.guards.no_input,
    };
    session.run()
}

fn from_plan(options: &ApplyOptions, run: &str) -> Result<Exit, CommandError> {
    let mut known = open_run::open(
        Some(run),
        Selection {
            command: "apply",
            words: "run",
            fits: &|_| true,
            is_asked: true,
        },
        Purpose::Write,
        &options.target,
        &options.inside,
        &options.speech,
    )?;
    let id = known.dir.run().to_string();
    refuse_unplanned(&known)?;
    refuse_emails(&known.resolved, "apply")?;
    let planned = known.ledger.planned()?;
    let base_url = super::connection::base_url(&known.resolved)?;
    let limits = known.limits(&options.guards)?;
    let mut counts = format!(
        "{} of {} change",
        ui::count(planned.len()),
        ui::lines(known.draft.counts.lines)
    );
    counts.push_str(&planned_words(&known.ledger, &known.resolved)?);
    let question = Question {
        what: format!("carry out plan {id}"),
        counts,
        forecast: Forecast::kept(&known.ledger)?,
        resolved: &known.resolved,
        base_url: &base_url,
        profile: known.kept.values.get("profile").map(String::as_str),
        looked: true,
        limits: &limits,
        may_set_services: false,
    };
    limits.refuse_changes(planned.len(), known.draft.counts.lines)?;
    ask(&question.text()?, &options.guards, "apply")?;
    let claim = known.claim(&base_url)?;
    // Another process may have applied the plan while the question waited for its answer.
    refuse_unplanned(&known)?;
    known.ledger.index_writes()?;
    // From now on `resume` carries the plan out instead of going on with looking.
    known.ledger.set("applying", "true")?;
    known.keep(&limits)?;
    let stand_in = known.stand_in;
    let session = Session {
        known: Known {
            done: known.ledger.done()?,
            planned: Some(planned),
            // The plan has determined the customers; a customer that has other values now is stale.
            ..Known::new(Arc::default(), known.ledger.units_with_writes()?)
        },
        dir: known.dir,
        ledger: known.ledger,
        claim,
        draft: Arc::new(known.draft),
        resolved: known.resolved,
        limits,
        work: Work::Apply,
        title: "apply",
        speech: &options.speech,
        quiet_if_unchanged: None,
        differences_count: false,
        on_stand_in: stand_in.is_some(),
        may_ask: !options.guards.no_input,
    };
    session.run()
}

/// Refuses a plan that is incomplete, or that a run has already begun to apply.
fn refuse_unplanned(known: &OpenRun) -> Result<(), CommandError> {
    let id = known.dir.run();
    match known.ledger.progress()?.state {
        State::Planned => Ok(()),
        State::Created | State::Running | State::Stopped | State::Interrupted => {
            Err(CommandError::usage(format!("run {id} is no finished plan"))
                .with_help(format!("{} goes on with it", known.commands().resume(&[]))))
        }
        State::Finished => Err(
            CommandError::usage(format!("run {id} was carried out already")).with_help(format!(
                "{} looks whether all is still so",
                known.commands().verify()
            )),
        ),
    }
}
