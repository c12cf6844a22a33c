//! Where the turns of a target come from when several processes call it, perhaps on several machines: one rate, one quota
//! for each address, and holds that concern all. The caller says where that is: a database that they share.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

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

/// The answer.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The time of the clock that all go by, in microseconds, while the answer was made.
    pub now_us: i64,
    /// The turns, or why there are none.
    pub given: Given,
    /// The lowest rate that a process is set to, which counts; `None`: no limit.
    pub lowest_per_second: Option<f64>,
    /// The number of orders so far, and the rate of the last one.
    pub ordered: (i32, Option<f64>),
}

/// What was given.
#[derive(Debug, Clone)]
pub enum Given {
    /// Turns, one `step_us` after the other.
    Turns {
        /// How many.
        many: u32,
        /// The time of the first, by the clock that all go by.
        first_us: i64,
        /// From one to the next, in microseconds.
        step_us: f64,
        /// By which they can be given back, where a quota counts.
        number: Option<i64>,
    },
    /// None for this time.
    NoneFor {
        /// Ask again then.
        wait: Duration,
        /// What is waited for.
        cause: NoTurns,
        /// In words, where a process has said why.
        why: String,
    },
}

/// Why there are no turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTurns {
    /// The next one is too far ahead.
    Rate,
    /// The quota of the address is used up.
    Quota,
    /// All calls are held.
    Target,
    /// The address is held.
    Address,
}

/// Ends with the answer, or with why there is none.
pub type Granting<'a> = Pin<Box<dyn Future<Output = Result<Grant, String>> + Send + 'a>>;

/// Gives out the turns of a target to all its processes.
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
