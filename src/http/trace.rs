//! The events of the log of calls: tokens, and what helps to log. Each attempt is logged by [`super::logged_attempt`], what
//! holds calls by [`super::health`] and [`super::gate`].
//!
//! Where there is no subscriber this costs one comparison: nothing is allocated, and no clock is read. Never logged: headers
//! but for the two that are IDs of the request, bodies, and what a server says in words.

use reqwest::Url;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// Whether a subscriber takes calls.
pub(super) fn is_heard() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// Logs something that concerns all calls, not the line for which the present call is made.
macro_rules! event {
    ($level:ident, $($fields:tt)*) => {
        tracing::event!(parent: None::<tracing::span::Id>, tracing::Level::$level, $($fields)*)
    };
}
pub(super) use event;

/// What one attempt waited for before it was sent.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Waited {
    pub(super) hold: Duration,
    pub(super) token: Duration,
    pub(super) quota: Duration,
    pub(super) rate: Duration,
    pub(super) back_off: Duration,
}

/// Adds the time that the future takes, where it is logged.
pub(super) async fn timed<T>(time: &mut Duration, wait: impl Future<Output = T>) -> T {
    if !is_heard() {
        return wait.await;
    }
    let begun = Instant::now();
    let done = wait.await;
    *time += begun.elapsed();
    done
}

/// A request to a token endpoint: its answer or why there is none.
pub(super) fn token_call(url: &Url, begun: Instant, status: Option<u16>, error: Option<&str>) {
    event!(
        DEBUG,
        event = "call",
        kind = "token",
        method = "POST",
        path = url.path(),
        status,
        ms = millis(begun.elapsed()),
        error,
    );
}

/// There is a new token, which was asked for then; the first has the number 1.
pub(super) fn token_renewed(
    source: &'static str,
    number: u64,
    asked_at: Instant,
    life: Option<Duration>,
) {
    event!(
        INFO,
        event = "token_renewed",
        source,
        number,
        ms = millis(asked_at.elapsed()),
        valid_for_ms = life.map(millis)
    );
}

/// There is none.
pub(super) fn token_failed(source: &'static str, asked_at: Instant, reason: &'static str) {
    let ms = millis(asked_at.elapsed());
    event!(WARN, event = "token_failed", source, reason, ms);
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
