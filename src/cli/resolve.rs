//! From what was typed to the settings that hold, and to the runs that are meant.

use super::command_error::CommandError;
use super::options::{InputArgs, OutputArgs, Place, SandboxArgs, Target};
use crate::config::{ConfigError, File, Resolved, Values};
use crate::ledger::{DEFAULT_RUNS_DIR, StateDb};
use crate::run::{RunCatalog, Scope};
use crate::ui;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The values that hold: of the command line, the environment, the run, the file.
pub(super) fn values(
    target: &Target,
    run: &BTreeMap<String, String>,
) -> Result<Values, CommandError> {
    gather(&target.place, &target.given(), run)
}

/// The same, and what was typed about the file.
pub(super) fn values_of_file(target: &Target, reading: &InputArgs) -> Result<Values, CommandError> {
    let given = [target.given(), reading.given()].concat();
    gather(&target.place, &given, &BTreeMap::new())
}

pub(super) fn gather(
    place: &Place,
    given: &[(&'static str, String)],
    run: &BTreeMap<String, String>,
) -> Result<Values, CommandError> {
    let file = File::find(place.config.as_deref())?;
    Ok(Values::gather(given, run, file, place.profile.as_deref())?)
}

/// Where runs are kept, and whether only those there are meant; that depends on no run.
pub(super) fn runs_dir(place: &Place) -> Result<(PathBuf, bool), CommandError> {
    let values = gather(place, &place.given(), &BTreeMap::new())?;
    let named = values.get("runs_dir");
    Ok((named.unwrap_or(DEFAULT_RUNS_DIR).into(), named.is_some()))
}

/// The runs that a command without a RUN chooses from, and that a RUN is looked for among.
pub(super) fn catalog(place: &Place) -> Result<(RunCatalog, PathBuf), CommandError> {
    let (runs_dir, is_named) = runs_dir(place)?;
    // Whoever only looks needs no state database: the runs folder tells about itself.
    let state = StateDb::open();
    let scope = Scope {
        runs_dir: &runs_dir,
        everywhere: !is_named,
    };
    let catalog = RunCatalog::load(scope, state.as_ref().ok())?;
    Ok((catalog, runs_dir))
}

/// Whether a command needs the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// It speaks to the system.
    Needed,
    /// It speaks to a stand-in, which takes any.
    Any,
    /// It works offline.
    Unneeded,
}

impl SandboxArgs {
    /// A stand-in takes any token.
    pub(super) fn secrets(&self) -> Secrets {
        if self.sandbox {
            Secrets::Any
        } else {
            Secrets::Needed
        }
    }
}

/// What holds, checked; a person is told what they should know.
pub(super) fn resolve(
    values: &mut Values,
    secrets: Secrets,
    speech: &OutputArgs,
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
    if !speech.quiet {
        for note in &resolved.notes {
            ui::err(&format!("note: {}", ui::visible(note)));
        }
    }
    Ok(resolved)
}
