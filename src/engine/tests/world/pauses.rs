//! How long things take: calls on their way, their answers, commits of the ledger, and a process that is frozen.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// The longest time that a call needs to arrive, in milliseconds.
pub(in crate::engine::tests) const LONGEST_WAY: u64 = 200 + LONGEST_PAUSE;
const LONGEST_PAUSE: u64 = 12_000;

/// The random pauses of a run. Calls of different units arrive, and are answered, in a different order than they were
/// sent; without pauses each answer comes immediately after its call has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine::tests) enum Pauses {
    #[default]
    Never,
    /// Each call, each answer and each commit is a little late.
    Short,
    /// Some take seconds, which is longer than many a run trusts a reading.
    Long,
}

impl Pauses {
    /// Draws the pauses of a run. Half of the runs have none.
    pub(in crate::engine::tests) fn drawn(random: &mut fastrand::Rng) -> Self {
        [Self::Never, Self::Never, Self::Short, Self::Long][random.usize(0..4)]
    }

    /// Returns the pause of a call on its way, or of an answer, in milliseconds.
    pub(in crate::engine::tests) fn of_call(self, random: &mut fastrand::Rng) -> u64 {
        match self {
            Self::Never => 0,
            Self::Short => random.u64(0..400),
            Self::Long => match random.u8(0..8) {
                0 => random.u64(0..LONGEST_PAUSE),
                1..4 => random.u64(0..600),
                _ => 0,
            },
        }
    }

    /// Returns the longest pause of an answer.
    pub(in crate::engine::tests) fn longest_of_call(self) -> Duration {
        Duration::from_millis(match self {
            Self::Never => 0,
            Self::Short => 400,
            Self::Long => LONGEST_PAUSE,
        })
    }

    /// Returns the pause before or after something is recorded, in milliseconds: the disk is slow.
    pub(in crate::engine::tests) fn of_disk(self, random: &mut fastrand::Rng) -> u64 {
        match self {
            Self::Never => 0,
            Self::Short => random.u64(0..20),
            Self::Long => match random.u8(0..8) {
                0 => random.u64(0..2_000),
                _ => 0,
            },
        }
    }

    /// Returns how many times longer the sessions of such a run are.
    pub(in crate::engine::tests) fn stretch(self) -> u64 {
        match self {
            Self::Never => 1,
            Self::Short => 3,
            Self::Long => 8,
        }
    }
}

/// Waits, if there is anything to wait for: a timer of no length also takes a millisecond.
pub(in crate::engine::tests) async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Until when a process is frozen. What it has sent arrives, and it receives the answer later.
#[derive(Debug, Clone, Default)]
pub(in crate::engine::tests) struct Frozen(Arc<Mutex<Option<Instant>>>);

impl Frozen {
    pub(in crate::engine::tests) fn freeze(&self, time: Duration) {
        *self.0.lock().unwrap() = Some(Instant::now() + time);
    }

    pub(in crate::engine::tests) fn is_over(&self) -> bool {
        self.0
            .lock()
            .unwrap()
            .is_none_or(|until| until <= Instant::now())
    }

    pub(in crate::engine::tests) async fn over(&self) {
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
