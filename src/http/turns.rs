//! The interface that decides when a call may depart, and from which local address: rate, quota, and holds after a
//! refusal.
//!
//! With [`super::local_turns`] this process paces its own calls, and counts them against a quota that it shares with
//! other processes of this machine. With [`super::shared_turns`] all processes of a target get their turns from one
//! place. Each process's own gate judges what calls show about the system (outages, probes, the breaker).

use crate::moment::Moment;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

use super::breaker::Hold;
use super::call::{CallError, CallErrorKind, CallKind};
use super::trace::Waited;

/// A request for a turn.
#[derive(Debug)]
pub(super) struct Ask<'w> {
    /// The kind of call.
    pub(super) kind: CallKind,
    /// The required local address, by its place in the list.
    pub(super) from: Option<usize>,
    /// The turn is given this long before its time, because the caller has to prepare something before it sends.
    pub(super) lead: Duration,
    /// The latest time of departure; a call that would depart later takes no turn from others.
    pub(super) send_deadline: Option<Moment>,
    /// The durations of the waits are added here if calls are logged.
    pub(super) waited: &'w mut Waited,
}

/// A turn, and what its call must know.
#[derive(Debug)]
pub(super) struct Taken<'t> {
    /// Dropped when the call is completed. If it is dropped before the departure, the turn was not used.
    pub(super) turn: Box<dyn Turn + 't>,
    /// The local address to send from, by its place in the list.
    pub(super) from: usize,
    /// When the call began to wait for the rate alone.
    pub(super) queued_at: Instant,
}

/// Completes when the turn is near, or with an error if the call must not be made.
pub(super) type Taking<'t, 'w> =
    Pin<Box<dyn Future<Output = Result<Taken<'t>, CallError>> + Send + 'w>>;

/// Gives out the turns of a target.
pub(super) trait Turns: fmt::Debug + Send + Sync {
    /// Waits for a turn.
    fn take<'t: 'w, 'w>(&'t self, ask: Ask<'w>) -> Taking<'t, 'w>;

    /// Notes that the system accepted a call of this kind: it sent a final answer, with any content.
    fn accepted(&self, kind: CallKind);

    /// Notes that the system itself answered a call that departed from this address at `departed`, so nothing in
    /// between blocks the address.
    fn reached(&self, from: usize, departed: Instant);

    /// Notes that a firewall refused a call that departed from this address at `departed`, or that the call could not
    /// connect; the address is not used for a while. Returns whether all addresses are blocked now, so that all calls
    /// are concerned.
    fn hold_address(&self, from: usize, departed: Instant, why: Blocked) -> bool;

    /// Notes that calls of this process are held. `scope`: which other processes hold theirs, too.
    fn hold_all(&self, hold: Hold, scope: Scope);

    /// Sets the rate of calls.
    fn set_rate(&self, per_second: f64);

    /// Returns the rate limit of reads (or of all calls together), in calls per second; `None`: no limit.
    fn rate(&self) -> Option<f64>;

    /// Returns the rate that this process is set to, and the lower rate of another process, which applies instead.
    fn lower_rate(&self) -> Option<(Option<f64>, f64)> {
        None
    }
}

/// Why an address cannot be used for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// A firewall refuses calls from this address, no matter which process makes them.
    Firewall,
    /// This machine cannot connect from this address.
    NoConnection,
}

/// What a hold concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The system, and so all processes.
    Target,
    /// The addresses of this process, which a firewall blocks.
    Addresses,
}

/// The right to one call.
pub(super) trait Turn: fmt::Debug + Send {
    /// Returns whether the address was not held since this turn was given.
    fn is_open(&self) -> bool;

    /// Decides whether the call may depart now. If it may, it counts as sent.
    fn depart(&mut self) -> Departs;
}

/// Whether a call may depart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departs {
    /// The call departs, and must be sent immediately.
    Now,
    /// The call must not depart before this time.
    At(Instant),
    /// The turn has passed: the call needs another one.
    Missed,
}

/// Refuses a call after its deadline; `queued`: how long it waited for the rate alone.
pub(super) fn refuse_late(
    send_deadline: Option<Moment>,
    queued: Duration,
) -> Result<(), CallError> {
    if send_deadline.is_none_or(|last| Moment::now() <= last) {
        return Ok(());
    }
    Err(too_late(queued))
}

/// Returns the error for a call that would depart after its deadline; `queued`: how long it would wait for the rate
/// alone.
pub(super) fn too_late(queued: Duration) -> CallError {
    let text = "the values that this write relies on were read too long ago";
    CallError::new(CallErrorKind::Expired(queued), text)
}
