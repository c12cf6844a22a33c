//! Which of two runs is newer.

/// The epochs of a run. Every process that claims a target gets a higher one than all before, in whatever run, so epochs
/// order the work of runs, whatever the clock says. A plan that is carried out later counts by the process that carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    /// The epoch in which the run was made.
    created: u64,
    /// The lowest and the highest epoch of the processes that might write; `None`: there was none.
    writing: Option<(u64, u64)>,
}

impl Epochs {
    /// Builds the epochs of a run from the epoch in which it was made and those of the processes that might write.
    pub(super) fn of(created: u64, writing: impl Iterator<Item = u64>) -> Self {
        let writing = writing.fold(None, |range, epoch| {
            let (first, last) = range.unwrap_or((epoch, epoch));
            Some((first.min(epoch), last.max(epoch)))
        });
        Self { created, writing }
    }

    /// The epoch of the last process that might write, or else the one in which the run was made. The run in which it is
    /// highest is the newest.
    pub fn last(self) -> u64 {
        self.writing.map_or(self.created, |(_, last)| last)
    }
}
