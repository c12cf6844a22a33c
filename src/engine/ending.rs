//! How a run ended.

use crate::ledger::{LedgerError, StopReason};
use crate::system::Fatal;

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// Every unit has ended.
    Finished,
    /// A guard stopped the run: the reason, and the message.
    Stopped(StopReason, String),
    /// The system cannot be used: the reason, and the message.
    Outage(Fatal, String),
    /// The operator stopped it.
    Interrupted,
    /// The ledger failed, so nothing more could be recorded.
    Ledger(LedgerError),
    /// A task panicked, which is a bug of idshift.
    Bug(String),
}
