//! Options of `evidence`.

use super::SettingsArgs;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(in crate::cli) struct EvidenceOptions {
    /// The run: its ID or the beginning of it
    #[arg(required_unless_present = "check", conflicts_with = "check")]
    pub(in crate::cli) run: Option<String>,
    /// The archive to write; an existing file is refused
    #[arg(
        long = "output",
        short,
        value_name = "FILE",
        required_unless_present = "check",
        conflicts_with = "check"
    )]
    pub(in crate::cli) output_file: Option<PathBuf>,
    /// Verify this archive; no run folder is needed
    ///
    /// Exit code 3 if the archive was changed. Example: idshift evidence --check run.tar.zst
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) check: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}
