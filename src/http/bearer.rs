//! A token in use: its lifetime, and whether a call with it was accepted.

use crate::moment::Moment;
use reqwest::header::HeaderValue;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A token is renewed this long before its end, or after half of its life if that is later.
const MARGIN: Duration = Duration::from_secs(30);
/// A token is no longer sent this long before its end, or in the last quarter of its life if that is shorter: the
/// server checks it when the call arrives, by a clock that may count whole seconds.
const ON_THE_WAY: Duration = Duration::from_secs(2);

/// A token in use.
#[derive(Debug)]
pub(super) struct Bearer {
    pub(super) header: HeaderValue,
    /// 1 for the first token of a target; each later one has the next number.
    pub(super) generation: u64,
    life: Option<Life>,
    /// The token was refused and is being renewed: no call sends it any more.
    is_dead: AtomicBool,
    was_accepted: AtomicBool,
    last_accepted: AtomicU64,
}

impl Bearer {
    /// Creates a token. `lasts`: its lifetime from the time of its request, if known.
    pub(super) fn new(
        header: HeaderValue,
        generation: u64,
        asked_at: Moment,
        lasts: Option<Duration>,
    ) -> Self {
        Self {
            header,
            generation,
            life: lasts.map(|lasts| Life {
                born: asked_at,
                lasts,
            }),
            is_dead: AtomicBool::new(false),
            was_accepted: AtomicBool::new(false),
            last_accepted: AtomicU64::new(0),
        }
    }

    /// Returns whether it is time to renew the token.
    pub(super) fn is_due(&self) -> bool {
        self.life.as_ref().is_some_and(Life::is_due)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    pub(super) fn set_dead(&self, is_dead: bool) {
        self.is_dead.store(is_dead, Ordering::Relaxed);
    }

    /// Returns whether the token's life has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.life.as_ref().is_some_and(Life::is_over)
    }

    /// Returns whether the token must no longer be sent.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended() || self.is_dead()
    }

    /// Notes that a call with this token was accepted; it departed this many microseconds after the client was created.
    pub(super) fn accept(&self, departed_us: u64) {
        // All calls share the value, and writing it would evict it from the caches of other cores; so it is read first.
        if !self.was_accepted() {
            self.was_accepted.store(true, Ordering::Relaxed);
        }
        self.last_accepted.fetch_max(departed_us, Ordering::Relaxed);
    }

    /// Returns whether any call with this token was accepted.
    pub(super) fn was_accepted(&self) -> bool {
        self.was_accepted.load(Ordering::Relaxed)
    }

    /// Returns when the latest accepted call departed, in microseconds after the client was created.
    pub(super) fn last_accepted(&self) -> u64 {
        self.last_accepted.load(Ordering::Relaxed)
    }
}

/// The lifetime of a token.
#[derive(Debug)]
struct Life {
    born: Moment,
    lasts: Duration,
}

impl Life {
    fn is_due(&self) -> bool {
        self.born.elapsed() + MARGIN.min(self.lasts / 2) >= self.lasts
    }

    fn is_over(&self) -> bool {
        self.born.elapsed() + ON_THE_WAY.min(self.lasts / 4) >= self.lasts
    }
}
