//! What is wrong with the input, said so that a person can mend it.

use super::Line;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The line cannot be carried out.
    Error,
    /// The line can be carried out, but a person should look.
    Warning,
}

impl Severity {
    /// The word of the reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong with one line (or with the whole file: line 1, the header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, as an editor counts.
    pub line: Line,
    /// The column as the file's header spells it; empty where the whole line is meant.
    pub column: String,
    /// The value at fault; empty where there is none.
    pub value: String,
    /// Error or warning.
    pub severity: Severity,
    /// A stable word for scripts, such as `duplicate_target`.
    pub code: &'static str,
    /// What is wrong, one clause in lower case without a full stop.
    pub message: String,
    /// What to do about it, one clause.
    pub help: String,
}
