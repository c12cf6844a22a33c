//! `idshift undo`: restores what a run changed, except what was changed again since.

use super::options::UndoOptions;
use crate::run::{CommandError, Exit, undo};

pub(super) fn run(options: &UndoOptions) -> Result<Exit, CommandError> {
    undo(options.run.as_deref(), &options.request())
}
