//! What a database that keeps the record of a run must be able to do. [`Ledger`](super::Ledger) derives everything else
//! from these answers, once for every database.
//!
//! Every answer contains only what is durable. An answer that can be as long as the input comes in pages, as a set of
//! lines, or one by one, so that memory stays flat.

use super::columns::{Fault, Row, Value};
use super::commit::Commit;
use super::coordinator::Coordinator;
use super::write_columns::WriteSketch;
use super::{
    AtWork, BriefOutcome, Counted, DriftedLine, ExclusiveLock, Header, LedgerError, LineSet, Order,
    Orders, PastSession, RecordPlace, RemovedFile, Session, StopReason, Unlooked, Verdict, WriteId,
    WriteRecord,
};
use crate::domain::{CustomerId, Line, Outcome, Shard};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

/// The record of one run, in whichever database it is kept.
pub(super) trait Store: fmt::Debug + Send + Sync {
    /// Where it is, for messages.
    fn place(&self) -> RecordPlace;

    /// Waits for the check of all of it, if one is under way, and returns its result.
    fn checked(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    /// What the run was asked to do.
    fn header(&self) -> Result<Header, LedgerError>;

    /// The share of its file that the run carries out, and the lines of that; `None`: the whole file.
    fn shard(&self) -> Result<Option<(Shard, LineSet)>, LedgerError>;

    /// Returns these facts of the run, in the order of the question.
    fn facts(&self, which: &[Fact]) -> Result<Facts, LedgerError>;

    /// Records all of this, or nothing.
    fn put(&self, all: Vec<Put<'_>>) -> Result<(), LedgerError>;

    /// The processes that have worked on the run, in their order.
    fn sessions(&self) -> Result<Vec<PastSession>, LedgerError>;

    /// The processes that work on the run now, where it is kept for several.
    fn at_work(&self) -> Result<Vec<AtWork>, LedgerError> {
        Ok(Vec::new())
    }

    /// How many groups were committed.
    fn commits(&self) -> Result<i64, LedgerError>;

    /// The lines of a kind.
    fn lines(&self, which: LinesOf) -> Result<LineSet, LedgerError>;

    /// Counts the lines per status, in any order: as recorded when the run was closed, if nothing was recorded since.
    fn counts(&self) -> Result<Vec<Counted>, LedgerError>;

    /// Returns the first `most` outcomes of these lines that have a row of their own, in their order: those with a
    /// status named in `only`, or all if `only` is empty.
    fn outcomes(
        &self,
        only: &[&str],
        lines: RangeInclusive<Line>,
        most: u32,
    ) -> Result<Vec<Outcome>, LedgerError>;

    /// Calls `each` for the lines that have a row of their own, in their order.
    fn each_brief_outcome(
        &self,
        each: &mut dyn FnMut(BriefOutcome<'_>),
    ) -> Result<(), LedgerError> {
        let mut from = Some(0);
        while let Some(first) = from {
            let page = self.outcomes(&[], first..=Line::MAX, 2_000)?;
            for outcome in &page {
                each(BriefOutcome::of(outcome));
            }
            from = page.last().and_then(|last| last.line.checked_add(1));
        }
        Ok(())
    }

    /// Returns the next row of lines that were not looked at, and the last line of that row: the first row that ends at
    /// or after the start of `lines`. The row's lines may be left out if all of them come after the end of `lines`.
    fn unlooked(
        &self,
        lines: RangeInclusive<Line>,
    ) -> Result<Option<(Unlooked, Line)>, LedgerError>;

    /// Returns the first `most` writes of a kind after this one, in the order of noting.
    fn writes(
        &self,
        which: WritesOf,
        after: WriteId,
        most: u32,
    ) -> Result<Vec<WriteRecord>, LedgerError>;

    /// The writes of these numbers, in the order of the question.
    fn numbered(&self, writes: &[u32]) -> Result<Vec<WriteRecord>, LedgerError>;

    /// Calls `each` for the writes of a kind, in the order of noting.
    fn each_write(
        &self,
        which: WritesOf,
        each: &mut dyn FnMut(WriteSketch<'_>) -> Result<(), Fault>,
    ) -> Result<(), LedgerError>;

    /// Calls `each` for every write of an account ID that took effect or may have: with the ID before, the ID after,
    /// and the relationship, as they are on record.
    fn each_account_moved(&self, each: EachMoved<'_>) -> Result<(), LedgerError> {
        self.each_write(WritesOf::Accounts, &mut |write| {
            if write.verdict != Some(Verdict::NotApplied) {
                each(write.before, write.after, write.reseller);
            }
            Ok(())
        })
    }

    /// The customer of the first write of a kind, and the relationship, as they are on record; `None`: there is no such
    /// write.
    fn customer(&self, which: WritesOf) -> Result<Option<(String, Option<String>)>, LedgerError>;

    /// Returns unit and number of each write of the wanted units. This default asks once for each unit.
    fn writes_of_units(&self, wanted: Wanted<'_>) -> Result<Vec<(Line, u32)>, LedgerError> {
        let mut found = Vec::new();
        let units = self.lines(LinesOf::UnitsWithWrites)?;
        for unit in units.iter().filter(|unit| wanted(*unit)) {
            self.each_write(WritesOf::Unit(unit), &mut |write| {
                found.push((unit, write.id));
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Returns the first `most` drifted lines from this one on, in the order of the file.
    fn drift(&self, from: Line, most: u32) -> Result<Vec<DriftedLine>, LedgerError>;

    /// Returns the customers that lines with this wish meant, if the run was pruned.
    fn customers_of_wish(&self, wish: u64) -> Result<Vec<CustomerId>, LedgerError>;

    /// Returns the first `most` wishes of a pruned run after this one, each with a customer that it meant, in their order.
    fn wishes(
        &self,
        after: Option<&(u64, CustomerId)>,
        most: u32,
    ) -> Result<Vec<(u64, CustomerId)>, LedgerError>;

    /// Returns digests of the values that a pruned run has replaced at locations.
    fn replaced(&self) -> Result<Vec<u64>, LedgerError>;

    /// The files that a prune has removed, by name.
    fn removed_files(&self) -> Result<Vec<RemovedFile>, LedgerError>;

    /// Returns the current orders to the processes that work on the run.
    fn orders(&self) -> Result<Orders, LedgerError>;

    /// Changes the orders; returns the number of the last one.
    fn change_orders(&self, change: OrderChange) -> Result<u64, LedgerError>;

    /// Records that this process follows all orders up to this number.
    fn follow_orders(&self, number: u64) -> Result<(), LedgerError>;

    /// The number of the last order that every process at work follows.
    fn followed_orders(&self) -> Result<u64, LedgerError>;

    /// Drains all processes that work on the run, if it is in progress, and records this reason, unless another one is on record.
    fn stop_all(&self, reason: StopReason, why: &str) -> Result<(), LedgerError>;

    /// Whether a living process works on the run.
    fn is_live(&self) -> bool;

    /// Fails if a living process works on the run, and names that process. Takes nothing, so that no other process is
    /// refused meanwhile.
    fn refuse_if_live(&self) -> Result<(), LedgerError>;

    /// Keeps every other process from working on the run, or says which one does.
    fn hold(&self) -> Result<ExclusiveLock, LedgerError>;

    /// Begins a session of this process; fails if another process has the run.
    fn join(&self, session: Session) -> Result<Box<dyn Commit>, LedgerError>;

    /// Begins a session of a process that may have others beside it. `leads`: it begins the passes, which one process
    /// does alone. `None`: only one process can work on a run.
    fn join_others(
        &self,
        _session: Session,
        _leads: bool,
    ) -> Result<Option<(Box<dyn Commit>, Arc<dyn Coordinator>)>, LedgerError> {
        Ok(None)
    }

    /// Returns the space of what was removed to the disk.
    fn compact(&self) -> Result<(), LedgerError>;

    /// Writes a copy of the whole record, as it is now, into one file.
    fn snapshot(&self, to: &Path) -> Result<(), LedgerError>;
}

/// Whether the unit with this number is wanted.
pub(super) type Wanted<'a> = &'a dyn Fn(Line) -> bool;

/// Called with the account ID before a write, the one after it, and the relationship.
pub(super) type EachMoved<'a> = &'a mut dyn FnMut(Option<&str>, Option<&str>, Option<&str>);

/// The record of a new run; it exists once [`Draft::begin`] returns, or never.
pub(super) trait Draft {
    /// Records what is known of a line before the run begins.
    fn put(&mut self, outcome: &Outcome) -> Result<(), LedgerError>;

    /// Records the header; from then on it is a run. `shard`: the lines that the run carries out, if not all.
    fn begin(
        self: Box<Self>,
        header: &Header,
        shard: Option<&(Shard, LineSet)>,
    ) -> Result<Box<dyn Store>, LedgerError>;
}

/// A fact about a run as a whole, by its name on record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact(pub(super) &'static str);

impl Fact {
    pub(super) const STATE: Self = Self("state");
    pub(super) const PHASE: Self = Self("phase");
    pub(super) const EXIT_CODE: Self = Self("exit_code");
    pub(super) const STOPPED_BY: Self = Self("stopped_by");
    pub(super) const WHY: Self = Self("why");
    pub(super) const STARTED_AT_MS: Self = Self("started_at_ms");
    pub(super) const FINISHED_AT_MS: Self = Self("finished_at_ms");
    /// The address and the target of a system that has moved, and the targets before that, one per line.
    pub(super) const BASE_URL: Self = Self("base_url");
    pub(super) const TARGET: Self = Self("target");
    pub(super) const FORMER_TARGETS: Self = Self("former_targets");
    pub(super) const SETTINGS: Self = Self("settings");
    pub(super) const PLAN_DIGEST: Self = Self("plan_digest");
    pub(super) const FORECAST: Self = Self("forecast");
    pub(super) const NEAR_MISSES: Self = Self("near_misses");
    pub(super) const ESTIMATE: Self = Self("estimate");
    pub(super) const CANNOT_UNDO: Self = Self("cannot_undo");
    pub(super) const AUDIT_ROUND: Self = Self("audit_round");
    pub(super) const PRUNED_AT_MS: Self = Self("pruned_at_ms");
    pub(super) const HALF_DONE: Self = Self("half_done");
    pub(super) const WAVE: Self = Self("wave");
    pub(super) const WAVE_LINES: Self = Self("wave_lines");

    pub(super) const ALL: [Self; 21] = [
        Self::STATE,
        Self::PHASE,
        Self::EXIT_CODE,
        Self::STOPPED_BY,
        Self::WHY,
        Self::STARTED_AT_MS,
        Self::FINISHED_AT_MS,
        Self::BASE_URL,
        Self::TARGET,
        Self::FORMER_TARGETS,
        Self::SETTINGS,
        Self::PLAN_DIGEST,
        Self::FORECAST,
        Self::NEAR_MISSES,
        Self::ESTIMATE,
        Self::CANNOT_UNDO,
        Self::AUDIT_ROUND,
        Self::PRUNED_AT_MS,
        Self::HALF_DONE,
        Self::WAVE,
        Self::WAVE_LINES,
    ];
}

/// The facts that were asked for, as texts.
#[derive(Debug)]
pub(super) struct Facts(pub(super) Vec<Option<String>>);

impl Row for Facts {
    fn number(&self, at: usize) -> Result<Option<i64>, Fault> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| Fault::from("a value that must be a number is not one"))
        };
        self.text(at)?.map(parse).transpose()
    }

    fn text(&self, at: usize) -> Result<Option<&str>, Fault> {
        Ok(self.0.get(at).and_then(Option::as_deref))
    }
}

/// Something to record.
pub(super) enum Put<'a> {
    /// Facts, in place of their old values.
    Facts(&'a [(Fact, Value<'a>)]),
    /// The present number of lines per status, in place of the old numbers.
    Counts(&'a [Counted]),
    /// Drifted lines, in place of all recorded before.
    Drift(&'a [DriftedLine]),
    /// Outcomes, each in place of what was known of its line.
    Outcomes(&'a mut dyn Iterator<Item = Outcome>),
    /// Removes what is known of these lines.
    NoOutcomes(&'a [Line]),
    /// Removes all lines that were found as wished or not begun.
    NoneFound,
    /// Removes all lines that were not looked at.
    NoUnlooked,
    /// Which customers lines meant, by what they asked for.
    Wishes(&'a [(u64, CustomerId)]),
    /// Digests of replaced values.
    Replaced(&'a [u64]),
    /// Files that are going to be removed.
    Removed(&'a [RemovedFile]),
}

/// Which lines are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinesOf {
    /// They have a row of their own and need no further work: changed, unchanged, failed for good or suppressed.
    Done,
    /// They have a row of their own.
    Recorded,
    /// A plan would change them.
    Planned,
    /// A plan would change them, or a write for them is in doubt.
    StillPlanned,
    /// The units for which something was about to be written.
    UnitsWithWrites,
}

/// Which noted writes are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WritesOf {
    All,
    /// They took effect.
    Applied,
    /// They are about an account ID.
    Accounts,
    /// They are about a location.
    Locations,
    /// They were to give a customer a temporary ID.
    Temporary,
    /// The system stored another value than was written; temporary IDs left out.
    Altered,
    Unit(Line),
    Line(Line),
}

/// A change of the orders to the processes that work on a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum OrderChange {
    /// A person gives an order.
    Give(Order),
    /// A process begins: orders to an earlier one do not concern it.
    Clear,
    /// A person continues a run that is being drained: its processes begin further lines again.
    GoOn,
}
