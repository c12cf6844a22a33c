//! The ranges of lines into which the work of several processes on one run is divided. A session has its chunks as long as
//! its process renews its lease; what is noted of a chunk that is another's by then is left out (`super::commit`).

use super::process::Process;
use super::statement::Statement;
use crate::domain::Line;
use crate::ledger::LedgerError;
use crate::ledger::chunk::Chunk;
use crate::ledger::columns::Row;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The chunks of a run, for one session.
pub(super) struct PgChunks {
    process: Arc<Process>,
    run: String,
    session: i32,
    /// Those that the session has; one at a time asks for another.
    own: Mutex<Vec<Arc<Chunk>>>,
    /// The session got a chunk: its next writes are numbered after all that were noted of the chunk before.
    renumbers: Arc<AtomicBool>,
}

impl PgChunks {
    pub(super) fn of(
        process: &Arc<Process>,
        run: &str,
        session: i32,
        renumbers: &Arc<AtomicBool>,
    ) -> Self {
        Self {
            process: Arc::clone(process),
            run: run.to_owned(),
            session,
            own: Mutex::default(),
            renumbers: Arc::clone(renumbers),
        }
    }

    fn about(&self, sql: &'static str) -> Statement {
        Statement::repeatable(sql).with(self.run.clone())
    }

    /// Moves the run on to the next pass with these chunks, if no chunk of the present pass is open; false: one is, or
    /// another process has done it.
    pub(super) fn advance(
        &self,
        (from, to): (i16, i16),
        chunks: &[RangeInclusive<Line>],
    ) -> Result<bool, LedgerError> {
        let numbers: Vec<i32> = (0..).take(chunks.len()).collect();
        let first: Vec<i64> = chunks.iter().map(|lines| (*lines.start()).into()).collect();
        let last: Vec<i64> = chunks.iter().map(|lines| (*lines.end()).into()).collect();
        let advance = self.about("SELECT advance($1, $2, $3, $4, $5, $6)");
        let advance = advance.with(from).with(to);
        let advance = advance.with(numbers).with(first).with(last);
        self.process.row(advance, |row| row.truth(0))
    }

    /// The next chunk of a pass that no other session works on; `None`: there is none now.
    pub(super) fn claim(&self, pass: i16) -> Result<Option<Arc<Chunk>>, LedgerError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.retain(|chunk| !chunk.is_taken());
        let known = own.iter().filter(|chunk| chunk.pass == pass);
        let known: Vec<i32> = known.map(|chunk| chunk.number).collect();
        let gone = self.process.gone_from(&self.run)?;
        let claim = self.about("SELECT n, lease, lo, hi FROM claim($1, $2, $3, $4, $5)");
        let claim = claim.with(pass).with(self.session).with(known).with(gone);
        let claimed = self.process.rows(claim, |row| {
            let lines = row.required(2)?..=row.required(3)?;
            let place = (pass, row.required(0)?);
            Ok(Chunk::new(place, row.required(1)?, lines))
        })?;
        let claimed = claimed.into_iter().next();
        if let Some(chunk) = &claimed {
            self.renumbers.store(true, Ordering::Release);
            own.push(Arc::clone(chunk));
        }
        Ok(claimed)
    }

    /// Whether no chunk of a pass is open, whoever has it.
    pub(super) fn is_over(&self, pass: i16) -> Result<bool, LedgerError> {
        let sql = "SELECT NOT EXISTS (SELECT FROM chunk WHERE run = $1 AND pass = $2 AND state <> 'done')";
        self.process
            .row(self.about(sql).with(pass), |row| row.truth(0))
    }

    /// All of a chunk is done, and on record: nothing of it may be noted any more.
    pub(super) fn done(&self, chunk: &Arc<Chunk>) -> Result<(), LedgerError> {
        self.leave(chunk, "done")
    }

    /// Leaves a chunk to whoever asks next.
    pub(super) fn release(&self, chunk: &Arc<Chunk>) -> Result<(), LedgerError> {
        self.leave(chunk, "free")
    }

    fn leave(&self, chunk: &Arc<Chunk>, state: &'static str) -> Result<(), LedgerError> {
        let sql = "UPDATE chunk SET state = $6 WHERE run = $1 AND pass = $2 AND n = $3 AND session = $4 AND lease = $5";
        let leave = self.about(sql).with(chunk.pass).with(chunk.number);
        let leave = leave.with(self.session).with(chunk.lease).with(state);
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        self.process.rows(leave, |_| Ok(()))?;
        own.retain(|one| !Arc::ptr_eq(one, chunk));
        Ok(())
    }
}
