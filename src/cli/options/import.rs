//! Options of `import`.

use super::SettingsArgs;
use super::candidates::runs;
use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportOptions {
    /// Runs: their IDs or the beginnings of them, their folders, or a folder that holds runs
    #[arg(required = true, value_name = "RUN", add = runs())]
    pub(in crate::cli) runs: Vec<String>,
    /// Show what would be moved, in which order, and what is refused; move nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}
