//! The limits of a target that apply to all its processes together: what a process asks, and the answer. `http` asks,
//! `ledger` answers, and neither imports the other.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;
use std::{fmt, io};

/// Completes with the answer, or with the reason why there is none.
pub type Granting<'a> = Pin<Box<dyn Future<Output = Result<TurnsGrant, String>> + Send + 'a>>;

/// A group of calls with a common limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Lookups and other reads; all calls if writes have no limit of their own.
    Find,
    /// Writes, if they have a limit of their own.
    Write,
}

/// What a process asks for, and what it reports.
#[derive(Debug, Clone)]
pub struct TurnsAsk {
    /// The limit.
    pub lane: Lane,
    /// The local address of the calls; `None`: unknown, so they count for every address.
    pub from: Option<IpAddr>,
    /// Number of waiting calls.
    pub wanted: u32,
    /// The first call cannot depart before this time has passed.
    pub ahead: Duration,
    /// The calls per second that this process is set to; `None`: no limit.
    pub per_second: Option<f64>,
    /// The gap between two calls at that rate; zero: no limit.
    pub gap: Duration,
    /// Number of orders (rates set by a user) that the process knows; `None`: it has just begun.
    pub orders: Option<i32>,
    /// A call departs at most this long after its time.
    pub late: Duration,
    /// Maximum number of calls in any time of this length, for each address.
    pub quota: Option<(u32, Duration)>,
    /// Number of calls that were accepted since the last question.
    pub answered: u32,
    /// Number of calls that departed more than a second ago and are not completed.
    pub slow: u32,
    /// Number of calls that were completed since the last question, more than a second after their departure.
    pub came_late: u32,
    /// Calls that were granted and not made: the number of the grant, and how many.
    pub unused: Vec<(i64, u32)>,
}

/// The answer to [`TurnsAsk`].
#[derive(Debug, Clone)]
pub struct TurnsGrant {
    /// The time when the answer was made, in microseconds since 1970 by the clock that all processes use.
    pub now_us: i64,
    /// The turns, or why there are none.
    pub turns: Result<GrantedTurns, NoTurns>,
    /// The lowest rate that any process is set to, which applies to all; `None`: no limit.
    pub lowest_per_second: Option<f64>,
    /// Number of orders so far, and the rate of the last one.
    pub ordered: (i32, Option<f64>),
}

/// A series of turns, `step_us` apart.
#[derive(Debug, Clone, Copy)]
pub struct GrantedTurns {
    /// Number of turns.
    pub many: u32,
    /// The time of the first, in microseconds by the clock that all processes use.
    pub first_us: i64,
    /// The time between two turns, in microseconds.
    pub step_us: f64,
    /// The number of the grant, with which turns can be given back; only with a quota.
    pub number: Option<i64>,
}

/// There are no turns now.
#[derive(Debug, Clone)]
pub struct NoTurns {
    /// How long to wait.
    pub wait: Duration,
    /// The cause of the wait.
    pub cause: TurnsWait,
    /// The reason, if a process has reported one.
    pub why: String,
}

/// The cause of a wait for turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnsWait {
    /// The next one is too far ahead.
    Rate,
    /// The quota of the address is used up.
    Quota,
    /// All calls are held.
    Target,
    /// The address is held.
    Address,
}

/// Calls of a quota that one process has reserved, and the latest time of their departure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedCalls {
    /// The process.
    pub owner: u64,
    /// The time, in milliseconds since 1970.
    pub wall_ms: i64,
    /// The time, in milliseconds since boot, suspend included, if known.
    pub boot_ms: Option<i64>,
    /// Identifies the boot.
    pub boot_id: String,
    /// Number of calls.
    pub calls: u32,
}

/// Gives out the turns of a target to all its processes, also on several machines: one rate, one quota for each
/// address, and common holds.
pub trait SharedRate: fmt::Debug + Send + Sync {
    /// Grants the next turns. A granted turn that is not used costs only time, so a process may end at any moment.
    fn grant(&self, ask: TurnsAsk) -> Granting<'_>;

    /// Reports that the system refuses calls: no process makes a call for this time, and if `slows`, all are slower
    /// afterwards. `answered`: numbers of reads and of writes that were accepted since the last question. Does not
    /// wait.
    fn hold_target(&self, wait: Duration, slows: bool, answered: [u32; 2]);

    /// Reports that a firewall blocks this address: no process makes calls from it for this time. Does not wait.
    fn hold_address(&self, from: Option<IpAddr>, wait: Duration);

    /// Sets the rate of all running processes, as a user requests. Does not wait.
    fn order(&self, per_second: f64, gap: Duration);

    /// Gives back turns that will not be used: the number of their grant, and how many. Does not wait.
    fn give_back(&self, unused: &[(i64, u32)]);
}

/// Where all processes on a target reserve calls of its quota, if each paces its own calls.
pub trait CallReservations: fmt::Debug + Send + Sync {
    /// Passes all reservations to `change`, and stores what it returns: this owner's reservations are replaced, and
    /// those of other owners are removed if `change` omits them. No other process sees an intermediate state.
    ///
    /// `from`: the local address of these calls. `change` gets the reservations for this address and for unknown
    /// addresses; `None`: the address is unknown, and reservations for all addresses count.
    fn change(
        &self,
        from: Option<IpAddr>,
        owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> io::Result<()>;
}
