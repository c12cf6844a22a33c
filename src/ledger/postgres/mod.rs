//! PostgreSQL as the ledger of several machines.
//!
//! - [`Address`]: where it is
//! - [`Postgres`]: the thread that owns the connections; [`Statement`](statement::Statement): what it is asked
//! - [`Server`](server::Server): examines the server, and decides whether it can keep a ledger
//! - `turns`: one pace and one quota for all processes of a target
//! - `PgChunks`: the ranges of lines of a run that several processes work on
//! - [`Schema`]: whether the tables are there, and how they are made
//! - [`SharedRuns`]: the runs that are kept there, each with its record, and which process works on a run or a target

mod address;
mod chunks;
mod commit;
mod connection;
mod draft;
mod error;
mod explain;
mod input_copy;
mod ledger_rate;
mod orders;
mod overviews;
mod pooler;
mod process_lease;
mod put;
mod questions;
mod records;
mod rows;
mod run_import;
mod runs;
mod schema;
mod server;
mod shared_connection;
mod statement;
mod store;
mod thread;
mod turns;

pub use address::Address;
pub use connection::{ReadPassword, Settings};
pub use error::PostgresError;
#[cfg(test)]
pub(crate) use ledger_rate::LedgerRate;
pub use runs::SharedRuns;
pub use schema::{Schema, creation};
pub use server::Remark;
pub use thread::Postgres;
pub use turns::Presence;

#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
pub(crate) use tests::server as test_server;
