//! Failures common to all lines that stop the run: more than half of the first writes were refused, or no customer was
//! found. Then the file or the system is not the one that was meant, and the run stops before it has tried every line.
//!
//! Writes in a row that are refused with one status are counted in [`super::write_breaker`].

use crate::domain::{Failed, Line, Outcome, Status};
use crate::ledger::StopReason;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The number of first lines with a write that are counted; if more than half of them are refused, the run stops.
const FIRST_WRITES: u32 = 100;
/// The run stops when no customer was found for this many lines.
const FIRST_LOOKED_FOR: u32 = 200;

/// Lines that have failed before, each with its reason: the same failure again says nothing about the other lines.
pub type KnownFailures = Arc<HashMap<Line, Failed>>;

/// Counts how the first lines end.
#[derive(Debug)]
pub(super) struct CommonFailures {
    /// Whether both questions are answered, so that nothing is counted any more.
    is_settled: AtomicBool,
    known: KnownFailures,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Those of the first lines with a write that have not ended yet.
    open: HashSet<Line>,
    /// How many of the first lines with a write have ended in a way that counts.
    sent: u32,
    refused: u32,
    last_refused: String,
    /// How many lines found no customer; `None`: a customer was found, or need not be.
    missing: Option<u32>,
    /// Why the run stops: the reason, and the message.
    stops: Option<(StopReason, String)>,
}

impl CommonFailures {
    /// `counts`: whether anything stops the run; `must_find`: whether the run stops if no customer is found.
    pub(super) fn new(counts: bool, must_find: bool, known: KnownFailures) -> Self {
        Self {
            is_settled: AtomicBool::new(!counts),
            known,
            counts: Mutex::new(Counts {
                missing: must_find.then_some(0),
                ..Counts::default()
            }),
        }
    }

    /// Notes that a line sends a write.
    pub(super) fn sends(&self, line: Line) {
        if self.is_settled.load(Ordering::Relaxed) {
            return;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.sent as usize + counts.open.len() < FIRST_WRITES as usize {
            counts.open.insert(line);
        }
    }

    /// Notes that a line has ended.
    pub(super) fn ended(&self, outcome: &Outcome) {
        if self.is_settled.load(Ordering::Relaxed) {
            return;
        }
        if let Status::Failed(reason) = outcome.status
            && self.known.get(&outcome.line) == Some(&reason)
        {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.open.remove(&outcome.line);
            return;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.count_write(outcome);
        counts.count_look_up(outcome);
        let is_settled = counts.sent >= FIRST_WRITES && counts.missing.is_none();
        if is_settled && counts.stops.is_none() {
            self.is_settled.store(true, Ordering::Relaxed);
        }
    }

    /// Returns why the run must stop, if it must.
    pub(super) fn stops(&self) -> Option<(StopReason, String)> {
        if self.is_settled.load(Ordering::Relaxed) {
            return None;
        }
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.stops.clone()
    }
}

impl Counts {
    fn count_write(&mut self, outcome: &Outcome) {
        if !self.open.remove(&outcome.line) {
            return;
        }
        let is_refused = match outcome.status {
            Status::Failed(
                Failed::NotFound
                | Failed::Ambiguous
                | Failed::Mismatch
                | Failed::Stale
                | Failed::Invalid
                | Failed::Conflict
                | Failed::Blocked,
            ) => return,
            Status::Failed(_) => true,
            _ => false,
        };
        self.sent += 1;
        self.refused += u32::from(is_refused);
        if is_refused {
            self.last_refused = format!("line {}: {}", outcome.line, outcome.message);
        }
        if self.sent == FIRST_WRITES && self.refused > FIRST_WRITES / 2 {
            self.stop(StopReason::HalfRefused, &format!(
                "of the first {FIRST_WRITES} lines that sent a write, {} were refused or not answered; the last one, {}",
                self.refused, self.last_refused
            ));
        }
    }

    fn count_look_up(&mut self, outcome: &Outcome) {
        let Some(missing) = self.missing else {
            return;
        };
        match outcome.status {
            _ if outcome.customer.is_some() => self.missing = None,
            Status::Failed(Failed::NotFound) => {
                self.missing = Some(missing + 1);
                if missing + 1 >= FIRST_LOOKED_FOR {
                    self.stop(StopReason::NotFound, &format!(
                        "{FIRST_LOOKED_FOR} lines were looked up, and no customer was found: check that the column and \
                         the system are the right ones; for example line {}: {}",
                        outcome.line, outcome.message
                    ));
                }
            }
            Status::Failed(Failed::Ambiguous | Failed::Mismatch | Failed::Conflict) => {
                self.missing = None;
            }
            _ => {}
        }
    }

    fn stop(&mut self, reason: StopReason, words: &str) {
        let words = format!("{words}; --max-failures 100% switches this check off");
        self.stops.get_or_insert((reason, words));
    }
}
