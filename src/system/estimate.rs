//! What decides how many look-ups changes take; each system's own file counts them. No connection is needed.

/// The number of lines that are looked up with one call, if the system can do that: half of a batch, because the new
/// IDs are looked up as well.
const LINES_A_CALL: u64 = 50;

/// Changes of which no customer was looked up yet.
#[derive(Debug, Clone, Copy)]
pub struct Changes {
    /// The lines.
    pub lines: u64,
    /// Those of them that do not name the customer by the system's own ID.
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

/// How many calls it takes to look these lines up together.
pub(super) fn batches(lines: u64) -> u64 {
    lines.div_ceil(LINES_A_CALL)
}
