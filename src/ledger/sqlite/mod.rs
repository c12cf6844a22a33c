//! SQLite, and what belongs to it: the ledger's file, the locks beside it, and the state database.
//!
//! Apart from tests, no file outside of this folder names the library.

mod commit;
mod counts;
mod lock_file;
pub(super) mod moved;
pub(super) mod open;
mod orders;
mod page_check;
mod put;
mod questions;
mod reserved_calls;
mod rows;
mod run_lock;
mod runs;
mod schema;
pub(super) mod seal;
mod state;
mod store;
mod target_lock;
mod unlooked;
mod writes_by_number;

pub use reserved_calls::StateCalls;
pub use runs::LocalRuns;
pub use state::StateDb;

#[cfg(test)]
mod tests;
