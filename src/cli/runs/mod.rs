//! `idshift runs`: lists all runs, shows one, forgets lost ones, and prunes old ones.

mod forget;
mod list;
mod overview;
mod prune;
mod rows;
mod show;

pub(super) use overview::Overview;

use super::options::{Console, RunsCommand, RunsOptions};
use crate::run::{CommandError, Exit};

pub(super) fn run(options: &RunsOptions, console: Console) -> Result<Exit, CommandError> {
    match &options.command {
        None => list::run(options, console),
        Some(RunsCommand::Show(show)) => show::run(show, console),
        Some(RunsCommand::Prune(prune)) => prune::run(prune, console),
        Some(RunsCommand::Forget(forget)) => forget::run(forget, console),
    }
}
