//! `idshift resume`: continues an interrupted or stopped run. Lines with a final outcome are left alone. A value that was
//! being written is read before it is written again.

use super::catalog::RunCatalog;
use super::claim::TargetClaim;
use super::connect::base_url;
use super::consent::{Question, ask, must_be_possible, planned_words, refuse_emails};
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::Exit;
use super::feeder::PassInput;
use super::guards::Guards;
use super::in_progress::refuse_if_taken;
use super::input_identity::InputIdentity;
use super::kept_run::KeptRun;
use super::left_untouched;
use super::lost_runs;
use super::open::{self, OpenRun, Purpose};
use super::prepared_run::{PreparedRun, Task, Work, done};
use super::prior_runs;
use super::request::{Consent, Request};
use super::selection::Selection;
use super::values::catalog;
use crate::domain::{Change, Line};
use crate::engine::{History, NewerRequests};
use crate::ledger::{Ledger, LineSet, Phase, Progress, RunKind, State};
use crate::plan::Shape;
use crate::report::tells_the_end;
use crate::ui;
use std::sync::Arc;

fn is_unfinished(dir: &KeptRun, ledger: &Ledger) -> bool {
    // If the run was killed before its reports were written, its failures have not been reported.
    let is_at_end = || {
        let is_finished = |progress: Progress| progress.state == State::Finished;
        ledger.progress().is_ok_and(is_finished)
    };
    let begun = ledger.is_unfinished().unwrap_or(false) || is_at_end() && !is_reported(dir, ledger);
    begun && !is_stillborn(ledger)
}

fn is_reported(dir: &KeptRun, ledger: &Ledger) -> bool {
    // Pruning removes the reports.
    let is_pruned = ledger.pruned().is_ok_and(|pruned| pruned.is_some());
    // A run of another machine was finished and reported on that machine; `report` draws its reports here.
    let is_elsewhere = dir.was_worked_on_elsewhere(ledger).unwrap_or(true);
    is_pruned || is_elsewhere || tells_the_end(dir.path(), ledger).unwrap_or(true)
}

/// Whether it is an undo that was killed before it recorded the expected values. Nothing was written.
fn is_stillborn(ledger: &Ledger) -> bool {
    let is_created = |progress: Progress| progress.phase == Phase::Created;
    ledger.header().kind == RunKind::Undo && ledger.progress().is_ok_and(is_created)
}

/// Continues this run, or the newest one that is not finished.
pub(crate) fn resume(run: Option<&str>, request: &Request) -> Result<Exit, CommandError> {
    let is_asked = request.consent.is_asked();
    let known = open::open(
        run,
        Selection {
            command: "resume",
            words: "unfinished run",
            fits: &is_unfinished,
            is_asked,
        },
        Purpose::Write,
        request,
    )?;
    request.set_run(&known.dir);
    let limits = known.limits.clone();
    let counts_anew = request.typed.get("max_changes").is_some();
    let is_unconfirmed =
        known.kept.asks_after_look && known.ledger.progress()?.phase == Phase::Look;
    if is_unconfirmed {
        must_be_possible(request.consent, "resume")?;
    } else if is_asked {
        refuse_if_taken(&known.dir, &known.ledger)?;
        let (catalog, _) = catalog(&request.typed)?;
        let rest = rest(&known, &catalog, counts_anew, &limits)?;
        let asked = consent(&known, &rest, &limits, request.consent)?;
        if !asked && run.is_none() && !request.output.quiet {
            open::announce("resume", &known.ledger);
        }
    }
    // The target is claimed first, because other runs on it could change what is found here.
    let claim = known.claim()?;
    let Rest { work, looked } = rest(&known, &claim.catalog, counts_anew, &limits)?;
    known.keep()?;
    if ["waves", "canary"]
        .iter()
        .any(|name| request.typed.get(name).is_some())
    {
        known.ledger.renew_waves()?;
    }
    if work == Work::Apply && !looked && limits.max_changes.is_some() {
        warn_of_late_count(&known);
    }
    let done = done(&known.ledger, work.mode())?;
    let history = history(&known, &claim, work, request.without_history)?;
    let prepared = PreparedRun {
        known: PassInput {
            done,
            planned: (looked && work == Work::Apply)
                .then(|| known.ledger.still_planned())
                .transpose()?,
            ..PassInput::new(Arc::new(history))
        },
        run: known,
        claim,
        task: if is_unconfirmed {
            Task::of(request, "resume", work).look_first(request.consent)
        } else {
            Task::of(request, "resume", work)
        },
    };
    prepared.execute()
}

