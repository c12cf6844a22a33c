//! A ledger in memory: an intent is kept once it is acknowledged, everything else from the next commit on.

use super::super::{Left, Wave, WaveLog, WriteLog};
use super::world::{Pauses, pause};
use crate::domain::{Line, Outcome, Status};
use crate::ledger::{
    Chunk, Intent, Lease, LedgerError, LineSet, Noted, Verdict, WriteId, WriteRecord, WriteVerdict,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

enum Waiting {
    WriteVerdict(WriteId, WriteVerdict),
    Outcome(Box<Outcome>),
    Reopened(Vec<Line>),
}

#[derive(Default)]
pub(super) struct Kept {
    pub(super) writes: Vec<WriteRecord>,
    pub(super) outcomes: BTreeMap<Line, Outcome>,
    /// The lines of the wave that is not verified, and its units.
    pub(super) wave: Option<(LineSet, LineSet)>,
    /// Whether an earlier process has left that wave, and it was not read back since.
    unread: bool,
    /// The units for which that process has left writes.
    begun: LineSet,
    /// The number of writes on record when that wave was read back.
    read_back: usize,
    pub(super) has_verified: bool,
    waiting: Vec<Waiting>,
    /// The number of further intents after which the disk is full.
    pub(super) room: Option<u32>,
    full: bool,
    /// The number of further intents that are recorded only after the lease is over.
    pub(super) late: u32,
    /// Another process has the unit of this customer.
    pub(super) taken: Option<String>,
    /// How slow the disk is.
    pub(super) pauses: Pauses,
    random: fastrand::Rng,
}

#[derive(Clone)]
pub(super) struct Memory(Arc<Mutex<Kept>>);

impl Kept {
    fn commit(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::WriteVerdict(id, settled) => {
                    let write = self.writes.iter_mut().find(|write| write.id == id).unwrap();
                    write.verdict = Some(settled.verdict);
                    write.http_status = settled.http_status;
                    write.effect = settled.effect;
                }
                Waiting::Outcome(outcome) => {
                    self.outcomes.insert(outcome.line, *outcome);
                }
                Waiting::Reopened(lines) => self.outcomes.retain(|line, outcome| {
                    !lines.contains(line) || !matches!(outcome.status, Status::Failed(_))
                }),
            }
        }
    }

    fn keep(&mut self, intent: Intent) -> WriteId {
        self.commit();
        if let Some((_, units)) = &self.wave {
            let unit = intent.unit;
            // A swap that has moved a customer is completed, whatever else is wrong.
            if !self.begun.contains(unit) {
                assert!(!self.unread, "a write before the wave is read back");
                let is_altered = |one: &WriteRecord| {
                    let is_of_wave = self.begun.contains(one.intent.unit);
                    is_of_wave && one.effect.is_some() && !one.intent.write.is_temporary()
                };
                // What this process writes to the rest of the wave is read back together at its end.
                let before = &self.writes[..self.read_back];
                let altered = before.iter().find(|one| is_altered(one));
                assert!(altered.is_none(), "a write after {altered:?}");
            }
            assert!(units.contains(unit), "unit {unit} is not of the wave");
        }
        let id = WriteId::numbered(i64::try_from(self.writes.len()).unwrap() + 1);
        self.writes.push(WriteRecord {
            id,
            intent,
            verdict: None,
            effect: None,
            http_status: None,
        });
        id
    }

    fn grant(&mut self, intent: Intent) -> Noted {
        let id = self.keep(intent);
        if self.late == 0 {
            return Noted::Granted(id, Lease::default());
        }
        self.late -= 1;
        Noted::Granted(id, Lease::over())
    }

    fn of_disk(&mut self) -> u64 {
        self.pauses.of_disk(&mut self.random)
    }

    fn has_room(&mut self) -> Result<(), LedgerError> {
        match &mut self.room {
            Some(0) => self.full = true,
            Some(room) => *room -= 1,
            None => {}
        }
        self.is_writable()
    }

    fn is_writable(&self) -> Result<(), LedgerError> {
        if !self.full {
            return Ok(());
        }
        Err(LedgerError::Full {
            path: PathBuf::from("ledger.db"),
        })
    }
}

impl Memory {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            random,
            ..Kept::default()
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn waits_for_the_disk(&self) {
        let ms = self.lock().of_disk();
        pause(ms).await;
    }

