//! The processes that have worked on a run.

use super::{Calls, Ledger, LedgerError};

/// A process that has worked on a run, or does.
#[derive(Debug, Clone)]
pub struct PastSession {
    /// Milliseconds since 1970, UTC.
    pub started_at_ms: i64,
    /// Its number on its machine.
    pub pid: i64,
    /// The machine.
    pub host: String,
    /// Whether it might write to the system.
    pub writing: bool,
    /// Its calls.
    pub calls: Calls,
}

impl Ledger {
    /// All of them, in their order.
    pub fn sessions(&self) -> Result<Vec<PastSession>, LedgerError> {
        let sql = "SELECT started_at_ms, pid, host, writing, find, read, write, retried, throttled, limit_per_s, \
                   active_ms FROM sessions ORDER BY session";
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let sessions = statement.query_map((), |row| {
                let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
                Ok(PastSession {
                    started_at_ms: row.get(0)?,
                    pid: row.get(1)?,
                    host: row.get(2)?,
                    writing: row.get(3)?,
                    calls: Calls {
                        find: number(4)?,
                        read: number(5)?,
                        write: number(6)?,
                        retried: number(7)?,
                        throttled: number(8)?,
                        limit_per_s: row.get(9)?,
                        active_ms: number(10)?,
                    },
                })
            })?;
            sessions.collect()
        })
    }
}
