//! Which run a command takes where none is named: the newest one that fits, on the given target.

use super::catalog::{Entry, RunCatalog};
use super::error::CommandError;
use super::kept_run::KeptRun;
use super::request::SandboxRequest;
use super::target::{Target, is_in_process, parts};
use super::values::values;
use crate::config::{TypedSettings, Values};
use crate::ledger::{Ledger, LedgerError};
use crate::system::SystemKind;
use crate::ui;
use std::collections::BTreeMap;

/// Which run a command takes if none is named.
#[derive(Clone, Copy)]
pub(crate) struct Selection<'a> {
    /// The command, for the announcement.
    pub(crate) command: &'static str,
    /// What is looked for, in words.
    pub(crate) words: &'static str,
    /// Returns whether a run is suitable.
    pub(crate) fits: &'a dyn Fn(&KeptRun, &Ledger) -> bool,
    /// Whether a later question names the run, so that it is not announced before.
    pub(crate) is_asked: bool,
}

/// What the settings give of a target if no run is named; `None`: any value is suitable.
#[derive(Debug)]
pub(crate) struct Given {
    system: Option<String>,
    address: Option<String>,
    tenant: Option<String>,
    /// `true`: only runs on a stand-in inside their process; `false`: only other runs.
    in_process: Option<bool>,
}

/// Returns what the settings give of the target.
pub(super) fn given(values: &Values, request: &SandboxRequest) -> Given {
    // A sandbox without a named system is Plume.
    let system = values.get("system").map(str::to_owned);
    let system = system.or_else(|| request.sandbox.then(|| SystemKind::Plume.to_string()));
    // A stand-in has ended with its process, so that a command without `--sandbox` cannot reach it.
    of_values(values, system, Some(request.sandbox))
}

fn of_values(values: &Values, system: Option<String>, in_process: Option<bool>) -> Given {
    let text = |name| values.get(name).filter(|text| !text.is_empty());
    let address = text("base_url").filter(|_| in_process != Some(true));
    Given {
        system,
        address: address.map(crate::http::address_key),
        tenant: text("tenant").map(str::to_owned),
        in_process,
    }
}

/// Returns the same for a command that has no options for a target.
pub(crate) fn given_by(typed: &TypedSettings) -> Result<Given, CommandError> {
    let values = values(typed, &BTreeMap::new())?;
    let system = values.get("system").map(str::to_owned);
    Ok(of_values(&values, system, None))
}

impl Given {
    /// Returns whether an address is given.
    pub(super) fn has_address(&self) -> bool {
        self.address.is_some()
    }

    pub(super) fn fits(&self, system: &str, target: &str) -> bool {
        let [_, address, tenant] = parts(target);
        let is = |given: &Option<String>, its| given.as_deref().is_none_or(|given| given == its);
        is(&self.system, system)
            && is(&self.address, address)
            && is(&self.tenant, tenant)
            && self.in_process.is_none_or(|it| it == is_in_process(target))
    }
}

/// Chooses a run if none is named: the newest suitable one. Refuses if there are suitable runs on several targets.
pub(crate) fn choose(
    catalog: &RunCatalog,
    wanted: Selection<'_>,
    given: &Given,
) -> Result<KeptRun, CommandError> {
    let newest = catalog.newest_by_target(|entry| {
        given.fits(&entry.header.system, &entry.header.target)
            && match entry.ledger() {
                Ok(ledger) => (wanted.fits)(&entry.dir, &ledger),
                // This may be the run that is meant. An older one in its place would be a guess.
                Err(_) => true,
            }
    });
    // A newer run that cannot be read may be the one that is meant: opening it reports why it cannot be read.
    let highest = newest.first().map_or(0, |one| one.epochs.last());
    let lost = catalog.lost.iter().find(|lost| {
        let known = lost.known.as_ref();
        lost.run.is_some()
            && known.is_none_or(|run| run.epoch > highest && given.fits(&run.system, &run.target))
    });
    if let Some(dir) = lost.and_then(|lost| lost.run.clone()) {
        return Ok(dir.checked()?);
    }
    match newest.as_slice() {
        [] => {
            let none = LedgerError::NoRun {
                place: catalog.place(),
                wanted: wanted.words.to_owned(),
            };
            let elsewhere = catalog.newest_by_target(|entry| {
                let ledger = entry.ledger();
                ledger.is_ok_and(|ledger| (wanted.fits)(&entry.dir, &ledger))
            });
            Err(only_elsewhere(wanted, given, &elsewhere, catalog).unwrap_or_else(|| none.into()))
        }
        [one] => Ok(one.dir.clone().checked()?),
        several => Err(CommandError::usage(format!(
            "{}: there are runs on several targets: {}",
            wanted.command,
            list(several)
        ))
        .with_help("name the run, or the target with --profile or --base-url")),
    }
}

/// Makes the error for suitable runs that are all on other targets; `None`: there are no suitable runs.
fn only_elsewhere(
    wanted: Selection<'_>,
    given: &Given,
    elsewhere: &[&Entry],
    catalog: &RunCatalog,
) -> Option<CommandError> {
    let newest = elsewhere.first()?;
    let (place, words) = (catalog.place(), wanted.words);
    let in_process = |one: &&Entry| is_in_process(&one.header.target);
    if given.in_process == Some(false) && elsewhere.iter().all(in_process) {
        let (command, run) = (wanted.command, newest.dir.run());
        let none = format!(
            "no {words} in {place} but on a stand-in (--sandbox), which ended with its process"
        );
        return Some(CommandError::usage(none).with_help(format!(
            "`idshift {command} {run} --sandbox` starts a new stand-in, filled as the run's record says"
        )));
    }
    let none = format!("no {words} on this target in {place}");
    Some(CommandError::usage(none).with_help(format!(
        "on other targets there are: {}. Name the run that is meant",
        list(elsewhere)
    )))
}

fn list(runs: &[&Entry]) -> String {
    let runs = runs.iter();
    let words: Vec<String> = runs
        .map(|one| {
            let target = Target::of_run(&one.header).to_string();
            format!("{} ({})", one.dir.run(), ui::visible(target.trim_end()))
        })
        .collect();
    words.join(", ")
}
