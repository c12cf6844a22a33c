//! The outcome of a line. Status and reason are one type, so that a pair without a meaning cannot exist.

use super::{AccountId, CustomerId, Line, LocationId, Profile, ServiceId};

/// Why nothing had to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unchanged {
    /// The values were as requested before this run.
    Already,
    /// The line asks for nothing.
    NothingAsked,
}

/// Why a line failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failed {
    /// The line itself cannot be carried out.
    Invalid,
    /// No customer has this account ID, or the customer has no such location.
    NotFound,
    /// Several customers or locations could be meant.
    Ambiguous,
    /// `accountId` and `customerId` are two different customers.
    Mismatch,
    /// The new account ID belongs to another customer.
    Conflict,
    /// The customer is no longer as planned.
    Stale,
    /// It was written, and the system stored another value.
    Altered,
    /// This token may not see the customer.
    Unauthorized,
    /// The system forbids it, or the customer is outside of the fence.
    Forbidden,
    /// The system refuses the value.
    Rejected,
    /// The system did not answer, or a request could not be sent.
    Unavailable,
    /// The system's answer cannot be interpreted.
    BadAnswer,
    /// Another line of the same chain or swap failed.
    Blocked,
}

/// Why a line was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// The run was interrupted.
    Cancelled,
    /// A guard or an outage stopped the run.
    Guard,
    /// An entry of `--suppress` leaves this known drift unchanged until a date.
    Suppressed,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Written; the values are as requested now.
    Changed,
    /// Nothing had to be written.
    Unchanged(Unchanged),
    /// It would be written (plan only).
    WouldChange,
    /// The values are not as requested, for this reason.
    Failed(Failed),
    /// Not begun.
    Skipped(Skipped),
    /// A write has an unknown effect, because no read-back since then has succeeded: `no_answer`.
    InDoubt,
}

impl Status {
    /// Every status there is, for tables of counts and for tests.
    pub const ALL: [Self; 21] = [
        Self::Changed,
        Self::Unchanged(Unchanged::Already),
        Self::Unchanged(Unchanged::NothingAsked),
        Self::WouldChange,
        Self::Failed(Failed::Invalid),
        Self::Failed(Failed::NotFound),
        Self::Failed(Failed::Ambiguous),
        Self::Failed(Failed::Mismatch),
        Self::Failed(Failed::Conflict),
        Self::Failed(Failed::Stale),
        Self::Failed(Failed::Altered),
        Self::Failed(Failed::Unauthorized),
        Self::Failed(Failed::Forbidden),
        Self::Failed(Failed::Rejected),
        Self::Failed(Failed::Unavailable),
        Self::Failed(Failed::BadAnswer),
        Self::Failed(Failed::Blocked),
        Self::Skipped(Skipped::Cancelled),
        Self::Skipped(Skipped::Guard),
        Self::Skipped(Skipped::Suppressed),
        Self::InDoubt,
    ];

    /// The names of the statuses, in the order in which reports list them.
    pub const NAMES: [&'static str; 6] = [
        "changed",
        "unchanged",
        "would_change",
        "failed",
        "skipped",
        "in_doubt",
    ];

