//! Limits the writes in flight at the beginning of a process. The first write is sent alone, and each write that took effect
//! as requested doubles the limit. So a failure or an altered value that is common to all writes shows after a few writes.

use super::Halt;
use crate::domain::Line;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The ramp ends at this limit: from here on only the other limits apply.
const ENOUGH: usize = 1024;

/// How many writes may be in flight.
#[derive(Debug)]
pub(super) struct Ramp {
    turns: Semaphore,
    allowed: AtomicUsize,
    is_over: AtomicBool,
    /// The units that had a permit, by their first lines. They are completed even if the run is being stopped: half of
    /// a swap would leave a customer with a temporary ID.
    begun: Mutex<HashSet<Line>>,
}

impl Ramp {
    pub(super) fn new() -> Self {
        Self {
            turns: Semaphore::new(1),
            allowed: AtomicUsize::new(1),
            is_over: AtomicBool::new(false),
            begun: Mutex::default(),
        }
    }

    /// Waits for the right to send one write of this unit; the right lasts until the returned permit is dropped. If the
    /// run is being stopped meanwhile, a unit that has not begun to write gets `Halt::Stopping`.
    pub(super) async fn permit(&self, unit: Line) -> Result<Option<SemaphorePermit<'_>>, Halt> {
        if self.is_over.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let turn = self.turns.acquire().await;
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        match turn {
            Ok(turn) => {
                begun.insert(unit);
                Ok(Some(turn))
            }
            Err(_) if begun.contains(&unit) => Ok(None),
            Err(_) => Err(Halt::Stopping),
        }
    }

    /// Notes that a write took effect, which doubles the limit.
    pub(super) fn took_effect(&self) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let before = self.allowed.load(Ordering::Relaxed);
        self.allowed.store(before * 2, Ordering::Relaxed);
        self.turns.add_permits(before);
        if before * 2 >= ENOUGH {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the run is being stopped: units that wait for their first permit do not begin to write.
    pub(super) fn stop(&self) {
        if !self.is_over.load(Ordering::Relaxed) {
            self.turns.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn each_effective_write_doubles_the_limit_of_writes_in_flight() {
        let ramp = Ramp::new();
        let most = || {
            let turns: Vec<_> = std::iter::from_fn(|| ramp.permit(2).now_or_never())
                .take(2 * ENOUGH)
                .collect();
            turns.len()
        };
        for allowed in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
            assert_eq!(most(), allowed);
            ramp.took_effect();
        }
        assert_eq!(most(), 2 * ENOUGH);
        ramp.stop();
        assert!(ramp.permit(2).now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_run_that_is_being_stopped_completes_units_and_begins_no_other() {
        let ramp = Ramp::new();
        let first = ramp.permit(2).now_or_never().unwrap().unwrap();
        assert!(ramp.permit(3).now_or_never().is_none());
        ramp.stop();
        drop(first);
        let other = ramp.permit(3).now_or_never();
        assert!(matches!(other, Some(Err(Halt::Stopping))));
        assert!(ramp.permit(2).now_or_never().unwrap().is_ok());
    }
}
