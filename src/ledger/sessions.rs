//! The processes that have worked on a run.

use super::{AtWork, Calls, Epochs, Ledger, LedgerError, PastSession};

impl Ledger {
    /// All processes, in their order.
    pub fn sessions(&self) -> Result<Vec<PastSession>, LedgerError> {
        self.store().sessions()
    }

    /// The processes that might write to the system, in their order.
    fn writers(&self) -> Result<impl DoubleEndedIterator<Item = PastSession>, LedgerError> {
        let sessions = self.sessions()?.into_iter();
        Ok(sessions.filter(|session| session.writing))
    }

    /// Returns the epochs of the run, which show whether it is newer than another run.
    pub fn epochs(&self) -> Result<Epochs, LedgerError> {
        Ok(Epochs::of(self.header().epoch, &self.sessions()?))
    }

    /// When the last session that might write began, in milliseconds since 1970, by the clock of that time.
    pub fn last_session_at_ms(&self) -> Result<Option<i64>, LedgerError> {
        Ok(self.writers()?.next_back().map(|last| last.started_at_ms))
    }

    /// When the first session that might write began, in milliseconds since 1970; `None`: there was none.
    pub fn first_writer_at_ms(&self) -> Result<Option<i64>, LedgerError> {
        Ok(self.writers()?.map(|session| session.started_at_ms).min())
    }

    /// The calls of all sessions together; the limit is the last session's.
    pub fn calls(&self) -> Result<Calls, LedgerError> {
        Ok(Calls::sum(self.sessions()?.into_iter()))
    }

    /// Whether all calls are on record. If not, a process was killed or is still at work, and there were at least as many calls.
    pub fn has_all_calls(&self) -> Result<bool, LedgerError> {
        Ok(self.sessions()?.iter().all(|session| session.is_whole))
    }

    /// The calls of the sessions that might write, without those of a plan.
    pub fn writers_calls(&self) -> Result<Calls, LedgerError> {
        Ok(Calls::sum(self.writers()?))
    }

    /// Returns the number of gaps between calls, and their total time in milliseconds. A session has one gap less than
    /// calls, and there is none between sessions; sessions of one epoch worked at the same time and count as one. Only
    /// sessions with the present limit are counted, because only they show how it was kept.
    pub fn pace(&self) -> Result<(u64, u64), LedgerError> {
        let sessions = self.sessions()?;
        let limit = sessions.last().and_then(|last| last.calls.limit_per_s);
        let counted = sessions
            .iter()
            .filter(|session| session.calls.total() > 1 && session.calls.limit_per_s == limit);
        let counted: Vec<&PastSession> = counted.collect();
        let together = counted.chunk_by(|one, next| one.epoch == next.epoch);
        Ok(together
            .map(gaps)
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
    }

    /// Returns the gaps and their time, as [`Self::pace`], of the last epoch only, and whether earlier epochs had calls too.
    pub fn last_pace(&self) -> Result<((u64, u64), bool), LedgerError> {
        let sessions = self.sessions()?;
        let last = sessions.last().map(|session| session.epoch);
        let (last, before): (Vec<_>, Vec<_>) = sessions
            .iter()
            .filter(|session| session.calls.total() > 0)
            .partition(|session| Some(session.epoch) == last);
        Ok((gaps(&last), !before.is_empty()))
    }

    /// The processes that work on the run now, where it is kept for several.
    pub fn at_work(&self) -> Result<Vec<AtWork>, LedgerError> {
        self.store().at_work()
    }
}

/// Returns the number of gaps between the calls of sessions that worked at the same time, and their time in milliseconds.
fn gaps(together: &[&PastSession]) -> (u64, u64) {
    let calls: u64 = together.iter().map(|session| session.calls.total()).sum();
    match calls {
        0 | 1 => (0, 0),
        // The recorded time is rounded down to whole milliseconds.
        calls => (calls - 1, span_ms(together) + 1),
    }
}

/// Returns the time from the first call to the last one, in milliseconds, of sessions that worked at the same time.
fn span_ms(together: &[&PastSession]) -> u64 {
    if let [one] = together {
        return one.calls.active_ms;
    }
    let first = together.iter().map(|session| session.started_at_ms).min();
    let end = |session: &&PastSession| {
        session
            .started_at_ms
            .saturating_add_unsigned(session.calls.active_ms)
    };
    let last = together.iter().map(end).max();
    let span = first.zip(last).map_or(0, |(first, last)| last - first);
    u64::try_from(span).unwrap_or(0)
}

impl Calls {
    fn sum(sessions: impl Iterator<Item = PastSession>) -> Self {
        sessions.fold(Self::default(), |sum, PastSession { calls, .. }| Self {
            find: sum.find + calls.find,
            read: sum.read + calls.read,
            write: sum.write + calls.write,
            retried: sum.retried + calls.retried,
            throttled: sum.throttled + calls.throttled,
            limit_per_s: calls.limit_per_s,
            active_ms: sum.active_ms + calls.active_ms,
        })
    }
}
