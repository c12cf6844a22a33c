//! One customer's lines, and everything that a step with them needs to know.

use super::customer_state::PriorWrite;
use super::lookup::LookupCache;
use super::{Context, UnitTask, WriteLog};
use crate::domain::{CustomerId, Line, LocationId, Transition};
use crate::ledger::{Verdict, Write, WriteRecord};
use crate::plan::Member;
use tokio::time::Instant;

/// Everything that a step of a member needs to know.
pub(super) struct Case<'a, N> {
    pub(super) context: &'a Context<N>,
    /// The log that records everything about the unit.
    pub(super) log: N,
    pub(super) task: &'a UnitTask,
    pub(super) member: &'a Member,
    pub(super) seen: &'a LookupCache,
    pub(super) began: Instant,
}

impl<'a, N: WriteLog> Case<'a, N> {
    /// Makes the case of a member of the task's unit.
    pub(super) fn new(
        context: &'a Context<N>,
        task: &'a UnitTask,
        member: &'a Member,
        seen: &'a LookupCache,
    ) -> Self {
        Self {
            log: context.log.of(task.chunk.as_ref()),
            context,
            task,
            member,
            seen,
            began: Instant::now(),
        }
    }

    /// Returns whether every line already has its outcome.
    pub(super) fn is_done(&self) -> bool {
        self.member
            .changes
            .iter()
            .all(|change| self.task.is_done(change.line))
    }

    /// Returns whether a line that asks for the rename has no outcome yet.
    pub(super) fn has_open_rename(&self) -> bool {
        let mut changes = self.member.changes.iter();
        changes.any(|change| change.new_account.asks() && !self.task.is_done(change.line))
    }

    /// Returns whether a line that is done has left the customer under an account ID that other members wait for. A
    /// line can fail after it has renamed the customer, if another part of it failed later.
    pub(super) fn is_in_the_way(&self) -> bool {
        let asks = |line| {
            let mut changes = self.member.changes.iter();
            changes.any(|change| change.line == line && change.new_account.asks())
        };
        let renames = || self.task.done.iter().filter(|done| asks(done.line));
        // All lines of one customer request the same ID, so one line that succeeded is enough.
        let moved = renames().any(|done| {
            let Transition { before, after } = &done.account;
            (after.is_some() && after != before) || !done.status.is_open_or_failed()
        });
        !moved && renames().any(|done| done.status.is_open_or_failed())
    }

    /// Returns whether a line is one of this customer's lines.
    pub(super) fn is_mine(&self, line: Line) -> bool {
        self.member.changes.iter().any(|change| change.line == line)
    }

    /// Returns the writes that this run has recorded for the lines of this customer.
    pub(super) fn recorded(&self) -> impl DoubleEndedIterator<Item = &WriteRecord> + Clone {
        let recorded = self.task.recorded.iter();
        recorded.filter(|write| self.is_mine(write.intent.line))
    }

    /// Returns which write may have caused the customer's present account ID or, with `location`, the values of that location.
    pub(super) fn prior_write(&self, location: Option<&LocationId>) -> PriorWrite<'_> {
        let of_same = |write: &Write| match write {
            Write::Account { .. } => location.is_none(),
            Write::Location { location: its, .. } => location == Some(its),
        };
        let may_be_ours = |one: &WriteRecord| {
            of_same(&one.intent.write)
                && (one.verdict == Some(Verdict::Applied) || one.may_have_landed())
        };
        match &self.context.settings.undoes {
            _ if self.recorded().any(may_be_ours) => PriorWrite::ThisRun,
            Some(run) => PriorWrite::Undone(run),
            None => PriorWrite::None,
        }
    }

    /// Returns the customer that the finished lines have found.
    pub(super) fn found_before(&self) -> Option<&CustomerId> {
        let mut done = self.task.done.iter().filter(|done| self.is_mine(done.line));
        done.find_map(|done| done.customer.as_ref())
    }
}
