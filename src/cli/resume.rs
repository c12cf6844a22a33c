//! `idshift resume`: goes on with an interrupted or stopped run. Lines with a final outcome are left alone;
//! what was being written is read before it is written again.

use super::Exit;
use super::claim::TargetClaim;
use super::failure::Failure;
use super::feed::Known;
use super::known_run::{self, KnownRun, Purpose, Selection};
use super::options::ResumeOptions;
use super::prepare::refuse_emails;
use super::recall::{self, Lineage};
use super::session::{LOOKED, Session, Work};
use super::undo::SEEDED;
use crate::engine::{History, Since};
use crate::ledger::{Ledger, RunDir, State};
use crate::report::Commands;
use crate::run::RunCatalog;
use crate::ui;
use std::path::Path;
use std::sync::Arc;

fn is_unfinished(ledger: &Ledger) -> bool {
    let begun = ledger
        .progress()
        .is_ok_and(|progress| match progress.state {
            State::Created | State::Running | State::Stopped | State::Interrupted => true,
            // Killed before its reports were drawn: nobody has heard of its failures.
            State::Finished => !is_reported(ledger),
            State::Planned => false,
        });
    begun && !is_stillborn(ledger)
}

fn is_reported(ledger: &Ledger) -> bool {
    ledger.path().with_file_name("summary.json").exists()
}

/// A way back that was killed before it knew what must still be there. Nothing was written.
fn is_stillborn(ledger: &Ledger) -> bool {
    let seeded = ledger.get(SEEDED).is_ok_and(|note| note.is_some());
    ledger.header().parent.is_some() && !seeded
}

pub(super) fn run(options: &ResumeOptions) -> Result<Exit, Failure> {
    let mut known = known_run::open(
        options.run.as_deref(),
        Selection {
            command: "resume",
            words: "unfinished run",
            fits: &is_unfinished,
        },
        Purpose::Write,
        &options.target,
        &options.inside,
        &options.speech,
    )?;
    let id = known.dir.run().to_string();
    let header = known.ledger.header().clone();
    let base_url = super::session::base_url(&known.resolved)?;
    // First: whoever else works on this target could make untrue whatever is found here.
    let claim = known.claim(&base_url)?;
    refuse_what_goes_on_otherwise(&known, &claim)?;
    refuse_undone(&id, &claim.catalog)?;
    let planning = header.command == "plan"
        && !known.ledger.has_writes()?
        && known.ledger.get("applying")?.is_none();
    if !planning {
        refuse_emails(&known.resolved, "resume")?;
    }
    known.ledger.index_writes()?;
    let limits = known.limits(&options.guards)?;
    let planned = known.ledger.planned()?;
    // Where all lines were looked at before the first was written, only what is to change is still open.
    let looked = header.parent.is_some()
        || known.ledger.get("applying")?.is_some()
        || known.ledger.get(LOOKED)?.is_some();
    let two_steps = limits.max_changes.is_some() || header.command == "reconcile";
    if !looked && options.guards.max_changes.is_some() {
        refuse_late_count(&known)?;
    }
    known.keep(&limits)?;
    let work = if planning {
        Work::Plan
    } else if two_steps && !looked && !known.ledger.has_writes()? {
        Work::PlanThenApply
    } else {
        Work::Apply
    };
    let done = match work {
        // What an interrupted look has already seen stays seen.
        Work::Plan => known.ledger.done()?.union(&planned),
        Work::Apply | Work::PlanThenApply => known.ledger.done()?,
    };
    let history = history(&known, &claim, work, options.without_history)?;
    let stand_in = known.stand_in;
    let session = Session {
        known: Known {
            done,
            planned: (looked && work == Work::Apply)
                .then(|| known.ledger.still_planned())
                .transpose()?,
            ..Known::new(Arc::new(history), known.ledger.units_with_writes()?)
        },
        dir: known.dir,
        ledger: known.ledger,
        claim,
        draft: Arc::new(known.draft),
        resolved: known.resolved,
        limits,
        work,
        title: "resume",
        speech: &options.speech,
        quiet_if_unchanged: None,
        differences_count: false,
        on_stand_in: stand_in.is_some(),
    };
    session.run()
}

