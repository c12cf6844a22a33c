//! The types that the whole program shares: IDs, requested changes, outcomes, problems.
//!
//! A leaf module: it imports no other module of this crate, does no I/O and reads no clock. Each term has the same meaning
//! here, in messages and in the documents.

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
/// A record with quoted line breaks spans several lines; its number is that of its first line.
pub type Line = u32;

/// How much of a file was read, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// What was read so far.
    pub done: u64,
    /// The whole file.
    pub whole: u64,
}
