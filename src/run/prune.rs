//! Retention: reduces old runs to a compact record. Input and reports are removed; what later runs need of the ledger
//! stays, so that a pruned run does not count as gone.

use super::catalog::{Entry, RunCatalog};
use super::clock::now_ms;
use super::error::CommandError;
use super::input_identity::InputIdentity;
use super::input_plan;
use super::kept_run::KeptRun;
use super::line_digest::{RequestDigest, request_digest};
use super::replaced::replaced_at_locations;
use super::retention::{Candidate, FILES, Retention, candidates};
use super::saved_settings::SavedSettings;
use crate::domain::{Change, CustomerId, LocationId, Outcome, Status, Transition, Unchanged};
use crate::ledger::{
    ExclusiveLock, Ledger, LedgerError, Pruned, Remains, RemovedFile, RunKind, State,
};
use crate::plan::Shape;
use crate::report::{half_done, run_status, stamp};
use crate::system::SystemKind;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

/// Reduces a run to its compact record, if it is still as it was when it was chosen.
pub(crate) fn reduce(
    chosen: &Candidate<'_>,
    catalog: &RunCatalog,
    now_ms: i64,
) -> Result<(), CommandError> {
    reduce_beside((chosen.entry, chosen.commits), catalog, None, now_ms)
}

