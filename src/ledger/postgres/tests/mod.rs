//! The connections and the schema on a real server.

mod asking;
mod chunks;
mod doubts;
mod filling;
mod import;
mod schema;
#[expect(dead_code, reason = "the tests of the program use the rest of it")]
pub(crate) mod server;
mod shared_run;
mod store;
mod turns;

use super::*;
use crate::ledger::LedgerError;
use server::{ADMIN, Server};
use std::time::Duration;

fn settings(address: &str) -> Settings {
    Settings {
        address: address.parse().unwrap(),
        password: None,
        tls: None,
        give_up_after: Duration::from_secs(20),
    }
}

/// A database of its own on the shared server, and its name; `None`: PostgreSQL is not installed.
fn fresh() -> Option<(&'static Server, String, Postgres)> {
    let server = Server::shared()?;
    let database = server.database();
    let postgres = Postgres::connect(settings(&server.address(ADMIN, &database))).unwrap();
    Some((server, database, postgres))
}

/// What an error says.
fn said<T>(result: Result<T, LedgerError>) -> String {
    match result {
        Ok(_) => panic!("no error"),
        Err(why) => why.to_string(),
    }
}
