//! What a run was asked to do, and how far it is.

/// What a run was asked to do; never changed after the ledger was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Header {
    /// The run's ID, which is its folder's name too.
    pub run: String,
    /// The command that made it: `apply`, `plan`, `undo`, `reconcile`.
    pub command: String,
    /// The system's name: `plume`, `adobe`, `cloudcockpit`.
    pub system: String,
    /// Where the system is; without credentials.
    pub base_url: String,
    /// The tenant, partner or account for which the calls are made; may be empty.
    pub tenant: String,
    /// The key of the target: system, base URL in its normal form, and tenant in one text.
    pub target: String,
    /// The input as the person named it.
    pub input_name: String,
    /// SHA-256 of the stored input, in hex.
    pub input_sha256: String,
    /// Everything else that `resume` needs, as JSON; never a secret.
    pub settings: String,
    /// The run that this one undoes or repeats.
    pub parent: Option<String>,
    /// The version of idshift that made it.
    pub tool_version: String,
    /// Milliseconds since 1970, UTC.
    pub created_at_ms: i64,
    /// Of two runs the one with the higher epoch was made later, whatever the clock says.
    pub epoch: u64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Made; nothing was looked up yet.
    Created,
    /// Looked up and waiting for `apply --run`.
    Planned,
    /// At work; found without a living process, it was killed.
    Running,
    /// Every line has come to its end.
    Finished,
    /// A guard or an outage ended it early; `resume` goes on.
    Stopped,
    /// A person or the operating system ended it early; `resume` goes on.
    Interrupted,
}

impl State {
    /// Every state there is.
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Planned,
        Self::Running,
        Self::Finished,
        Self::Stopped,
        Self::Interrupted,
    ];

    /// The word of the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }

    /// Reads the word of the ledger.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How far a run got.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// The exit code of the last process that worked on it, once that has ended in order.
    pub exit_code: Option<u8>,
    /// Why it stopped, in words; empty where it did not.
    pub why: String,
    /// Milliseconds since 1970, UTC.
    pub started_at_ms: i64,
    /// Milliseconds since 1970, UTC; `None` while it is under way.
    pub finished_at_ms: Option<i64>,
}
