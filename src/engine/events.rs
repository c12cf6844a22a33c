//! What the engine reports to listeners. Nothing depends on a listener: events may be dropped, and counts that must be
//! right are in [`Tally`], not in the stream.

use super::failure_budget::FailureBudget;
use crate::domain::{Line, Outcome, Status};
use crate::ledger::Ended;
use crate::system::Health;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

/// A rare event that a user would want to know about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// All calls wait, for this reason, for about this long.
    Waiting {
        /// In words: `429: all calls wait`.
        why: String,
        /// How long, in milliseconds from now; `None`: until a user ends the pause.
        for_ms: Option<u64>,
        /// Whether it is an outage: then one call probes whether calls can flow again.
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
        /// Why the last attempt had no effect, in words.
        why: String,
    },
    /// A wave of units was carried out and read back.
    WaveVerified {
        /// Its number, from 1.
        wave: u32,
        /// How many waves there are.
        of: u32,
        /// How many lines it had.
        lines: u64,
    },
    /// No new unit is begun; units under way finish.
    Stopping {
        /// Why, as a message.
        why: String,
        /// Units under way.
        open: u64,
        /// Whether units under way no longer wait for anything.
        ends_waits: bool,
    },
}

impl Event {
    /// Makes the event that says whether calls flow.
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

/// Reports to the listeners whether calls flow, while `work` goes on.
pub async fn with_health<T>(
    mut health: watch::Receiver<Health>,
    events: &broadcast::Sender<Event>,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Ok(()) = health.changed() => {
                // Without a listener, sending fails.
                let _ = events.send(Event::of(&health.borrow_and_update()));
            }
        }
    }
}

/// Counts of a run, kept with atomics so that a display can read them ten times a second at no cost.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines for which the run has to produce an outcome.
    pub lines: AtomicU64,
    /// In a plan: account IDs that would be written.
    pub planned_account_writes: AtomicU64,
    /// In a plan: locations that would be written.
    pub planned_location_writes: AtomicU64,
    /// In a plan: e-mails that the system would send because of the writes.
    pub planned_emails: AtomicU64,
    by_status: [StatusCount; Status::ALL.len()],
    /// How many lines may fail.
    pub budget: FailureBudget,
    /// How many of `lines` have ended in other processes.
    pub ended_elsewhere: AtomicU64,
}

/// The lines of one status and reason.
#[derive(Debug, Default)]
struct StatusCount {
    lines: AtomicU64,
    /// The first of these lines in the file, and its message; only kept for statuses of lines that did not succeed.
    first: Mutex<Option<(Line, String)>>,
}

/// Why lines did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Status and reason.
    pub status: Status,
    /// How many lines.
    pub lines: u64,
    /// The first such line in the file, among the lines that have ended.
    pub first_line: Line,
    /// The message of that line.
    pub message: String,
}

impl Tally {
    /// Counts one line that has ended.
    pub fn count(&self, outcome: &Outcome) {
        let Some(at) = Status::ALL
            .iter()
            .position(|status| *status == outcome.status)
        else {
            return;
        };
        let count = &self.by_status[at];
        count.lines.fetch_add(1, Ordering::Relaxed);
        if outcome.status.is_open_or_failed()
            && let Ok(mut first) = count.first.lock()
            && first.as_ref().is_none_or(|(line, _)| outcome.line < *line)
        {
            *first = Some((outcome.line, outcome.message.clone()));
        }
    }

    /// Returns the number of lines that ended with the status of this name, as in [`Status::NAMES`].
    pub fn of(&self, name: &str) -> u64 {
        let counts = Status::ALL.iter().zip(&self.by_status);
        counts
            .filter(|(status, _)| status.name() == name)
            .map(|(_, count)| count.lines.load(Ordering::Relaxed))
            .sum()
    }

    /// Returns why lines did not succeed, the most frequent reason first.
    pub fn reasons(&self) -> Vec<Reason> {
        let counts = Status::ALL.into_iter().zip(&self.by_status);
        let mut reasons: Vec<Reason> = counts
            .filter_map(|(status, count)| {
                let (first_line, message) = count.first.lock().ok()?.clone()?;
                Some(Reason {
                    status,
                    lines: count.lines.load(Ordering::Relaxed),
                    first_line,
                    message,
                })
            })
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.lines));
        reasons
    }

    /// Returns the number of lines that failed or are in doubt.
    pub fn failed(&self) -> u64 {
        self.of("failed") + self.of("in_doubt")
    }

    /// Returns the counts of lines that ended in this process.
    pub fn ended(&self) -> Ended {
        Ended {
            lines: self.done(),
            failed: self.failed(),
        }
    }

    /// Returns the number of lines that ended in this process.
    pub fn done(&self) -> u64 {
        self.by_status
            .iter()
            .map(|count| count.lines.load(Ordering::Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Failed;

    #[test]
    fn reasons_are_sorted_by_frequency_with_first_line_and_message() {
        let tally = Tally::default();
        let end = |line, status, message: &str| {
            let mut outcome = Outcome::bare(line, status);
            message.clone_into(&mut outcome.message);
            tally.count(&outcome);
        };
        end(9, Status::Changed, "");
        end(8, Status::Failed(Failed::NotFound), "the second");
        end(7, Status::Failed(Failed::Ambiguous), "other");
        end(3, Status::Failed(Failed::NotFound), "the first");
        let reasons = tally.reasons();
        let told: Vec<_> = reasons
            .iter()
            .map(|one| {
                (
                    one.status.reason(),
                    one.lines,
                    one.first_line,
                    &one.message[..],
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("not_found", 2, 3, "the first"),
                ("ambiguous", 1, 7, "other")
            ]
        );
        assert_eq!(
            (tally.done(), tally.of("failed"), tally.of("changed")),
            (4, 3, 1)
        );
    }
}
