//! `idshift reconcile`: for scheduled runs. Reads everything, checks the guards, and writes only differences.

use super::options::{Console, ReconcileOptions};
use crate::ledger::RunKind;
use crate::run::{
    CommandError, CommandKind, Exit, Incremental, Request, reconcile, with_key, with_notifications,
};

pub(super) fn run(options: &ReconcileOptions, console: Console) -> Result<Exit, CommandError> {
    let incremental = Incremental {
        is_on: options.incremental,
        audit: &options.audit,
    };
    let request = Request {
        key: options.key.clone(),
        ..options.settings.request(Some(&options.sandbox), console)
    };
    with_notifications(("reconcile", CommandKind::Writes), &request, || {
        with_key((&options.file, RunKind::Reconcile), &request, || {
            reconcile(&options.file, incremental, &request)
        })
    })
}
