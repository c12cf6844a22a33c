//! `idshift report`: draws a run's reports again, from its ledger and its copy of the file.

use super::options::{Console, ReportOptions};
use crate::run::{CommandError, Exit, announce, catalog, choose_carried_out, draw, given_by};
use crate::ui;

pub(super) fn run(options: &ReportOptions, console: Console) -> Result<Exit, CommandError> {
    let (catalog, _) = catalog(&options.settings.typed)?;
    let dir = if let Some(run) = &options.run {
        catalog.find(run)?
    } else {
        choose_carried_out(&catalog, "report", &given_by(&options.settings.typed)?)?
    };
    let ledger = dir.whole_ledger()?;
    if options.run.is_none() && !console.output.quiet {
        announce("report", &ledger);
        if ledger.only_looks()? {
            ui::note(
                "this run is a plan: its reports tell what would change, and nothing was written",
            );
        }
    }
    let summary = draw(&dir, &ledger)?;
    if console.output.json {
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| CommandError::usage(format!("a bug: {error}")))?;
        ui::out_as_is(&text);
    } else if !console.output.quiet {
        for name in ["results.csv", "failures.csv", "summary.json", "report.html"] {
            ui::out_as_is(&dir.path().join(name).display().to_string());
        }
    }
    Ok(Exit::Success)
}
