//! `idshift undo`: restores what a run changed, except values that were changed again since.
//!
//! An undo is a run like any other: a file of the inverse changes, planned with its chains and swaps, carried out by the
//! same engine, and undone in the same way. It expects the values that the run has left, as a line of its file or the
//! ledger says. So a customer that was changed since is `stale` and skipped.

use super::catalog::{Entry, RunCatalog};
use super::claim::TargetClaim;
use super::clock;
use super::connect::base_url;
use super::consent::{Question, ask, refuse_emails};
use super::create::begin;
use super::document::document;
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::Exit;
use super::feeder::PassInput;
use super::guards::Guards;
use super::in_progress::refuse_if_taken;
use super::input_plan;
use super::left_untouched;
use super::line_summary::WrittenLines;
use super::open::{self, OpenRun};
use super::parked;
use super::prepared_run::{PreparedRun, Task, Work};
use super::prior_runs;
use super::prune::refuse_pruned;
use super::request::{Output, Request};
use super::selection::Selection;
use super::undo_lines::{UndoCounts, UndoLines};
use super::values::{catalog, values};
use crate::engine::History;
use crate::ledger::{Header, Phase, RunId, RunKind, State};
use crate::ui;
use std::sync::Arc;

/// Undoes this run, or the newest one that wrote something.
pub(crate) fn undo(run: Option<&str>, request: &Request) -> Result<Exit, CommandError> {
    let mut known = open::open_for_undo(
        run,
        Selection {
            command: "undo",
            words: "run that wrote something and is no undo itself",
            // If `undo` is typed twice, the second one must not undo the first one.
            fits: &|_, ledger| {
                open::wrote_something(ledger) && ledger.header().kind != RunKind::Undo
            },
            is_asked: request.consent.is_asked(),
        },
        request,
    )?;
    refuse_if_taken(&known.dir, &known.ledger)?;
    let parent = known.dir.run().to_string();
    let (catalog, _) = catalog(&request.typed)?;
    let commits = known.ledger.commits()?;
    refuse_unfinished(&known, &catalog)?;
    refuse_emails(&known.resolved, "undo")?;
    let can_clear = known.resolved.system.capabilities().can_clear;
    let back = UndoLines::of(&known.ledger, can_clear)?;
    let UndoCounts {
        lines,
        accounts,
        locations,
        cannot_undo,
        ..
    } = back.counts;
    if let Some(why) = nothing_left(lines, &known, &catalog)? {
        print_nothing_to_restore(&parent, &why, request.output);
        return Ok(Exit::Success);
    }
    let address = base_url(&known.resolved)?;
    let values = values(&request.typed, &known.kept.inherited_by_undo())?;
    let limits = Guards::of(&values)?;
    known.kept = known.kept.of_undo(&values);
    limits.refuse_changes(lines, known.ledger.header().lines)?;
    let mut counts = format!(
        "restore {} and {}",
        ui::counted(accounts, "account ID"),
        ui::counted(locations, "location")
    );
    for words in cannot_undo.words() {
        counts.push_str(&format!("\n  {words}"));
    }
    let estimate = back.counts.forecast(&known.resolved);
    let question = Question {
        what: format!(
            "undo run {parent} ({}, {})",
            open::described(&known.ledger),
            ui::lines(known.ledger.header().lines)
        ),
        counts,
        forecast: Some(estimate),
        resolved: &known.resolved,
        base_url: &address,
        profile: known.kept.values.get("profile").map(String::as_str),
        limits: &limits,
        may_set_services: false,
        looked: false,
    };
    ask(&question.text(), request.consent, "undo")?;
    let run = RunId::new(clock::now_ms());
    let claim = TargetClaim::take(&known.resolved, known.target()?, run.as_str())?;
    // Another process may have pruned or resumed the run while the question waited for its answer.
    refuse_pruned(&known.ledger)?;
    refuse_unfinished(&known, &claim.catalog)?;
    if known.ledger.commits()? != commits {
        let words = format!("run {parent} was resumed meanwhile; nothing was written");
        let undo = known.commands().undo();
        return Err(
            CommandError::usage(words).with_help(format!("{undo} shows what it has left now"))
        );
    }
    carry_out(
        request,
        known,
        limits,
        &parent,
        (&run, claim),
        (back, estimate),
    )
}

/// Returns why the run has nothing to restore: its undo would have no `lines`, or an earlier undo has restored everything.
/// `None`: something may be left to restore, or another run has written on the target since that undo.
fn nothing_left(
    lines: u64,
    known: &OpenRun<()>,
    catalog: &RunCatalog,
) -> Result<Option<String>, CommandError> {
    if lines == 0 {
        return Ok(Some("no change of the run is still in place".to_owned()));
    }
    let Some(undo) = catalog.undos_of(known.dir.run().as_str()).next() else {
        return Ok(None);
    };
    let is_undone = catalog.undos_of(&undo.header.run).next().is_some();
    let targets: Vec<&str> = known.ledger.targets().collect();
    let has_written_since =
        |entry: &Entry| entry.has_writes && entry.epochs.has_worked_since(undo.epochs);
    let mut others = catalog.others(&undo.header.run, &targets);
    let was_resumed = known.ledger.epochs()?.has_worked_since(undo.epochs);
    if is_undone || was_resumed || others.any(has_written_since) {
        return Ok(None);
    }
    let ledger = undo.ledger()?;
    let restored = ledger.counts()?.into_iter();
    let restored: u64 = restored
        .filter(|counted| counted.status.is_in_place())
        .map(|counted| counted.lines)
        .sum();
    let is_whole = ledger.progress()?.state == State::Finished && restored == ledger.header().lines;
    let run = &undo.header.run;
    Ok(is_whole.then(|| format!("run {run} has restored what the run changed")))
}

