//! What may be typed after `idshift runs`.

use super::SettingsArgs;
use super::candidates::runs;
use crate::config::parse_age;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct RunsOptions {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<RunsCommand>,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowOptions {
    /// The run: its ID or the beginning of it
    #[arg(add = runs())]
    pub(in crate::cli) run: String,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RunsCommand {
    /// Show what is on record about one run
    ///
    /// Example: idshift runs show 20261120-2230
    Show(ShowOptions),
    /// Reduce old runs to a compact record
    ///
    /// Input, results and reports are removed; the record of all renames is kept, so that no later run makes a change
    /// twice. Unfinished runs, plans that were not carried out, and runs that a kept run refers to are never pruned.
    ///
    /// Example: idshift runs prune --older-than 90d --dry-run
    Prune(PruneOptions),
    /// Remove a run folder that is lost from the register
    ///
    /// All runs are registered, in whatever folder they are, so that a change is never made twice. If a registered
    /// folder is gone, chains and swaps are refused.
    ///
    /// Example: idshift runs forget /srv/old/idshift-runs/20261120-223015-k3f9
    Forget(ForgetOptions),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PruneOptions {
    /// Prune runs that ended longer ago than this
    ///
    /// Example: --older-than 90d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub(in crate::cli) older_than: Duration,
    /// Keep this many of the newest runs of each target, whatever their age [default: 0]
    ///
    /// Example: --keep-last 10
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(in crate::cli) keep_last: usize,
    /// Only show what would be pruned
    #[arg(long, short = 'n')]
    pub(in crate::cli) dry_run: bool,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ForgetOptions {
    /// The folder, as the message names it
    #[arg(required_unless_present = "gone")]
    pub(in crate::cli) path: Option<PathBuf>,
    /// All registered folders that are gone
    #[arg(long, conflicts_with = "path")]
    pub(in crate::cli) gone: bool,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}
