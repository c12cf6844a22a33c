//! The ledger in PostgreSQL: what its store stands on.
//!
//! - [`Address`]: where it is
//! - [`Postgres`]: the thread that owns the connections; [`Statement`](statement::Statement): what it is asked
//! - [`Server`](server::Server): what can be said about the server, and whether it can keep a ledger
//! - [`CallAsk`], [`CallGrant`]: one pace and one quota for all processes of a target
//! - [`Schema`]: whether the tables are there, and how they are made

mod address;
mod connection;
mod error;
mod explain;
mod pooler;
mod schema;
mod server;
mod statement;
mod thread;
mod turns;

pub use address::Address;
pub use connection::{ReadPassword, Settings};
pub use error::PostgresError;
pub use schema::{Schema, creation};
pub use server::Remark;
pub use thread::Postgres;
pub use turns::{CallAsk, CallGrant, NoCalls, WhyNone};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::server as test_server;
