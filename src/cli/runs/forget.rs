//! `idshift runs forget`: takes lost run folders out of the register.

use super::super::options::{Console, ForgetOptions};
use crate::ledger::{RegisteredRun, StateDb, absolute};
use crate::run::{CommandError, Exit, KeptRun, document};
use crate::ui;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Takes lost run folders out of the register.
pub(super) fn run(options: &ForgetOptions, console: Console) -> Result<Exit, CommandError> {
    let state = StateDb::open()?;
    let registered = state.runs()?;
    let paths: Vec<PathBuf> = if let Some(path) = &options.path {
        let path = absolute(path);
        let its = registered.iter().find(|run| run.path == path);
        its.map_or(Ok(()), |run| state.refuse_if_at_work(run))?;
        refuse_if_live(&path)?;
        vec![path]
    } else {
        let gone = registered.into_iter().filter(|run| !run.path.exists());
        let free = gone.filter(|run| is_free(&state, run));
        free.map(|run| run.path).collect()
    };
    for path in &paths {
        if !state.forget(path)? {
            return Err(CommandError::usage(format!(
                "{} is not registered",
                ui::visible(&path.display().to_string())
            ))
            .with_help("`idshift runs forget --gone` removes all that are gone"));
        }
        if !console.output.json {
            let path = path.display().to_string();
            ui::out(&format!("forgotten: {}", ui::visible(&path)));
        }
    }
    if console.output.json {
        let paths = paths.iter().map(|path| path.display().to_string());
        let body = json!({"forgotten": paths.collect::<Vec<_>>()});
        ui::out_as_is(&document(Exit::Success, body));
    } else if paths.is_empty() && !console.output.quiet {
        ui::out("no registered folder is gone");
    }
    Ok(Exit::Success)
}

/// Returns whether no process works on a run, and warns otherwise. A run in progress whose folder was moved is missing
/// only at its registered path.
fn is_free(state: &StateDb, run: &RegisteredRun) -> bool {
    let at_work = state.refuse_if_at_work(run).err();
    if let Some(why) = &at_work {
        let path = run.path.display().to_string();
        ui::warning(&format!("{} is kept: {why}", ui::visible(&path)));
    }
    at_work.is_none()
}

/// Refuses a run in progress: it would be registered again only when it ends, and other runs would not know of it until then.
fn refuse_if_live(path: &Path) -> Result<(), CommandError> {
    // A run whose ledger cannot be read is not in progress, so it may be forgotten.
    let Some(Ok(ledger)) = KeptRun::registered(path).map(|run| run.ledger()) else {
        return Ok(());
    };
    Ok(ledger.refuse_if_live()?)
}
