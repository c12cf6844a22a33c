//! `idshift resume`: goes on with an interrupted or stopped run.

use super::options::ResumeOptions;
use crate::run::{CommandError, Exit, resume};

pub(super) fn run(options: &ResumeOptions) -> Result<Exit, CommandError> {
    resume(options.run.as_deref(), &options.request())
}
