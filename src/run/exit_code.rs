//! Exit codes: what a script, a timer or a tired operator goes by.
//!
//! 101 is not among them: it is Rust's own for a panic, and a bug must not look like an answer.

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
    /// Stopped early by a guard or by an outage; `resume` goes on.
    Stopped = 4,
    /// Another run holds this target.
    Busy = 5,
    /// Interrupted by SIGINT; `resume` goes on.
    Interrupted = 130,
    /// Interrupted by SIGTERM; `resume` goes on.
    Terminated = 143,
}

impl Exit {
    /// All there are.
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

    /// What it means, and what to do.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success: all requested changes are in place",
            Self::SomeFailed => "some lines failed: look at failures.csv, and feed it back",
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

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn no_code_can_be_taken_for_a_panic() {
        let codes = Exit::ALL.map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 130, 143]);
        assert!(!codes.contains(&101));
    }
}
