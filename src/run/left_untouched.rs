//! Finds the customers and locations that `undo` and `resume` leave untouched: other runs have written them, or found the
//! requested values in place, since the run began.

use super::catalog::{Entry, Lost, RunCatalog};
use super::claim::TargetClaim;
use super::error::CommandError;
use crate::domain::{CustomerId, LocationId, Status, Unchanged};
use crate::engine::{AddRun, NewerRequests};
use crate::ledger::{Ledger, RunKind, State, Write};

/// Returns what newer runs than the undone one have written and no undo has restored: an undo must not overwrite these
/// values. `undo`: the run that carries out the undo.
pub(super) fn of_undo(
    undone: &Ledger,
    undo: &str,
    claim: &TargetClaim,
) -> Result<NewerRequests, CommandError> {
    let mut requests = NewerRequests::default();
    if !claim.target.in_process {
        add_of_undone(&mut requests, (undone, undo), claim)?;
    }
    Ok(requests)
}

/// Returns what other runs on these targets have asked for since this one began, whether they wrote it or found it in
/// place: a resumed run must not overwrite these values.
pub(super) fn of_resume(
    (resumed, targets): (&Ledger, &[&str]),
    catalog: &RunCatalog,
) -> Result<NewerRequests, CommandError> {
    let mut requests = NewerRequests::default();
    refuse_lost(resumed, targets, catalog)?;
    for newer in newer(resumed, targets, catalog)? {
        let mut adding = requests.add_run(&newer.entry.header.run);
        wanted(&newer.ledger, newer.after_ms, &mut adding)?;
        adding.finish();
    }
    Ok(requests)
}

/// If the ledger is that of an undo, adds what the undo must not overwrite: everything that is newer than the undone run,
/// and not only what is newer than the undo. This applies to every process that continues the undo.
pub(super) fn add_if_undo(
    requests: &mut NewerRequests,
    ledger: &Ledger,
    claim: &TargetClaim,
) -> Result<(), CommandError> {
    let header = ledger.header();
    // No other run can have worked on a stand-in inside this process.
    let Some(undone) = header.parent.as_ref().filter(|_| !claim.target.in_process) else {
        return Ok(());
    };
    let entries = &claim.catalog.entries;
    let Some(entry) = entries.iter().find(|entry| entry.header.run == *undone) else {
        return Err(CommandError::usage(format!(
            "run {undone}, which run {} undoes, is missing; without it, idshift cannot distinguish the writes of newer \
             runs from the writes of that run",
            header.run
        ))
        .with_help("restore the folder of that run"));
    };
    add_of_undone(requests, (&entry.ledger()?, &header.run), claim)
}

fn add_of_undone(
    requests: &mut NewerRequests,
    (undone, undo): (&Ledger, &str),
    claim: &TargetClaim,
) -> Result<(), CommandError> {
    let (keys, catalog) = (claim.keys(), &claim.catalog);
    let targets: Vec<&str> = undone.targets().chain(keys.iter().copied()).collect();
    refuse_lost(undone, &targets, catalog)?;
    let newer = newer(undone, &targets, catalog)?;
    for one in &newer {
        let header = &one.entry.header;
        let undoes = |other: &Newer<'_>| header.parent.as_ref() == Some(&other.entry.header.run);
        // `take_back` removes what this undo restored from the values of the run that it undid. If that run is not a newer
        // one, this undo counts like any other run (tests: `overtaken::an_undo_of_an_undo_*`).
        let takes_back = header.kind == RunKind::Undo && newer.iter().any(undoes);
        if takes_back || header.run == undo {
            continue;
        }
        let mut adding = requests.add_run(&header.run);
        wanted(&one.ledger, one.after_ms, &mut adding)?;
        take_back(&header.run, catalog, &mut adding)?;
        adding.retain_written();
        adding.finish();
    }
    Ok(())
}

/// Refuses if a newer run cannot be read: it is not known what that run has written.
fn refuse_lost(mine: &Ledger, targets: &[&str], catalog: &RunCatalog) -> Result<(), CommandError> {
    let mine = mine.epochs()?;
    let mut lost = catalog.lost_of(targets);
    let is_newer = |lost: &&Lost| {
        let known = lost.known.as_ref();
        known.is_none_or(|run| mine.was_begun_before(run.epoch))
    };
    // Tests: `overtaken::unreadable_newer_run_prevents_*`, `newer_runs::lost_older_run_does_*`.
    match lost.find(is_newer) {
        None => Ok(()),
        Some(lost) => Err(CommandError::usage(format!(
            "{}: {}; idshift cannot tell whether that run has written newer values",
            lost.path.display(),
            lost.why
        ))
        .with_help(
            "restore the folder; or look at the customers of that run, then `idshift runs forget PATH`",
        )),
    }
}

/// A run that has worked since the given run was begun.
struct Newer<'c> {
    entry: &'c Entry,
    ledger: Ledger,
    /// Only what it has asked for after this time (milliseconds since 1970) counts as newer.
    after_ms: i64,
}

