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

    /// Whether the run was begun after the other one had ended, so that all of its work is newer. A process of the other one
    /// may come later still.
    pub fn is_newer_than(self, other: Self) -> bool {
        self.first() > other.last()
    }

    /// Whether the run was begun or continued after the other one was begun, so that some of its work may be newer. A plan
    /// that was not carried out has done no work.
    pub fn has_worked_since(self, other: Self) -> bool {
        self.writing
            .is_some_and(|(_, last)| other.was_begun_before(last))
    }

    /// Whether the run was begun before this epoch.
    pub fn was_begun_before(self, epoch: u64) -> bool {
        self.first() < epoch
    }

    /// The epoch of the first process that might write, or else the one in which the run was made.
    fn first(self) -> u64 {
        self.writing.map_or(self.created, |(first, _)| first)
    }

    /// The epoch of the last process that might write, or else the one in which the run was made. The run in which it is
    /// highest is the newest.
    pub fn last(self) -> u64 {
        self.writing.map_or(self.created, |(_, last)| last)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Calls;
    use super::*;

    /// The epochs of a run that was made in this epoch and had these processes that might write.
    fn run(created: u64, writing: &[u64]) -> Epochs {
        let session = |epoch: &u64| PastSession {
            started_at_ms: 0,
            pid: 1,
            host: "one".to_owned(),
            epoch: *epoch,
            writing: true,
            calls: Calls::default(),
            is_whole: true,
        };
        let sessions: Vec<PastSession> = writing.iter().map(session).collect();
        Epochs::of(created, &sessions)
    }

    #[test]
    fn run_counts_by_its_processes_that_might_write_and_not_by_its_creation() {
        let (resumed, between, planned) = (run(2, &[2, 5]), run(3, &[3]), run(1, &[6]));
        assert!(planned.is_newer_than(resumed) && planned.has_worked_since(resumed));
        assert!(!resumed.has_worked_since(planned));
        // Each of the two has done something after the other one had begun.
        assert!(resumed.has_worked_since(between) && between.has_worked_since(resumed));
        assert!(!resumed.is_newer_than(between) && !between.is_newer_than(resumed));
        // A plan that waits has done nothing, and all that is done before it is carried out is older.
        let waiting = run(7, &[]);
        assert!(!waiting.has_worked_since(planned) && !planned.has_worked_since(waiting));
        assert_eq!(
            [resumed, between, planned, waiting].map(Epochs::last),
            [5, 3, 6, 7]
        );
    }
}
