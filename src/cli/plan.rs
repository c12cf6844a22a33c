//! `idshift plan`: looks every customer up and says what would change.

use super::Exit;
use super::command_error::CommandError;
use super::feed::Known;
use super::options::{GuardArgs, PlanOptions};
use super::prepare::{Wanted, new_run};
use super::session::{Session, Work};
use crate::ledger::LineSet;
use std::sync::Arc;

pub(super) fn run(options: &PlanOptions) -> Result<Exit, CommandError> {
    let guards = GuardArgs {
        max_failures: options.max_failures.clone(),
        max_changes: None,
        canary: None,
        until: None,
        yes: false,
        no_input: false,
    };
    let ready = new_run(&Wanted {
        command: "plan",
        file: &options.file,
        reading: &options.reading,
        target: &options.target,
        inside: &options.inside,
        guards: Some(&guards),
        speech: &options.speech,
        writes: false,
        without_history: options.without_history,
    })?;
    let stand_in = ready.stand_in;
    let session = Session {
        dir: ready.dir,
        ledger: ready.ledger,
        claim: ready.claim,
        draft: Arc::new(ready.draft),
        known: Known::new(Arc::new(ready.history), LineSet::default()),
        resolved: ready.resolved,
        limits: ready.limits,
        work: Work::Plan,
        title: "plan",
        speech: &options.speech,
        quiet_if_unchanged: None,
        differences_count: options.exit_code,
        on_stand_in: stand_in.is_some(),
        may_ask: true,
    };
    session.run()
}
