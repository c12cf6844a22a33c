//! `idshift reconcile`: for every night. Reads everything, checks the guards, and writes only what has drifted.

use super::options::{Console, ReconcileOptions};
use crate::run::{CommandError, Exit, Incremental, Job, reconcile, with_notifications};

pub(super) fn run(options: &ReconcileOptions, console: Console) -> Result<Exit, CommandError> {
    let incremental = Incremental {
        is_on: options.incremental,
        audit: &options.audit,
    };
    let request = options.settings.request(Some(&options.sandbox), console);
    with_notifications(("reconcile", Job::Writes), &request, || {
        reconcile(&options.file, incremental, &request)
    })
}
