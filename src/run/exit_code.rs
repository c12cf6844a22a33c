//! Exit codes: what they mean, and how the exit code of a run is decided.
//!
//! 101 is not used: Rust exits with 101 after a panic, and a bug must not look like a result.

use super::outage::outage;
use crate::domain::one_or_many;
use crate::engine::Ending;
use crate::ledger::{State, StopReason};
use crate::system::{Fatal, SystemKind};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything has the requested value.
    Success = 0,
    /// Finished, but some lines failed: see failures.csv.
    SomeFailed = 1,
    /// Nothing was written: wrong arguments, configuration, input or credentials, or no consent.
    NothingDone = 2,
    /// Differences were found (`verify`, `plan --exit-code`).
    Differences = 3,
    /// Stopped early by a guard or by an outage; `resume` continues the run.
    Stopped = 4,
    /// Another run holds this target.
    Busy = 5,
    /// Interrupted by SIGINT; `resume` continues the run.
    Interrupted = 130,
    /// Interrupted by SIGTERM; `resume` continues the run.
    Terminated = 143,
}

impl Exit {
    /// All exit codes.
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::SomeFailed,
        Self::NothingDone,
        Self::Differences,
        Self::Stopped,
        Self::Busy,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the exit code with this number; `None`: there is none.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| *exit as u8 == code)
    }

    /// What it means, and what to do.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success: all requested changes are in place",
            Self::SomeFailed => {
                "some lines failed: look at failures.csv, and apply it to try them again"
            }
            Self::NothingDone => {
                "nothing was written: arguments, configuration, input, consent or credentials"
            }
            Self::Differences => "differences were found (verify, plan --exit-code)",
            Self::Stopped => "stopped by a guard or an outage: idshift resume",
            Self::Busy => "another run holds this target: wait",
            Self::Interrupted | Self::Terminated => "interrupted: idshift resume",
        }
    }
}

/// The codes and their meanings, a line each, for help and manual.
pub(crate) fn table() -> String {
    let line = |exit: Exit| format!("  {:>3}  {}", exit as u8, exit.meaning());
    Exit::ALL.map(line).join("\n")
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The state, exit code and reason with which a process leaves its run.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub(super) state: State,
    pub(super) exit: Exit,
    /// Why the run stopped early; `None`: it did not.
    pub(super) stopped_by: Option<StopReason>,
    /// The same as `stopped_by`, in words.
    pub(super) why: String,
    /// The fatal error of the system, if it stopped the run.
    pub(super) fatal: Option<Fatal>,
}

/// The run at its end: what decides the conclusion, together with the engine's ending.
#[derive(Debug)]
pub(super) struct RunAtEnd {
    /// Lines without a final outcome, except those that wait for a line in doubt.
    pub(super) lost: u64,
    pub(super) in_doubt: u64,
    pub(super) failed: u64,
    /// Lines that would change, if the exit code reports them; otherwise 0.
    pub(super) differences: u64,
    /// Whether the run has sent a write.
    pub(super) wrote: bool,
    /// Whether the run only looks customers up.
    pub(super) only_looks: bool,
    /// The signal that interrupted it.
    pub(super) signal: u8,
    pub(super) system: SystemKind,
}

impl Conclusion {
    pub(super) fn of(ending: Ending, at_end: &RunAtEnd) -> Self {
        match ending {
            Ending::Finished if at_end.lost > 0 => Self::bug(&format!(
                "{} no final outcome",
                one_or_many(at_end.lost, "line has", "lines have")
            )),
            Ending::Finished if at_end.in_doubt > 0 => Self::stopped(
                StopReason::InDoubt,
                "some writes are in doubt, because the system could not be asked".to_owned(),
            ),
            Ending::Finished => Self::finished(at_end),
            // The run is a plan now, which `apply --run` carries out.
            Ending::Stopped(StopReason::NotConfirmed, why) => Self {
                state: State::Planned,
                exit: Exit::NothingDone,
                ..Self::stopped(StopReason::NotConfirmed, why)
            },
            Ending::Stopped(reason, why) => Self::stopped(reason, why),
            Ending::Outage(fatal, why) => Self {
                exit: if is_refusal(fatal) && !at_end.wrote {
                    Exit::NothingDone
                } else {
                    Exit::Stopped
                },
                fatal: Some(fatal),
                ..Self::stopped(StopReason::System, outage(fatal, &why, at_end.system))
            },
            Ending::Interrupted => Self {
                state: State::Interrupted,
                exit: if at_end.signal == 15 {
                    Exit::Terminated
                } else {
                    Exit::Interrupted
                },
                stopped_by: None,
                why: String::new(),
                fatal: None,
            },
            Ending::Ledger(error) => Self::stopped(StopReason::Ledger, error.to_string()),
            Ending::Bug(why) => Self::bug(&why),
        }
    }

    fn finished(at_end: &RunAtEnd) -> Self {
        Self {
            state: if at_end.only_looks {
                State::Planned
            } else {
                State::Finished
            },
            exit: match (at_end.failed, at_end.differences) {
                (0, 0) => Exit::Success,
                (0, _) => Exit::Differences,
                _ => Exit::SomeFailed,
            },
            stopped_by: None,
            why: String::new(),
            fatal: None,
        }
    }

    fn stopped(reason: StopReason, why: String) -> Self {
        Self {
            state: State::Stopped,
            exit: Exit::Stopped,
            stopped_by: Some(reason),
            why,
            fatal: None,
        }
    }

    fn bug(why: &str) -> Self {
        Self::stopped(StopReason::Bug, format!("this is a bug of idshift: {why}"))
    }
}

/// Returns whether the system refuses the whole run: if it has written nothing yet, it exits with `NothingDone`.
const fn is_refusal(fatal: Fatal) -> bool {
    matches!(
        fatal,
        Fatal::TokenRefused
            | Fatal::BulkRefused
            | Fatal::Tls
            | Fatal::WrongAddress
            | Fatal::RefusedAlike
            | Fatal::Setting
    )
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn no_exit_code_equals_the_panic_code() {
        let codes = Exit::ALL.map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 130, 143]);
        assert!(!codes.contains(&101));
    }
}
