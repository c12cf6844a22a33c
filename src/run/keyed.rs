//! `--key`: a job that is started again continues its run, and does nothing if the run has finished.

use super::apply::apply_plan;
use super::attach;
use super::catalog::Entry;
use super::connect::base_url;
use super::create::staging;
use super::error::CommandError;
use super::exit_code::Exit;
use super::request::{Request, Secrets};
use super::saved_settings::SavedSettings;
use super::target::{Target, shown_key};
use super::values::{catalog, resolve_system, values};
use crate::config::{Kept, TypedSettings};
use crate::input;
use crate::ledger::{RunKind, State};
use crate::ui;
use std::collections::BTreeMap;
use std::path::Path;

/// Continues the run that has the key of this request. `begin` makes a run if no run has the key, or no key is given.
pub(crate) fn with_key(
    (file, kind): (&Path, RunKind),
    request: &Request,
    begin: impl FnOnce() -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let Some(key) = &request.key else {
        return begin();
    };
    if request.sandbox.sandbox {
        return Err(CommandError::usage(
            "--key: a stand-in ends with its process, so a run on it cannot be continued",
        )
        .with_help("leave --key or --sandbox out"));
    }
    let (catalog, _) = catalog(&request.typed)?;
    let of_key: Vec<&Entry> = catalog.of_key(key).collect();
    match of_key.as_slice() {
        [] => begin(),
        [run] => go_on(run, key, (file, kind), request),
        [first, second, ..] => Err(CommandError::usage(format!(
            "--key: runs {} and {} both have the key {key}",
            first.dir.run(),
            second.dir.run()
        ))
        .with_help("name the run: idshift resume RUN")),
    }
}

fn go_on(
    entry: &Entry,
    key: &str,
    (file, kind): (&Path, RunKind),
    request: &Request,
) -> Result<Exit, CommandError> {
    let dir = entry.dir.clone().checked()?;
    let run = dir.run().to_string();
    refuse_another(entry, key, (file, kind), request)?;
    request.set_run(&dir);
    let ledger = dir.whole_ledger()?;
    let inner = Request {
        typed: given_anew(&request.typed, &SavedSettings::of(&ledger)?, (&run, key))?,
        sandbox: request.sandbox.clone(),
        consent: request.consent,
        without_history: request.without_history,
        output: request.output,
        ..Request::default()
    };
    let state = ledger.progress()?.state;
    if !request.output.quiet {
        let words = match state {
            State::Finished => "has finished; nothing is done",
            State::Created
            | State::Planned
            | State::Running
            | State::Stopped
            | State::Interrupted => "is continued",
        };
        ui::note(&format!("run {run} has the key {key}, and {words}"));
    }
    let ended = match state {
        State::Finished => {
            inner.set_run(&dir);
            attach::finished(&dir, &ledger, request)
        }
        State::Planned => apply_plan(&run, None, &inner),
        State::Created | State::Running | State::Stopped | State::Interrupted => {
            drop(ledger);
            attach::resume(Some(&run), &inner)
        }
    };
    if let Some(run) = inner.run.get() {
        request.set_run(run);
    }
    ended
}

/// Refuses a run of another command, file or target.
fn refuse_another(
    entry: &Entry,
    key: &str,
    (file, kind): (&Path, RunKind),
    request: &Request,
) -> Result<(), CommandError> {
    let header = &entry.header;
    let refused = |what: &str, its: &str, this: &str| {
        let (its, this) = (ui::visible(its), ui::visible(this));
        let run = ui::visible(&header.run);
        let words = format!("--key: run {run} has the key {key}, and {what} {its}, not {this}");
        Err(CommandError::usage(words).with_help("give this job a key of its own"))
    };
    if header.kind != kind {
        return refused("is of the command", header.kind.as_str(), kind.as_str());
    }
    let mut values = values(&request.typed, &BTreeMap::new())?;
    let resolved = resolve_system(&mut values, Secrets::Unneeded, request.output)?;
    let target = Target::of(&resolved, &base_url(&resolved)?, false).key();
    if !entry.is_on(&target) {
        let (its, this) = (shown_key(&header.target), shown_key(&target));
        return refused("works on", &its, &this);
    }
    let folder = entry.dir.path().parent().unwrap_or(entry.dir.path());
    let staging = staging(folder)?;
    let stored = input::store(file, &staging.path().join("input.csv"))?;
    if stored.sha256 != header.input_sha256 {
        let its = format!("{} ({})", header.input_name, header.input_sha256);
        let this = format!("{} ({})", stored.name, stored.sha256);
        return refused("is of the file with this digest:", &its, &this);
    }
    Ok(())
}

/// Returns the typed settings that differ from the run's. The others are left out, so that no guard counts anew.
fn given_anew(
    typed: &TypedSettings,
    kept: &SavedSettings,
    (run, key): (&str, &str),
) -> Result<TypedSettings, CommandError> {
    let mut anew = Vec::new();
    for (setting, value) in typed.iter() {
        let its = kept.values.get(setting.name);
        if its.is_some_and(|its| its == value) {
            continue;
        }
        if setting.kept == Kept::WithFile {
            let its = its.map_or_else(|| "not set".into(), |its| ui::visible(its));
            return Err(CommandError::usage(format!(
                "--key: run {run} has the key {key}, and --{} is {its} for it, not {}",
                setting.long(),
                ui::visible(value)
            ))
            .with_help("a run reads its file in one way: give this job a key of its own"));
        }
        anew.push((setting.name, value.to_owned()));
    }
    Ok(anew.into_iter().collect())
}
