//! What happens after a run: notifications, metrics, and the pruning of older runs.

use super::ConfigError;
use super::age::parse_age;
use super::credentials::trusted;
use super::values::Values;
use std::path::PathBuf;
use std::time::Duration;

/// What happens after a run.
#[derive(Debug, Clone, Default)]
pub struct AfterRun {
    /// The program to run, and its arguments.
    pub on_finish: Option<Vec<String>>,
    /// The URL that is called at the beginning and at the end.
    pub healthcheck_url: Option<String>,
    /// The URL that the summary is sent to.
    pub webhook_url: Option<String>,
    /// The file that metrics are written to.
    pub metrics_file: Option<PathBuf>,
    /// The age at which runs are pruned.
    pub keep: Option<Duration>,
    /// Certificates to trust.
    pub ca_cert: Option<PathBuf>,
    /// Whether unencrypted calls to other machines are allowed.
    pub allow_http: bool,
}

impl AfterRun {
    /// Reads these settings. Refuses `on_finish`, `metrics_file` and `keep` from a file that others control.
    pub fn of(values: &Values) -> Result<Self, ConfigError> {
        let text = |name| {
            let value = values.get(name).filter(|text| !text.is_empty());
            value.map(str::to_owned)
        };
        // Each of these runs a program, or writes or removes files.
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
