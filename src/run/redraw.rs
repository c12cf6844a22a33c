//! Reports that are older than their ledger are drawn again, so that no command reads them as they are.

use super::error::CommandError;
use super::input_identity::same_input;
use super::prune::refuse_pruned;
use super::saved_settings::{SavedSettings, run_of};
use super::shard;
use crate::input::Table;
use crate::ledger::{Ledger, RunDir};
use crate::report::{Commands, Summary, is_current};
use crate::system::Kind;
use crate::ui;
use std::path::Path;

/// Draws the reports of a run that was opened.
pub(crate) fn draw(dir: &RunDir, ledger: &Ledger) -> Result<Summary, CommandError> {
    let (table, system) = table(dir, ledger, &SavedSettings::of(ledger)?)?;
    let can_clear = system.capabilities().can_clear;
    crate::report::draw(dir, ledger, &table, can_clear).map_err(|error| {
        let again = Commands::of(dir.path(), ledger.header()).report();
        CommandError::from(error).with_help(format!("remove the cause, then `{again}` draws them"))
    })
}

/// The run's copy of its file, to be shown, and the system that it is for.
pub(super) fn table(
    dir: &RunDir,
    ledger: &Ledger,
    kept: &SavedSettings,
) -> Result<(Table, Kind), CommandError> {
    refuse_pruned(ledger)?;
    // Rows of an altered copy would stand beside what other lines did.
    same_input(dir, ledger)?;
    let system = Kind::parse(&ledger.header().system)
        .ok_or_else(|| CommandError::usage(format!("run {} is of an unknown system", dir.run())))?;
    let mut table = kept.shown_table(dir, ledger.header(), system)?;
    shard::restrict(&mut table, ledger.shard()?);
    Ok((table, system))
}

/// Draws the reports of a run again where they are older than its ledger: its process was killed, or ended by a second
/// Ctrl-C. A run in progress draws its own.
pub(super) fn refresh(dir: &RunDir, ledger: &Ledger) -> Result<(), CommandError> {
    if ledger.is_live() || ledger.pruned()?.is_some() || is_current(dir, ledger)? {
        return Ok(());
    }
    draw(dir, ledger).map(drop)
}

/// The same for a command that does not depend on the reports: a failure is only a warning.
pub(crate) fn try_refresh(dir: &RunDir, ledger: &Ledger) {
    if let Err(failure) = refresh(dir, ledger) {
        ui::warning(&format!(
            "the reports of run {} are older than its ledger: {}",
            dir.run(),
            ui::visible(&failure.message)
        ));
    }
}

/// The same for the run of which a file is a report.
pub(super) fn refresh_report(file: &Path) -> Result<(), CommandError> {
    let is_report = |name: &std::ffi::OsStr| name == "failures.csv" || name == "results.csv";
    if !file.file_name().is_some_and(is_report) {
        return Ok(());
    }
    let folder = file.parent().map(|folder| {
        if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        }
    });
    // The run is found by its folder, for a run that was killed may have no failures.csv yet.
    let Some(dir) = folder.and_then(|folder| run_of(&folder.join("ledger.db"))) else {
        return Ok(());
    };
    match Ledger::open_unchecked(&dir) {
        Ok(ledger) => refresh(&dir, &ledger),
        // If the ledger is damaged, the folder still has the file.
        Err(_) => Ok(()),
    }
}
