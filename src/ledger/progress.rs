//! How far a run is: which command made it, which pass comes next, how its last process ended, and why.

/// A word that the ledger keeps for a value: written with `as_str`, read with `parse`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// The word of the ledger.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Reads the word of the ledger.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Every value there is.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
}

words! {
    /// The command that made a run.
    RunKind {
        /// Looks every customer up; `apply --run` carries it out.
        Plan = "plan",
        /// Carries a file out.
        Apply = "apply",
        /// Writes what differs from a file.
        Reconcile = "reconcile",
        /// Restores what another run changed.
        Undo = "undo",
    }
}

words! {
    /// What the next process that works on the run does.
    Phase {
        /// Nothing: what the run is to do is not on record yet.
        Created = "created",
        /// It looks every line up, and writes nothing.
        Look = "look",
        /// It looks up and writes line by line.
        LookAndWrite = "look_and_write",
        /// It writes what a look found to change, and only where the system is as that look found it.
        Write = "write",
    }
}

words! {
    /// How the last process that worked on a run left it.
    State {
        /// Made; nothing was looked up yet.
        Created = "created",
        /// Looked up and waiting for `apply --run`.
        Planned = "planned",
        /// At work; if no living process works on the run, its process was killed.
        Running = "running",
        /// Every line has come to its end.
        Finished = "finished",
        /// A guard or an outage ended it early; `resume` goes on.
        Stopped = "stopped",
        /// A person or the operating system ended it early; `resume` goes on.
        Interrupted = "interrupted",
    }
}

impl State {
    /// Whether there is something left to do, and `resume` does it.
    pub fn is_unfinished(self) -> bool {
        match self {
            Self::Created | Self::Running | Self::Stopped | Self::Interrupted => true,
            Self::Planned | Self::Finished => false,
        }
    }
}

words! {
    /// Why a run stopped early.
    StopReason {
        /// More lines would change than `--max-changes` allows.
        MaxChanges = "max_changes",
        /// More lines failed than `--max-failures` allows.
        MaxFailures = "max_failures",
        /// Too many lines of a wave were wrong: of the canary or a later one.
        Canary = "canary",
        /// The time of `--until` has come.
        Until = "until",
        /// A person ordered the run to finish the units under way and begin no others.
        Drained = "drained",
        /// The person who saw what would change did not consent.
        NotConfirmed = "not_confirmed",
        /// No customer was found.
        NotFound = "not_found",
        /// More than half of the first writes were refused.
        HalfRefused = "half_refused",
        /// The system stored other values than were written.
        Altered = "altered",
        /// The system cannot be worked with: an outage, credentials, a setting.
        System = "system",
        /// Some writes are in doubt, since the system could not be asked.
        InDoubt = "in_doubt",
        /// The ledger cannot be written.
        Ledger = "ledger",
        /// A fault of this program.
        Bug = "bug",
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How its last process left it.
    pub state: State,
    /// What its next process does.
    pub phase: Phase,
    /// The exit code of the last process that worked on it, once that has ended in order.
    pub exit_code: Option<u8>,
    /// Why it stopped; `None` where it did not.
    pub stopped_by: Option<StopReason>,
    /// The same as `stopped_by`, in words; empty where it did not stop.
    pub why: String,
    /// Milliseconds since 1970, UTC.
    pub started_at_ms: i64,
    /// Milliseconds since 1970, UTC; `None` while it is under way.
    pub finished_at_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_phase_state_and_reason_is_parsed_from_its_text() {
        for kind in RunKind::ALL {
            assert_eq!(RunKind::parse(kind.as_str()), Some(*kind));
        }
        for phase in Phase::ALL {
            assert_eq!(Phase::parse(phase.as_str()), Some(*phase));
        }
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(*state));
        }
        for reason in StopReason::ALL {
            assert_eq!(StopReason::parse(reason.as_str()), Some(*reason));
        }
        assert_eq!(RunKind::parse("resume"), None);
    }
}
