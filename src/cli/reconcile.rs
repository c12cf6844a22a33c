//! `idshift reconcile`: for every night. Reads everything, checks the guards, and writes only what has drifted.

use super::options::ReconcileOptions;
use crate::run::{CommandError, Exit, Incremental, reconcile};

pub(super) fn run(options: &ReconcileOptions) -> Result<Exit, CommandError> {
    let incremental = Incremental {
        incremental: options.incremental,
        audit: &options.audit,
    };
    reconcile(&options.file, incremental, &options.request())
}
