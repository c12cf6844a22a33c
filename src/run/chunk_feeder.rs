//! Feeds the chunks that this process gets while others work on the rest of the file, and reports finished chunks.

use super::error::CommandError;
use super::feeder::{
    BATCH_LINES, Enough, Fed, FeedError, Feeder, PassInput, ended, with_knowledge,
};
use super::in_order::InOrder;
use super::input_plan::InputPlan;
use super::prepared_run::done;
use crate::domain::Line;
use crate::engine::{Mode, UnitTask};
use crate::input::{InputError, Row};
use crate::ledger::{Chunk, Coordinator, Ledger, Next};
use std::collections::VecDeque;
use std::iter;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The number of chunks that one process works on at a time: few, so that chunks are left for other processes; more if it
/// finishes chunks so quickly that it would otherwise wait for the answers to its requests.
const OPEN: RangeInclusive<usize> = 4..=16;
/// Within [`OPEN`], a process works on as many chunks as it finishes in one second divided by this number.
const PARTS: usize = 4;
/// How often a process without lines asks for more, unless one of its chunks ends earlier.
const EVERY: Duration = Duration::from_millis(250);

/// Feeds what `feeder.fed` says, until nothing is left or the engine takes no more.
pub(super) fn feed(feeder: &Feeder) -> Result<(), CommandError> {
    match &feeder.fed {
        Fed::Chunks(coordinator) => ended(chunks(feeder, coordinator.as_ref())),
        Fed::All | Fed::First | Fed::Begun => feeder.feed(),
    }
}

/// Feeds chunks until none is left in any process.
fn chunks(feeder: &Feeder, coordinator: &dyn Coordinator) -> Result<(), FeedError> {
    let ledger = feeder.run.ledger()?;
    let mut chunks = Chunks {
        feeder,
        ledger: &ledger,
        reading: Reading::of(&feeder.draft)?,
        refreshed: None,
    };
    let mut own: Vec<Arc<Chunk>> = Vec::new();
    let mut ends = Ends::default();
    loop {
        own.retain(|chunk| !chunk.is_taken());
        let is_enough = feeder.tasks.is_closed();
        let open = own.iter().filter(|chunk| !chunk.has_ended()).count();
        let room = ends.room(open);
        if room == 0 && !is_enough {
            thread::park_timeout(EVERY);
            continue;
        }
        let done: Vec<_> = own.extract_if(.., |chunk| chunk.has_ended()).collect();
        ends.add(done.len());
        if !done.is_empty() {
            feeder.journal.blocking_flush()?;
        }
        if is_enough {
            if !done.is_empty() {
                coordinator.next(&done, 0)?;
            }
            return Err(Enough.into());
        }
        match coordinator.next(&done, room)? {
            Next::Chunks(given) => {
                chunks.refresh(&given)?;
                for chunk in given {
                    chunks.feed(&chunk)?;
                    chunk.end_hand_over();
                    own.push(chunk);
                }
            }
            Next::Wait => thread::park_timeout(EVERY),
            Next::Over => return Ok(()),
        }
    }
}

/// The times within the last second at which chunks ended.
#[derive(Default)]
struct Ends(VecDeque<Instant>);

impl Ends {
    fn add(&mut self, chunks: usize) {
        let now = Instant::now();
        self.0.extend(iter::repeat_n(now, chunks));
        let is_old = |end: &Instant| now.duration_since(*end) > Duration::from_secs(1);
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    /// Returns how many chunks to ask for beside the open ones; 0 until this is a quarter of all.
    fn room(&self, open: usize) -> usize {
        let most = (self.0.len() / PARTS).clamp(*OPEN.start(), *OPEN.end());
        let room = most.saturating_sub(open);
        if room >= most / 4 { room } else { 0 }
    }
}

struct Chunks<'a> {
    feeder: &'a Feeder,
    ledger: &'a Ledger,
    reading: Reading<'a>,
    /// What is known since this process got a chunk that another process had begun; used instead of `feeder.known`.
    refreshed: Option<PassInput>,
}

impl Chunks<'_> {
    /// Reads the ledger again if another process had begun one of these chunks.
    fn refresh(&mut self, chunks: &[Arc<Chunk>]) -> Result<(), FeedError> {
        if chunks.iter().any(|chunk| chunk.had_another_holder()) {
            let mut known = PassInput {
                done: done(self.ledger, Mode::Apply)?,
                ..self.feeder.known.clone()
            };
            known.read_recorded(&self.feeder.draft, self.ledger)?;
            self.refreshed = Some(known);
        }
        Ok(())
    }

    /// Feeds the units that begin in the lines of this chunk.
    fn feed(&mut self, chunk: &Arc<Chunk>) -> Result<(), FeedError> {
        let known = self.refreshed.as_ref().unwrap_or(&self.feeder.known);
        let journal = self.feeder.journal.of_chunk(chunk);
        let mut in_order = InOrder::of(self.ledger);
        let mut batch: Vec<UnitTask> = Vec::new();
        self.reading.seek(*chunk.lines().start())?;
        while let Some(row) = self.reading.next_of(chunk.lines())? {
            let Some(unit) = self.feeder.unit(known, &journal, row)? else {
                continue;
            };
            let mut task = with_knowledge(known, unit, (self.ledger, &mut in_order))?;
            task.chunk = Some(Arc::clone(chunk));
            batch.push(task);
            if batch.len() >= BATCH_LINES {
                self.send(chunk, std::mem::take(&mut batch))?;
            }
        }
        self.send(chunk, batch)
    }

    fn send(&self, chunk: &Chunk, batch: Vec<UnitTask>) -> Result<(), FeedError> {
        chunk.hand_over(batch.len());
        Ok(self.feeder.send(batch)?)
    }
}

type Batches = Box<dyn Iterator<Item = Result<Vec<Row>, InputError>> + Send>;

/// Reads the rows of the file, from the first line of any chunk.
struct Reading<'a> {
    draft: &'a InputPlan,
    batches: Batches,
    rows: std::iter::Peekable<std::vec::IntoIter<Row>>,
    /// The rows before this line have been read.
    at: Line,
}

impl<'a> Reading<'a> {
    fn of(draft: &'a InputPlan) -> Result<Self, InputError> {
        Ok(Self {
            batches: Box::new(draft.table.batches()?),
            draft,
            rows: Vec::new().into_iter().peekable(),
            at: 0,
        })
    }

    /// Goes back to the beginning of the file if this line has been read already.
    fn seek(&mut self, line: Line) -> Result<(), InputError> {
        if line < self.at {
            *self = Self::of(self.draft)?;
        }
        Ok(())
    }

    /// Returns the next row within these lines; `None`: there are no more.
    fn next_of(&mut self, lines: &RangeInclusive<Line>) -> Result<Option<Row>, InputError> {
        loop {
            let Some(next) = self.rows.peek() else {
                let Some(batch) = self.batches.next() else {
                    return Ok(None);
                };
                self.rows = batch?.into_iter().peekable();
                continue;
            };
            if next.line > *lines.end() {
                return Ok(None);
            }
            let is_of_them = lines.contains(&next.line);
            self.at = next.line + 1;
            let row = self.rows.next();
            if is_of_them {
                return Ok(row);
            }
        }
    }
}
