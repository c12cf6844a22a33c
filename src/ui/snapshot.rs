//! What a progress display knows of a run at one moment. It is drawn by [`super::progress_text`] and
//! [`super::progress_json`].

use crate::engine::Reason;
use std::time::Duration;

/// How far a run is.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// The work in progress: `plan`, `apply`, `verify` …
    pub(super) title: String,
    /// The run's ID.
    pub(super) run: String,
    /// Lines that ended.
    pub(super) done: u64,
    /// The part of `done` that ended in other processes on the run.
    pub(super) elsewhere: u64,
    /// Lines for which this pass over the file has to produce an outcome.
    pub(super) lines: u64,
    /// Lines by status; a status without lines is left out.
    pub(super) counts: Vec<(&'static str, u64)>,
    /// Why lines did not succeed, the most frequent reason first.
    pub(super) reasons: Vec<Reason>,
    /// Calls that were made.
    pub(super) calls: u64,
    /// Calls a second over the last minute in which calls were made.
    pub(super) calls_per_s: Option<f64>,
    /// The maximum number of calls a second; `None`: unlimited.
    pub(super) limit_per_s: Option<f64>,
    /// What all calls wait for.
    pub(super) wait: Option<Wait>,
    /// Whether no further unit is begun.
    pub(super) is_stopping: bool,
    /// When it will end, if that is known.
    pub(super) end: Option<End>,
    /// The time since this pass began.
    pub(super) elapsed: Duration,
}

/// What all calls wait for.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) why: String,
    /// The time until the next call; `None`: until a user ends the pause.
    pub(super) left: Option<Duration>,
    /// Whether the system does not answer, so that it is unknown when calls flow again.
    pub(super) is_outage: bool,
}

/// When the run will end at the present rate.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) left: Duration,
    /// As a local time with its zone.
    pub(super) words: String,
}

impl Snapshot {
    /// Returns the percentage of the lines that have ended.
    pub(super) fn percent(&self) -> u64 {
        (self.done * 100).checked_div(self.lines).unwrap_or(0)
    }
}