    /// The status without its reason, as reports spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged(_) => "unchanged",
            Self::WouldChange => "would_change",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::InDoubt => "in_doubt",
        }
    }

    /// The reason, as reports spell it; empty where the status needs none.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Changed | Self::WouldChange => "",
            Self::Unchanged(Unchanged::Already) => "already",
            Self::Unchanged(Unchanged::NothingAsked) => "nothing_asked",
            Self::Failed(reason) => match reason {
                Failed::Invalid => "invalid",
                Failed::NotFound => "not_found",
                Failed::Ambiguous => "ambiguous",
                Failed::Mismatch => "mismatch",
                Failed::Conflict => "conflict",
                Failed::Stale => "stale",
                Failed::Altered => "altered",
                Failed::Unauthorized => "unauthorized",
                Failed::Forbidden => "forbidden",
                Failed::Rejected => "rejected",
                Failed::Unavailable => "unavailable",
                Failed::BadAnswer => "bad_answer",
                Failed::Blocked => "blocked",
            },
            Self::Skipped(Skipped::Cancelled) => "cancelled",
            Self::Skipped(Skipped::Guard) => "guard",
            Self::Skipped(Skipped::Suppressed) => "suppressed",
            Self::InDoubt => "no_answer",
        }
    }

    /// The status that reports spell this way; `None` for a pair that does not exist.
    pub fn parse(name: &str, reason: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.name() == name && status.reason() == reason)
    }

    /// Whether the values of the line were in place at the end: it put them there, or found them there.
    pub fn is_in_place(self) -> bool {
        matches!(self, Self::Changed | Self::Unchanged(Unchanged::Already))
    }

    /// Whether the line belongs in `failures.csv`: it failed or is unfinished.
    pub fn is_open_or_failed(self) -> bool {
        match self {
            Self::Failed(_)
            | Self::Skipped(Skipped::Cancelled | Skipped::Guard)
            | Self::InDoubt => true,
            // A line that is left unchanged on purpose is no failure.
            Self::Skipped(Skipped::Suppressed)
            | Self::Changed
            | Self::Unchanged(_)
            | Self::WouldChange => false,
        }
    }
}

/// A value before and after the run, as far as both are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition<T> {
    /// The value that the system returned before the first write.
    pub before: Option<T>,
    /// The value now or, in a plan, after the planned write.
    pub after: Option<T>,
}

impl<T> Default for Transition<T> {
    fn default() -> Self {
        Self {
            before: None,
            after: None,
        }
    }
}

impl<T: PartialEq> Transition<T> {
    /// Whether the value after differs from the one before.
    pub fn differs(&self) -> bool {
        self.before != self.after
    }
}

impl<T> Transition<T> {
    /// Returns the transition from the value after to the value before.
    pub fn reversed(self) -> Self {
        Self {
            before: self.after,
            after: self.before,
        }
    }
}

/// The complete outcome of one line: a row of the results consists of it and of the input line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The input line.
    pub line: Line,
    /// Status and reason.
    pub status: Status,
    /// One sentence for a person; empty where there is nothing to add.
    pub message: String,
    /// The customer that was found.
    pub customer: Option<CustomerId>,
    /// The account ID, before and after.
    pub account: Transition<AccountId>,
    /// The location that was meant.
    pub location: Option<LocationId>,
    /// The service ID, before and after.
    pub service: Transition<ServiceId>,
    /// The profile, before and after.
    pub profile: Transition<Profile>,
    /// The status of the last answer that decided the line.
    pub http_status: Option<u16>,
    /// How many writes were sent for the line.
    pub attempts: u32,
    /// The correlation ID of the last write.
    pub correlation: Option<String>,
    /// When it was decided: milliseconds since 1970, UTC.
    pub finished_at_ms: i64,
    /// From the first call of the line to its end, in milliseconds.
    pub duration_ms: u64,
}

impl Outcome {
    /// Returns an outcome with a line and a status, and nothing else.
    pub fn bare(line: Line, status: Status) -> Self {
        Self {
            line,
            status,
            message: String::new(),
            customer: None,
            account: Transition::default(),
            location: None,
            service: Transition::default(),
            profile: Transition::default(),
            http_status: None,
            attempts: 0,
            correlation: None,
            finished_at_ms: 0,
            duration_ms: 0,
        }
    }

    /// Whether the location of the line was changed.
    pub fn has_moved_location(&self) -> bool {
        self.service.differs() || self.profile.differs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_as_it_was_written() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.name(), status.reason()), Some(status));
            assert!(Status::NAMES.contains(&status.name()));
        }
        assert_eq!(Status::parse("failed", "already"), None);
    }
}
