//! Where the engine records intents and outcomes: the ledger, or a list in memory for simulations, which run thousands of times.

use crate::domain::{Line, Outcome};
use crate::ledger::{Chunk, Intent, Journal, LedgerError, Noted, WriteId, WriteVerdict};
use std::future::Future;
use std::sync::Arc;

/// A durable place for intents and outcomes.
pub trait WriteLog: Clone + Send + Sync + 'static {
    /// Returns the log for this chunk; `None`: the run is not divided.
    fn of(&self, chunk: Option<&Arc<Chunk>>) -> Self;
    /// Records a write that is about to be sent; returns once the record would survive a power cut.
    fn intend(&self, intent: Intent) -> impl Future<Output = Result<Noted, LedgerError>> + Send;
    /// Records what became of a write. If the record is lost, the write is in doubt and is read back, so a loss is harmless.
    fn verdict(
        &self,
        write: WriteId,
        verdict: WriteVerdict,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
    /// Records the outcome of a line.
    fn outcome(&self, outcome: Outcome) -> impl Future<Output = Result<(), LedgerError>> + Send;
    /// Removes the outcomes of those of these lines that have failed, and restores what a plan had found for them.
    fn reopen(
        &self,
        lines: Vec<Line>,
        planned: Vec<Outcome>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
    /// Returns once everything recorded so far would survive a power cut.
    fn flush(&self) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

impl WriteLog for Journal {
    fn of(&self, chunk: Option<&Arc<Chunk>>) -> Self {
        chunk.map_or_else(|| self.clone(), |chunk| self.of_chunk(chunk))
    }

    fn intend(&self, intent: Intent) -> impl Future<Output = Result<Noted, LedgerError>> + Send {
        Journal::intend(self, intent)
    }

    fn verdict(
        &self,
        write: WriteId,
        verdict: WriteVerdict,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        Journal::verdict(self, write, verdict)
    }

    fn outcome(&self, outcome: Outcome) -> impl Future<Output = Result<(), LedgerError>> + Send {
        Journal::outcome(self, outcome)
    }

    fn reopen(
        &self,
        lines: Vec<Line>,
        planned: Vec<Outcome>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        Journal::reopen(self, lines, planned)
    }

    fn flush(&self) -> impl Future<Output = Result<(), LedgerError>> + Send {
        Journal::flush(self)
    }
}
