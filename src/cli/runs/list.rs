//! `idshift runs`: lists the runs in the order of their epochs, so that the newest is the last line, above the prompt.

use super::super::options::{Console, RunsOptions};
use super::overview::Overview;
use crate::run::{CommandError, Exit, catalog, document, now_ms};
use crate::ui;
use serde_json::json;

/// The index of the coloured column: the state.
const STATE: usize = 2;

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
    let rows: Vec<Result<[String; 7], String>> = runs
        .iter()
        .map(|(run, overview)| match overview {
            Ok(overview) => Ok(overview.columns(now_ms)),
            Err(error) => Err(format!("{run}  {}", ui::visible(&error.to_string()))),
        })
        .collect();
    for (run, why) in &unreadable {
        ui::out(&ui::visible(&format!("{run}  {why}")));
    }
    let width = |at: usize| {
        let cells = rows.iter().flatten();
        cells.map(|row| row[at].chars().count()).max().unwrap_or(0)
    };
    let widths = [0, 1, 2, 3, 4, 5].map(width);
    for row in &rows {
        match row {
            Ok(row) => {
                let mut line = String::new();
                for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
                    let tone = if at == STATE {
                        ui::Tone::of_state(cell)
                    } else {
                        ui::Tone::Plain
                    };
                    line.push_str(&tone.paint(&format!("{cell:<width$}")));
                    line.push_str("  ");
                }
                line.push_str(&row[6]);
                ui::out(line.trim_end());
            }
            Err(words) => ui::out(words),
        }
    }
    if runs.is_empty() && unreadable.is_empty() && !console.output.quiet {
        ui::out(&format!("no runs in {}", runs_dir.display()));
    }
    Ok(Exit::Success)
}
