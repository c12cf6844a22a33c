//! A model of the ledger that several processes share: each unit belongs to one process, by a lease that the process
//! renews while it is neither killed nor frozen.

use super::super::super::memory::Memory;
use super::super::super::world::{Frozen, Pauses, pause};
use super::{GRACE, LEASE};
use crate::domain::{Line, Outcome, Status};
use crate::engine::{UnitTask, WriteLog};
use crate::ledger::{Chunk, Intent, Lease, LedgerError, Noted, WriteId, WriteRecord, WriteVerdict};
use crate::plan::Unit;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    Of(usize),
    /// Done by this process.
    Done(usize),
}

pub(super) struct Held {
    pub(super) place: Place,
    pub(super) lease: i32,
}

pub(super) enum Entry {
    Verdict(WriteId, WriteVerdict),
    Outcome(Box<Outcome>),
    Reopen(Vec<Line>),
}

#[derive(Default)]
pub(super) struct Process {
    pub(super) frozen: Frozen,
    pub(super) lease: Lease,
    /// The entries that are not on record yet, each with its unit.
    pub(super) waiting: Vec<((Line, i32), Entry)>,
    /// Since when the process no longer renews its lease.
    pub(super) silent_since: Option<Instant>,
    /// Whether the process is gone and will never renew its lease again.
    pub(super) has_left: bool,
}

impl Process {
    /// Returns whether other processes may take its units.
    fn is_gone(&self) -> bool {
        let silent = self
            .silent_since
            .filter(|_| !self.frozen.is_over() || self.has_left);
        silent.is_some_and(|since| since.elapsed() > LEASE + GRACE)
    }
}

/// What all processes share.
pub(super) struct Shared {
    pub(super) notes: Memory,
    pub(super) units: BTreeMap<Line, Held>,
    pub(super) plan: BTreeMap<Line, Unit>,
    pub(super) processes: Vec<Process>,
    pub(super) pauses: Pauses,
    pub(super) random: fastrand::Rng,
}

#[derive(Clone)]
pub(super) struct Ledger(pub(super) Arc<Mutex<Shared>>);

impl Ledger {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }
}

impl Shared {
    pub(super) fn has(&self, process: usize, (unit, lease): (Line, i32)) -> bool {
        let held = &self.units[&unit];
        held.place == Place::Of(process) && held.lease == lease
    }

    /// Returns whether the process may open the unit again: it has the unit, or was the last process that had it.
    fn may_reopen(&self, process: usize, (unit, lease): (Line, i32)) -> bool {
        let held = &self.units[&unit];
        held.lease == lease && [Place::Of(process), Place::Done(process)].contains(&held.place)
    }

    pub(super) fn commit(&mut self, process: usize) {
        for (unit, entry) in std::mem::take(&mut self.processes[process].waiting) {
            if let Entry::Reopen(lines) = &entry {
                if self.may_reopen(process, unit) {
                    let is_kept = |line: &Line, outcome: &mut Outcome| {
                        !lines.contains(line) || !matches!(outcome.status, Status::Failed(_))
                    };
                    self.notes.lock().outcomes.retain(is_kept);
                    self.units.get_mut(&unit.0).unwrap().place = Place::Free;
                }
                continue;
            }
            if !self.has(process, unit) {
                continue;
            }
            let mut kept = self.notes.lock();
            match entry {
                Entry::Verdict(id, verdict) => {
                    let write = kept.writes.iter_mut().find(|write| write.id == id).unwrap();
                    write.verdict = Some(verdict.verdict);
                    write.http_status = verdict.http_status;
                    write.effect = verdict.effect;
                }
                Entry::Outcome(outcome) => drop(kept.outcomes.insert(outcome.line, *outcome)),
                Entry::Reopen(_) => {}
            }
        }
    }

    /// Gives the process a unit that no living process has.
    pub(super) fn claim(&mut self, process: usize) -> Option<Arc<Chunk>> {
        let is_free = |held: &Held| match held.place {
            Place::Free => true,
            Place::Of(other) => other != process && self.processes[other].is_gone(),
            Place::Done(_) => false,
        };
        let free: Vec<Line> = self
            .units
            .iter()
            .filter(|(_, held)| is_free(held))
            .map(|(unit, _)| *unit)
            .collect();
        let unit = *free.get(self.random.usize(0..free.len().max(1)))?;
        let held = self.units.get_mut(&unit).unwrap();
        held.place = Place::Of(process);
        held.lease += 1;
        Some(Chunk::of_unit(unit, held.lease))
    }

