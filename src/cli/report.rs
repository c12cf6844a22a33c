//! `idshift report`: draws a run's reports again, from its ledger and its copy of the file.

use super::Exit;
use super::draft;
use super::failure::Failure;
use super::known_run::{Selection, announce, choose, given_by};
use super::options::ReportOptions;
use super::prepare::{Kept, catalog};
use crate::input::Table;
use crate::ledger::Ledger;
use crate::report::Commands;
use crate::system::Kind;
use crate::ui;

pub(super) fn run(options: &ReportOptions) -> Result<Exit, Failure> {
    let (catalog, runs_dir) = catalog(&options.place)?;
    let dir = if let Some(run) = &options.run {
        catalog.find(run, &runs_dir)?
    } else {
        let wanted = Selection {
            command: "report",
            words: "run",
            fits: &|_| true,
        };
        choose(&catalog, &runs_dir, wanted, &given_by(&options.place)?)?
    };
    let ledger = Ledger::open(&dir)?;
    let kept = Kept::of(&ledger)?;
    let system = Kind::parse(&ledger.header().system)
        .ok_or_else(|| Failure::usage(format!("run {} is of an unknown system", dir.run())))?;
    let mut rules = draft::rules(system.facts());
    // A report only shows the lines; whose relationship they meant was settled when the run began.
    rules.per_reseller = false;
    rules.verbatim = kept.verbatim;
    let table = Table::open(
        &dir.input(),
        &ledger.header().input_name,
        &kept.reading()?,
        &rules,
    )?;
    if options.run.is_none() && !options.speech.quiet {
        announce("report", &ledger, None);
    }
    let summary = crate::report::draw(&dir, &ledger, &table).map_err(|error| {
        let again = Commands::of(dir.path(), ledger.header()).report();
        Failure::from(error).with_help(format!("mend that, then `{again}` draws them"))
    })?;
    if options.speech.is_json() {
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| Failure::usage(format!("a bug: {error}")))?;
        ui::out(&text);
    } else if !options.speech.quiet {
        for name in ["results.csv", "failures.csv", "summary.json", "report.html"] {
            ui::out(&dir.path().join(name).display().to_string());
        }
    }
    Ok(Exit::Success)
}
