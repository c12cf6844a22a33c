//! Orders that a person gives to a run in progress, from any terminal. Each process on the run reads them several times a second.

/// The current orders to the processes that work on a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Orders {
    /// The number of the last order.
    pub number: u64,
    /// No call is made.
    pub paused: bool,
    /// No unit is begun any more.
    pub draining: bool,
    /// Calls a second; `None`: as the run was begun.
    pub rate_per_s: Option<f64>,
}

/// One order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    /// Make no calls.
    Pause,
    /// Make calls again.
    Unpause,
    /// Make this many calls a second.
    Rate(f64),
    /// Finish what is under way, and begin nothing else.
    Drain,
}
