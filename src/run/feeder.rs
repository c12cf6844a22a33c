//! Hands the lines of a run to the engine: one pass over the run's copy of the file, a hundred lines at a time.

use super::error::CommandError;
use super::in_order::InOrder;
use super::input_plan::InputPlan;
use super::kept_run::KeptRun;
use super::last_reconcile::SkippedLines;
use crate::domain::{Change, Failed, Line, Outcome, Status, Unchanged};
use crate::engine::{History, Tally, UnitTask, Wave};
use crate::input::Row;
use crate::ledger::{
    Coordinator, Journal, Ledger, LedgerError, LineSet, MOST_UNLOOKED, RunKind, UnitWrites,
    Unlooked, UnlookedLine,
};
use crate::plan::{Unit, expected_by};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// Number of lines that are looked up together. A call holds a hundred IDs of one kind, and a line needs up to one ID of
/// each kind or two of one kind, so that all calls of a batch are full.
pub(super) const BATCH_LINES: usize = 100;

/// What is known before a pass begins.
#[derive(Clone)]
pub(crate) struct PassInput {
    /// Lines with a final outcome.
    pub(super) done: LineSet,
    /// The lines that a plan would change. Only these are carried out, and only if the plan's values are still in place.
    pub(super) planned: Option<LineSet>,
    /// The recorded writes of open units.
    pub(super) recorded: Arc<UnitWrites>,
    /// What the records of earlier runs say about the lines.
    pub(super) history: Arc<History>,
    /// Units in which every line has an outcome, but a customer still has a temporary ID.
    pub(super) parked: LineSet,
    /// Lines that need no look-up, because they are the same as in an earlier run.
    pub(super) skipped: Arc<SkippedLines>,
}

impl PassInput {
    /// Makes the input of a pass. Every pass needs the history, because it would overwrite newer runs without it. If the
    /// run has writes, [`PassInput::read_recorded`] must follow.
    pub(super) fn new(history: Arc<History>) -> Self {
        Self {
            done: LineSet::default(),
            planned: None,
            recorded: Arc::default(),
            history,
            parked: LineSet::default(),
            skipped: Arc::default(),
        }
    }

    /// Whether a line is to be carried out.
    pub(super) fn is_open(&self, line: Line) -> bool {
        let planned = self.planned.as_ref();
        let planned = planned.is_none_or(|planned| planned.contains(line));
        planned && !self.done.contains(line)
    }

    /// Reads which writes are on record of the units that are open: without these they would be made again.
    pub(super) fn read_recorded(
        &mut self,
        draft: &InputPlan,
        ledger: &Ledger,
    ) -> Result<(), LedgerError> {
        let is_open = |number: Line| match draft.units.get(&number) {
            Some(unit) => unit.lines().any(|line| self.is_open(line)),
            None => self.is_open(number),
        };
        let wanted = |unit| self.parked.contains(unit) || is_open(unit);
        let recorded = ledger.writes_of_units(wanted)?;
        self.recorded = Arc::new(recorded);
        Ok(())
    }

    /// Returns the unit that begins with this line; `None`: no unit begins here, or nothing of it is open or parked.
    pub(super) fn unit(
        &self,
        draft: &InputPlan,
        line: Line,
        change: Option<Change>,
    ) -> Option<Unit> {
        let unit = match change {
            Some(change) if !draft.index.is_entangled(line) => Unit::single(change),
            Some(_) | None => draft.units.get(&line)?.clone(),
        };
        let is_parked = self.parked.contains(unit.number);
        let is_open = unit.lines().any(|line| self.is_open(line));
        (is_open || is_parked).then_some(unit)
    }
}

/// Which units are fed.
#[derive(Debug)]
pub(super) enum Fed {
    /// All units.
    All,
    /// Units of the waves, and units with customers under a temporary ID: the work of this process before others join it.
    First,
    /// Units of a wave with writes of an earlier process, to find out what became of these writes.
    Begun,
    /// Units of the chunks that this process gets.
    Chunks(Arc<dyn Coordinator>),
}

/// Everything that the feeding thread needs.
pub(crate) struct Feeder {
    pub(super) draft: Arc<InputPlan>,
    pub(super) known: PassInput,
    pub(super) run: KeptRun,
    pub(super) fed: Fed,
    /// The waves are fed first, one after another.
    pub(super) waves: Arc<[Wave]>,
    pub(super) journal: Journal,
    pub(super) tally: Arc<Tally>,
    pub(super) tasks: mpsc::Sender<Vec<UnitTask>>,
}

/// Feeding ended early without an error: the engine takes no more units.
pub(super) struct Enough;

