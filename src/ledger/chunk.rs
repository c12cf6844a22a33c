//! A range of lines that one of several processes works on.

use crate::domain::Line;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// A range of lines that was given to a session: the units whose first line is in the range, with all their lines.
#[derive(Debug)]
pub struct Chunk {
    /// The pass to which it belongs.
    pub(super) pass: i16,
    /// Its number in the pass.
    pub(super) number: i32,
    /// The lease number: how often the chunk was given out, this time included. What an earlier holder notes is refused.
    pub(super) lease: i32,
    /// The lines.
    pub(super) lines: RangeInclusive<Line>,
    is_taken: AtomicBool,
    /// Number of units that were handed to the engine and have not ended, plus one until all units are handed over.
    open: AtomicU64,
    /// The thread to wake when all units have ended.
    waiting: OnceLock<Thread>,
}

impl Chunk {
    pub(super) fn new(
        (pass, number): (i16, i32),
        lease: i32,
        lines: RangeInclusive<Line>,
    ) -> Arc<Self> {
        Arc::new(Self {
            pass,
            number,
            lease,
            lines,
            is_taken: AtomicBool::new(false),
            open: AtomicU64::new(1),
            waiting: OnceLock::new(),
        })
    }

    /// Returns a chunk of one unit with this lease number.
    #[cfg(test)]
    pub(crate) fn of_unit(unit: Line, lease: i32) -> Arc<Self> {
        Self::new((1, 0), lease, unit..=unit)
    }

    /// Returns the first line of the chunk and its lease number.
    #[cfg(test)]
    pub(crate) fn unit(&self) -> (Line, i32) {
        (*self.lines.start(), self.lease)
    }

    /// The lines in which its units begin.
    pub fn lines(&self) -> &RangeInclusive<Line> {
        &self.lines
    }

    /// Whether the chunk was given out before: its earlier holder may have noted something of it.
    pub fn had_another_holder(&self) -> bool {
        self.lease > 1
    }

    /// Whether it is known that another session has it now.
    pub fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Acquire)
    }

    pub(super) fn mark_lost(&self) {
        self.is_taken.store(true, Ordering::Release);
    }

    /// Adds this many units; [`Chunk::unit_ended`] reports the end of each.
    pub fn hand_over(&self, units: usize) {
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.open.fetch_add(units, Ordering::Relaxed);
    }

    /// Declares that no further units are handed over; the calling thread is woken when all units have ended.
    pub fn end_hand_over(&self) {
        let _ = self.waiting.set(std::thread::current());
        self.unit_ended();
    }

    /// Reports that a unit has ended: everything about it is noted.
    pub fn unit_ended(&self) {
        let was_last = self.open.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last && let Some(waiting) = self.waiting.get() {
            waiting.unpark();
        }
    }

    /// Whether all of its units have ended.
    pub fn has_ended(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }
}
