//! What the journal's thread hands to a database, and what it asks of it.

use super::chunk::Chunk;
use super::{Calls, Intent, LedgerError, Noted, Unlooked, WriteId, WriteVerdict};
use crate::domain::{Line, Outcome};
use std::sync::Arc;

/// An entry in the record of a run under way.
#[derive(Debug)]
pub(super) enum Entry {
    /// A write that is about to be sent.
    Intend(Box<Intent>),
    /// What became of a write.
    Verdict(WriteId, WriteVerdict),
    /// What became of lines, in place of what was noted before.
    Outcomes(Vec<Outcome>),
    /// Removes the outcomes of these lines where they have failed, and records the given outcomes in their place.
    Reopen(Vec<Line>, Vec<Outcome>),
    /// Lines that are not looked at; all of them come after the lines of earlier entries of this kind.
    Unlooked(Box<Unlooked>),
    /// The calls of this session so far.
    Calls(Box<Calls>),
}

/// An entry, and the chunk to which it belongs if the run is divided into chunks.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) chunk: Option<Arc<Chunk>>,
    pub(super) entry: Entry,
}

/// A session of this process, which commits groups. Ends when it is dropped.
pub(super) trait Commit: Send {
    /// Makes a group durable, all or nothing, and returns once it would survive a power cut. The result says what
    /// became of each intent, in their order. After an error nothing more may be committed.
    fn commit(&mut self, group: &[Item]) -> Result<Vec<Noted>, LedgerError>;
}
