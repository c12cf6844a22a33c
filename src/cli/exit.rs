//! Exit codes: what a script, a timer or a tired operator goes by.

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for is so.
    Success = 0,
    /// Finished, but some lines failed: see failures.csv.
    SomeFailed = 1,
    /// Nothing was written: wrong arguments, configuration, input or credentials, or no consent.
    NothingDone = 2,
    /// Differences were found (`verify`, `plan --exit-code`).
    Differences = 3,
    /// Stopped early by a guard or by an outage; `resume` goes on.
    Stopped = 4,
    /// Another run holds this target.
    Busy = 5,
    /// Interrupted by SIGINT; `resume` goes on.
    Interrupted = 130,
    /// Interrupted by SIGTERM; `resume` goes on.
    Terminated = 143,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
