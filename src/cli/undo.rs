//! `idshift undo`: restores what a run changed, except what was changed again since.

use super::options::{Console, RunOptions};
use crate::run::{CommandError, CommandKind, Exit, undo, with_notifications};

pub(super) fn run(options: &RunOptions, console: Console) -> Result<Exit, CommandError> {
    let request = options.settings.request(Some(&options.sandbox), console);
    with_notifications(("undo", CommandKind::Writes), &request, || {
        undo(options.run.as_deref(), &request)
    })
}
