//! Waves: the first units of a run. Every customer of a wave is read back before the next unit is begun.
//!
//! A wave is on record from before its first write until it was found to be right or the run has reported what is
//! wrong. If an earlier process left a wave on record, a separate pass first finds out what became of its writes
//! (`Mode::Resolve`). Then the wave is read back, and only if it is right, its other lines are carried out.

use super::UnitTask;
use super::recheck::Left;
use crate::domain::one_or_many;
use crate::ledger::{LedgerError, LineSet, WriteRecord};

/// Units that are carried out and read back before others are begun.
#[derive(Debug, Clone)]
pub struct Wave {
    /// Its number, from 1; 0: an earlier process began it, with waves of other sizes.
    pub number: u32,
    /// The lines of its units that were open when it was begun.
    pub lines: LineSet,
    /// Whether an earlier process began it and did not read it back.
    pub is_resumed: bool,
}

impl Wave {
    /// Returns whether a unit is part of the wave.
    pub(super) fn has(&self, task: &UnitTask) -> bool {
        task.unit.lines().any(|line| self.lines.contains(line))
    }

    /// Names the wave, and says how many of its lines are wrong.
    pub(super) fn named(&self, of: u32, wrong: u64) -> String {
        let wave = match (self.number, of) {
            (0 | 1, 1) => return "canary".to_owned(),
            (0, _) => "the wave before".to_owned(),
            (number, of) => format!("wave {number} of {}", of.max(number)),
        };
        format!(
            "{wave}, {} wrong",
            one_or_many(wrong, "line is", "lines are")
        )
    }
}

/// The record of the waves of a run.
pub trait WaveLog {
    /// Records that a wave is begun; returns once the record would survive a power cut.
    fn begin(&self, wave: &Wave) -> Result<(), LedgerError>;
    /// Returns what is on record for the lines of a wave.
    fn left(&self, wave: &Wave) -> Result<Vec<Left>, LedgerError>;
    /// Returns the writes of lines without a final outcome that took effect or may have: by line, and for each line in the
    /// order of their recording.
    fn unresolved_writes(&self) -> Result<Vec<WriteRecord>, LedgerError>;
    /// Records that a wave was found to be right.
    fn verified(&self, wave: &Wave) -> Result<(), LedgerError>;
}
