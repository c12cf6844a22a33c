//! `idshift runs`: lists the runs in the order of their epochs, so that the newest is the last line, above the prompt.

use super::super::options::{Console, RunsOptions};
use super::overview::Overview;
use super::rows::rows;
use crate::run::{CommandError, Exit, catalog, document, now_ms};
use crate::ui;
use serde_json::json;

pub(super) fn run(options: &RunsOptions, console: Console) -> Result<Exit, CommandError> {
    let (catalog, runs_dir) = catalog(&options.settings.typed)?;
    let entries = catalog.entries.iter().rev();
    let runs: Vec<_> = entries
        .map(|entry| (entry.dir.run(), Overview::of(&entry.dir)))
        .collect();
    let now_ms = now_ms();
    // Missing folders are not listed: the commands that need one report it.
    let unreadable = catalog.lost.iter().filter(|lost| lost.run.is_some());
    let unreadable: Vec<(String, &str)> = unreadable
        .map(|lost| (lost.path.file_name().unwrap_or_default(), &lost.why[..]))
        .map(|(name, why)| (name.to_string_lossy().into_owned(), why))
        .collect();
    if console.output.json {
        let documents = runs.iter().map(|(run, overview)| match overview {
            Ok(overview) => overview.document(now_ms),
            Err(error) => json!({"run": run.as_str(), "error": error.to_string()}),
        });
        let unreadable = unreadable.iter();
        let unreadable = unreadable.map(|(run, why)| json!({"run": run, "error": why}));
        let documents = unreadable.chain(documents);
        let body = json!({"runs": documents.collect::<Vec<_>>()});
        ui::out_as_is(&document(Exit::Success, body));
        return Ok(Exit::Success);
    }
    for (run, why) in &unreadable {
        ui::out(&ui::visible(&format!("{run}  {why}")));
    }
    let readable = runs
        .iter()
        .filter_map(|(_, overview)| overview.as_ref().ok());
    let readable: Vec<_> = readable.map(|one| one.row(now_ms)).collect();
    let (heading, rows) = rows(&readable, ui::out_columns());
    if let Some(heading) = heading {
        ui::out(&heading);
    }
    let mut rows = rows.into_iter();
    for (run, overview) in &runs {
        match overview {
            Ok(_) => ui::out(&rows.next().unwrap_or_default()),
            Err(error) => ui::out(&format!("{run}  {}", ui::visible(&error.to_string()))),
        }
    }
    if runs.is_empty() && unreadable.is_empty() && !console.output.quiet {
        ui::out(&format!("no runs in {}", runs_dir.display()));
    }
    Ok(Exit::Success)
}