    /// Returns the task of a unit with what is known by now; `None`: no line of it is open.
    pub(super) fn task(&self, chunk: &Arc<Chunk>) -> Option<UnitTask> {
        let (unit, _) = chunk.unit();
        let kept = self.notes.lock();
        let mut task = UnitTask::new(self.plan[&unit].clone());
        let outcome = |line: Line| kept.outcomes.get(&line);
        let is_done = |line: &Line| outcome(*line).is_some_and(|one| one.status != Status::InDoubt);
        let done = task.unit.lines().filter(is_done);
        task.done = done.filter_map(|line| outcome(line).cloned()).collect();
        if task.unit.lines().all(|line| is_done(&line)) {
            return None;
        }
        let recorded = kept.writes.iter();
        let recorded = recorded.filter(|write| write.intent.unit == task.unit.number);
        task.recorded = recorded.cloned().collect();
        task.chunk = Some(Arc::clone(chunk));
        Some(task)
    }

    /// Frees the units with open lines for a new pass. Returns whether there are any.
    pub(super) fn open_again(&mut self) -> bool {
        let kept = self.notes.lock();
        let is_open = |line: Line| {
            let outcome = kept.outcomes.get(&line);
            outcome.is_none_or(|outcome| outcome.status == Status::InDoubt)
        };
        let mut is_any = false;
        for (unit, held) in &mut self.units {
            if self.plan[unit].lines().any(is_open) {
                held.place = Place::Free;
                is_any = true;
            }
        }
        is_any
    }

    pub(super) fn is_over(&self) -> bool {
        let mut units = self.units.values();
        units.all(|held| matches!(held.place, Place::Done(_)))
    }
}

/// The ledger as one process uses it.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) ledger: Ledger,
    pub(super) process: usize,
    pub(super) unit: Option<(Line, i32)>,
    pub(super) frozen: Frozen,
}

impl Log {
    async fn waits_for_the_ledger(&self, longest_ms: u64) {
        let ms = {
            let Shared { random, pauses, .. } = &mut *self.ledger.lock();
            random.u64(0..longest_ms) + pauses.of_disk(random)
        };
        pause(ms).await;
        self.frozen.over().await;
    }

    async fn note(&self, entry: Entry) {
        self.waits_for_the_ledger(1).await;
        let unit = self.unit.expect("all that is noted is of a unit");
        let mut shared = self.ledger.lock();
        shared.processes[self.process].waiting.push((unit, entry));
    }
}

impl WriteLog for Log {
    fn of(&self, chunk: Option<&Arc<Chunk>>) -> Self {
        Self {
            unit: chunk.map(|chunk| chunk.unit()),
            ..self.clone()
        }
    }

    async fn intend(&self, intent: Intent) -> Result<Noted, LedgerError> {
        let unit = self.unit.expect("a write is of a unit");
        self.waits_for_the_ledger(4).await;
        let noted = {
            let mut shared = self.ledger.lock();
            shared.commit(self.process);
            if shared.has(self.process, unit) {
                let mut kept = shared.notes.lock();
                let id = WriteId::numbered(i64::try_from(kept.writes.len()).unwrap() + 1);
                kept.writes.push(WriteRecord {
                    id,
                    intent,
                    verdict: None,
                    effect: None,
                    http_status: None,
                });
                drop(kept);
                Noted::Granted(id, shared.processes[self.process].lease.clone())
            } else {
                Noted::Taken
            }
        };
        self.waits_for_the_ledger(4).await;
        Ok(noted)
    }

    async fn verdict(&self, write: WriteId, verdict: WriteVerdict) -> Result<(), LedgerError> {
        self.note(Entry::Verdict(write, verdict)).await;
        Ok(())
    }

    async fn outcome(&self, outcome: Outcome) -> Result<(), LedgerError> {
        self.note(Entry::Outcome(Box::new(outcome))).await;
        Ok(())
    }

    async fn reopen(&self, lines: Vec<Line>, _planned: Vec<Outcome>) -> Result<(), LedgerError> {
        self.note(Entry::Reopen(lines)).await;
        Ok(())
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        self.waits_for_the_ledger(1).await;
        self.ledger.lock().commit(self.process);
        self.waits_for_the_ledger(1).await;
        Ok(())
    }
}
