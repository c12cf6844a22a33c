//! `idshift resume`: goes on with an interrupted or stopped run.

use super::options::{Console, RunOptions};
use crate::run::{CommandError, CommandKind, Exit, resume, with_notifications};

pub(super) fn run(options: &RunOptions, console: Console) -> Result<Exit, CommandError> {
    let request = options.settings.request(Some(&options.sandbox), console);
    with_notifications(("resume", CommandKind::Resumes), &request, || {
        resume(options.run.as_deref(), &request)
    })
}
