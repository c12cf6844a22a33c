//! `idshift resume`: goes on with an interrupted or stopped run. Lines with a final outcome are left alone;
//! what was being written is read before it is written again.

use super::Exit;
use super::failure::Failure;
use super::feed::Known;
use super::known_run::{self, KnownRun, Purpose};
use super::options::ResumeOptions;
use super::prepare::refuse_emails;
use super::recall::{self, Lineage};
use super::session::{LOOKED, Session, Work, target};
use super::undo::SEEDED;
use crate::engine::{History, Since};
use crate::ledger::{Ledger, LineSet, RunDir, State, TargetLock};
use crate::report::Commands;
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
        "unfinished run",
        is_unfinished,
        Purpose::Write,
        &options.target,
        &options.inside,
        &options.speech,
    )?;
    let id = known.dir.run().to_string();
    let header = known.ledger.header().clone();
    let base_url = super::session::base_url(&known.resolved)?;
    // First: whoever else works on this target could make untrue whatever is found here.
    let lock = TargetLock::acquire(
        &target(&known.resolved, &base_url),
        &known.resolved.runs_dir,
        &id,
    )?;
    refuse_what_goes_on_otherwise(&known)?;
    refuse_undone(&id, &known.resolved.runs_dir)?;
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
        Work::Plan => with(known.ledger.done()?, &planned, &known.draft),
        Work::Apply | Work::PlanThenApply => known.ledger.done()?,
    };
    let here = target(&known.resolved, &base_url);
    let history = history(&known, &here, work)?;
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
        lock,
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

/// What other runs tell of the lines, and of whom they have wanted something since. `here`: the target on which it goes on.
fn history(known: &KnownRun, here: &str, work: Work) -> Result<History, Failure> {
    let lineage = Lineage::of_run(&known.ledger)?;
    let header = known.ledger.header();
    // Where it goes on, and where it has been.
    let targets: Vec<&str> = known.ledger.targets().chain([here]).collect();
    let mine = (header, targets.as_slice());
    let mut history = recall::of(mine, &lineage, &known.draft, &known.resolved)?;
    if work != Work::Plan {
        // Of a plan: when it was begun to be carried out.
        let begun = known.ledger.progress()?.started_at_ms;
        history.since = recall::since(
            (&known.ledger, &targets),
            begun,
            &known.resolved.runs_dir,
            |_| true,
        )?;
        warn_of_newer(&history.since);
    }
    Ok(history)
}

/// A plan is carried out, and a way back that was never begun is begun anew.
fn refuse_what_goes_on_otherwise(known: &KnownRun) -> Result<(), Failure> {
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
            commands_of(&known.resolved.runs_dir, parent)?.undo()
        )));
    }
    Ok(())
}

/// What a person types to go on from another run.
fn commands_of(runs_dir: &Path, run: &str) -> Result<Commands, Failure> {
    let dir = RunDir::find(runs_dir, Some(run), "run", |_| true)?;
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
fn refuse_undone(id: &str, runs_dir: &Path) -> Result<(), Failure> {
    match way_back_of(id, runs_dir, |_| true)? {
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
    runs_dir: &Path,
    is_such: impl Fn(&Ledger) -> bool,
) -> Result<Option<(RunDir, Ledger)>, Failure> {
    for dir in RunDir::list(runs_dir)? {
        let Ok(other) = Ledger::glance(&dir) else {
            continue;
        };
        if other.header().parent.as_deref() == Some(id) && other.has_writes()? && is_such(&other) {
            return Ok(Some((dir, other)));
        }
    }
    Ok(None)
}

fn with(mut done: LineSet, planned: &LineSet, draft: &super::draft::Draft) -> LineSet {
    let last = draft
        .counts
        .lines
        .saturating_mul(2)
        .min(u64::from(u32::MAX));
    for line in 0..=u32::try_from(last).unwrap_or(u32::MAX) {
        if planned.contains(line) {
            done.insert(line);
        }
    }
    done
}
