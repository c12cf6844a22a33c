//! `idshift reconcile`: for every night. Reads everything, checks the guards, and writes only what has drifted.

use super::options::{Console, ReconcileOptions};
use crate::run::{CommandError, Exit, Incremental, reconcile};

pub(super) fn run(options: &ReconcileOptions, console: Console) -> Result<Exit, CommandError> {
    let incremental = Incremental {
        incremental: options.incremental,
        audit: &options.audit,
    };
    let request = options.settings.request(Some(&options.sandbox), console);
    reconcile(&options.file, incremental, &request)
}