fn print_nothing_to_restore(parent: &str, why: &str, output: Output) {
    if output.json {
        let body = serde_json::json!({
            "undoes": parent, "counts": {"lines": 0}, "cannot_undo": 0,
        });
        ui::out_as_is(&document(Exit::Success, body));
    } else if !output.quiet {
        ui::err(&format!("undo {parent}: nothing to restore; {why}"));
    }
}

/// Refuses if the run, or an earlier undo of it, must be finished first.
fn refuse_unfinished(known: &OpenRun<()>, catalog: &RunCatalog) -> Result<(), CommandError> {
    let parent = known.dir.run();
    // A customer that needs no resume is restored like any other, or is `stale`.
    if parked::are_left(&known.ledger, catalog)? {
        return Err(CommandError::usage(format!(
            "run {parent} left a customer under a temporary ID"
        ))
        .with_help(format!(
            "{} finishes or rolls back; then undo",
            known.commands().resume(&[])
        )));
    }
    if known.ledger.progress()?.state == State::Running
        && !known.ledger.unresolved_writes()?.is_empty()
    {
        return Err(
            CommandError::usage(format!("run {parent} was killed while it was writing"))
                .with_help(format!("{} first; then undo", known.commands().resume(&[]))),
        );
    }
    refuse_half_done(catalog, parent.as_str())
}

/// Refuses if an earlier undo was interrupted: it has restored a part, and its ledger has recorded which.
fn refuse_half_done(catalog: &RunCatalog, parent: &str) -> Result<(), CommandError> {
    for undo in catalog.undos_of(parent) {
        let ledger = undo.ledger()?;
        // Before its state is read: a process that has ended by then has recorded how.
        refuse_if_taken(&undo.dir, &ledger)?;
        match ledger.progress()?.state {
            State::Running | State::Stopped | State::Interrupted => {}
            State::Created | State::Planned | State::Finished => continue,
        }
        let id = &undo.header.run;
        // An undo that was itself undone is not resumed.
        if catalog.undos_of(id).next().is_some() {
            return Ok(());
        }
        let resume = undo.commands().resume(&[]);
        let words = format!("run {id}, which undoes run {parent}, was not finished");
        return Err(CommandError::usage(words).with_help(format!("{resume} continues it")));
    }
    Ok(())
}

fn carry_out(
    request: &Request,
    known: OpenRun<()>,
    limits: Guards,
    parent: &str,
    (run, claim): (&RunId, TargetClaim),
    (back, estimate): (UndoLines, Forecast),
) -> Result<Exit, CommandError> {
    let mut kept = known.kept.clone();
    if back.counts.clears > 0 {
        kept.values
            .insert("allow_clear".to_owned(), "true".to_owned());
    }
    let name = format!("undo of {parent}");
    let mut written = WrittenLines::new(0);
    let (dir, ledger) = begin(&claim, run, |dir, mut new| {
        let (input_sha256, lines) = back.write(&known.ledger, dir, &mut new)?;
        written = lines;
        let header = Header {
            input_name: name.clone(),
            input_sha256,
            parent: Some(parent.to_owned()),
            lines: back.counts.lines,
            ..claim.header(run, RunKind::Undo, &kept)
        };
        let ledger = new.begin(&header, None)?;
        let cannot = serde_json::to_string(&back.counts.cannot_undo).unwrap_or_default();
        ledger.set_cannot_undo(&cannot)?;
        let estimate = estimate.document(&known.resolved);
        ledger.set_estimate(&estimate.to_string())?;
        ledger.set_phase(Phase::Write)?;
        Ok(ledger)
    })?;
    drop(back);
    request.set_run(&dir);
    let keys = claim.keys();
    let targets: Vec<&str> = known.ledger.targets().chain(keys.iter().copied()).collect();
    let history = History {
        newer: left_untouched::of_undo(&known.ledger, run.as_str(), &claim)?,
        ..prior_runs::of_undo(ledger.header(), &targets, &claim.catalog)?
    };
    let capabilities = known.resolved.system.capabilities();
    let rules = kept.rules(&known.resolved)?;
    let draft = input_plan::of_written(
        &dir.input()?,
        &name,
        &kept.reading()?,
        &rules,
        (written, capabilities.unique_accounts),
    )?;
    let prepared = PreparedRun {
        known: PassInput {
            done: ledger.done()?,
            planned: Some(ledger.planned()?),
            ..PassInput::new(Arc::new(history))
        },
        run: OpenRun {
            dir,
            ledger,
            kept,
            limits,
            draft: draft.into(),
            resolved: known.resolved,
            stand_in: known.stand_in,
        },
        claim,
        task: Task::of(request, "undo", Work::Apply),
    };
    prepared.execute()
}
