//! What may be typed after `idshift log`.

use super::SettingsArgs;
use super::candidates::runs;
use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct LogOptions {
    /// The run: its ID or the beginning of it [default: the newest]
    #[arg(add = runs())]
    pub(in crate::cli) run: Option<String>,
    /// The line of the run's file, as an editor counts lines: the header is line 1
    ///
    /// Example: --line 51
    #[arg(long, value_name = "N")]
    pub(in crate::cli) line: Option<u32>,
    #[command(flatten)]
    pub(in crate::cli) settings: SettingsArgs,
}
