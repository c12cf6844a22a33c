//! Which customers and locations `undo` and `resume` leave untouched: those that other runs have written, or found as wished,
//! since the run began.

use super::catalog::RunCatalog;
use super::claim::TargetClaim;
use super::error::CommandError;
use crate::domain::{Outcome, Status, Transition, Unchanged};
use crate::engine::Since;
use crate::ledger::{Header, Ledger, RunKind, Write};

/// What newer runs have written and no undo has restored: the undo of an older run must not overwrite that.
pub(super) fn of_undo(undone: &Ledger, claim: &TargetClaim) -> Result<Since, CommandError> {
    let catalog = &claim.catalog;
    let counts = |header: &Header| {
        header.kind != RunKind::Undo && catalog.undos_of(&header.run).next().is_none()
    };
    let keys = claim.keys();
    let targets: Vec<&str> = undone.targets().chain(keys.iter().copied()).collect();
    let begun = undone.progress()?.started_at_ms;
    let mut since = since((undone, &targets), begun, catalog, counts)?;
    since.retain_written();
    Ok(since)
}

/// What other runs on these targets have asked for since this one began, whether they wrote it or found it so: a run that
/// is resumed must not overwrite that.
pub(super) fn since(
    (mine, targets): (&Ledger, &[&str]),
    begun_at_ms: i64,
    catalog: &RunCatalog,
    counts: impl Fn(&Header) -> bool,
) -> Result<Since, CommandError> {
    let my_epochs = mine.writing_epochs()?;
    let mine = mine.header();
    let my_last = my_epochs.map_or(mine.epoch, |(_, last)| last);
    let mut since = Since::default();
    for lost in catalog.lost_of(targets) {
        let is_newer = lost.known.as_ref().is_none_or(|run| run.epoch > mine.epoch);
        // Tests: `overtaken::a_newer_run_that_cannot_be_read_*`, `newer_runs::an_older_run_that_is_gone_*`.
        if is_newer {
            return Err(CommandError::usage(format!(
                "{}: {}; whether that run has written something newer cannot be told",
                lost.path.display(),
                lost.why
            ))
            .with_help(
                "restore the folder; or look at the customers of that run, then `idshift runs forget PATH`",
            ));
        }
    }
    for entry in catalog.others(&mine.run, targets) {
        if !counts(&entry.header) {
            continue;
        }
        let other = entry.ledger()?;
        // A plan that was not carried out asks for nothing.
        let Some((first, last)) = other.writing_epochs()? else {
            continue;
        };
        if first > my_last {
            wanted(&other, &entry.header.run, i64::MIN, &mut since)?;
        } else if last > my_epochs.map_or(mine.epoch, |(first, _)| first) {
            // Test: `newer_runs::a_run_that_was_resumed_later_*`.
            // Begun before this run and resumed after it. Of what it wrote, only the clock tells the order; where the
            // clock contradicts the epochs, all of it counts as newer.
            let resumed_at_ms = other.last_session_at_ms()?.unwrap_or(i64::MAX);
            let after_ms = if resumed_at_ms < begun_at_ms {
                i64::MIN
            } else {
                begun_at_ms
            };
            wanted(&other, &entry.header.run, after_ms, &mut since)?;
        }
    }
    Ok(since)
}

/// Whether the location of a line is not as it was found.
fn has_moved(outcome: &Outcome) -> bool {
    let Outcome {
        service, profile, ..
    } = outcome;
    service.before != service.after || profile.before != profile.after
}

/// Adds what one run has asked for after this moment. For what two runs have asked for, the newer one counts: it is
/// added first.
fn wanted(other: &Ledger, run: &str, after_ms: i64, since: &mut Since) -> Result<(), CommandError> {
    let mut wanted = since.add_run(run);
    for outcome in other.outcomes() {
        let outcome = outcome?;
        let Transition { before, after } = &outcome.account;
        let holds = match outcome.status {
            // Test: `overtaken::an_undo_of_an_older_run_*`.
            Status::Changed | Status::Unchanged(Unchanged::Already) => true,
            // Tests: `newer_runs::a_rename_of_a_newer_run_*`, `newer_runs::a_service_id_that_a_newer_run_*`.
            Status::Failed(_) => before != after || has_moved(&outcome),
            // What is in doubt is among the unresolved writes.
            Status::InDoubt | Status::WouldChange | Status::Unchanged(_) | Status::Skipped(_) => {
                false
            }
        };
        let Some(customer) = outcome.customer.filter(|_| holds) else {
            continue;
        };
        if outcome.finished_at_ms <= after_ms {
            continue;
        }
        let wrote = outcome.status != Status::Unchanged(Unchanged::Already);
        // A line that has moved a location alone has wanted nothing of the account ID (test: `overtaken::whoever_was_at_work_*`).
        if outcome.location.is_none() || before != after {
            wanted.add(&customer, None, wrote);
        }
        if let Some(location) = &outcome.location {
            wanted.add(&customer, Some(location), wrote);
        }
    }
    // Those of a run that was killed have no outcome (test: `newer_runs::what_a_newer_run_wrote_before_it_was_killed_*`).
    for write in other.unresolved_writes()? {
        let intent = write.intent;
        let location = match &intent.write {
            Write::Account { .. } => None,
            Write::Location { location, .. } => Some(location),
        };
        wanted.add(&intent.customer, location, true);
    }
    wanted.finish();
    Ok(())
}
