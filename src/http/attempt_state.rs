//! One attempt of a call, in its states: ready, departed, answered.

use super::attempt::Fault;
use super::bearer::Bearer;
use super::call::{CallError, Kind, Reply};
use super::gate::Pass;
use super::turns::Taken;
use reqwest::Url;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An answer as it came.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect leads, without what may hold IDs.
    pub(super) elsewhere: Option<String>,
}

/// What an attempt came to.
pub(super) enum Outcome<T> {
    /// Answered, and understood.
    Final(T),
    /// 401.
    Unauthorized(Reply),
    /// Not processed, and all are held.
    Refused(CallError),
    /// 425: not processed; this call waits.
    TooEarly(CallError),
    /// Nothing was sent; worth trying on.
    NotConnected(CallError),
    /// Sent and certainly not processed, for a reason that says nothing about the system.
    Unprocessed(CallError),
    /// Perhaps processed.
    Unclear(CallError),
    /// Nothing was sent, and trying on does not help.
    Unsendable(CallError),
}

/// One attempt that went out, or tried to.
pub(super) struct Attempt<'a> {
    pub(super) pass: Pass<'a>,
    pub(super) kind: Kind,
    pub(super) tentative: bool,
    pub(super) sent: u32,
    pub(super) departed: Instant,
    pub(super) result: Result<Answer, Fault>,
    /// A refusal that looks like a firewall's, and is about this call alone.
    pub(super) alone: bool,
    pub(super) bearer: Arc<Bearer>,
    /// The local address that it went by, by its place in the list.
    pub(super) from: usize,
}

/// An attempt that has everything it needs, shortly before its turn.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) pass: Pass<'a>,
    pub(super) bearer: Arc<Bearer>,
    /// Whether another token may be taken where this one has come to its end.
    pub(super) renewable: bool,
    /// Held until the answer has come.
    pub(super) taken: Taken<'a>,
}

/// What became of an attempt that was ready.
pub(super) enum Departure<'a> {
    /// It was sent, or tried to.
    Sent(Attempt<'a>),
    /// A hold has begun; nothing was sent.
    Held,
    /// Its turn or its token is gone; nothing was sent.
    Missed(Pass<'a>),
}

/// Where a redirect leads, in words that hold no ID: the scheme, host and port, and what else is different.
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