/// How the rest of a run is carried out.
struct Rest {
    work: Work,
    /// Whether all lines were looked up before the first write, so that only the lines that are to change are still open.
    looked: bool,
}

/// Returns what is to be done, or why the run is not resumed.
fn rest(
    known: &OpenRun,
    catalog: &RunCatalog,
    counts_anew: bool,
    limits: &Guards,
) -> Result<Rest, CommandError> {
    refuse_what_goes_on_otherwise(known, catalog)?;
    refuse_undone(known.dir.run().as_str(), catalog)?;
    let (kind, has_writes) = (known.ledger.header().kind, known.ledger.has_writes()?);
    let looked = known.ledger.progress()?.phase == Phase::Write;
    let planning = kind == RunKind::Plan && !looked;
    if !planning {
        refuse_emails(&known.resolved, "resume")?;
    }
    if !looked && counts_anew {
        refuse_late_count(known)?;
    }
    let two_steps =
        limits.max_changes.is_some() || known.kept.asks_after_look || kind == RunKind::Reconcile;
    let work = if planning {
        Work::Plan
    } else if two_steps && !looked && !has_writes {
        Work::PlanThenApply
    } else {
        Work::Apply
    };
    Ok(Rest { work, looked })
}

/// Shows what is still to be done and where, and asks for consent; returns `false` if there is nothing to ask.
fn consent(
    known: &OpenRun,
    rest: &Rest,
    limits: &Guards,
    consent: Consent,
) -> Result<bool, CommandError> {
    let ledger = &known.ledger;
    if rest.work == Work::Plan {
        return Ok(false);
    }
    let open = open_changes(known, rest)?;
    if open.lines == 0 && ledger.parkings()?.is_empty() {
        return Ok(false);
    }
    let mut counts = format!(
        "{} of {} still to be done",
        ui::count(open.lines),
        ui::lines(known.draft.counts.lines)
    );
    if rest.looked {
        counts.push_str(&planned_words(ledger, &known.resolved)?);
    }
    let header = ledger.header();
    let base_url = base_url(&known.resolved)?;
    let question = Question {
        what: format!("resume run {} ({})", header.run, open::described(ledger)),
        counts,
        forecast: Some(Forecast::of_changes(
            (open.accounts, open.swaps),
            open.locations,
            (open.lines, if rest.looked { 0 } else { open.searched }),
            &known.resolved,
        )),
        // How much is looked up again is not known.
        looked: false,
        resolved: &known.resolved,
        base_url: &base_url,
        profile: known.kept.values.get("profile").map(String::as_str),
        limits,
        may_set_services: !rest.looked && open.locations > 0,
    };
    let commits = ledger.commits()?;
    ask(&question.text(), consent, "resume")?;
    if ledger.commits()? == commits {
        return Ok(true);
    }
    refuse_if_taken(&known.dir, ledger)?;
    let words = format!(
        "run {} was resumed by another process meanwhile; nothing was written",
        header.run
    );
    let resume = known.commands().resume(&[]);
    Err(CommandError::usage(words).with_help(format!("{resume} shows what is left now")))
}

/// What the open lines ask for.
#[derive(Default)]
struct OpenChanges {
    lines: u64,
    /// The number of these lines that do not name their customer by the system's ID.
    searched: u64,
    accounts: u64,
    /// Swaps and longer cycles of them.
    swaps: u64,
    locations: u64,
}

fn open_changes(known: &OpenRun, rest: &Rest) -> Result<OpenChanges, CommandError> {
    let ledger = &known.ledger;
    let (planned, done) = if rest.looked && rest.work == Work::Apply {
        (Some(ledger.still_planned()?), LineSet::default())
    } else {
        (None, done(ledger, rest.work.mode())?)
    };
    let is_open = |line: Line| match &planned {
        Some(planned) => planned.contains(line),
        None => !done.contains(line),
    };
    let cycles = known.draft.units.values();
    let cycles = cycles.filter(|unit| unit.shape == Shape::Cycle && unit.lines().any(is_open));
    let mut open = OpenChanges {
        swaps: u64::try_from(cycles.count()).unwrap_or(u64::MAX),
        ..OpenChanges::default()
    };
    for batch in known.draft.table.batches()? {
        let changes = batch?.into_iter().filter_map(|row| row.change);
        for change in changes.filter(|change: &Change| is_open(change.line)) {
            open.lines += 1;
            open.searched += u64::from(change.customer.is_none());
            open.accounts += u64::from(change.new_account.asks());
            open.locations += u64::from(change.asks_location());
        }
    }
    Ok(open)
}

