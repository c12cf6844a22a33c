//! What `map` is asked for.

use super::{InputArgs, OutputArgs, PlaceArgs};
use crate::run::Request;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(in crate::cli) struct MapOptions {
    /// The CSV file (.gz and .zst too), or - for standard input
    pub(in crate::cli) file: PathBuf,
    /// Write what the columns mean into this profile of idshift.toml, which is made where it is missing
    ///
    /// What else stands in the file stays as it is. Example: --save plume
    #[arg(long, value_name = "PROFILE")]
    pub(in crate::cli) save: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) reading: InputArgs,
    #[command(flatten)]
    pub(in crate::cli) place: PlaceArgs,
    #[command(flatten)]
    pub(in crate::cli) output: OutputArgs,
}

impl MapOptions {
    pub(in crate::cli) fn request(&self) -> Request {
        Request {
            typed: self.place.typed(),
            reading: self.reading.reading(),
            output: self.output.output(),
            ..Request::default()
        }
    }
}

/// Hides what other commands that read a file have and `map` does not use.
pub(super) fn hide_unused(command: clap::Command) -> clap::Command {
    let unused = ["skip_invalid", "allow_clear", "accept", "carry"];
    let hide = |arg: clap::Arg| arg.hide(true);
    unused
        .into_iter()
        .fold(command, |command, id| command.mut_arg(id, hide))
}
