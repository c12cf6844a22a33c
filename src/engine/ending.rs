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

impl Ending {
    /// Whether this reason counts instead of an earlier one: units in progress may show that continuing would do harm after
    /// a guard or the operator has stopped the run.
    pub(super) fn outweighs(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Ledger(_), _) => true,
            (_, Self::Ledger(_) | Self::Bug(_) | Self::Outage(Fatal::Unsafe, _)) => false,
            (Self::Outage(Fatal::Unsafe, _) | Self::Bug(_), _)
            | (Self::Outage(..), Self::Stopped(..)) => true,
            (Self::Finished | Self::Stopped(..) | Self::Interrupted | Self::Outage(..), _) => false,
        }
    }
}
