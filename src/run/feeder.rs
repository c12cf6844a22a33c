//! Hands the lines of a run to the engine: one pass over the run's copy of the file, a hundred lines at a time.

use super::error::CommandError;
use super::input_plan::InputPlan;
use crate::domain::{Change, CustomerId, Failed, Line, Outcome, Status, Transition, Unchanged};
use crate::engine::{History, Job, Tally};
use crate::input::Row;
use crate::ledger::{Journal, Ledger, LineSet, RunDir};
use crate::plan::Unit;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// Lines that are looked up together. A call holds a hundred IDs of one kind, and a line asks for up to one of each kind
/// or two of one, so that all calls of a batch are full.
const BATCH_LINES: usize = 100;

/// What is known before a pass begins.
#[derive(Clone)]
pub(crate) struct Known {
    /// Lines with a final outcome.
    pub(super) done: LineSet,
    /// Carry out only what a plan would change, and only as it found it.
    pub(super) planned: Option<LineSet>,
    /// Units for which something was about to be written.
    pub(super) units_with_writes: LineSet,
    /// What earlier runs tell of the lines.
    pub(super) history: Arc<History>,
    /// Units of which everything is said, and a customer is under a temporary ID all the same.
    pub(super) parked: LineSet,
    /// Lines that need no look: as in an earlier run.
    pub(super) settled: Arc<Settled>,
}

impl Known {
    /// What every pass of the run has to know: without the history it would write over newer runs, and without the
    /// writes of before it would make them again.
    pub(super) fn new(history: Arc<History>, units_with_writes: LineSet) -> Self {
        Self {
            done: LineSet::default(),
            planned: None,
            units_with_writes,
            history,
            parked: LineSet::default(),
            settled: Arc::default(),
        }
    }
}

/// Lines that need no look, each with the customer that an earlier run has found.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(super) customers: HashMap<Line, Option<CustomerId>>,
    /// Why they need none.
    pub(super) why: String,
}

impl Settled {
    fn outcome(&self, change: &Change) -> Option<Outcome> {
        let customer = self.customers.get(&change.line)?;
        let mut outcome = Outcome::bare(change.line, Status::Unchanged(Unchanged::Already));
        outcome.message.clone_from(&self.why);
        // Later runs and `verify` go by it, where it is known which ID the customer has.
        if change.new_account.asks() {
            outcome.customer.clone_from(customer);
            let account = change.new_account.id().cloned();
            outcome.account = Transition {
                before: account.clone(),
                after: account,
            };
        }
        Some(outcome)
    }
}

/// Everything that the feeding thread needs.
pub(crate) struct Feeder {
    pub(super) draft: Arc<InputPlan>,
    pub(super) known: Known,
    pub(super) dir: RunDir,
    pub(super) journal: Journal,
    pub(super) tally: Arc<Tally>,
    pub(super) jobs: mpsc::Sender<Vec<Job>>,
}

/// Why feeding ended early without anything being wrong: the engine wants no more.
struct Enough;

enum FeedError {
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
    pub(super) fn feed(self) -> Result<(), CommandError> {
        match self.run() {
            Ok(()) | Err(FeedError::Enough) => Ok(()),
            Err(FeedError::Failed(failure)) => Err(failure),
        }
    }

    fn run(&self) -> Result<(), FeedError> {
        let ledger = Ledger::open_unchecked(&self.dir)?;
        let mut batch: Vec<Job> = Vec::new();
        let mut lines = 0;
        for rows in self.draft.table.batches()? {
            for row in rows? {
                let Some(job) = self.job(row, &ledger)? else {
                    continue;
                };
                lines += job.unit.changes().count();
                batch.push(job);
                if lines >= BATCH_LINES {
                    lines = 0;
                    self.send(std::mem::take(&mut batch))?;
                }
            }
        }
        Ok(self.send(batch)?)
    }

    fn send(&self, batch: Vec<Job>) -> Result<(), Enough> {
        if batch.is_empty() {
            return Ok(());
        }
        self.jobs.blocking_send(batch).map_err(|_| Enough)
    }

    /// The unit that begins with this line, where one does and where something of it is open.
    fn job(&self, row: Row, ledger: &Ledger) -> Result<Option<Job>, FeedError> {
        let line = row.line;
        if self.draft.is_wrong(line) {
            if !self.known.done.contains(line) {
                let mut outcome = Outcome::bare(line, Status::Failed(Failed::Invalid));
                outcome.message = self.draft.why_wrong(&row);
                self.note(outcome)?;
            }
            return Ok(None);
        }
        let change = row.change;
        let unit = match change {
            Some(change) if !self.draft.index.is_entangled(line) => Unit::single(change),
            Some(_) | None => match self.draft.units.get(&line) {
                Some(unit) => unit.clone(),
                None => return Ok(None),
            },
        };
        let is_parked = self.known.parked.contains(unit.number);
        if unit.lines().all(|line| !self.is_open(line)) && !is_parked {
            return Ok(None);
        }
        let settled = unit
            .changes()
            .map(|change| self.known.settled.outcome(change));
        if let Some(outcomes) = settled.collect::<Option<Vec<_>>>() {
            for outcome in outcomes {
                self.note(outcome)?;
            }
            return Ok(None);
        }
        self.with_knowledge(unit, ledger).map(Some)
    }

    fn is_open(&self, line: Line) -> bool {
        let planned = self
            .known
            .planned
            .as_ref()
            .is_none_or(|planned| planned.contains(line));
        planned && !self.known.done.contains(line)
    }

    fn with_knowledge(&self, unit: Unit, ledger: &Ledger) -> Result<Job, FeedError> {
        let mut job = Job::new(unit);
        let lines: Vec<Line> = job.unit.lines().collect();
        for line in &lines {
            if !self.is_open(*line) {
                job.done.extend(ledger.outcome_of(*line)?);
            } else if self.known.planned.is_some() {
                // What is in doubt is what this run wrote, not what its plan found.
                let found = ledger.outcome_of(*line)?;
                let planned = found.filter(|outcome| outcome.status == Status::WouldChange);
                job.expected.extend(planned);
            }
            if let Some(customer) = self.known.history.meant.get(line) {
                job.by_prior_run.push((*line, customer.clone()));
            }
        }
        if self.known.units_with_writes.contains(job.unit.number) {
            job.recorded = ledger.writes_of(job.unit.number)?;
        }
        Ok(job)
    }

    fn note(&self, mut outcome: Outcome) -> Result<(), FeedError> {
        outcome.finished_at_ms = super::clock::now_ms();
        self.tally.count(&outcome);
        Ok(self.journal.blocking_outcome(outcome)?)
    }

    /// How many lines there are to bring to an end.
    pub(super) fn count_lines(draft: &InputPlan, known: &Known, tally: &Tally) {
        let open = match &known.planned {
            Some(planned) => planned.len(),
            None => draft.counts.lines.saturating_sub(known.done.len()),
        };
        tally.lines.store(open, Ordering::Relaxed);
    }
}
