//! The limits of a target that hold for all its processes together: what a process asks for, and what it is told. `http` asks,
//! `ledger` answers, and neither imports the other.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;
use std::{fmt, io};

/// Ends with the answer, or with why there is none.
pub type Granting<'a> = Pin<Box<dyn Future<Output = Result<TurnsGrant, String>> + Send + 'a>>;

/// Calls that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Those that look, or all.
    Find,
    /// Those that write, where they have a limit of their own.
    Write,
}

/// What a process asks for, and what it tells with it.
#[derive(Debug, Clone)]
pub struct TurnsAsk {
    /// Which limit.
    pub lane: Lane,
    /// The local address of the calls; `None`: it is not known, so they count for every address.
    pub from: Option<IpAddr>,
    /// How many calls wait.
    pub wanted: u32,
    /// The first one cannot depart before this time is over.
    pub ahead: Duration,
    /// The calls a second that this process is set to; `None`: no limit.
    pub per_second: Option<f64>,
    /// The gap between two calls at that rate; zero: no limit.
    pub gap: Duration,
    /// The number of orders (rates that a person set) that it has heard of; `None`: it has just begun.
    pub orders: Option<i32>,
    /// A call departs at most this much after its time.
    pub late: Duration,
    /// The most calls in any time of this length, for each address.
    pub quota: Option<(u32, Duration)>,
    /// Calls that were accepted since it asked last.
    pub answered: u32,
    /// Calls that departed more than a second ago and are not completed.
    pub slow: u32,
    /// Calls that were completed since it asked last, more than a second after they departed.
    pub came_late: u32,
    /// Calls that were granted and not made: the number of the grant, and how many.
    pub unused: Vec<(i64, u32)>,
}

/// The answer to [`TurnsAsk`].
#[derive(Debug, Clone)]
pub struct TurnsGrant {
    /// The time of the clock that all go by, in microseconds since 1970, while the answer was made.
    pub now_us: i64,
    /// The turns, or why there are none.
    pub turns: Result<GrantedTurns, NoTurns>,
    /// The lowest rate that a process is set to, which counts; `None`: no limit.
    pub lowest_per_second: Option<f64>,
    /// The number of orders so far, and the rate of the last one.
    pub ordered: (i32, Option<f64>),
}

/// Turns, one `step_us` after the other.
#[derive(Debug, Clone, Copy)]
pub struct GrantedTurns {
    /// How many.
    pub many: u32,
    /// The time of the first, by the clock that all go by.
    pub first_us: i64,
    /// From one to the next, in microseconds.
    pub step_us: f64,
    /// By which they can be given back, where a quota counts.
    pub number: Option<i64>,
}

/// There are no turns now.
#[derive(Debug, Clone)]
pub struct NoTurns {
    /// For how long.
    pub wait: Duration,
    /// What is waited for.
    pub cause: TurnsWait,
    /// In words, where a process has said why.
    pub why: String,
}

/// What turns wait for.
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

/// Calls of a quota that one process has reserved, and when they departed at the latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedCalls {
    /// The process.
    pub owner: u64,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// Milliseconds since boot, suspend included, where that is known.
    pub boot_ms: Option<i64>,
    /// Which boot.
    pub boot_id: String,
    /// How many.
    pub calls: u32,
}

/// Gives out the turns of a target to all its processes, perhaps on several machines: one rate, one quota for each address, and
/// holds that concern all.
pub trait SharedRate: fmt::Debug + Send + Sync {
    /// The next turns. A turn that was granted and is not used is only lost time, so a process may end at any moment.
    fn grant(&self, ask: TurnsAsk) -> Granting<'_>;

    /// The system refuses calls: no process makes any for this time, and all make them more slowly afterwards where
    /// `slows`. `answered`: calls that find and that write, accepted since the last question. Does not wait.
    fn hold_target(&self, wait: Duration, slows: bool, answered: [u32; 2]);

    /// A firewall blocks this address: no process makes calls from it for this time. Does not wait.
    fn hold_address(&self, from: Option<IpAddr>, wait: Duration);

    /// A person sets the rate of all processes that are at work. Does not wait.
    fn order(&self, per_second: f64, gap: Duration);

    /// Turns that will not be used: the number of their grant, and how many. Does not wait.
    fn give_back(&self, unused: &[(i64, u32)]);
}

/// Where all processes on a target reserve calls of its quota, where each has a pace of its own.
pub trait CallReservations: fmt::Debug + Send + Sync {
    /// Lets `change` see everything that is reserved, and puts what it returns in the place of this owner's part. What it
    /// leaves out of the others' is removed. No other process sees anything in between.
    ///
    /// `from`: the local address of these calls. Everything is what was reserved for this address, or for one that is
    /// not known; `None`: it is not known, and what was reserved for any address counts.
    fn change(
        &self,
        from: Option<IpAddr>,
        owner: u64,
        change: &mut dyn FnMut(Vec<ReservedCalls>) -> Vec<ReservedCalls>,
    ) -> io::Result<()>;
}
