//! How a run ended.

use crate::ledger::{LedgerError, StopReason};
use crate::system::Fatal;

/// How a run ended.
#[derive(Debug)]
pub enum Ending {
    /// Every unit came to its end.
    Finished,
    /// A guard stopped it, for this reason and in these words.
    Stopped(StopReason, String),
    /// The system cannot be worked with, for this reason and in these words.
    Outage(Fatal, String),
    /// The operator stopped it.
    Interrupted,
    /// What happens could not be noted any more.
    Ledger(LedgerError),
    /// A unit ended in a way that is our bug.
    Bug(String),
}
