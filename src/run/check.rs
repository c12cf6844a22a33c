//! Reads and plans a file offline, in the same way as a run.

use super::error::CommandError;
use super::input_plan::{self, InputPlan};
use super::kept_run::KeptRun;
use super::redraw::refresh_report;
use super::report_edits;
use super::request::{Request, Secrets};
use super::run_storage::{RunScope, RunsSettings};
use super::saved_settings::{SavedSettings, as_its_run_did, kept};
use super::values::{resolve, values};
use crate::input::{self, InputError};
use std::collections::BTreeMap;
use std::path::Path;

/// A file as a run would read it.
pub(crate) struct Checked {
    pub(crate) draft: InputPlan,
    /// The settings with which it was read.
    pub(crate) settings: SavedSettings,
}

/// Why a file could not be read.
pub(crate) enum Unread {
    Input(InputError),
    Other(CommandError),
}

impl From<InputError> for Unread {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<CommandError> for Unread {
    fn from(failure: CommandError) -> Self {
        Self::Other(failure)
    }
}

/// Reads the file. A file that can be read only once is copied for the duration of the check.
pub(crate) fn check(file: &Path, request: &Request) -> Result<Checked, Unread> {
    let Request { typed, output, .. } = request;
    let mut values = values(typed, &BTreeMap::new())?;
    let resolved = resolve(&mut values, Secrets::Unneeded, *output)?;
    let mut settings = kept(typed, false, &values)?;
    let runs = RunsSettings::of_resolved(&resolved).runs(RunScope::Here);
    refresh_report(file, &runs)?;
    let copy = local_copy(file)?;
    let (path, name) = match &copy {
        Some((folder, name)) => (folder.path().join("input.csv"), name.clone()),
        None => (file.to_owned(), file.display().to_string()),
    };
    let of_run = KeptRun::of_file(&runs, file);
    as_its_run_did(
        &mut settings,
        typed,
        (file, &path),
        of_run.as_ref(),
        *output,
    )?;
    let rules = settings.rules(&resolved)?;
    let unique = resolved.system.capabilities().unique_accounts;
    let mut draft = input_plan::read(&path, &name, &settings.reading()?, &rules, unique)?;
    let more = report_edits::compare(&draft.table, file, &runs)?;
    draft.add(more)?;
    Ok(Checked { draft, settings })
}

/// Copies a file that can be read only once (standard input, a pipe, a process substitution) for the duration of the check.
/// Returns `None` for any other file.
pub(super) fn local_copy(file: &Path) -> Result<Option<(tempfile::TempDir, String)>, CommandError> {
    if !input::must_be_stored(file) {
        return Ok(None);
    }
    let folder = tempfile::tempdir()
        .map_err(|why| CommandError::usage(format!("no temporary folder: {why}")))?;
    let stored = input::store(file, &folder.path().join("input.csv"))?;
    Ok(Some((folder, stored.name)))
}
