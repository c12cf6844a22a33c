//! From what was typed to the settings that hold, and to the runs that are meant.

use super::catalog::{RunCatalog, Scope};
use super::error::CommandError;
use super::request::{Output, Reading, Secrets, TypedSettings};
use crate::config::{ConfigError, File, Resolved, Values};
use crate::ledger::{DEFAULT_RUNS_DIR, StateDb};
use crate::ui;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The values that hold: of the command line, the environment, the run, the file.
pub(crate) fn values(
    typed: &TypedSettings,
    run: &BTreeMap<String, String>,
) -> Result<Values, CommandError> {
    gather(typed, &typed.given, run)
}

/// The same, and what was typed about the file.
pub(crate) fn values_of_file(
    typed: &TypedSettings,
    reading: &Reading,
) -> Result<Values, CommandError> {
    let given = [typed.given.clone(), reading.given.clone()].concat();
    gather(typed, &given, &BTreeMap::new())
}

fn gather(
    typed: &TypedSettings,
    given: &[(&'static str, String)],
    run: &BTreeMap<String, String>,
) -> Result<Values, CommandError> {
    let file = File::find(typed.config.as_deref())?;
    Ok(Values::gather(given, run, file, typed.profile.as_deref())?)
}

/// Where runs are kept, and whether only those there are meant; that depends on no run.
fn runs_dir(typed: &TypedSettings) -> Result<(PathBuf, bool), CommandError> {
    let values = values(typed, &BTreeMap::new())?;
    let named = values.get("runs_dir");
    Ok((named.unwrap_or(DEFAULT_RUNS_DIR).into(), named.is_some()))
}

/// The runs that a command without a RUN chooses from, and that a RUN is looked for among.
pub(crate) fn catalog(typed: &TypedSettings) -> Result<(RunCatalog, PathBuf), CommandError> {
    let (runs_dir, is_named) = runs_dir(typed)?;
    // Whoever only looks needs no state database: the runs folder tells about itself.
    let state = StateDb::open();
    let scope = Scope {
        runs_dir: &runs_dir,
        everywhere: !is_named,
    };
    let catalog = RunCatalog::load(scope, state.as_ref().ok())?;
    Ok((catalog, runs_dir))
}

/// What holds, checked; a person is told what they should know.
pub(crate) fn resolve(
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
    if secrets == Secrets::Needed {
        if !named {
            return Err(ConfigError::NO_SYSTEM.into());
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
