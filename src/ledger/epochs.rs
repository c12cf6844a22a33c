//! Which of two runs is newer.

use super::PastSession;

/// The epochs of a run. Every process that claims a target gets a higher one than all before, in whatever run, so epochs
/// order the work of runs, whatever the clock says. A plan that is carried out later counts by the process that carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    /// The epoch in which the run was made.
    created: u64,
    /// The lowest and the highest epoch of the processes that might write; `None`: there was none.
    writing: Option<(u64, u64)>,
    /// The highest epoch of all its processes.
    highest: u64,
}

impl Epochs {
    /// Builds the epochs of a run from the epoch in which it was made and its processes.
    pub(super) fn of(created: u64, sessions: &[PastSession]) -> Self {
        let all = sessions.iter().map(|session| session.epoch);
        let writers = sessions.iter().filter(|session| session.writing);
        let writers = writers.map(|session| session.epoch);
        Self {
            created,
            writing: writers.clone().min().zip(writers.max()),
            highest: all.fold(created, u64::max),
        }
    }

    /// The highest epoch of all processes of the run, also of those that could not write. A new process needs a higher one.
    pub fn highest(self) -> u64 {
        self.highest
    }

    /// The epoch of the last process that might write, or else the one in which the run was made. The run in which it is
    /// highest is the newest.
    pub fn last(self) -> u64 {
        self.writing.map_or(self.created, |(_, last)| last)
    }
}
