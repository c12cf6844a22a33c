//! What a run was asked to do.

use super::RunKind;
use serde::Deserialize;

/// What a run was asked to do; never changed after the ledger was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The run's ID, which is its folder's name too.
    pub run: String,
    /// The command that made it.
    pub kind: RunKind,
    /// The system's name: `plume`, `adobe`, `cloudcockpit`.
    pub system: String,
    /// Where the system is; without credentials.
    pub base_url: String,
    /// The tenant, partner or account for which the calls are made; may be empty.
    pub tenant: String,
    /// The key of the target: system, base URL in its normal form, and tenant in one text.
    pub target: String,
    /// The name of the input as the user gave it.
    pub input_name: String,
    /// SHA-256 of the stored input, in hex.
    pub input_sha256: String,
    /// How many lines the input has.
    pub lines: u64,
    /// The paths at which the input was found; empty: the input has no path.
    pub origins: Vec<String>,
    /// Everything else that `resume` needs, as JSON; never a secret.
    pub settings: String,
    /// The run that this one undoes or repeats.
    pub parent: Option<String>,
    /// The user of this machine who began it.
    pub user: String,
    /// The machine on which it was begun.
    pub host: String,
    /// The time zone of the process that began it, in which its report shows times: `Europe/Berlin`, or `+01:00`.
    pub zone: String,
    /// The version of idshift that made it.
    pub tool_version: String,
    /// Milliseconds since 1970, UTC.
    pub created_at_ms: i64,
    /// Orders runs by their creation: the run with the higher epoch was made later, whatever the clock says.
    pub epoch: u64,
}

/// The part of [`Header::settings`] that says by which key the run is found.
#[derive(Deserialize)]
struct KeySetting {
    key: Option<String>,
}

impl Header {
    /// The key of the job that the run belongs to; no two runs have the same key.
    pub fn key(&self) -> Option<String> {
        serde_json::from_str::<KeySetting>(&self.settings).ok()?.key
    }
}

#[cfg(test)]
impl Header {
    /// A header for tests.
    pub fn example() -> Self {
        Self {
            run: "20261120-223015-k3f9".to_owned(),
            kind: RunKind::Apply,
            system: "plume".to_owned(),
            base_url: "https://example.net".to_owned(),
            tenant: String::new(),
            target: "plume https://example.net".to_owned(),
            input_name: "moves.csv".to_owned(),
            input_sha256: "00".repeat(32),
            lines: 0,
            origins: Vec::new(),
            settings: "{}".to_owned(),
            parent: None,
            user: "operator".to_owned(),
            host: "crm-host".to_owned(),
            zone: "UTC".to_owned(),
            tool_version: "0.1.0".to_owned(),
            created_at_ms: 1_795_213_815_000,
            epoch: 1,
        }
    }
}
