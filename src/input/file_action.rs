//! What is done with a file, for error messages.

use std::fmt;

/// What the operating system refuses to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    /// Open the input.
    Open,
    /// Read the input.
    Read,
    /// Divide the input into rows.
    Parse,
    /// Create the copy of the input.
    Create,
    /// Write the copy of the input.
    Write,
}

impl fmt::Display for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Parse => "parse",
            Self::Create => "create",
            Self::Write => "write",
        })
    }
}
