//! A range of lines that one of several processes works on.

use crate::domain::Line;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A range of lines, as it was given to a session: the units whose first line is in it, with all their lines.
#[derive(Debug)]
pub struct Chunk {
    /// The pass to which it belongs.
    pub(super) pass: i16,
    /// Its number in the pass.
    pub(super) number: i32,
    /// How often it was given out, this time included: what is noted for an earlier holder is refused.
    pub(super) lease: i32,
    /// The lines.
    #[cfg_attr(not(test), expect(dead_code, reason = "each run has one process"))]
    pub(super) lines: RangeInclusive<Line>,
    is_taken: AtomicBool,
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
        })
    }

    /// Whether it is known that another session has it now.
    pub fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Acquire)
    }

    pub(super) fn was_taken(&self) {
        self.is_taken.store(true, Ordering::Release);
    }
}
