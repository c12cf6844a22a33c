//! Draws reports again that are older than their ledger, so that no command reads outdated reports.

use super::error::CommandError;
use super::input_identity::same_input;
use super::kept_run::KeptRun;
use super::prune::refuse_pruned;
use super::saved_settings::SavedSettings;
use super::shard;
use crate::input::Table;
use crate::ledger::{Ledger, Runs};
use crate::report::{Commands, Summary, is_current};
use crate::system::SystemKind;
use crate::ui;
use std::path::Path;
use std::sync::Arc;

/// Draws the reports of a run that was opened.
pub(crate) fn draw(run: &KeptRun, ledger: &Ledger) -> Result<Summary, CommandError> {
    let (table, system) = table(run, ledger, &SavedSettings::of(ledger)?)?;
    let can_clear = system.capabilities().can_clear;
    let again = Commands::of(run.path(), ledger)?.report();
    crate::report::draw(run, ledger, &table, can_clear).map_err(|error| {
        CommandError::from(error).with_help(format!("remove the cause, then `{again}` draws them"))
    })
}

/// Returns the run's copy of its file, for display, and the system of the run.
pub(super) fn table(
    run: &KeptRun,
    ledger: &Ledger,
    kept: &SavedSettings,
) -> Result<(Table, SystemKind), CommandError> {
    refuse_pruned(ledger)?;
    // With an altered copy, a row would be shown with the outcome of another line.
    same_input(run, ledger)?;
    let system = SystemKind::parse(&ledger.header().system)
        .ok_or_else(|| CommandError::usage(format!("run {} is of an unknown system", run.run())))?;
    let mut table = kept.shown_table(run, system)?;
    shard::restrict(&mut table, ledger.shard()?);
    Ok((table, system))
}

/// Draws the reports of a run again if they are older than its ledger: its process was killed, or ended by a second Ctrl-C.
/// A run in progress draws its own.
pub(super) fn refresh(run: &KeptRun, ledger: &Ledger) -> Result<(), CommandError> {
    if ledger.is_live() || ledger.pruned()?.is_some() || is_current(run, ledger)? {
        return Ok(());
    }
    draw(run, ledger).map(drop)
}

/// Does the same for a command that does not depend on the reports: a failure is only a warning.
pub(crate) fn try_refresh(run: &KeptRun, ledger: &Ledger) {
    if let Err(failure) = refresh(run, ledger) {
        ui::warning(&format!(
            "the reports of run {} are older than its ledger: {}",
            run.run(),
            ui::visible(&failure.message)
        ));
    }
}

/// Does the same for the run that has this report in its folder.
pub(super) fn refresh_report(file: &Path, runs: &Arc<dyn Runs>) -> Result<(), CommandError> {
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
    // The run is found by its folder, because a run that was killed may have no failures.csv yet.
    let Some(run) = folder.and_then(|folder| KeptRun::in_folder(runs, folder)) else {
        return Ok(());
    };
    match run.ledger() {
        Ok(ledger) => refresh(&run, &ledger),
        // If the ledger is damaged, the folder still has the file.
        Err(_) => Ok(()),
    }
}
