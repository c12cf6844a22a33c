//! Gathers the settings in force, and finds the runs that a command means.

use super::call_log;
use super::catalog::RunCatalog;
use super::error::CommandError;
use super::request::{Output, Secrets};
use super::run_storage::{RunScope, RunsSettings};
use crate::config::{ConfigError, File, Resolved, TypedSettings, Values};
use crate::ledger::allow_group_write;
use crate::ui;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Returns the values in force: from the command line, the environment, the run, and the configuration file.
pub(crate) fn values(
    typed: &TypedSettings,
    run: &BTreeMap<String, String>,
) -> Result<Values, CommandError> {
    let file = File::find(typed.config())?;
    let values = Values::gather(typed, run, file)?;
    if values.truth("allow_group_write")? {
        allow_group_write();
    }
    Ok(values)
}

/// Returns the runs among which a command searches its RUN, or chooses one if none is named; and the runs folder.
pub(crate) fn catalog(typed: &TypedSettings) -> Result<(RunCatalog, PathBuf), CommandError> {
    // Where runs are kept does not depend on a run. If a folder is named, only the runs in it are meant.
    let mut values = values(typed, &BTreeMap::new())?;
    let everywhere = values.get("runs_dir").is_none();
    let settings = RunsSettings::of(&mut values)?;
    let catalog = RunCatalog::load(&settings.runs(RunScope::Look { everywhere }))?;
    Ok((catalog, settings.folder))
}

/// Returns the checked settings, with what is needed to connect to the ledger. Shows notes and warnings to the user.
pub(crate) fn resolve(
    values: &mut Values,
    secrets: Secrets,
    output: Output,
) -> Result<Resolved, CommandError> {
    let mut resolved = resolve_system(values, secrets, output)?;
    resolved.read_ledger(values)?;
    for warning in values.warnings.drain(..) {
        ui::note(&warning);
    }
    Ok(resolved)
}

/// Returns the same without the ledger.
pub(crate) fn resolve_system(
    values: &mut Values,
    secrets: Secrets,
    output: Output,
) -> Result<Resolved, CommandError> {
    let mut resolved = Resolved::of(values)?;
    let named = values.get("system").is_some();
    if secrets == Secrets::Any && !named {
        let title = resolved.system.capabilities().title;
        resolved.notes.push(format!(
            "no system is named, so the stand-in is {title}; --system names another"
        ));
    }
    if secrets != Secrets::Unneeded {
        call_log::check(&resolved.log)?;
    }
    if secrets == Secrets::Needed {
        if !named {
            let help = format!("--profile NAME chooses a profile; {}", values.file_words());
            return Err(CommandError::from(ConfigError::NO_SYSTEM).with_help(help));
        }
        resolved.read_secrets(values)?;
        if resolved.token.is_none() {
            return Err(ConfigError::NO_TOKEN.into());
        }
    }
    if !output.quiet {
        for note in &resolved.notes {
            ui::note(note);
        }
    }
    Ok(resolved)
}
