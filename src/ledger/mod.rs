//! Stub.
#![allow(missing_docs)]
mod record;
mod transition;
pub use record::{Calls, Intent, Recorded, Settled, Spot, Verdict, Write, WriteId};
pub use transition::{Judgement, Seen, judge};
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct LedgerError;
#[derive(Clone)]
pub struct Journal;
impl Journal {
    pub async fn intend(&self, _: Intent) -> Result<WriteId, LedgerError> {
        Err(LedgerError)
    }
    pub async fn settle(&self, _: WriteId, _: Settled) -> Result<(), LedgerError> {
        Err(LedgerError)
    }
    pub async fn outcome(&self, _: crate::domain::Outcome) -> Result<(), LedgerError> {
        Err(LedgerError)
    }
    pub async fn flush(&self) -> Result<(), LedgerError> {
        Err(LedgerError)
    }
}
