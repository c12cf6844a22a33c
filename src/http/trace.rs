//! The events of the log of calls: tokens, and what helps to log. [`super::logged_attempt`] logs each attempt,
//! [`super::health`] and [`super::gate`] log the holds.
//!
//! Without a subscriber this costs one comparison: nothing is allocated, and no clock is read. Never logged: bodies,
//! the texts of a server, and headers other than the two that are IDs of the request.

use crate::moment::Moment;
use reqwest::Url;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// Returns whether a subscriber records calls.
pub(super) fn is_heard() -> bool {
    tracing::enabled!(Level::DEBUG)
}

/// Logs an event that concerns all calls, not only the line of the present call.
macro_rules! event {
    ($level:ident, $($fields:tt)*) => {
        tracing::event!(parent: None::<tracing::span::Id>, tracing::Level::$level, $($fields)*)
    };
}
pub(super) use event;

/// How long one attempt waited for each cause before it was sent.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Waited {
    pub(super) hold: Duration,
    pub(super) token: Duration,
    pub(super) quota: Duration,
    pub(super) rate: Duration,
    pub(super) back_off: Duration,
}

/// Awaits the future, and adds its duration to `time` if calls are logged. The caller keeps the future (`pin!`, or
/// `Box::pin` for a rare wait): taken by value, it would be stored twice in the caller's own future.
pub(super) async fn timed<T>(time: &mut Duration, wait: impl Future<Output = T> + Unpin) -> T {
    let begun = is_heard().then(Instant::now);
    let done = wait.await;
    if let Some(begun) = begun {
        *time += begun.elapsed();
    }
    done
}

/// Logs a request to a token endpoint: the status of its answer, or why there is none.
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

/// Logs a new token that was requested at `asked_at`; the first one has the number 1.
pub(super) fn token_renewed(
    source: &'static str,
    number: u64,
    asked_at: Moment,
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

/// Logs that no token could be obtained.
pub(super) fn token_failed(source: &'static str, asked_at: Moment, reason: &'static str) {
    let ms = millis(asked_at.elapsed());
    event!(WARN, event = "token_failed", source, reason, ms);
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
