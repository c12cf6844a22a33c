//! `idshift report`: draws a run's reports again, from its ledger and its copy of the file.

use super::Exit;
use super::command_error::CommandError;
use super::open_run::{Selection, announce, choose, given_by};
use super::options::ReportOptions;
use super::redraw::draw;
use super::resolve::catalog;
use crate::ledger::Ledger;
use crate::ui;

pub(super) fn run(options: &ReportOptions) -> Result<Exit, CommandError> {
    let (catalog, runs_dir) = catalog(&options.place)?;
    let dir = if let Some(run) = &options.run {
        catalog.find(run, &runs_dir)?
    } else {
        let wanted = Selection {
            command: "report",
            words: "run",
            fits: &|_| true,
            is_asked: false,
        };
        choose(&catalog, &runs_dir, wanted, &given_by(&options.place)?)?
    };
    let ledger = Ledger::open(&dir)?;
    if options.run.is_none() && !options.speech.quiet {
        announce("report", &ledger, None);
    }
    let summary = draw(&dir, &ledger)?;
    if options.speech.is_json() {
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| CommandError::usage(format!("a bug: {error}")))?;
        ui::out(&text);
    } else if !options.speech.quiet {
        for name in ["results.csv", "failures.csv", "summary.json", "report.html"] {
            ui::out(&dir.path().join(name).display().to_string());
        }
    }
    Ok(Exit::Success)
}
