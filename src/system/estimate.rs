//! The numbers that decide how many look-ups changes take. Each system's own module counts them. No connection is needed.

/// The number of lines that are looked up with one call, if the system can do that: half of a batch, because the new
/// IDs are looked up as well.
const LINES_A_CALL: u64 = 50;

/// Changes before their customers are looked up.
#[derive(Debug, Clone, Copy)]
pub struct Changes {
    /// The lines.
    pub lines: u64,
    /// The lines that do not contain the system's own ID of the customer.
    pub searched: u64,
    /// The account IDs that are written.
    pub account_writes: u64,
    /// The locations that are written.
    pub location_writes: u64,
    /// Whether customers are looked up one by one.
    pub singly: bool,
}

/// Changes that a plan has found.
#[derive(Debug, Clone, Copy)]
pub struct PlannedChanges {
    /// The lines that would change something.
    pub lines: u64,
    /// All lines of the file.
    pub all_lines: u64,
    /// The account IDs that are written.
    pub account_writes: u64,
    /// The look-ups that the plan made.
    pub plan: Lookups,
    /// Whether customers are looked up one by one.
    pub singly: bool,
}

/// Calls that look customers up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookups {
    /// Searches and pages of lists.
    pub find: u64,
    /// Reads of one customer.
    pub read: u64,
}

/// Returns how many calls it takes to look up these lines in batches.
pub(super) fn batches(lines: u64) -> u64 {
    lines.div_ceil(LINES_A_CALL)
}
