//! `--key`: a job that is started again goes on with its run, and does nothing where that has finished.

use super::apply::apply_plan;
use super::catalog::Entry;
use super::connect::base_url;
use super::create::staging;
use super::error::CommandError;
use super::exit_code::Exit;
use super::finish::counts;
use super::kept_run::KeptRun;
use super::redraw::draw;
use super::request::{Request, Secrets};
use super::resume::resume;
use super::saved_settings::SavedSettings;
use super::target::{Target, shown_key};
use super::values::{catalog, resolve_system, values};
use super::worker::worker;
use crate::config::{Kept, TypedSettings};
use crate::input;
use crate::ledger::{Ledger, RunKind, State};
use crate::ui;
use std::collections::BTreeMap;
use std::path::Path;

/// Goes on with the run that has the key of this request. `begin`: makes a run, where none has it or there is no key.
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
            "--key: a stand-in ends with its process, so no run on it is gone on with",
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
            | State::Interrupted => "is gone on with",
        };
        ui::note(&format!("run {run} has the key {key}, and {words}"));
    }
    let ended = match state {
        State::Finished => {
            inner.set_run(&dir);
            finished(entry, &ledger, request)
        }
        State::Planned => apply_plan(&run, None, &inner),
        State::Created | State::Running | State::Stopped | State::Interrupted => {
            drop(ledger);
            match resume(Some(&run), &inner) {
                Err(busy) if busy.exit == Exit::Busy && is_without_lead(&dir)? => {
                    attach(entry, &dir, &inner)
                }
                resumed => resumed,
            }
        }
    };
    if let Some(run) = inner.run.get() {
        request.set_run(run);
    }
    ended
}

/// Whether others have the run since the process that began it is gone.
fn is_without_lead(run: &KeptRun) -> Result<bool, CommandError> {
    let to_join = run.runs().to_join()?;
    let found = to_join.iter().find(|one| one.run == *run.run());
    Ok(found.is_some_and(|one| !one.is_led))
}

/// Works on the run with those that have it, and tells how it has ended.
fn attach(entry: &Entry, run: &KeptRun, request: &Request) -> Result<Exit, CommandError> {
    request.set_run(run);
    let exit = worker(Some(run.run().as_str()), request)?;
    let ledger = run.ledger()?;
    match ledger.progress()?.state {
        State::Created | State::Running if exit == Exit::Success => Ok(Exit::Terminated),
        State::Created | State::Running => Ok(exit),
        State::Planned | State::Finished | State::Stopped | State::Interrupted => {
            finished(entry, &ledger, request)
        }
    }
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

/// What was typed and is not as the run has it: the rest is the run's own, and no guard counts anew because of it.
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

/// Tells how a run that is at its end has ended.
fn finished(entry: &Entry, ledger: &Ledger, request: &Request) -> Result<Exit, CommandError> {
    let progress = ledger.progress()?;
    let exit = progress.exit_code.and_then(Exit::of_code);
    let exit = exit.unwrap_or(Exit::Success);
    // Of a pruned run there are no reports.
    if ledger.pruned()?.is_some() {
        return Ok(exit);
    }
    let summary = draw(&entry.dir, ledger)?;
    if request.output.json {
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| CommandError::usage(format!("a bug: {error}")))?;
        ui::out(&text);
    } else if !request.output.quiet {
        ui::out(&ui::closing(&ui::Closing {
            title: format!("{} {}", entry.header.kind.as_str(), summary.run),
            state: summary.state.clone(),
            target: shown_key(&entry.header.target),
            stopped: progress.why,
            counts: counts(&summary),
            notes: Vec::new(),
            remarks: summary.cannot_undo.words(),
            next: summary.next_step().to_string(),
        }));
    }
    Ok(exit)
}
