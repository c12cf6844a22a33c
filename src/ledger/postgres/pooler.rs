//! Detects a pooler between this program and the server that gives each statement another connection to the server.
//!
//! PgBouncer does so in its modes `transaction` and `statement`. Then the settings of a connection (how statements are
//! planned, which schema is meant) hold for some statements and not for others. The server's processes show it: without
//! a pooler, two connections that are open at the same time have one process each, and keep it.

use super::connection::{Connection, Unanswered};
use super::error::PostgresError;
use super::thread::{ANSWER, Connections, Postgres};
use crate::ledger::LedgerError;
use tokio::time::timeout;

/// The order in which two connections ask for their process. A pooler that hands out the connection that was used last gives
/// the second one what the first one had. A pooler that hands out connections in turn does so when one of them asks twice.
const ORDER: [usize; 8] = [0, 1, 1, 0, 0, 1, 0, 1];

impl Postgres {
    /// Whether statements of one connection are carried out by different connections to the server.
    pub(super) fn is_pooled_by_transaction(&self) -> Result<bool, LedgerError> {
        self.run(|connections| async move {
            let (_places, mut pair) = connections.pair().await?;
            let mut known = [None, None];
            for at in ORDER {
                let process = process(&mut pair[at], &connections).await?;
                let is_changed = known[at].as_ref().is_some_and(|own| *own != process);
                if is_changed || known[1 - at].as_ref() == Some(&process) {
                    return Ok(true);
                }
                known[at] = Some(process);
            }
            for one in pair {
                connections.put_back(one);
            }
            Ok(false)
        })
    }
}

async fn process(
    connection: &mut Connection,
    connections: &Connections,
) -> Result<String, PostgresError> {
    let asking = connection.text("SELECT pg_backend_pid()");
    let asked = timeout(ANSWER, asking).await.unwrap_or_else(|_| {
        let why = format!("no answer within {} s", ANSWER.as_secs());
        Err(Unanswered::Lost(why))
    });
    asked.map_err(|unanswered| {
        let (Unanswered::Lost(why) | Unanswered::NotNow(why, _) | Unanswered::Refused(why)) =
            unanswered;
        PostgresError::Unusable {
            at: connections.connector.settings.address.to_string(),
            why,
            passing: true,
        }
    })
}
