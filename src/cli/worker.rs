//! `idshift worker`: joins runs that other processes have begun.

use super::options::{Console, WorkerOptions};
use crate::run::{CommandError, Exit, worker};

pub(super) fn run(options: &WorkerOptions, console: Console) -> Result<Exit, CommandError> {
    let request = options.settings.request(None, console);
    worker(options.run.as_deref(), &request)
}
