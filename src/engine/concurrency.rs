//! How much is under way at the same time.

use crate::system::System;
use std::time::Duration;

/// If the system and the ledger answer this quickly, [`NUMBER_NEAR`] units keep the system busy; more would only wait
/// in a queue and use memory.
const NEAR: Duration = Duration::from_millis(10);
const NUMBER_NEAR: usize = 128;
/// The maximum before the first good answer: until then, a wrong token or a dead system costs a handful of calls.
const FIRST: usize = 4;

/// How many units, or readings, are under way at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// As many as the present rate and latency need (Little's law), up to the cap.
    Auto {
        /// Never more than this.
        cap: usize,
    },
    /// This many.
    Fixed(usize),
}

impl Concurrency {
    /// Returns how many units may be under way now, each of which makes one call at a time. `lead`: the time that each
    /// needs before its call; `answered`: whether there was a good answer.
    pub(super) fn now(self, system: &System, lead: Duration, answered: bool) -> usize {
        let wanted = self.wanted(system, lead);
        if answered { wanted } else { wanted.min(FIRST) }
    }

    fn wanted(self, system: &System, lead: Duration) -> usize {
        let cap = match self {
            Self::Fixed(number) => return number.max(1),
            Self::Auto { cap } => cap,
        };
        let latency = system.latency();
        match system.rate() {
            None if latency + lead < NEAR => cap.min(NUMBER_NEAR),
            None => cap,
            // Little's law, doubled for the latency's spread.
            Some(rate) => {
                let calls = latency.max(Duration::from_millis(50)).mul_f64(2.0 * rate);
                let calls = usize::try_from(calls.as_secs()).unwrap_or(cap);
                calls.clamp(4.min(cap), cap)
            }
        }
    }
}
