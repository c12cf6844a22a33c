//! `idshift plan`: looks every customer up and says what would change.

use super::options::{Console, PlanOptions};
use crate::run::{CommandError, CommandKind, Exit, plan, with_notifications};

pub(super) fn run(options: &PlanOptions, console: Console) -> Result<Exit, CommandError> {
    let request = options.settings.request(Some(&options.sandbox), console);
    with_notifications(("plan", CommandKind::Looks), &request, || {
        plan(&options.file, options.exit_code, &request)
    })
}
