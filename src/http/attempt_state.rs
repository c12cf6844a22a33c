//! The states of one attempt of a call: ready, departed, answered.

use super::attempt::Fault;
use super::bearer::Bearer;
use super::call::{CallError, CallKind, Reply};
use super::gate::Admission;
use super::turns::Taken;
use reqwest::Url;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An answer of the server.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) retry_after: Option<Duration>,
    /// The target of a redirect, without the parts that may contain IDs.
    pub(super) elsewhere: Option<String>,
}

/// The result of an attempt.
pub(super) enum Outcome<T> {
    /// Answered, and understood.
    Final(T),
    /// 401.
    Unauthorized(Reply),
    /// Not processed; all calls are held.
    Refused(CallError),
    /// 425: not processed; this call waits.
    TooEarly(CallError),
    /// Nothing was sent; another attempt is worthwhile.
    NotConnected(CallError),
    /// Sent and certainly not processed, for a reason that says nothing about the system.
    Unprocessed(CallError),
    /// The call may have been processed.
    Unclear(CallError),
    /// Nothing was sent, and another attempt does not help.
    Unsendable(CallError),
}

/// One attempt that was sent, or that failed to be sent.
pub(super) struct Attempt<'a> {
    pub(super) admission: Admission<'a>,
    pub(super) kind: CallKind,
    pub(super) tentative: bool,
    pub(super) sent: u32,
    pub(super) departed: Instant,
    pub(super) result: Result<Answer, Fault>,
    /// The refusal looks like one of all calls, but concerns this call only.
    pub(super) alone: bool,
    pub(super) bearer: Arc<Bearer>,
    /// The local address that was used, by its place in the list.
    pub(super) from: usize,
}

/// An attempt that has everything it needs, shortly before its turn.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) admission: Admission<'a>,
    pub(super) bearer: Arc<Bearer>,
    /// Whether another token may be used if this one has expired.
    pub(super) renewable: bool,
    /// Kept until the answer has come.
    pub(super) taken: Taken<'a>,
}

/// What happened to an attempt that was ready.
pub(super) enum Departure<'a> {
    /// The attempt was sent, or failed to be sent.
    Sent(Attempt<'a>),
    /// A hold has begun; nothing was sent.
    Held,
    /// The turn has passed, or the token has expired; nothing was sent.
    Missed(Admission<'a>),
}

/// Describes the target of a redirect without IDs: scheme, host and port, and what else differs.
pub(super) fn destination(from: &Url, location: &str) -> String {
    let Ok(to) = from.join(location) else {
        return "an address that cannot be read".to_owned();
    };
    let origin = |url: &Url| url.origin().ascii_serialization();
    if origin(from) != origin(&to) {
        return origin(&to);
    }
    let bare = |url: &Url| url.path().trim_end_matches('/').to_owned();
    if bare(from) == bare(&to) {
        return "the same path with another slash at its end".to_owned();
    }
    format!("another path at {}", origin(&to))
}
