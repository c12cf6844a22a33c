//! The words of the whole program: IDs, wishes, outcomes, problems.
//!
//! A leaf: it imports nothing of ours, does no I/O and knows no clock. A word means the same thing here,
//! in messages and in the documents.

mod change;
mod drift;
mod hex;
mod id;
mod net_change;
mod numbers;
mod outcome;
mod problem;
mod respelling;
mod shard;
mod spelling;
mod stored_value;
mod visible;
mod words;

pub use change::{Change, NewAccount, Profile, Reseller};
pub use drift::Drift;
pub use hex::hex;
pub use id::{
    AccountId, CustomerId, IdError, LocationId, MAX_ID_CHARS, ResellerId, ServiceId, guid,
};
pub use net_change::{NetChange, NetValue};
pub use numbers::{count, counted, duration, form, lines, one_or_many, per_second};
pub use outcome::{Failed, Outcome, Skipped, Status, Transition, Unchanged};
pub use problem::{KEPT_PER_KIND, Problem, ProblemList, Severity};
pub use respelling::is_respelling;
pub use shard::Shard;
pub use spelling::nearest;
pub use stored_value::{LocationState, StoredValue};
pub use visible::visible;
pub use words::words;

/// A line of the input file, counted as an editor counts it: the header is line 1.
///
/// Quoted line breaks make one record span several lines; it is named by its first.
pub type Line = u32;

/// How much of a file was read, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// What was read so far.
    pub done: u64,
    /// The whole file.
    pub whole: u64,
}