/// Returns what other runs say about the lines, and what they have written since.
pub(super) fn history(
    known: &OpenRun,
    claim: &TargetClaim,
    work: Work,
    without_history: bool,
) -> Result<History, CommandError> {
    let identity = InputIdentity::of_run(known.ledger.header());
    let header = known.ledger.header();
    // The target on which the run continues, and its earlier targets.
    let keys = claim.keys();
    let targets: Vec<&str> = known.ledger.targets().chain(keys.iter().copied()).collect();
    let (draft, resolved) = (&known.draft, &known.resolved);
    let catalog = &claim.catalog;
    let mut history = if header.kind == RunKind::Undo {
        // Every line of an undo has a customer ID, so the files of earlier runs are not needed to find its customer.
        prior_runs::of_undo(header, &targets, catalog)?
    } else {
        // What is learned here is not saved: it is of no use to later runs, because this run was begun without it.
        let how = (resolved, &mut known.kept.clone());
        let history = prior_runs::of(header, &targets, catalog, &identity, draft, how)?;
        if !without_history {
            lost_runs::refuse_repeats(draft, claim, &history, resolved)?;
        }
        history
    };
    if work != Work::Plan {
        history.newer = left_untouched::of_resume((&known.ledger, &targets), catalog)?;
        warn_of_newer(&history.newer);
        left_untouched::add_if_undo(&mut history.newer, &known.ledger, claim)?;
    }
    Ok(history)
}

/// Refuses a plan, which must be applied instead, and an undo that did not begin, which must be started again.
fn refuse_what_goes_on_otherwise(
    known: &OpenRun,
    catalog: &RunCatalog,
) -> Result<(), CommandError> {
    let id = known.dir.run();
    if known.ledger.progress()?.state == State::Planned {
        return Err(CommandError::usage(format!(
            "run {id} is a plan, and nothing of it was interrupted"
        ))
        .with_help(format!(
            "{} carries it out",
            known.commands().carry_out(&[])
        )));
    }
    let parent = known.ledger.header().parent.as_ref();
    if let Some(parent) = parent.filter(|_| is_stillborn(&known.ledger)) {
        let undone = catalog.entries.iter().find(|one| one.header.run == *parent);
        return Err(CommandError::usage(format!(
            "run {id} was killed before it had begun; nothing was written"
        ))
        .with_help(format!(
            "{} starts the undo again",
            undone.map_or_else(
                || format!("idshift undo {parent}"),
                |run| run.commands().undo()
            )
        )));
    }
    Ok(())
}

/// Refuses to count changes if the run has begun to write: they can only be counted before the first write.
fn refuse_late_count(known: &OpenRun) -> Result<(), CommandError> {
    if !known.ledger.has_writes()? {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "--max-changes: run {} has begun to write without counting first, so it is too late to count",
        known.dir.run()
    ))
    .with_help(format!(
        "{} goes on without it; --max-failures and --until can be given",
        known.commands().resume(&[])
    )))
}

/// Warns about a guard that the run was not begun with (profile, environment). It does not prevent the resume.
fn warn_of_late_count(known: &OpenRun) {
    ui::warning(&format!(
        "max_changes is not checked: run {} began to write without counting its changes",
        known.dir.run()
    ));
}

/// Warns before the run continues: values that other runs have changed meanwhile stay as they are.
fn warn_of_newer(newer: &NewerRequests) {
    if let Some(newest) = newer.last_begun() {
        ui::warning(&format!(
            "since this run was begun, other runs on its target (the newest is {newest}) have changed {}, in this file or \
             not; their present values are kept, and an open line that asks for another value of one of them becomes stale",
            ui::one_or_many(
                u64::try_from(newer.len()).unwrap_or(u64::MAX),
                "customer or location",
                "customers or locations"
            ),
        ));
    }
}

/// Refuses to resume a run that was undone.
fn refuse_undone(id: &str, catalog: &RunCatalog) -> Result<(), CommandError> {
    match catalog.undos_of(id).next() {
        None => Ok(()),
        Some(undo) => Err(CommandError::usage(format!(
            "run {id} was undone by run {}; resuming it would leave half of it undone",
            undo.header.run
        ))
        .with_help("`idshift apply` with the file begins a new run")),
    }
}