/// Returns the newer runs on these targets, the newest first.
fn newer<'c>(
    mine: &Ledger,
    targets: &[&str],
    catalog: &'c RunCatalog,
) -> Result<Vec<Newer<'c>>, CommandError> {
    let my_epochs = mine.epochs()?;
    // For a plan, this is the time when it began to be carried out.
    let begun_at_ms = mine.progress()?.started_at_ms;
    let mut newer = Vec::new();
    for entry in catalog.others(&mine.header().run, targets) {
        if !entry.epochs.has_worked_since(my_epochs) {
            continue;
        }
        let ledger = entry.ledger()?;
        let after_ms = if entry.epochs.is_newer_than(my_epochs) {
            i64::MIN
        } else {
            // Test: `newer_runs::only_writes_made_after_*`, `newer_runs::lost_run_that_was_*`.
            // This run was begun before the given one and resumed after it. Only the clock shows which of its writes are
            // newer; if the clock contradicts the epochs, all of them count as newer.
            let resumed_at_ms = ledger.last_session_at_ms()?.unwrap_or(i64::MAX);
            if resumed_at_ms < begun_at_ms {
                i64::MIN
            } else {
                begun_at_ms
            }
        };
        newer.push(Newer {
            entry,
            ledger,
            after_ms,
        });
    }
    Ok(newer)
}

/// Removes what the undos of a run have restored, and adds again what an undo of an undo has restored.
fn take_back(run: &str, catalog: &RunCatalog, adding: &mut AddRun<'_>) -> Result<(), CommandError> {
    // The newest undo decides for each customer. An undo is newer than the undo that it undoes.
    let mut undos: Vec<(&Entry, bool)> = Vec::new();
    let mut open = vec![(run, true)];
    while let Some((run, restores)) = open.pop() {
        for undo in catalog.undos_of(run) {
            undos.push((undo, restores));
            open.push((&undo.header.run, !restores));
        }
    }
    undos.sort_by_key(|(undo, _)| undo.epochs.last());
    for (undo, restores) in undos {
        let undo = undo.ledger()?;
        if !restores {
            wanted(&undo, i64::MIN, adding)?;
        } else if undo.progress()?.state == State::Finished {
            restored(&undo, adding)?;
        }
    }
    Ok(())
}

/// Removes the customers and locations of which an undo has restored everything. The lines of one customer or location are
/// adjacent in an undo.
fn restored(undo: &Ledger, adding: &mut AddRun<'_>) -> Result<(), CommandError> {
    let mut last: Option<((CustomerId, Option<LocationId>), bool)> = None;
    for outcome in undo.outcomes() {
        let outcome = outcome?;
        let is_restored = outcome.status.is_in_place();
        let Some(customer) = outcome.customer else {
            continue;
        };
        let what = (customer, outcome.location);
        match &mut last {
            Some((same, all)) if *same == what => *all &= is_restored,
            _ => {
                if let Some((what, true)) = last.replace((what, is_restored)) {
                    adding.restore(&what.0, what.1.as_ref());
                }
            }
        }
    }
    if let Some((what, true)) = last {
        adding.restore(&what.0, what.1.as_ref());
    }
    Ok(())
}

/// Adds what one run has asked for after this time. Of two runs with the same wish, the newer counts: it comes first.
///
/// A line that failed after it has changed something counts for all that it asked for, because that was requested after
/// the older run. A line of an undo counts only for what it has restored, so that a further undo of the same run restores
/// the rest (tests: `undo_again::*`).
fn wanted(other: &Ledger, after_ms: i64, adding: &mut AddRun<'_>) -> Result<(), CommandError> {
    let counts_in_part = other.header().kind == RunKind::Undo;
    for outcome in other.outcomes() {
        let outcome = outcome?;
        let (is_renamed, has_moved) = (outcome.account.differs(), outcome.has_moved_location());
        // A line that has changed only a location does not concern the account ID (tests:
        // `overtaken::newer_location_writes_do_*`, `overtaken::an_undo_of_an_older_run_*`).
        let of_account = outcome.location.is_none() || is_renamed;
        let (account, location) = match outcome.status {
            Status::Changed | Status::Unchanged(Unchanged::Already) => (of_account, true),
            Status::Failed(_) if counts_in_part => (is_renamed, has_moved),
            // Test: `newer_runs::newer_service_id_that_the_system_*`.
            Status::Failed(_) if is_renamed || has_moved => (of_account, true),
            // Writes in doubt are among the unresolved writes.
            Status::Failed(_)
            | Status::InDoubt
            | Status::WouldChange
            | Status::Unchanged(_)
            | Status::Skipped(_) => continue,
        };
        let Some(customer) = &outcome.customer else {
            continue;
        };
        if outcome.finished_at_ms <= after_ms {
            continue;
        }
        let wrote = outcome.status != Status::Unchanged(Unchanged::Already);
        if account {
            adding.add(customer, None, wrote);
        }
        if let Some(location) = outcome.location.as_ref().filter(|_| location) {
            adding.add(customer, Some(location), wrote);
        }
    }
    // The last writes of a killed run have no outcome (test: `newer_runs::writes_of_a_killed_*`).
    for write in other.unresolved_writes()? {
        let intent = write.intent;
        let location = match &intent.write {
            Write::Account { .. } => None,
            Write::Location { location, .. } => Some(location),
        };
        adding.add(&intent.customer, location, true);
    }
    Ok(())
}
