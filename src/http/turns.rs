//! The seam behind which it is decided when a call may depart, and from which local address: rate, quota, and what is
//! held of them after a refusal.
//!
//! In [`super::local_turns`] this process paces its own calls, and counts them against a quota that it shares with other
//! processes of this machine. In [`super::shared_turns`] all processes of a target are given their turns in one place.
//! What calls show of the system (outages, probes, the breaker) is judged in every process by its own gate.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

use super::breaker::Hold;
use super::call::{CallError, CallErrorKind, Kind};
use super::trace::Waited;

/// What a turn is asked for.
#[derive(Debug)]
pub(super) struct Ask<'w> {
    /// The kind of call.
    pub(super) kind: Kind,
    /// The local address by its place in the list, where it must be this one.
    pub(super) from: Option<usize>,
    /// The turn is given this long before its time, to a caller that has to prepare something right before it sends.
    pub(super) lead: Duration,
    /// A call that cannot depart until then takes no turn from others.
    pub(super) send_deadline: Option<Instant>,
    /// What the waits took is added here, where it is logged.
    pub(super) waited: &'w mut Waited,
}

/// A turn, with what its call must know.
#[derive(Debug)]
pub(super) struct Taken<'t> {
    /// Dropped when the call is completed; before it departed: not used.
    pub(super) turn: Box<dyn Turn + 't>,
    /// The local address to send from, by its place in the list.
    pub(super) from: usize,
    /// When the rate alone was left to be waited for.
    pub(super) queued_at: Instant,
}

/// Ends when the turn is near, or when no call is to be made any more.
pub(super) type Taking<'t, 'w> =
    Pin<Box<dyn Future<Output = Result<Taken<'t>, CallError>> + Send + 'w>>;

/// Gives out the turns of a target.
pub(super) trait Turns: fmt::Debug + Send + Sync {
    /// Waits for a turn.
    fn take<'t: 'w, 'w>(&'t self, ask: Ask<'w>) -> Taking<'t, 'w>;

    /// A call of this kind was taken by the system: it has its answer, whatever that says.
    fn accepted(&self, kind: Kind);

    /// The system itself answered a call that departed then from this address, so nothing on the way blocks it.
    fn reached(&self, from: usize, departed: Instant);

    /// A firewall refused a call that departed then from this address, or there was no connection: the address is passed
    /// over for a while. Says whether that is true of all addresses, so that it concerns all calls.
    fn hold_address(&self, from: usize, departed: Instant, why: Blocked) -> bool;

    /// Calls of this process are held. `scope`: which other processes hold theirs, too.
    fn hold_all(&self, hold: Hold, scope: Scope);

    /// From now on calls are made at this rate.
    fn set_rate(&self, per_second: f64);

    /// The most calls a second, or the most that look; `None`: there is no limit.
    fn rate(&self) -> Option<f64>;

    /// The rate that this process is set to, and that of another process, where that is lower and so counts.
    fn lower_rate(&self) -> Option<(Option<f64>, f64)> {
        None
    }
}

/// Why an address is of no use for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// A firewall refuses calls from it, whichever process makes them.
    Firewall,
    /// This machine has no connection from it.
    NoConnection,
}

/// What a hold is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The system, so all processes.
    Target,
    /// The addresses of this process, which a firewall blocks.
    Addresses,
}

/// The right to one call.
pub(super) trait Turn: fmt::Debug + Send {
    /// Its address has not been held since.
    fn is_open(&self) -> bool;

    /// Whether the call may depart now. Where it may, it counts as sent.
    fn depart(&mut self) -> Departs;
}

/// Whether a call may depart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departs {
    /// It does, and must be sent immediately.
    Now,
    /// Not before this time.
    At(Instant),
    /// No longer: another turn has to be taken.
    Missed,
}

/// Refuses a call that comes after its deadline; `queued`: how long the rate alone made it wait.
pub(super) fn refuse_late(
    send_deadline: Option<Instant>,
    queued: Duration,
) -> Result<(), CallError> {
    if send_deadline.is_none_or(|last| Instant::now() <= last) {
        return Ok(());
    }
    Err(too_late(queued))
}

/// What becomes of a call that would depart after its deadline; `queued`: how long the rate alone makes it wait.
pub(super) fn too_late(queued: Duration) -> CallError {
    let text = "the values that this write relies on were read too long ago";
    CallError::new(CallErrorKind::Expired(queued), text)
}
