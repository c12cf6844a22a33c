//! `idshift apply`: plans a file and carries it out, or carries out a plan that was looked at before.

use super::options::{ApplyOptions, Console};
use crate::ledger::RunKind;
use crate::run::{
    CommandError, CommandKind, Exit, Request, apply, apply_plan, plan, with_key, with_notifications,
};

pub(super) fn run(options: &ApplyOptions, console: Console) -> Result<Exit, CommandError> {
    let request = Request {
        plan_first: options.plan_first,
        key: options.key.clone(),
        ..options.settings.request(Some(&options.sandbox), console)
    };
    match (&options.file, &options.run) {
        (Some(file), _) if options.dry_run => {
            with_notifications(("plan", CommandKind::Looks), &request, || {
                plan(file, false, &request)
            })
        }
        (Some(file), _) => with_notifications(("apply", CommandKind::Writes), &request, || {
            with_key((file, RunKind::Apply), &request, || apply(file, &request))
        }),
        (None, Some(run)) => with_notifications(("apply", CommandKind::Writes), &request, || {
            apply_plan(run, options.digest.as_deref(), &request)
        }),
        (None, None) => Err(CommandError::usage(
            "give a file, or the plan to carry out with --run ID",
        )),
    }
}
