//! Identifies the file of a run: by its content and by its path.

use super::error::CommandError;
use super::input_plan::InputPlan;
use super::kept_run::KeptRun;
use crate::ledger::{Header, Ledger};
use std::path::Path;

/// Decides whether two inputs are the same file.
#[derive(Debug)]
pub(crate) struct InputIdentity {
    sha256: String,
    /// The paths of the file: as given, and with symbolic links resolved. If it is a report: those of the file that the
    /// report is about. Empty: the input has no name.
    origins: Vec<String>,
}

impl InputIdentity {
    /// Identifies a file that is about to be carried out. `of_run`: the run that has the file in its folder.
    pub(super) fn of_file(
        file: &Path,
        draft: &InputPlan,
        sha256: &str,
        of_run: Option<&KeptRun>,
    ) -> Result<Self, CommandError> {
        let sha256 = sha256.to_owned();
        if draft.table.is_report()
            && let Some(run) = of_run
        {
            let its = run.ledger()?;
            refuse_of_undo(&its)?;
            // Test: `recognition::failures_file_with_an_unknown_*`.
            let origins = its.header().origins.clone();
            return Ok(Self { sha256, origins });
        }
        let ways = [std::path::absolute(file), file.canonicalize()];
        let mut origins: Vec<String> = ways
            .into_iter()
            .flatten()
            .filter(|_| file.as_os_str() != "-" && !draft.table.is_report())
            .map(|path| path.display().to_string())
            .collect();
        origins.dedup();
        Ok(Self { sha256, origins })
    }

    /// Identifies the file of a run.
    pub(super) fn of_run(header: &Header) -> Self {
        Self {
            sha256: header.input_sha256.clone(),
            origins: header.origins.clone(),
        }
    }

    /// Returns the paths of the file.
    pub(super) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Returns whether both are one file, perhaps with changed lines: they have the same content or a common path.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 || self.origins.iter().any(|way| other.origins.contains(way))
    }
}

/// Refuses the report of an undo: an undo skips values that another user or program has changed since, and the lines of its
/// report alone do not show that.
fn refuse_of_undo(its: &Ledger) -> Result<(), CommandError> {
    let header = its.header();
    let Some(parent) = &header.parent else {
        return Ok(());
    };
    Err(CommandError::usage(format!(
        "this is a report of run {}, which undid run {parent}: carried out as a file, it would overwrite what was \
         changed since",
        header.run
    ))
    .with_help("`idshift undo` with that run tries again what can be restored"))
}

/// Refuses if the run's copy of its input does not have the digest that the ledger holds.
pub(super) fn same_input(run: &KeptRun, ledger: &Ledger) -> Result<(), CommandError> {
    let path = run.input()?;
    let unreadable = |why| CommandError::unreadable(&path, &why);
    let found = crate::input::digest(&path).map_err(unreadable)?;
    if found == ledger.header().input_sha256 {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "{} was altered: it is not the file that the run was begun with",
        path.display()
    ))
    .with_help("put it back as it was, or begin a new run with the original file"))
}
