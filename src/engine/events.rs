//! What the engine tells whoever listens. Nothing depends on a listener: events may be dropped, and counts
//! that must be right are in [`Tally`], not in the stream.

use crate::domain::Status;
use crate::system::Health;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A rare thing that a person would want to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// All calls wait, for this reason, for about this long.
    Waiting {
        /// In words: `429: all calls wait`.
        why: String,
        /// How long, in milliseconds from now; `None`: until a person says so.
        for_ms: Option<u64>,
        /// Whether it is an outage: then, one call finds out whether calls flow again.
        outage: bool,
    },
    /// Calls flow again.
    Flowing,
    /// Customers cannot be found in bulk here; they are searched one by one.
    BulkRefused {
        /// What the system said.
        why: String,
    },
    /// This many attempts to write in a row did not take effect; they are read back and sent again.
    NoEffect {
        /// How many.
        times: u32,
        /// What was in place of the last answer, in words.
        why: String,
    },
    /// A wave of units was carried out and read back.
    WaveVerified {
        /// Its number, from 1.
        wave: usize,
        /// How many waves there are.
        of: usize,
        /// How many lines it had.
        lines: u64,
    },
    /// No new unit is begun; units under way finish.
    Stopping {
        /// Why, in words.
        why: String,
        /// Units under way.
        open: u64,
        /// Whether they no longer wait for anything.
        ends_waits: bool,
    },
}

impl Event {
    /// Whether calls flow, for whoever looks on.
    pub fn of(health: &Health) -> Self {
        match health {
            Health::Flowing => Self::Flowing,
            Health::Held { why, until, outage } => {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                let in_ms = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                Self::Waiting {
                    why: why.clone(),
                    for_ms: left.map(in_ms),
                    outage: *outage,
                }
            }
        }
    }
}

/// Counts of a run, kept with atomics so that a display can read them ten times a second for nothing.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines that the run has to bring to an end.
    pub lines: AtomicU64,
    /// In a plan: account IDs that would be written.
    pub planned_account_writes: AtomicU64,
    /// In a plan: locations that would be written.
    pub planned_location_writes: AtomicU64,
    /// In a plan: e-mails that the system would send because of the writes.
    pub planned_emails: AtomicU64,
    by_status: [AtomicU64; Status::NAMES.len()],
}

impl Tally {
    /// Counts one line that came to its end.
    pub fn count(&self, status: Status) {
        if let Some(at) = Status::NAMES.iter().position(|name| *name == status.name()) {
            self.by_status[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that ended with the status of this name, as in [`Status::NAMES`].
    pub fn of(&self, name: &str) -> u64 {
        Status::NAMES
            .iter()
            .position(|known| *known == name)
            .map_or(0, |at| self.by_status[at].load(Ordering::Relaxed))
    }

    /// Lines that came to an end.
    pub fn done(&self) -> u64 {
        self.by_status
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .sum()
    }
}
