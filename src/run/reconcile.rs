//! `idshift reconcile`, for every night: looks up everything, checks the guards, and writes only what has drifted.
//!
//! With `--incremental`, lines that are the same as in the last successful reconcile of this file and target are not looked
//! up, except a share that changes from night to night. All are looked up if another run has written since.

use super::create::{NewRun, Specification, new_run};
use super::error::CommandError;
use super::exit_code::Exit;
use super::feeder::PassInput;
use super::input_identity::InputIdentity;
use super::last_reconcile::{LastReconcile, SkippedLines};
use super::parked;
use super::prepared_run::{Task, Work};
use super::request::{Output, Request};
use super::retention::to_finish;
use super::suppress;
use super::values::values;
use crate::ledger::{Epochs, Ledger, RunKind, State};
use crate::ui;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How lines are found that need no look-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incremental<'a> {
    /// Whether lines that are the same as in the last successful reconcile are left out.
    pub(crate) is_on: bool,
    /// The share of these lines that is still looked up: `1/7`.
    pub(crate) audit: &'a str,
}

/// Writes what differs from the file.
pub(crate) fn reconcile(
    file: &Path,
    incremental: Incremental<'_>,
    request: &Request,
) -> Result<Exit, CommandError> {
    let nights = audit(incremental.audit)?;
    let suppressed = suppress::read(&values(&request.typed, &BTreeMap::new())?)?;
    let mut new = new_run(&Specification {
        kind: RunKind::Reconcile,
        file,
        request,
        writes: true,
    })?;
    tell_unfinished(&new, request.output)?;
    let last = last_good(&new)?;
    let round = last.as_ref().map_or(0, |last| last.round + 1);
    new.run.ledger.set_audit_round(round)?;
    let (mut history, mut looked_before) =
        (std::mem::take(&mut new.history), SkippedLines::default());
    if let Some(last) = last {
        // Chains and swaps mean the customers that the last run found; see `prior_runs`.
        for change in new.run.draft.units.values().flat_map(|unit| unit.changes()) {
            if let Some(customer) = last.found.customer(&last.ledger, change)? {
                history.remember(change.line, change.reseller.as_ref(), &customer);
            }
        }
        if incremental.is_on && last.nothing_since {
            looked_before = SkippedLines {
                before: Some(last.found),
                nights,
                round,
                why: format!(
                    "not looked up in this run: same result as in run {}",
                    last.run
                ),
                ..SkippedLines::default()
            };
        }
    }
    let known = PassInput {
        skipped: Arc::new(looked_before),
        done: suppress::leave_alone(&mut new, &suppressed)?,
        ..PassInput::new(Arc::new(history))
    };
    let task = Task {
        quiet_if_unchanged: true,
        ..Task::of(request, "reconcile", Work::PlanThenApply)
    };
    new.prepared(known, task).execute()
}

/// Says what becomes of earlier reconciles of the file that were stopped. Once one that began later has finished, it has
/// compared all lines, so those before it are of no concern, unless a customer may still have a temporary ID of one.
fn tell_unfinished(new: &NewRun, output: Output) -> Result<(), CommandError> {
    let mine = InputIdentity::of_run(new.run.ledger.header());
    let (keys, catalog) = (new.claim.keys(), &new.claim.catalog);
    // The reconciles of the whole file that have finished.
    let mut compared: Vec<Epochs> = Vec::new();
    for entry in catalog.others(new.run.dir.run().as_str(), &keys) {
        let its = &entry.header;
        if its.kind != RunKind::Reconcile || !mine.is_same_file(&InputIdentity::of_run(its)) {
            continue;
        }
        // Those that cannot be read are named where their writes are looked at.
        let Ok(ledger) = entry.ledger() else {
            continue;
        };
        if ledger.progress()?.state == State::Finished && ledger.shard()?.is_none() {
            compared.push(entry.epochs);
        }
        // A night that was resumed after that, and stopped again, may have written since.
        let is_compared = compared.iter().any(|one| one.is_newer_than(entry.epochs));
        if !ledger.is_unfinished()? || is_compared && !parked::are_left(&ledger, catalog)? {
            continue;
        }
        let run = &its.run;
        match to_finish((entry, &ledger), catalog)? {
            // Also with --quiet.
            Some(to_do) => ui::warning(&ui::visible(&format!(
                "run {run}, an earlier reconcile of this file, has written and was not finished; this run compares all lines \
                 again, and leaves run {run} as it is: {to_do}"
            ))),
            None if output.quiet => {}
            None => ui::note(&format!(
                "run {run}, an earlier reconcile of this file, was stopped and left nothing to finish; this run takes its place"
            )),
        }
    }
    Ok(())
}

/// Parses the share: `1/7` means that each line is looked up at least every seventh night.
fn audit(text: &str) -> Result<u64, CommandError> {
    let nights = text
        .strip_prefix("1/")
        .and_then(|n| n.parse().ok())
        .filter(|n| *n >= 1);
    nights.ok_or_else(|| CommandError::usage(format!("--audit `{text}`: write it as 1/7")))
}

struct Last {
    run: String,
    round: u64,
    found: LastReconcile,
    ledger: Ledger,
    /// Whether no other run has written to this target since.
    nothing_since: bool,
}

/// The newest finished reconcile of this file on this target.
fn last_good(new: &NewRun) -> Result<Option<Last>, CommandError> {
    let mine = InputIdentity::of_run(new.run.ledger.header());
    let mut last = None;
    let (mut writing, mut unreadable) = (Vec::new(), false);
    let keys = new.claim.keys();
    let mut cannot_be_read = |why: &str| {
        ui::warning(&format!(
            "{}; the writes of that run are not known, so all lines are looked up",
            ui::visible(why)
        ));
        unreadable = true;
    };
    for lost in new.claim.catalog.lost_of(&keys) {
        cannot_be_read(&format!("{}: {}", lost.path.display(), lost.why));
    }
    let catalog = &new.claim.catalog;
    for entry in catalog.others(new.run.dir.run().as_str(), &keys) {
        let (dir, its) = (entry.dir.clone(), &entry.header);
        let ledger = match entry.ledger() {
            Ok(ledger) => ledger,
            Err(why) => {
                cannot_be_read(&why.to_string());
                continue;
            }
        };
        let same = its.kind == RunKind::Reconcile && mine.is_same_file(&InputIdentity::of_run(its));
        if same
            && last.is_none()
            && ledger.progress()?.state == State::Finished
            && ledger.pruned()?.is_none()
        {
            last = Some((dir, ledger, entry.epochs));
        } else if entry.has_writes {
            writing.push(entry.epochs);
        }
    }
    let Some((dir, ledger, epochs)) = last else {
        return Ok(None);
    };
    let nothing_since = !unreadable && !writing.iter().any(|one| one.has_worked_since(epochs));
    Ok(Some(Last {
        run: dir.run().to_string(),
        round: ledger.audit_round()?,
        found: LastReconcile::of(
            (&dir, &ledger),
            (new.run.ledger.header(), &new.run.kept),
            &new.run.resolved,
        )?,
        ledger,
        nothing_since,
    }))
}
