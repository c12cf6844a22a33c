//! What the processes on one run have to agree on: which of them works on which lines, how many lines have failed in
//! all of them, and which one closes the run.

use super::LedgerError;
use super::chunk::Chunk;
use crate::domain::Line;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Coordinates the processes that work on a run, and hands its lines out to them in chunks.
pub trait Coordinator: fmt::Debug + Send + Sync {
    /// Begins a pass over these chunks, in which other processes may join. Only the process that leads the run may do so.
    fn open(&self, pass: &NewPass<'_>) -> Result<(), LedgerError>;

    /// The digest of the plan that the pass in progress carries out.
    fn plan_digest(&self) -> Result<String, LedgerError>;

    /// Records that all units of the chunks `done` have ended (everything about them must be on record), and returns
    /// the next chunks for this process, at most `most`.
    fn next(&self, done: &[Arc<Chunk>], most: usize) -> Result<Next, LedgerError>;

    /// Records how many lines have ended in this process, and returns what the others have recorded. `most`: how many
    /// lines may fail in the whole run; this process gets a part of what is left of them.
    fn tell(&self, ended: Ended, most: Option<u64>) -> Result<Others, LedgerError>;

    /// Ends the work of this process. True: the process leads the run from now on and must close it. False: another process
    /// closes it, and this one may note nothing more. If several processes end at the same moment, the last one closes the
    /// run. `gives_up`: this process has not done all that it could, and leaves the rest to others that are at work.
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
    /// Digest of the units in the file: a process that joins must have found the same units.
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

/// What the other processes on the run have reported.
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