pub(super) enum FeedError {
    Enough,
    Failed(CommandError),
}

impl<E: Into<CommandError>> From<E> for FeedError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Enough> for FeedError {
    fn from(Enough: Enough) -> Self {
        Self::Enough
    }
}

impl Feeder {
    /// Feeds until the file or the engine ends.
    pub(super) fn feed(&self) -> Result<(), CommandError> {
        ended(self.run())
    }

    fn run(&self) -> Result<(), FeedError> {
        let mut unlooked = Vec::new();
        let fed = self.rows(&mut unlooked);
        // Also if the engine takes no more units: these lines are done.
        self.note_unlooked(&mut unlooked)?;
        fed
    }

    fn rows(&self, unlooked: &mut Vec<UnlookedLine>) -> Result<(), FeedError> {
        let ledger = self.run.ledger()?;
        for wave in self.waves.iter() {
            self.wave(wave, &ledger)?;
        }
        match &self.fed {
            Fed::All => self.all(&ledger, unlooked),
            Fed::First => self.parked(&ledger),
            // `chunk_feeder` feeds the chunks. The units of `Begun` were fed with their wave.
            Fed::Chunks(_) | Fed::Begun => Ok(()),
        }
    }

    /// Feeds the units that are in no wave.
    fn all(&self, ledger: &Ledger, unlooked: &mut Vec<UnlookedLine>) -> Result<(), FeedError> {
        let in_wave = |line| self.waves.iter().any(|wave| wave.lines.contains(line));
        let mut in_order = InOrder::of(ledger);
        let last_reconcile = self.known.skipped.ledger()?;
        let mut last_reconcile = last_reconcile.as_ref().map(InOrder::of);
        let mut batch: Vec<UnitTask> = Vec::new();
        let mut lines = 0;
        for rows in self.draft.table.batches()? {
            for row in rows? {
                let Some(unit) = self.unit(&self.known, &self.journal, row)? else {
                    continue;
                };
                if unit.lines().any(in_wave)
                    || self.is_skipped(&unit, last_reconcile.as_mut(), unlooked)?
                {
                    continue;
                }
                let task = with_knowledge(&self.known, unit, (ledger, &mut in_order))?;
                lines += task.unit.changes().count();
                batch.push(task);
                if lines >= BATCH_LINES {
                    lines = 0;
                    self.send(std::mem::take(&mut batch))?;
                }
            }
        }
        Ok(self.send(batch)?)
    }

    /// Feeds the units of one wave.
    fn wave(&self, wave: &Wave, ledger: &Ledger) -> Result<(), FeedError> {
        let mut in_order = InOrder::of(ledger);
        let mut batch: Vec<UnitTask> = Vec::new();
        let last = wave.lines.last().unwrap_or_default();
        for rows in self.draft.table.batches()? {
            let rows = rows?;
            let is_over = rows.last().is_some_and(|row| row.line >= last);
            for row in rows {
                if self.draft.is_wrong(row.line) {
                    continue;
                }
                let unit = self.known.unit(&self.draft, row.line, row.change);
                let in_wave = |unit: &Unit| {
                    let has_writes = self.known.recorded.has(unit.number);
                    (has_writes || !matches!(self.fed, Fed::Begun))
                        && unit.lines().any(|line| wave.lines.contains(line))
                };
                if let Some(unit) = unit.filter(in_wave) {
                    batch.push(with_knowledge(&self.known, unit, (ledger, &mut in_order))?);
                }
                if batch.len() >= BATCH_LINES {
                    self.send(std::mem::take(&mut batch))?;
                }
            }
            if is_over {
                break;
            }
        }
        Ok(self.send(batch)?)
    }

    pub(super) fn send(&self, batch: Vec<UnitTask>) -> Result<(), Enough> {
        if batch.is_empty() {
            return Ok(());
        }
        self.tasks.blocking_send(batch).map_err(|_| Enough)
    }

    /// Returns the unit that begins with this line; `None`: no unit begins here, or nothing of it is open or parked.
    pub(super) fn unit(
        &self,
        known: &PassInput,
        journal: &Journal,
        row: Row,
    ) -> Result<Option<Unit>, FeedError> {
        let line = row.line;
        // If the file was planned while it was being written, lines that cannot be parsed show up only here.
        if self.draft.is_wrong(line) || row.change.is_none() {
            if !known.done.contains(line) {
                let mut outcome = Outcome::bare(line, Status::Failed(Failed::Invalid));
                outcome.message = self.draft.why_wrong(&row);
                self.note(journal, outcome)?;
            }
            return Ok(None);
        }
        Ok(known.unit(&self.draft, line, row.change))
    }

