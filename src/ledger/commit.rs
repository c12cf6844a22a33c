//! What the journal's thread hands to a database, and what it asks of it.

use super::chunk::Chunk;
use super::{Calls, Intent, LedgerError, Noted, Unlooked, WriteId, WriteVerdict};
use crate::domain::{Line, Outcome};
use std::sync::Arc;

/// Something that is noted of a run under way.
#[derive(Debug)]
pub(super) enum Entry {
    /// A write that is about to be sent.
    Intend(Box<Intent>),
    /// What became of a write.
    Verdict(WriteId, WriteVerdict),
    /// What became of lines, in place of what was noted before.
    Outcomes(Vec<Outcome>),
    /// Outcomes of lines that have failed are taken back; the others are put in the place of those that were.
    Reopen(Vec<Line>, Vec<Outcome>),
    /// Lines that are not looked at, all of them behind those of before.
    Unlooked(Box<Unlooked>),
    /// The calls of this session so far.
    Calls(Box<Calls>),
}

/// Something that is noted, and the chunk to which it belongs, where the run has such.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) chunk: Option<Arc<Chunk>>,
    pub(super) entry: Entry,
}

/// A session of this process, which commits groups. Ends when it is dropped.
pub(super) trait Commit: Send {
    /// Makes a group durable, all of it or nothing; returns what became of its intents, in their order, once all of it would
    /// survive a power cut. After an error nothing may be committed any more.
    fn commit(&mut self, group: &[Item]) -> Result<Vec<Noted>, LedgerError>;
}
