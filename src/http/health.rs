//! What the calls report, independent of the receiver: whether calls are held, and the number of calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use super::call::CallKind;
use super::trace::{event, millis};

/// Whether calls are sent or held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Calls are sent.
    Flowing,
    /// All calls wait.
    Held {
        /// The reason, for a person: `429: all calls wait`.
        why: String,
        /// When calls continue, or when the next probe is made; `None`: when a person resumes them.
        until: Option<Instant>,
        /// `true`: it is not known whether calls continue at `until`.
        outage: bool,
    },
}

/// The causes of a hold, the most informative first.
#[derive(Debug, Clone, Copy)]
pub(super) enum WaitCause {
    Person,
    Gate,
    Token,
    Turns,
    Quota,
}

impl WaitCause {
    /// Logs the beginning or the end of a hold. The gate logs its own.
    fn tell(self, before: bool, held: Option<&Held>, now: Instant) {
        let cause = match self {
            Self::Gate => return,
            Self::Person => "pause",
            Self::Token => "token",
            Self::Turns => "turns",
            Self::Quota => "quota",
        };
        match held {
            Some(held) if !before => event!(
                INFO,
                event = "hold_began",
                cause,
                for_ms = held
                    .until
                    .map(|until| millis(until.saturating_duration_since(now)))
            ),
            None if before => event!(INFO, event = "hold_ended", cause),
            Some(_) | None => {}
        }
    }
}

#[derive(Debug, Clone)]
struct Held {
    why: String,
    until: Option<Instant>,
    outage: bool,
}

/// Collects the holds of all causes, and shows the most informative one.
#[derive(Debug)]
pub(super) struct HealthBoard {
    held: Mutex<[Option<Held>; 5]>,
    shown: watch::Sender<Health>,
}

impl HealthBoard {
    pub(super) fn new() -> Self {
        Self {
            held: Mutex::default(),
            shown: watch::Sender::new(Health::Flowing),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Health> {
        self.shown.subscribe()
    }

    /// Notes that all calls wait until `until` and certainly continue then.
    pub(super) fn hold(&self, holder: WaitCause, why: impl Into<String>, until: Instant) {
        let (why, until, outage) = (why.into(), Some(until), false);
        self.set(holder, Some(Held { why, until, outage }));
    }

    /// Notes that all calls wait until `until`, when a probe finds out whether they can continue.
    pub(super) fn hold_in_outage(&self, holder: WaitCause, why: String, until: Instant) {
        let (until, outage) = (Some(until), true);
        self.set(holder, Some(Held { why, until, outage }));
    }

    /// Notes that a person has paused all calls.
    pub(super) fn pause(&self) {
        let held = Held {
            why: "paused".to_owned(),
            until: None,
            outage: true,
        };
        self.set(WaitCause::Person, Some(held));
    }

    pub(super) fn free(&self, holder: WaitCause) {
        self.set(holder, None);
    }

    fn set(&self, holder: WaitCause, state: Option<Held>) {
        let now = Instant::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut held[holder as usize], state);
        holder.tell(before.is_some(), held[holder as usize].as_ref(), now);
        // A hold whose time has passed is less informative: its probe may be under way and wait for another cause, such
        // as a token.
        let all = || held.iter().flatten();
        let telling = all()
            .find(|held| held.until.is_none_or(|until| until > now))
            .or(all().next());
        let health = telling.map_or(Health::Flowing, |held| Health::Held {
            why: held.why.clone(),
            until: held.until,
            outage: held.outage,
        });
        self.shown.send_if_modified(|shown| {
            let differs = *shown != health;
            *shown = health;
            differs
        });
    }
}

/// Number of calls of each kind; a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Searches and listings sent, retries included.
    pub find: u64,
    /// Other reads sent, retries included.
    pub read: u64,
    /// Writes sent.
    pub write: u64,
    /// Attempts after the first, of all kinds.
    pub retried: u64,
    /// Answers that said to wait: 429, 503 with `Retry-After`, a firewall's block.
    pub throttled: u64,
    /// Tokens fetched or read, after the first.
    pub token_renewals: u64,
}

