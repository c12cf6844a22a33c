//! Writes that do not take effect: one is about its customer; many, with none accepted in between, are about the token
//! or the system. Then the run ends, and no line is to blame: those that had failed are open again.

use super::{Halt, Job};
use crate::domain::Line;
use crate::ledger::{Recorded, Verdict};
use crate::system::{Fatal, Trouble};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many writes refused with 401, and none accepted ever, are not about customers any more.
const MOST_REFUSED: u32 = 20;
/// So many writes in a row that were tried to no effect are not about customers any more.
const MOST_FRUITLESS: u32 = 20;

/// What all units together have tried in vain.
#[derive(Debug, Default)]
pub(super) struct InVain(Mutex<Tried>);

#[derive(Debug, Default)]
struct Tried {
    /// Whether any write was accepted.
    accepted: bool,
    refused: u32,
    /// Since when writes are tried to no effect, and how many.
    fruitless: Option<(Instant, u32)>,
    /// The units of these writes, by number.
    suspended: HashSet<Line>,
    /// Those of them that have ended.
    ended: Vec<Job>,
}

impl InVain {
    fn lock(&self) -> MutexGuard<'_, Tried> {
        // Whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The system takes writes, so what failed before was about its customer.
    pub(super) fn accepted(&self) {
        let mut tried = self.lock();
        tried.accepted = true;
        tried.fruitless = None;
        if !tried.suspended.is_empty() {
            tried.suspended.clear();
            tried.ended.clear();
        }
    }

    /// A write that the token may not do.
    pub(super) fn refused(&self, unit: Line, trouble: &Trouble) -> Result<(), Halt> {
        let mut tried = self.lock();
        if tried.accepted {
            return Ok(());
        }
        tried.refused += 1;
        tried.suspended.insert(unit);
        if tried.refused < MOST_REFUSED {
            return Ok(());
        }
        let words = format!("the token may read but not write ({})", trouble.message);
        Err(Halt::Fatal(Fatal::TokenRefused, words))
    }

    /// A write was tried as often as it may be, and did not take effect. `patience`: for so long may none take effect,
    /// though the system may answer everything else.
    pub(super) fn fruitless(
        &self,
        unit: Line,
        trouble: &Trouble,
        patience: Duration,
    ) -> Result<(), Halt> {
        let mut tried = self.lock();
        tried.suspended.insert(unit);
        let (since, many) = tried.fruitless.get_or_insert_with(|| (Instant::now(), 0));
        *many += 1;
        if *many < MOST_FRUITLESS || since.elapsed() < patience {
            return Ok(());
        }
        let words = format!(
            "no write has taken effect for {} s; the last one: {}",
            since.elapsed().as_secs(),
            trouble.message
        );
        Err(Halt::Fatal(Fatal::TakesNoWrites, words))
    }

    /// A unit has come to its end.
    pub(super) fn ended(&self, job: &Job) {
        let mut tried = self.lock();
        // Of what an earlier process may have written, or has told, nothing is taken back.
        let landed =
            |write: &Recorded| write.verdict == Some(Verdict::Applied) || write.may_have_landed();
        let is_new = job.done.is_empty() && !job.recorded.iter().any(landed);
        if tried.suspended.contains(&job.unit.number) && is_new {
            tried.ended.push(job.clone());
        }
    }

    /// Units that have ended, and whose writes may have failed for the reason for which the run ends.
    pub(super) fn take(&self) -> Vec<Job> {
        std::mem::take(&mut self.lock().ended)
    }
}
