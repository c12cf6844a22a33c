//! Reduces a run to what must stay when its input and its reports are removed: the header, every write, and the data of
//! the lines that later runs need. Messages, service IDs, profiles and the numbers of the answers are removed; service ID and
//! profile of a failed line that has changed something stay, and of an undo the customers that it could not restore.
//!
//! A run that is marked as pruned stays marked. If the process is killed after that, the next prune completes the work.

use super::columns::Row;
use super::store::{Fact, Put};
use super::{ExclusiveLock, Ledger, LedgerError, Pruned, Remains, RunKind};
use crate::domain::{Outcome, Status, Unchanged};

impl Ledger {
    /// Whether only the compact record is left of the run, and since when.
    pub fn pruned(&self) -> Result<Option<Pruned>, LedgerError> {
        self.read_facts(&[Fact::PRUNED_AT_MS, Fact::HALF_DONE], |facts| {
            let half_done: Option<i64> = facts.optional(1)?;
            Ok(facts.optional(0)?.map(|at_ms| Pruned {
                at_ms,
                half_done: half_done.unwrap_or(0).cast_unsigned(),
            }))
        })
    }

    /// Marks the run as pruned, in one transaction with everything that cannot be found out again afterwards.
    pub fn mark_pruned(&self, _hold: &ExclusiveLock, remains: &Remains) -> Result<(), LedgerError> {
        let counts = self.counts()?;
        let pruned = &remains.pruned;
        self.store().put(vec![
            Put::Counts(&counts),
            Put::Wishes(&remains.wishes),
            Put::Replaced(&remains.replaced),
            Put::Removed(&remains.removed),
            Put::Facts(&[
                (Fact::WHY, "".into()),
                (Fact::PRUNED_AT_MS, pruned.at_ms.into()),
                (Fact::HALF_DONE, pruned.half_done.cast_signed().into()),
            ]),
        ])
    }

    /// Strips the outcomes of a pruned run and returns the free space to the disk. `keeps_found`: whether to keep a line that was
    /// found as wished, because a run that may still be resumed must not overwrite what it found; `None`: no such line is kept.
    pub fn strip(
        &self,
        _hold: &ExclusiveLock,
        keeps_found: Option<&dyn Fn(&Outcome) -> bool>,
    ) -> Result<(), LedgerError> {
        if keeps_found.is_none() {
            self.store().put(vec![Put::NoneFound])?;
        }
        let keeps_found = |outcome: &Outcome| keeps_found.is_some_and(|keeps| keeps(outcome));
        let is_undo = self.header().kind == RunKind::Undo;
        let mut from = Some(0);
        while let Some(first) = from {
            let page = self.outcomes_from(first).take(2_000);
            let page: Vec<Outcome> = page.collect::<Result<_, _>>()?;
            from = page.last().and_then(|last| last.line.checked_add(1));
            let (mut left, mut gone) = (Vec::new(), Vec::new());
            for outcome in page {
                match stripped(&outcome, is_undo, &keeps_found) {
                    Some(outcome) => left.push(outcome),
                    None => gone.push(outcome.line),
                }
            }
            let left = &mut left.into_iter();
            self.store()
                .put(vec![Put::NoOutcomes(&gone), Put::Outcomes(left)])?;
        }
        self.store().put(vec![Put::NoUnlooked])?;
        self.store().compact()
    }
}

/// Returns the part of an outcome that later runs need; `None`: they need nothing of it.
fn stripped(
    outcome: &Outcome,
    is_undo: bool,
    keeps_found: &impl Fn(&Outcome) -> bool,
) -> Option<Outcome> {
    let has_failed = matches!(outcome.status, Status::Failed(_));
    let with_ids = match outcome.status {
        Status::Changed | Status::InDoubt => true,
        Status::Failed(_) => outcome.account.differs() || outcome.has_moved_location(),
        Status::Unchanged(Unchanged::Already) if keeps_found(outcome) => true,
        Status::Unchanged(_) | Status::Skipped(_) | Status::WouldChange => return None,
    };
    let mut left = Outcome::bare(outcome.line, outcome.status);
    left.finished_at_ms = outcome.finished_at_ms;
    // An undo has restored a customer or a location only if none of its lines there has failed.
    if with_ids || is_undo {
        left.customer.clone_from(&outcome.customer);
        left.location.clone_from(&outcome.location);
    }
    if with_ids {
        left.account = outcome.account.clone();
        if has_failed {
            // Only these show whether a failed line has changed its location.
            left.service = outcome.service.clone();
            left.profile = outcome.profile.clone();
        }
    }
    Some(left)
}
