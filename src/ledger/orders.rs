//! What a person asks of a run in progress, from any terminal: each process that works on it reads it several times a second.

/// What is asked of the processes that work on a run.
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

/// One thing that is asked.
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