    /// Begins a process; what the last process had not committed is lost.
    pub(super) fn reopen(&self, room: Option<u32>) {
        let mut kept = self.lock();
        kept.waiting.clear();
        kept.full = false;
        kept.room = room;
        kept.unread = kept.wave.is_some();
        kept.read_back = 0;
        let wave = kept.wave.as_ref();
        let is_of_wave = |unit: &Line| wave.is_some_and(|(_, units)| units.contains(*unit));
        let units = kept.writes.iter().map(|write| write.intent.unit);
        kept.begun = units.filter(is_of_wave).collect();
    }
}

impl WriteLog for Memory {
    fn of(&self, _chunk: Option<&Arc<Chunk>>) -> Self {
        self.clone()
    }

    async fn intend(&self, intent: Intent) -> Result<Noted, LedgerError> {
        // If the process is killed in between, the intent may be on the disk or not.
        let (early, ms) = {
            let mut kept = self.lock();
            kept.has_room()?;
            if kept.taken.as_deref() == Some(intent.customer.as_str()) {
                return Ok(Noted::Taken);
            }
            let ms = kept.random.u64(0..4) + kept.of_disk();
            (kept.random.bool(), ms)
        };
        if early {
            let noted = self.lock().grant(intent);
            pause(ms).await;
            return Ok(noted);
        }
        pause(ms).await;
        Ok(self.lock().grant(intent))
    }

    async fn verdict(&self, write: WriteId, verdict: WriteVerdict) -> Result<(), LedgerError> {
        self.waits_for_the_disk().await;
        let mut kept = self.lock();
        kept.is_writable()?;
        kept.waiting.push(Waiting::WriteVerdict(write, verdict));
        Ok(())
    }

    async fn outcome(&self, outcome: Outcome) -> Result<(), LedgerError> {
        self.waits_for_the_disk().await;
        let mut kept = self.lock();
        kept.is_writable()?;
        kept.waiting.push(Waiting::Outcome(Box::new(outcome)));
        Ok(())
    }

    async fn reopen(&self, lines: Vec<Line>, planned: Vec<Outcome>) -> Result<(), LedgerError> {
        self.waits_for_the_disk().await;
        let mut kept = self.lock();
        kept.is_writable()?;
        kept.waiting.push(Waiting::Reopened(lines));
        let planned = planned.into_iter().map(Box::new).map(Waiting::Outcome);
        kept.waiting.extend(planned);
        Ok(())
    }

    async fn flush(&self) -> Result<(), LedgerError> {
        self.waits_for_the_disk().await;
        {
            let mut kept = self.lock();
            kept.is_writable()?;
            kept.commit();
        }
        self.waits_for_the_disk().await;
        Ok(())
    }
}

/// The record of the waves of one session: its units.
pub(super) struct Waves {
    pub(super) notes: Memory,
    pub(super) units: LineSet,
}

impl WaveLog for Waves {
    fn begin(&self, wave: &Wave) -> Result<(), LedgerError> {
        let mut kept = self.notes.lock();
        kept.is_writable()?;
        kept.wave = Some((wave.lines.clone(), self.units.clone()));
        Ok(())
    }

    fn left(&self, wave: &Wave) -> Result<Vec<Left>, LedgerError> {
        let mut kept = self.notes.lock();
        if std::mem::take(&mut kept.unread) {
            kept.read_back = kept.writes.len();
        }
        let of_wave = kept.outcomes.values();
        let of_wave = of_wave.filter(|one| wave.lines.contains(one.line));
        Ok(of_wave.map(|one| (one.clone(), None)).collect())
    }

    fn unresolved_writes(&self) -> Result<Vec<WriteRecord>, LedgerError> {
        let kept = self.notes.lock();
        let is_done = |line: &Line| {
            let status = kept.outcomes.get(line).map(|outcome| outcome.status);
            matches!(
                status,
                Some(Status::Changed | Status::Unchanged(_) | Status::Failed(_))
            )
        };
        let open = kept.writes.iter().filter(|write| {
            write.verdict != Some(Verdict::NotApplied) && !is_done(&write.intent.line)
        });
        let mut open: Vec<WriteRecord> = open.cloned().collect();
        open.sort_by_key(|write| write.intent.line);
        Ok(open)
    }

    fn verified(&self, _wave: &Wave) -> Result<(), LedgerError> {
        let mut kept = self.notes.lock();
        kept.is_writable()?;
        (kept.wave, kept.has_verified) = (None, true);
        Ok(())
    }
}
