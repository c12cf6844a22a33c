//! `idshift reconcile`: for every night. Reads everything, checks the guards, and writes only what has drifted.
//!
//! With `--incremental`, lines that are the same as in the last successful reconcile of this file and target are
//! not looked up again, but for a share that changes from night to night; unless another run has written there since.

use super::create::{NewRun, Specification, new_run};
use super::error::CommandError;
use super::exit_code::Exit;
use super::feeder::{Known, Settled};
use super::input_identity::InputIdentity;
use super::line_digest::{Wish, wish};
use super::request::Request;
use super::saved_settings::SavedSettings;
use super::session::{Task, Work};
use super::suppress;
use super::values::values;
use crate::domain::{CustomerId, Status, Unchanged};
use crate::ledger::{Ledger, LineSet, RunDir, RunKind, State};
use crate::ui;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// How lines that need no look are found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incremental<'a> {
    /// Whether lines that are the same as in the last successful reconcile are left out.
    pub(crate) is_on: bool,
    /// The share of those that is looked at all the same: `1/7`.
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
    let last = last_good(&new)?;
    let round = last.as_ref().map_or(0, |last| last.round + 1);
    new.run.ledger.set_audit_round(round)?;
    let (mut history, mut looked_before) = (std::mem::take(&mut new.history), Settled::default());
    if let Some(last) = last {
        // Chains and swaps mean the customers that the last run found; see `prior_runs`.
        for change in new.run.draft.units.values().flat_map(|unit| unit.changes()) {
            if let Some(customer) = last.seen.get(&wish(change)).and_then(Option::as_ref) {
                history.remember(change.line, change.reseller.as_ref(), customer);
            }
        }
        if incremental.is_on && last.nothing_since {
            looked_before = settled(&new, &last, nights, round)?;
        }
    }
    let known = Known {
        settled: Arc::new(looked_before),
        done: suppress::leave_alone(&mut new, &suppressed)?,
        ..Known::new(Arc::new(history), LineSet::default())
    };
    let unlooked = u64::try_from(known.settled.customers.len()).unwrap_or(u64::MAX);
    let task = Task {
        quiet_if_unchanged: Some(unlooked),
        ..Task::of(request, "reconcile", Work::PlanThenApply)
    };
    new.session(known, task).execute()
}

/// `1/7`: each line is looked at every seventh night at least.
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
    /// Wishes that were fulfilled, with the customer they concern.
    seen: HashMap<Wish, Option<CustomerId>>,
    /// Whether no other run has written to this target since.
    nothing_since: bool,
}

/// The newest finished reconcile of this file on this target.
fn last_good(new: &NewRun) -> Result<Option<Last>, CommandError> {
    let mine = InputIdentity::of_run(new.run.ledger.header());
    let mut last = None;
    // Of the other runs: the last process that might write. A plan is older than its apply, a run than its resume.
    let (mut last_epoch, mut unreadable) = (0, false);
    let keys = new.claim.keys();
    let mut cannot_be_read = |why: &str| {
        ui::warning(&format!(
            "{}; what that run has written cannot be told, so all lines are looked up",
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
            last = Some((dir, ledger));
        } else if ledger.has_writes()? {
            let epochs = ledger.writing_epochs()?;
            last_epoch = last_epoch.max(epochs.map_or(its.epoch, |(_, last)| last));
        }
    }
    let Some((dir, ledger)) = last else {
        return Ok(None);
    };
    let began = ledger
        .writing_epochs()?
        .map_or(ledger.header().epoch, |(first, _)| first);
    let nothing_since = !unreadable && last_epoch < began;
    read(new, &dir, &ledger, nothing_since).map(Some)
}

fn read(
    new: &NewRun,
    dir: &RunDir,
    ledger: &Ledger,
    nothing_since: bool,
) -> Result<Last, CommandError> {
    let kept = SavedSettings::of(ledger)?;
    let rules = kept.rules(&new.run.resolved)?;
    let table = kept.table(dir, &ledger.header().input_name, &rules)?;
    let mut outcomes = ledger.outcomes().peekable();
    let mut seen = HashMap::new();
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            while let Some(Ok(outcome)) =
                outcomes.next_if(|next| next.as_ref().is_ok_and(|o| o.line <= change.line))
            {
                let good = matches!(
                    outcome.status,
                    Status::Changed | Status::Unchanged(Unchanged::Already)
                );
                if outcome.line == change.line && good {
                    seen.insert(wish(&change), outcome.customer);
                }
            }
        }
    }
    let round = ledger.audit_round()?;
    Ok(Last {
        run: dir.run().to_string(),
        round,
        seen,
        nothing_since,
    })
}

/// Lines that need no look tonight.
fn settled(new: &NewRun, last: &Last, nights: u64, round: u64) -> Result<Settled, CommandError> {
    let mut settled = HashMap::new();
    for batch in new.run.draft.table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let wish = wish(&change);
            let tonight = wish.wrapping_add(round).is_multiple_of(nights);
            if !tonight && let Some(customer) = last.seen.get(&wish) {
                settled.insert(change.line, customer.clone());
            }
        }
    }
    // A unit is looked at as a whole.
    for unit in new.run.draft.units.values() {
        if !unit.lines().all(|line| settled.contains_key(&line)) {
            unit.lines().for_each(|line| drop(settled.remove(&line)));
        }
    }
    Ok(Settled {
        customers: settled,
        why: format!("not looked at tonight: as in run {}", last.run),
    })
}
