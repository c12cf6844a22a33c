//! What several processes have to agree on that work on one run: which of them works on which lines, how many lines have
//! failed at all of them, and which one closes the run.

use super::LedgerError;
use super::chunk::Chunk;
use crate::domain::Line;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The lines of a run, handed out in chunks to the processes that work on it.
pub trait Shares: fmt::Debug + Send + Sync {
    /// Begins a pass over these chunks, in which other processes may join. Only the process that leads the run may.
    fn open(&self, pass: &NewPass<'_>) -> Result<(), LedgerError>;

    /// The digest of the plan that the pass in progress carries out.
    fn plan_digest(&self) -> Result<String, LedgerError>;

    /// All units of the chunks `done` have ended, and everything about them is on record. The next chunks for this process,
    /// at most so many.
    fn next(&self, done: &[Arc<Chunk>], most: usize) -> Result<Next, LedgerError>;

    /// Tells how many lines have ended in this process, and hears of the others. `most`: how many lines may fail in the whole run;
    /// of what is left of them, this process gets a part.
    fn tell(&self, ended: Ended, most: Option<u64>) -> Result<Others, LedgerError>;

    /// This process has come to the end of its work. True: it is to close the run, which it leads from now on. False: another one
    /// closes it, and nothing more may be noted here. Of several processes that end at the same moment, the last one closes the run.
    /// `gives_up`: it has not done what it could have done, and leaves the rest to others that are at work.
    fn close_or_leave(&self, gives_up: bool) -> Result<bool, LedgerError>;

    /// How many other processes work on the run now.
    fn others(&self) -> Result<u64, LedgerError>;
}

/// A pass that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewPass<'a> {
    pub chunks: &'a [RangeInclusive<Line>],
    /// Whether one process works at a time.
    pub is_alone: bool,
    /// Tells apart which units the file has: whoever joins must have found the same ones.
    pub plan_digest: &'a str,
}

/// What a process that asks for lines gets.
#[derive(Debug)]
pub enum Next {
    /// These.
    Chunks(Vec<Arc<Chunk>>),
    /// None now; others work on what is left, or the run is paused.
    Wait,
    /// None: nothing is left.
    Over,
}

/// Lines that have come to their end in one process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended {
    pub lines: u64,
    /// Those of them that have failed or are in doubt.
    pub failed: u64,
}

/// What the other processes on the run have told.
#[derive(Debug, Clone, Copy)]
pub struct Others {
    pub ended: Ended,
    pub standing: Standing,
    /// How many more lines may fail in this process before it begins no further unit, and asks again; at least one.
    pub may_fail: u64,
}

/// Whether a process goes on with the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    GoesOn,
    /// One process works at a time, and another one does.
    StandsBy,
    /// The run is closed, or a newer pass has begun.
    Over,
}
