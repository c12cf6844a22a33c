//! What may be typed to look at a run in progress and to control it.

use super::SettingsArgs;
use super::candidates::{runs, runs_in_progress};
use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusOptions {
    /// The run: its ID or the beginning of it [default: the newest that is in progress]
    #[arg(add = runs())]
    pub(in crate::cli) run: Option<String>,
    /// Show it again each second until it ends
    #[arg(long)]
    pub(in crate::cli) watch: bool,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ControlOptions {
    /// The run: its ID or the beginning of it [default: the newest that is in progress]
    #[arg(add = runs_in_progress())]
    pub(in crate::cli) run: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RateOptions {
    /// The run [default: the newest that is in progress], and its new rate
    #[arg(required = true, num_args = 1..=2, value_name = "[RUN] CALLS/TIME", add = runs_in_progress())]
    pub(in crate::cli) words: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}