/// The counters behind [`Counters`].
#[derive(Debug)]
pub(super) struct Tally {
    epoch: Instant,
    pub(super) find: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) write: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) throttled: AtomicU64,
    /// Microseconds from `epoch` to the first call, plus one; 0: no call yet.
    first: AtomicU64,
    last: AtomicU64,
    /// Microseconds between calls in which there was nothing to call. `idle_since_last` is added to `idle` at the next
    /// call.
    idle: AtomicU64,
    idle_since_last: AtomicU64,
    /// Smoothed latency in microseconds.
    latency: AtomicU64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            find: AtomicU64::default(),
            read: AtomicU64::default(),
            write: AtomicU64::default(),
            retried: AtomicU64::default(),
            throttled: AtomicU64::default(),
            first: AtomicU64::default(),
            last: AtomicU64::default(),
            idle: AtomicU64::default(),
            idle_since_last: AtomicU64::default(),
            latency: AtomicU64::default(),
        }
    }

    /// Counts a call that departs. The returned [`Flight`] measures the latency when the call is answered.
    pub(super) fn departs(&self, kind: CallKind, retry: bool, now: Instant) -> Flight<'_> {
        let by_kind = match kind {
            CallKind::Find => &self.find,
            CallKind::Read => &self.read,
            CallKind::Write => &self.write,
        };
        by_kind.fetch_add(1, Ordering::Relaxed);
        if retry {
            self.retried.fetch_add(1, Ordering::Relaxed);
        }
        let at = micros(now - self.epoch) + 1;
        if self.first.load(Ordering::Relaxed) == 0 {
            let _ = self
                .first
                .compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.last.fetch_max(at, Ordering::Relaxed);
        if self.idle_since_last.load(Ordering::Relaxed) > 0 {
            let idle = self.idle_since_last.swap(0, Ordering::Relaxed);
            self.idle.fetch_add(idle, Ordering::Relaxed);
        }
        Flight {
            tally: self,
            since: now,
        }
    }

    pub(super) fn latency_ms(&self) -> Option<f64> {
        let micros = self.latency.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds for a display")]
        (micros > 0).then(|| micros as f64 / 1000.0)
    }

    pub(super) fn snapshot(&self, token_renewals: u64) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            find: read(&self.find),
            read: read(&self.read),
            write: read(&self.write),
            retried: read(&self.retried),
            throttled: read(&self.throttled),
            token_renewals,
        }
    }

    pub(super) fn active(&self) -> Duration {
        let first = self.first.load(Ordering::Relaxed);
        let last = self.last.load(Ordering::Relaxed);
        let idle = self.idle.load(Ordering::Relaxed);
        Duration::from_micros(last.saturating_sub(first).saturating_sub(idle))
    }

    /// Notes that there was nothing to call for this long since the last call.
    pub(super) fn was_idle(&self, time: Duration) {
        self.idle_since_last
            .fetch_add(micros(time), Ordering::Relaxed);
    }
}

/// A call under way.
pub(super) struct Flight<'a> {
    tally: &'a Tally,
    since: Instant,
}

impl Flight<'_> {
    /// Adds the time of an answered call to the smoothed latency (over about the last sixteen calls).
    pub(super) fn answered(&self) {
        let took = micros(self.since.elapsed()).max(1);
        let before = self.tally.latency.load(Ordering::Relaxed);
        let after = if before == 0 {
            took
        } else {
            (before * 15 + took) / 16
        };
        // Two updates at the same time may lose one sample, which does not matter.
        self.tally.latency.store(after, Ordering::Relaxed);
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_subtracted_only_between_calls() {
        let tally = Tally::new();
        let at = |seconds| tally.epoch + Duration::from_secs(seconds);
        let call = |seconds| tally.departs(CallKind::Find, false, at(seconds)).answered();
        call(0);
        call(2);
        tally.was_idle(Duration::from_secs(8));
        // This idle time is not counted: no call followed it.
        assert_eq!(tally.active(), Duration::from_secs(2));
        call(11);
        assert_eq!(tally.active(), Duration::from_secs(3));
    }
}
