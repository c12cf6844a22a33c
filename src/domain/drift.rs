//! Why a line of a scheduled run was not as its file has it.

/// Why a line was not as the file has it, compared with the last good reconcile of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drift {
    /// The file did not have the line.
    New,
    /// The file asked for something else.
    Changed,
    /// The same was asked for, and was not carried out.
    NeverApplied,
    /// It was as asked for, and has again the value that it had before a run changed it.
    Reverted,
    /// It was as asked for, and has another value.
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

    /// As reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new in the file",
            Self::Changed => "changed in the file",
            Self::NeverApplied => "never applied",
            Self::Reverted => "reverted",
            Self::ByOthers => "changed by others",
        }
    }

    /// The cause that reports spell this way.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|drift| drift.as_str() == text)
    }
}