/// What other runs tell of the lines, and what they have written since.
fn history(
    known: &KnownRun,
    claim: &TargetClaim,
    work: Work,
    without_history: bool,
) -> Result<History, Failure> {
    let lineage = Lineage::of_run(&known.ledger)?;
    let header = known.ledger.header();
    // Where it goes on, and where it has been.
    let keys = claim.keys();
    let targets: Vec<&str> = known.ledger.targets().chain(keys.iter().copied()).collect();
    let (draft, resolved) = (&known.draft, &known.resolved);
    let catalog = &claim.catalog;
    let mut history = recall::of(header, &targets, catalog, &lineage, draft, resolved)?;
    if !without_history {
        recall::refuse_lost(draft, claim, &history, resolved)?;
    }
    if work != Work::Plan {
        // Of a plan: when it was begun to be carried out.
        let begun = known.ledger.progress()?.started_at_ms;
        history.since = recall::since((&known.ledger, &targets), begun, catalog, |_| true)?;
        warn_of_newer(&history.since);
    }
    Ok(history)
}

/// A plan is carried out, and a way back that was never begun is begun anew.
fn refuse_what_goes_on_otherwise(known: &KnownRun, claim: &TargetClaim) -> Result<(), Failure> {
    let id = known.dir.run();
    if known.ledger.progress()?.state == State::Planned {
        return Err(Failure::usage(format!(
            "run {id} is a plan, and nothing of it was interrupted"
        ))
        .with_help(format!(
            "{} carries it out",
            known.commands().carry_out(&[])
        )));
    }
    let parent = known.ledger.header().parent.as_ref();
    if let Some(parent) = parent.filter(|_| is_stillborn(&known.ledger)) {
        return Err(Failure::usage(format!(
            "run {id} was killed before it had begun; nothing was written"
        ))
        .with_help(format!(
            "{} begins the way back anew",
            commands_of(claim, parent)?.undo()
        )));
    }
    Ok(())
}

/// What a person types to go on from another run.
fn commands_of(claim: &TargetClaim, run: &str) -> Result<Commands, Failure> {
    let dir = claim.catalog.find(run, Path::new(""))?;
    let ledger = Ledger::glance(&dir)?;
    Ok(Commands::of(dir.path(), ledger.header()))
}

/// How many lines would change can only be counted before the first is written.
fn refuse_late_count(known: &KnownRun) -> Result<(), Failure> {
    if !known.ledger.has_writes()? {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--max-changes: run {} has begun to write without counting first, so it is too late to count",
        known.dir.run()
    ))
    .with_help(format!(
        "{} goes on without it; --max-failures and --until can be given",
        known.commands().resume(&[])
    )))
}

/// What other runs have changed meanwhile stays as it is; whoever resumes should know before.
fn warn_of_newer(since: &Since) {
    // Their names begin with the time.
    if let Some(newest) = since.values().map(|newer| &newer.run).max() {
        ui::err(&format!(
            "warning: other runs, the newest is {newest}, have carried out something for {} customers or locations since this \
             one was begun; what is still to be done about these is left undone (stale)",
            ui::count(u64::try_from(since.len()).unwrap_or(u64::MAX)),
        ));
    }
}

/// What a run wrote may have been put back by another one.
fn refuse_undone(id: &str, catalog: &RunCatalog) -> Result<(), Failure> {
    match way_back_of(id, catalog, |_| true)? {
        None => Ok(()),
        Some((dir, _)) => Err(Failure::usage(format!(
            "run {id} was put back by run {}; going on with it would leave half of it put back",
            dir.run()
        ))
        .with_help("`idshift apply` with the file begins a new run")),
    }
}

/// The newest run that has put back something of this one, if it is such.
pub(super) fn way_back_of(
    id: &str,
    catalog: &RunCatalog,
    is_such: impl Fn(&Ledger) -> bool,
) -> Result<Option<(RunDir, Ledger)>, Failure> {
    for entry in &catalog.entries {
        let Ok(other) = Ledger::glance(&entry.dir) else {
            continue;
        };
        let dir = entry.dir.clone();
        if other.header().parent.as_deref() == Some(id) && other.has_writes()? && is_such(&other) {
            return Ok(Some((dir, other)));
        }
    }
    Ok(None)
}
