//! Why the system's value of a line differed from the file in a scheduled run.

/// Why the system's value of a line differed from the file, compared with the last good reconcile of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drift {
    /// The earlier file did not have the line.
    New,
    /// The earlier file requested something else.
    Changed,
    /// The earlier file requested the same, but no run carried it out.
    NeverApplied,
    /// The value was as requested, and now is again the one that it had before a run changed it.
    Reverted,
    /// The value was as requested, and now is another one.
    ByOthers,
}

impl Drift {
    /// All causes, in the order in which reports list them.
    pub const ALL: [Self; 5] = [
        Self::New,
        Self::Changed,
        Self::NeverApplied,
        Self::Reverted,
        Self::ByOthers,
    ];

    /// Returns the text that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new in the file",
            Self::Changed => "changed in the file",
            Self::NeverApplied => "never applied",
            Self::Reverted => "reverted",
            Self::ByOthers => "changed by others",
        }
    }

    /// Returns the cause for a text that reports use.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|drift| drift.as_str() == text)
    }
}
