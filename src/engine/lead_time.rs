//! Measures how long it takes to record an intent. A write is prepared this long before its slot of the rate, so that
//! it is sent in its slot although its intent is recorded as late as possible.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Maximum lead time. A slower disk makes calls late, but a longer one before each call would cost more.
const LONGEST: Duration = Duration::from_millis(50);
/// Maximum lead time where several processes share the turns: a late call loses its turn, is not sent, and needs another
/// intent.
const LONGEST_OF_PASSING_TURNS: Duration = Duration::from_secs(5);

/// The time that it took lately to record an intent: the longest one, which decreases by a sixteenth with each intent.
/// It at most doubles each time: a delay of seconds while a ledger was away says nothing about the next intents.
#[derive(Debug, Default)]
pub(super) struct LeadTime(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    recent: Duration,
    /// When `recent` last grew. A recording that began before that time does not let it grow again.
    grown: Option<Instant>,
    /// Whether a write missed its turn while its intent was recorded.
    turns_pass: bool,
}

impl LeadTime {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // The value is consistent between any two statements, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Duration {
        let inner = self.inner();
        let longest = if inner.turns_pass {
            LONGEST_OF_PASSING_TURNS
        } else {
            LONGEST
        };
        inner.recent.min(longest)
    }

    /// Notes that a write with this lead time was not sent after its intent was recorded.
    pub(super) fn was_not_sent(&self, lead: Duration) {
        let mut inner = self.inner();
        inner.turns_pass |= inner.recent > lead;
    }

    /// Measures how long the recording takes.
    pub(super) async fn measured<T>(&self, recording: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let recorded = recording.await;
        let (now, mut inner) = (Instant::now(), self.inner());
        let took = now - began;
        if took <= inner.recent {
            inner.recent = took.max(inner.recent * 15 / 16);
        } else if inner.grown.is_none_or(|grown| began >= grown) {
            inner.recent = took.min(2 * inner.recent.max(LONGEST));
            inner.grown = Some(now);
        }
        recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn lead_time_covers_slow_recording_after_a_turn_was_missed() {
        let lead_time = LeadTime::default();
        let slow = Duration::from_millis(300);
        lead_time.measured(sleep(slow)).await;
        assert_eq!(lead_time.get(), LONGEST);
        // The lead time was long enough, so something else delayed the write.
        lead_time.was_not_sent(Duration::from_secs(1));
        assert_eq!(lead_time.get(), LONGEST);
        lead_time.was_not_sent(LONGEST);
        for _ in 0..2 {
            lead_time.measured(sleep(slow)).await;
        }
        assert!(lead_time.get() >= slow, "{:?}", lead_time.get());
        for _ in 0..9 {
            lead_time.measured(sleep(Duration::from_secs(60))).await;
        }
        assert_eq!(lead_time.get(), LONGEST_OF_PASSING_TURNS);
    }

    #[tokio::test(start_paused = true)]
    async fn ledger_outage_does_not_inflate_the_lead_time() {
        let lead_time = LeadTime::default();
        lead_time.measured(sleep(Duration::from_millis(4))).await;
        lead_time.was_not_sent(Duration::ZERO);
        let waits = (0..8).map(|_| lead_time.measured(sleep(Duration::from_secs(6))));
        futures_util::future::join_all(waits).await;
        assert!(lead_time.get() <= 2 * LONGEST, "{:?}", lead_time.get());
    }
}
