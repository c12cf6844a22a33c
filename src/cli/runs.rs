//! `idshift runs`: lists the runs, the oldest first.

use super::options::{ForgetOptions, RunsCommand, RunsOptions};
use crate::domain::Status;
use crate::ledger::{Ledger, LedgerError, RunDir, StateDb};
use crate::report::{half_done, run_status};
use crate::run::{CommandError, Exit, absolute, catalog, document, try_refresh};
use crate::ui;
use serde_json::json;
use std::path::PathBuf;

pub(super) fn run(options: &RunsOptions) -> Result<Exit, CommandError> {
    if let Some(RunsCommand::Forget(forget)) = &options.command {
        return self::forget(forget);
    }
    let (catalog, runs_dir) = catalog(&options.place.typed())?;
    // The oldest first, so that the newest stands above the prompt.
    let entries = catalog.entries.iter().rev();
    let runs: Vec<RunDir> = entries.map(|entry| entry.dir.clone()).collect();
    let mut documents = Vec::new();
    for dir in &runs {
        let described = describe(dir);
        if !options.output.is_json() {
            ui::out(&line(dir, &described));
        }
        documents.push(described.unwrap_or_else(
            |error| json!({"run": dir.run().as_str(), "error": error.to_string()}),
        ));
    }
    if options.output.is_json() {
        ui::out(&document(Exit::Success, json!({"runs": documents})));
    } else if runs.is_empty() && !options.output.quiet {
        ui::out(&format!("no runs in {}", runs_dir.display()));
    }
    Ok(Exit::Success)
}

/// Takes lost run folders out of the register.
fn forget(options: &ForgetOptions) -> Result<Exit, CommandError> {
    let state = StateDb::open()?;
    let paths: Vec<PathBuf> = if let Some(path) = &options.path {
        vec![absolute(path)]
    } else {
        let registered = state.runs()?.into_iter().map(|run| run.path);
        registered.filter(|path| !path.exists()).collect()
    };
    for path in &paths {
        if !state.forget(path)? {
            return Err(CommandError::usage(format!(
                "{} is not registered",
                ui::visible(&path.display().to_string())
            ))
            .with_help("`idshift runs forget --gone` removes all that are gone"));
        }
        if !options.output.is_json() {
            let path = path.display().to_string();
            ui::out(&format!("forgotten: {}", ui::visible(&path)));
        }
    }
    if options.output.is_json() {
        let paths = paths.iter().map(|path| path.display().to_string());
        let body = json!({"forgotten": paths.collect::<Vec<_>>()});
        ui::out(&document(Exit::Success, body));
    } else if paths.is_empty() && !options.output.quiet {
        ui::out("no registered folder is gone");
    }
    Ok(Exit::Success)
}

fn describe(dir: &RunDir) -> Result<serde_json::Value, LedgerError> {
    let ledger = Ledger::open_unchecked(dir)?;
    try_refresh(dir, &ledger);
    let (header, progress) = (ledger.header(), ledger.progress()?);
    let mut counts = run_status::counts(&ledger)?;
    counts.insert("half_done", half_done(dir).unwrap_or(0));
    Ok(json!({
        "run": header.run,
        "command": ledger.kind()?.as_str(),
        "system": header.system,
        "base_url": header.base_url,
        "input": header.input_name,
        "state": run_status::state(&progress, &ledger).as_str(),
        "exit_code": progress.exit_code,
        "undoes": header.parent,
        "counts": counts,
        "run_dir": dir.path().display().to_string(),
    }))
}

fn line(dir: &RunDir, document: &Result<serde_json::Value, LedgerError>) -> String {
    let document = match document {
        Ok(document) => document,
        Err(error) => return format!("{}  {}", dir.run(), ui::visible(&error.to_string())),
    };
    let text = |name: &str| {
        document
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let counts: Vec<String> = Status::NAMES
        .iter()
        .chain(&["half_done"])
        .filter_map(|name| {
            let lines = document.get("counts")?.get(name)?.as_u64()?;
            (lines > 0).then(|| format!("{name} {}", ui::count(lines)))
        })
        .collect();
    format!(
        "{}  {:<9}  {:<11}  {:<12}  {}  {}",
        text("run"),
        text("command"),
        text("state"),
        text("system"),
        counts.join(", "),
        ui::visible(&text("input")),
    )
}
