//! How long it takes to record an intent. A write gets ready this long before its slot of the rate, so that it departs
//! in its slot although its intent is recorded as late as possible.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A disk that takes longer than this makes calls late; waiting longer before each would cost more.
const LONGEST: Duration = Duration::from_millis(50);
/// But not where a late call is not sent at all, and needs another intent: turns that several processes share pass.
const LONGEST_OF_PASSING_TURNS: Duration = Duration::from_secs(5);

/// The recent time to record an intent: the longest lately, which fades by a sixteenth each time.
#[derive(Debug, Default)]
pub(super) struct Lead {
    micros: AtomicU64,
    /// A turn has passed while an intent was recorded.
    turns_pass: AtomicBool,
}

impl Lead {
    pub(super) fn get(&self) -> Duration {
        let longest = if self.turns_pass.load(Ordering::Relaxed) {
            LONGEST_OF_PASSING_TURNS
        } else {
            LONGEST
        };
        self.recent().min(longest)
    }

    fn recent(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// A write that had this lead was not sent after its intent was recorded.
    pub(super) fn was_not_sent(&self, lead: Duration) {
        if self.recent() > lead {
            self.turns_pass.store(true, Ordering::Relaxed);
        }
    }

    /// Measures how long the recording takes.
    pub(super) async fn measured<T>(&self, recording: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let recorded = recording.await;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let before = self.micros.load(Ordering::Relaxed);
        // Two at the same time may lose one sample, which does not matter.
        self.micros
            .store(took.max(before - before / 16), Ordering::Relaxed);
        recorded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn a_slow_recording_is_begun_early_enough_where_turns_pass() {
        let lead = Lead::default();
        let slow = Duration::from_millis(300);
        lead.measured(sleep(slow)).await;
        assert_eq!(lead.get(), LONGEST);
        // Something else has held it back.
        lead.was_not_sent(Duration::from_secs(1));
        assert_eq!(lead.get(), LONGEST);
        lead.was_not_sent(LONGEST);
        assert!(lead.get() >= slow, "{:?}", lead.get());
        lead.measured(sleep(Duration::from_secs(60))).await;
        assert_eq!(lead.get(), LONGEST_OF_PASSING_TURNS);
    }
}
