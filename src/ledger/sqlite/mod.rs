//! SQLite, and what belongs to it: the ledger's file, the locks beside it, and the state database.
//!
//! No other file of the program names it.

pub(super) mod commit_counter;
pub(super) mod lock;
mod reserved_calls;
pub(super) mod schema;
mod state;

pub use lock::TargetLock;
pub use reserved_calls::ReservedCalls;
pub use state::{RegisteredRun, Sameness, StateDb};
