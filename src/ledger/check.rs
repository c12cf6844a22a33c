//! How much of a record is checked when it is opened.

/// How much of a record is checked when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// What a short look at its header, state and counts needs.
    Short,
    /// All of it.
    Whole,
    /// All of it, while the caller begins to read: [`checked`](super::Ledger::checked) waits for the result.
    Beside,
}
