//! `idshift plan`: looks every customer up and says what would change.

use super::options::PlanOptions;
use crate::run::{CommandError, Exit, plan};

pub(super) fn run(options: &PlanOptions) -> Result<Exit, CommandError> {
    plan(&options.file, options.exit_code, &options.request())
}