/// Does the same as [`reduce`] for a run and its commits. `newest_good`: a good reconcile that is newer than the catalog;
/// summary.json stays, to report a night without changes.
fn reduce_beside(
    (entry, commits): (&Entry, i64),
    catalog: &RunCatalog,
    newest_good: Option<&Ledger>,
    now_ms: i64,
) -> Result<(), CommandError> {
    let ledger = entry.ledger()?;
    let hold = ledger.hold()?;
    if ledger.pruned()?.is_none() {
        let remains = remains(&entry.dir, &ledger, now_ms)?;
        refuse_resumed(entry, &ledger, commits)?;
        ledger.mark_pruned(&hold, &remains)?;
    }
    strip(entry, &ledger, &hold, catalog, newest_good)?;
    for name in FILES {
        if name == "summary.json" && newest_good.is_some() {
            continue;
        }
        remove(&entry.dir.path().join(name))?;
    }
    // Removes the parts of reports that a killed process has left.
    for left in std::fs::read_dir(entry.dir.path()).into_iter().flatten() {
        let path = left.map(|left| left.path()).unwrap_or_default();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden && path.extension().is_some_and(|end| end == "tmp") {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Refuses to prune a run on which another process has worked since it was chosen, or is about to work.
fn refuse_resumed(entry: &Entry, ledger: &Ledger, commits: i64) -> Result<(), CommandError> {
    if ledger.commits()? == commits && !entry.dir.is_claimed(ledger) {
        return Ok(());
    }
    let run = &entry.header.run;
    let words = format!("run {run} was resumed by another process meanwhile; it was not pruned");
    Err(CommandError::usage(words)
        .with_help("`idshift runs prune --dry-run` shows which runs can be pruned now"))
}

fn remove(path: &Path) -> Result<(), CommandError> {
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(CommandError::usage(
            format!("{}: cannot be removed: {why}", path.display()),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remains(run: &KeptRun, ledger: &Ledger, now_ms: i64) -> Result<Remains, CommandError> {
    let mut removed = Vec::new();
    for name in FILES {
        let path = run.path().join(name);
        if let Ok(meta) = std::fs::metadata(&path) {
            let unreadable = |why| CommandError::unreadable(&path, &why);
            let sha256 = crate::input::digest(&path).map_err(unreadable)?;
            removed.push(RemovedFile {
                name: name.to_owned(),
                sha256,
                bytes: meta.len(),
            });
        }
    }
    Ok(Remains {
        pruned: Pruned {
            at_ms: now_ms,
            half_done: half_done(run).unwrap_or(0),
        },
        wishes: wishes(run, ledger)?,
        replaced: replaced_at_locations(ledger)?,
        removed,
    })
}

/// Returns the customers of lines that a later file may repeat: lines that renamed, and lines of chains and swaps.
fn wishes(
    run: &KeptRun,
    ledger: &Ledger,
) -> Result<Vec<(RequestDigest, CustomerId)>, CommandError> {
    let header = ledger.header();
    if header.kind == RunKind::Undo {
        // The file of an undo is not one that a person applies.
        return Ok(Vec::new());
    }
    let Some(system) = SystemKind::parse(&header.system) else {
        return Ok(Vec::new());
    };
    let kept = SavedSettings::of(ledger)?;
    let has_renames = ledger.has_renames()?;
    if !has_renames && kept.plain_file(header).is_some() {
        return Ok(Vec::new());
    }
    let rules = kept.rules_as_begun(system)?;
    let unique = system.capabilities().unique_accounts;
    let input = run.input()?;
    let name = input.display().to_string();
    let draft = input_plan::read(&input, &name, &kept.reading()?, &rules, unique)?;
    let mut linked = HashSet::new();
    for unit in draft.units.values() {
        if unit.shape != Shape::Single || !unique {
            linked.extend(unit.lines());
        }
    }
    let mut wishes = Vec::new();
    if linked.is_empty() && !has_renames {
        return Ok(wishes);
    }
    let mut outcomes = ledger.outcomes().peekable();
    for batch in draft.table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let is_before = |next: &Result<Outcome, _>| match next {
                Ok(outcome) => outcome.line <= change.line,
                Err(_) => true,
            };
            while let Some(outcome) = outcomes.next_if(is_before) {
                let outcome = outcome?;
                let counts = outcome.line == change.line
                    && (linked.contains(&change.line) || renames(&change, &outcome));
                let customer = outcome.customer.clone();
                if let Some(customer) = customer.filter(|_| counts && holds(&outcome)) {
                    wishes.push((request_digest(&change), customer));
                }
            }
        }
    }
    // In the order of their table, so that rows are only appended to it.
    wishes.sort_unstable();
    Ok(wishes)
}

fn renames(change: &Change, outcome: &Outcome) -> bool {
    change.new_account.asks() && outcome.account.before != outcome.account.after
}

/// Returns whether the outcome shows which customer the line meant.
fn holds(outcome: &Outcome) -> bool {
    let Transition { before, after } = &outcome.account;
    match outcome.status {
        Status::Changed | Status::Unchanged(Unchanged::Already) | Status::InDoubt => true,
        Status::Failed(_) => after.is_some() && after != before,
        Status::WouldChange | Status::Unchanged(_) | Status::Skipped(_) => false,
    }
}

/// Removes outcomes of a pruned run. While a run may be resumed that was begun before the last work of this one, outcomes stay
/// that found the requested value in place, because that run must not overwrite it; unless the newest good reconcile of the
/// target is newer and has found the same.
fn strip(
    entry: &Entry,
    ledger: &Ledger,
    hold: &ExclusiveLock,
    catalog: &RunCatalog,
    newest: Option<&Ledger>,
) -> Result<(), CommandError> {
    let mut may_resume = false;
    let mut newest_good = None;
    let others = catalog.entries.iter();
    for other in others.filter(|other| other.header.run != entry.header.run) {
        // A run may also be resumed at the address of this one (test: `retention::values_found_at_another_*`).
        if entry.epochs.has_worked_since(other.epochs) && entry.may_be_on_the_system_of(other) {
            // A plan needs none of these outcomes: it is newer as soon as it is carried out.
            may_resume = may_resume || other.ledger()?.is_unfinished()?;
        } else if newest_good.is_none()
            && other.epochs.is_newer_than(entry.epochs)
            && entry.has_only_worked_on(|target| other.is_on(target))
        {
            newest_good = if_good(other)?;
        }
    }
    if !may_resume {
        return Ok(ledger.strip(hold, None)?);
    }
    // Eight bytes for each customer or location, whatever the length of its ID.
    let hasher = RandomState::new();
    let number = |customer: &CustomerId, location: Option<&LocationId>| {
        hasher.hash_one((customer, location))
    };
    let mut found = Vec::new();
    let is_on = |target: &str| newest.is_some_and(|one| one.targets().any(|its| its == target));
    for outcome in newest
        .filter(|_| entry.has_only_worked_on(is_on))
        .or(newest_good.as_ref())
        .into_iter()
        .flat_map(Ledger::outcomes)
    {
        let outcome = outcome?;
        if let Some(customer) = outcome.customer.as_ref().filter(|_| holds(&outcome)) {
            found.push(number(customer, outcome.location.as_ref()));
        }
    }
    found.sort_unstable();
    let keeps_found = |outcome: &Outcome| {
        let customer = outcome.customer.as_ref();
        let number = customer.map(|id| number(id, outcome.location.as_ref()));
        number.is_some_and(|number| found.binary_search(&number).is_err())
    };
    Ok(ledger.strip(hold, Some(&keeps_found))?)
}

/// Returns the ledger of a run that is a finished reconcile and was not pruned.
fn if_good(entry: &Entry) -> Result<Option<Ledger>, LedgerError> {
    if entry.header.kind != RunKind::Reconcile {
        return Ok(None);
    }
    let ledger = entry.ledger()?;
    let is_good = ledger.progress()?.state == State::Finished && ledger.pruned()?.is_none();
    Ok(is_good.then_some(ledger))
}

/// Earlier reconciles of the same file and target in which nothing was changed and nothing failed, or that were stopped before
/// their first write, once a newer good one is there: a summary and the digests of their files are left.
pub(super) fn reduce_idle(
    newest: &Ledger,
    catalog: &RunCatalog,
    now_ms: i64,
) -> Result<(), CommandError> {
    let mine = newest.header();
    let (identity, epochs) = (InputIdentity::of_run(mine), newest.epochs()?);
    let target = [mine.target.as_str()];
    for entry in catalog.others(&mine.run, &target) {
        let is_older = entry.header.kind == RunKind::Reconcile
            && epochs.is_newer_than(entry.epochs)
            && identity.is_same_file(&InputIdentity::of_run(&entry.header));
        if !is_older {
            continue;
        }
        let ledger = entry.ledger()?;
        let commits = ledger.commits()?;
        let progress = ledger.progress()?;
        let is_idle = match run_status::state(&progress, &ledger) {
            State::Finished => progress.exit_code == Some(0),
            state => state.is_unfinished() && !entry.dir.is_taken(&ledger),
        };
        let is_idle = is_idle && !ledger.has_writes()?;
        if is_idle && (ledger.pruned()?.is_none() || entry.dir.local_input().exists()) {
            drop(ledger);
            reduce_beside((entry, commits), catalog, Some(newest), now_ms)?;
        }
    }
    Ok(())
}

/// Prunes the other runs on the target of this run that ended longer ago than `older_than`.
pub(super) fn keep(
    run: &KeptRun,
    catalog: &RunCatalog,
    older_than: Duration,
) -> Result<(), CommandError> {
    let mine = run.ledger()?;
    let target = &mine.header().target;
    let within = run.path().parent().unwrap_or(Path::new("."));
    let retention = Retention {
        older_than,
        keep_last: 0,
    };
    let now_ms = now_ms();
    for one in candidates(catalog, within, retention, now_ms)? {
        let is_other = one.entry.header.run != mine.header().run;
        if is_other && one.kept.is_none() && one.entry.header.target == *target {
            reduce(&one, catalog, now_ms)?;
        }
    }
    Ok(())
}

/// Refuses to continue a run that has only its compact record left.
pub(crate) fn refuse_pruned(ledger: &Ledger) -> Result<(), CommandError> {
    let Some(pruned) = ledger.pruned()? else {
        return Ok(());
    };
    let run = &ledger.header().run;
    Err(CommandError::usage(format!(
        "run {run} was pruned at {}: its input and its reports were removed",
        stamp(pruned.at_ms)
    ))
    .with_help(format!(
        "`idshift runs show {run}` tells what is left: counts, and in its ledger which customers were renamed"
    )))
}
