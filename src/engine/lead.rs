//! How long it takes to record an intent. A write gets ready this long before its slot of the rate, so that it departs
//! in its slot although its intent is recorded as late as possible.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A disk that takes longer than this makes calls late; waiting longer before each would cost more.
const LONGEST: Duration = Duration::from_millis(50);

/// The recent time to record an intent, in microseconds: the longest lately, which fades by a sixteenth each time.
#[derive(Debug, Default)]
pub(super) struct Lead(AtomicU64);

impl Lead {
    pub(super) fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed)).min(LONGEST)
    }

    /// Measures how long the recording takes.
    pub(super) async fn measured<T>(&self, recording: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let recorded = recording.await;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let before = self.0.load(Ordering::Relaxed);
        // Two at the same time may lose one sample, which does not matter.
        self.0
            .store(took.max(before - before / 16), Ordering::Relaxed);
        recorded
    }
}
