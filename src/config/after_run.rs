//! What happens after a run: who is told of it, and which older runs are pruned.

use super::ConfigError;
use super::age::parse_age;
use super::credentials::trusted;
use super::values::Values;
use std::path::PathBuf;
use std::time::Duration;

/// What happens after a run.
#[derive(Debug, Clone, Default)]
pub struct AfterRun {
    /// A program and its arguments.
    pub on_finish: Option<Vec<String>>,
    /// Told of the beginning and the end.
    pub healthcheck_url: Option<String>,
    /// Is sent the summary.
    pub webhook_url: Option<String>,
    /// Where metrics are written.
    pub metrics_file: Option<PathBuf>,
    /// How long runs are kept whole.
    pub keep: Option<Duration>,
    /// Certificates to trust.
    pub ca_cert: Option<PathBuf>,
    /// Unencrypted calls to other machines.
    pub allow_http: bool,
}

impl AfterRun {
    /// What the settings say. What a file of another user says is refused.
    pub fn of(values: &Values) -> Result<Self, ConfigError> {
        let text = |name| {
            let value = values.get(name).filter(|text| !text.is_empty());
            value.map(str::to_owned)
        };
        // Each of them runs, writes or removes something.
        for name in ["on_finish", "metrics_file", "keep"] {
            trusted(values, name)?;
        }
        Ok(Self {
            on_finish: text("on_finish")
                .map(|words| words.split('\n').map(str::to_owned).collect()),
            healthcheck_url: text("healthcheck_url"),
            webhook_url: text("webhook_url"),
            metrics_file: text("metrics_file").map(PathBuf::from),
            keep: values.parsed("keep", parse_age)?,
            ca_cert: text("ca_cert").map(PathBuf::from),
            allow_http: values.truth("allow_http")?,
        })
    }
}