    /// Feeds the units in which every line has an outcome, but a customer still has a temporary ID.
    fn parked(&self, ledger: &Ledger) -> Result<(), FeedError> {
        let in_wave = |line| self.waves.iter().any(|wave| wave.lines.contains(line));
        let mut in_order = InOrder::of(ledger);
        let mut batch = Vec::new();
        for number in self.known.parked.iter() {
            // A unit with a temporary ID is a swap or longer cycle, so it is found without its change.
            let unit = self.known.unit(&self.draft, number, None);
            if let Some(unit) = unit.filter(|unit| !unit.lines().any(in_wave)) {
                batch.push(with_knowledge(&self.known, unit, (ledger, &mut in_order))?);
            }
        }
        Ok(self.send(batch)?)
    }

    /// Returns whether a unit is skipped without a look-up. If so, records its lines.
    fn is_skipped(
        &self,
        unit: &Unit,
        last_reconcile: Option<&mut InOrder<'_>>,
        unlooked: &mut Vec<UnlookedLine>,
    ) -> Result<bool, FeedError> {
        let Some(lines) = self.known.skipped.unit(unit, last_reconcile)? else {
            return Ok(false);
        };
        self.known.skipped.passed(lines.len());
        if lines.len() > 1 {
            // The lines of the unit are not adjacent in the file.
            for outcome in self.unlooked(lines).outcomes() {
                self.note(&self.journal, outcome)?;
            }
            return Ok(true);
        }
        for one in &lines {
            let status = Status::Unchanged(Unchanged::Already);
            self.tally.count(&Outcome::bare(one.line, status));
        }
        unlooked.extend(lines);
        if unlooked.len() >= MOST_UNLOOKED {
            self.note_unlooked(unlooked)?;
        }
        Ok(true)
    }

    fn unlooked(&self, lines: Vec<UnlookedLine>) -> Unlooked {
        Unlooked {
            message: self.known.skipped.why.clone(),
            at_ms: super::clock::now_ms(),
            lines,
        }
    }

    fn note_unlooked(&self, lines: &mut Vec<UnlookedLine>) -> Result<(), LedgerError> {
        if lines.is_empty() {
            return Ok(());
        }
        let unlooked = self.unlooked(std::mem::take(lines));
        self.journal.blocking_unlooked(unlooked)
    }

    fn note(&self, journal: &Journal, mut outcome: Outcome) -> Result<(), FeedError> {
        outcome.finished_at_ms = super::clock::now_ms();
        self.tally.count(&outcome);
        Ok(journal.blocking_outcome(outcome)?)
    }

    /// Sets the number of lines that are to be brought to an end, including those that the tally has counted.
    pub(super) fn count_lines(draft: &InputPlan, known: &PassInput, tally: &Tally) {
        let open = match &known.planned {
            Some(planned) => planned.len(),
            None => draft.counts.lines.saturating_sub(known.done.len()),
        };
        tally.lines.store(tally.done() + open, Ordering::Relaxed);
    }
}

/// Turns [`FeedError::Enough`] into success: the engine takes no more units.
pub(super) fn ended(fed: Result<(), FeedError>) -> Result<(), CommandError> {
    match fed {
        Ok(()) | Err(FeedError::Enough) => Ok(()),
        Err(FeedError::Failed(failure)) => Err(failure),
    }
}

/// Makes the task of a unit with everything that is known about the unit.
pub(super) fn with_knowledge(
    known: &PassInput,
    unit: Unit,
    (ledger, in_order): (&Ledger, &mut InOrder<'_>),
) -> Result<UnitTask, FeedError> {
    let mut task = UnitTask::new(unit);
    let is_alone = task.unit.changes().nth(1).is_none();
    for change in task.unit.changes() {
        let line = change.line;
        if !known.is_open(line) {
            task.done.extend(ledger.outcome_of(line)?);
        } else if known.planned.is_some() {
            let found = if is_alone {
                in_order.find(line)?
            } else {
                ledger.outcome_of(line)?
            };
            let expected = match found {
                // A line in doubt was found as it was planned, or was not looked at.
                Some(found) => {
                    matches!(found.status, Status::WouldChange | Status::InDoubt).then_some(found)
                }
                None => (ledger.header().kind == RunKind::Undo).then(|| expected_by(change)),
            };
            task.expected.extend(expected);
        }
        if let Some(customer) = known.history.meant.get(&line) {
            task.by_prior_run.push((line, customer.clone()));
        }
    }
    task.recorded = known.recorded.of(task.unit.number, ledger)?;
    Ok(task)
}
