//! What is noted about a write: the intent before it, the verdict after it.

use crate::domain::{
    AccountId, CustomerId, Line, LocationId, LocationState, Reseller, Status, StoredValue,
};

/// The number of a noted write, in the order of noting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteId(pub(super) i64);

#[cfg(test)]
impl WriteId {
    /// A number that no ledger gave.
    pub(crate) fn numbered(number: i64) -> Self {
        Self(number)
    }
}

/// One write: the value before it, and the value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The customer's account ID.
    Account {
        /// What the system said before; `None`: there was none.
        before: Option<AccountId>,
        /// What is written; `None`: it is removed.
        after: Option<AccountId>,
        /// Whether `after` is the temporary ID of a swap, which no customer may keep.
        temporary: bool,
    },
    /// A location's service ID, profile, or both.
    Location {
        /// Which location.
        location: LocationId,
        /// What the system said before.
        before: LocationState,
        /// What is written.
        after: LocationState,
    },
}

/// A write that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The unit, by its lowest line.
    pub unit: Line,
    /// The line for which it is sent.
    pub line: Line,
    /// The first attempt is 1.
    pub attempt: u32,
    /// The customer that is written to.
    pub customer: CustomerId,
    /// The reseller of the relationship, if the system has resellers.
    pub reseller: Option<Reseller>,
    /// The values before and after.
    pub write: Write,
    /// The correlation ID that the call carries.
    pub correlation: String,
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// What is known about a write that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It took effect.
    Applied,
    /// It certainly did not.
    NotApplied,
    /// Not known yet: read before writing again.
    Unknown,
}

impl Verdict {
    /// The word of the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the word of the ledger.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "applied" => Some(Self::Applied),
            "not_applied" => Some(Self::NotApplied),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// The result of a write; recorded again when a read-back settles an unknown result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteVerdict {
    /// What is known now.
    pub verdict: Verdict,
    /// What the system stored for an applied write, if that differs from what was requested.
    pub effect: Option<StoredValue>,
    /// The status of the answer, where there was one; [`NEVER_SENT`]: nothing left this machine.
    pub http_status: Option<u16>,
}

/// The HTTP status that is recorded for a write that was never sent.
pub const NEVER_SENT: u16 = 0;

/// A noted write with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRecord {
    /// Its number.
    pub id: WriteId,
    /// What was about to be written.
    pub intent: Intent,
    /// `None`: the process died before the answer was noted, so it is in doubt.
    pub verdict: Option<Verdict>,
    /// What the system stored, if that differs from what was requested.
    pub effect: Option<StoredValue>,
    /// The status of the answer, where there was one.
    pub http_status: Option<u16>,
}

impl Write {
    /// Whether both request the same value, and for the same location, whatever was there before.
    pub fn wants_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Account { after, .. }, Self::Account { after: others, .. }) => after == others,
            (
                Self::Location {
                    location, after, ..
                },
                Self::Location {
                    location: others,
                    after: wish,
                    ..
                },
            ) => location == others && after == wish,
            (Self::Account { .. }, Self::Location { .. })
            | (Self::Location { .. }, Self::Account { .. }) => false,
        }
    }

    /// Whether it gives a customer a temporary ID.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Account {
                temporary: true,
                ..
            }
        )
    }
}

/// Whether a write has had no effect and cannot have one later: it was never sent, or was refused.
pub(super) fn certainly_failed(verdict: Option<Verdict>, http_status: Option<u16>) -> bool {
    let is_refusal = matches!(http_status, Some(NEVER_SENT | 400..=407 | 409..=499));
    verdict == Some(Verdict::NotApplied) && is_refusal
}

impl WriteRecord {
    /// Returns the write as it took effect, if it did: with the stored value in place of the requested one.
    pub fn stored(&self) -> Write {
        let mut write = self.intent.write.clone();
        match (&mut write, &self.effect) {
            (Write::Account { after, .. }, Some(StoredValue::Account(stored))) => {
                after.clone_from(stored);
            }
            (Write::Location { after, .. }, Some(StoredValue::Location(stored))) => {
                // A value that was not sent stays as it was; a value that the system does not show counts as it was sent.
                if after.service.is_some() && stored.service.is_some() {
                    after.service.clone_from(&stored.service);
                }
                if after.profile.is_some() {
                    after.profile = stored.profile.or(after.profile);
                }
            }
            (Write::Account { .. } | Write::Location { .. }, _) => {}
        }
        write
    }

    /// The account ID that the customer has after this write, if it took effect; `None`: it is about a location.
    #[expect(clippy::option_option, reason = "an account ID may be removed")]
    pub fn account_stored(&self) -> Option<Option<AccountId>> {
        match self.stored() {
            Write::Account { after, .. } => Some(after),
            Write::Location { .. } => None,
        }
    }

    /// Whether the write may have taken effect, or may still do so, although no reading has shown it. A write that was
    /// never sent, or was certainly refused, cannot. A write without an answer, or with another answer (408 says only
    /// that the server waited too long), may have taken effect after a reading did not find it.
    pub fn may_have_landed(&self) -> bool {
        self.verdict != Some(Verdict::Applied) && !certainly_failed(self.verdict, self.http_status)
    }

    /// Whether the result is unknown.
    pub fn in_doubt(&self) -> bool {
        match self.verdict {
            None | Some(Verdict::Unknown) => true,
            Some(Verdict::Applied | Verdict::NotApplied) => false,
        }
    }
}

/// The calls of one session (one process) of a run so far, and its pace.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Calls {
    /// Searches.
    pub find: u64,
    /// Reads of one customer or location.
    pub read: u64,
    /// Writes.
    pub write: u64,
    /// Calls that were repetitions, of all kinds.
    pub retried: u64,
    /// Answers that asked for less speed.
    pub throttled: u64,
    /// The limit in calls a second; `None`: unlimited. The sum of several sessions has the limit of the last one.
    pub limit_per_s: Option<f64>,
    /// How long calls were made, in milliseconds.
    pub active_ms: u64,
}

impl Calls {
    /// Calls of all kinds.
    pub fn total(&self) -> u64 {
        self.find + self.read + self.write
    }
}

/// A process that works on a run, or has worked on it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastSession {
    /// Milliseconds since 1970, UTC.
    pub started_at_ms: i64,
    /// Its number on its machine.
    pub pid: i64,
    /// The machine.
    pub host: String,
    /// Its epoch, which orders the sessions of all runs on a target.
    pub epoch: u64,
    /// Whether it might write to the system.
    pub writing: bool,
    /// Its calls, as far as they are on record.
    pub calls: Calls,
    /// Whether `calls` is complete, because the process has ended in order. A run in files does not record this: always `true`.
    pub is_whole: bool,
}

/// A process that works on a run with others.
#[derive(Debug, Clone)]
pub struct AtWork {
    /// The machine.
    pub host: String,
    /// Its number there.
    pub pid: i64,
    /// Lines that have ended in it.
    pub lines: u64,
    /// Those of them that have failed or are in doubt.
    pub failed: u64,
    /// The number of the last order that it follows.
    pub followed: u64,
    /// How long ago the process renewed its lease, in milliseconds.
    pub silent_ms: u64,
}

/// How many lines ended with a status, and the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Status and reason.
    pub status: Status,
    /// How many lines.
    pub lines: u64,
    /// The lowest of them.
    pub first_line: Line,
}

impl Counted {
    /// How many lines ended with the status of this name.
    pub fn lines_named(counts: &[Self], name: &str) -> u64 {
        let named = counts.iter().filter(|one| one.status.name() == name);
        named.map(|one| one.lines).sum()
    }
}
