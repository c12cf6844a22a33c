//! A run that exists: found, opened, its file read again, and the settings that it was begun with.

use super::catalog::{Entry, RunCatalog};
use super::claim::TargetClaim;
use super::connect::base_url;
use super::error::CommandError;
use super::guards::Guards;
use super::input_identity::same_input;
use super::input_plan::{self, InputPlan};
use super::kept_run::KeptRun;
use super::prune::refuse_pruned;
use super::quota::SharedLimits;
use super::request::{Request, SandboxRequest};
use super::saved_settings::SavedSettings;
use super::shard;
use super::stand_in::{self, StandIn};
use super::target::{Target, is_in_process, parts};
use super::unplanned;
use super::values::{catalog, resolve, values};
use crate::config::{Origin, Resolved, TypedSettings, Values};
use crate::ledger::{Header, Ledger, LedgerError, RunKind};
use crate::report::Commands;
use crate::system::Kind;
use crate::ui;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What a run is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing is written, so that looking elsewhere does no harm.
    Look,
    /// What is left of its lines is carried out.
    Write,
    /// What it has written is restored, by a run with a file of its own.
    Undo,
}

impl Purpose {
    fn writes(self) -> bool {
        self != Self::Look
    }
}

/// A run, opened.
pub(crate) struct OpenRun {
    pub(super) dir: KeptRun,
    pub(super) ledger: Ledger,
    /// With what was given anew.
    pub(super) kept: SavedSettings,
    /// What stops it: as given anew, else as it was begun with. Nothing where it is only looked at.
    pub(super) limits: Guards,
    pub(super) resolved: Resolved,
    pub(super) draft: Arc<InputPlan>,
    /// Lives as long as the run.
    pub(super) stand_in: Option<StandIn>,
}

impl OpenRun {
    /// Its target, which is not the one that it was begun on where another address was given anew.
    pub(super) fn target(&self) -> Result<Target, CommandError> {
        let base_url = base_url(&self.resolved)?;
        Ok(Target::of(
            &self.resolved,
            &base_url,
            self.stand_in.is_some(),
        ))
    }

    /// Takes the run's target, so that no other run works on it meanwhile.
    pub(super) fn claim(&self) -> Result<TargetClaim, CommandError> {
        TargetClaim::take(&self.resolved, self.target()?, self.dir.run().as_str())
    }

    /// What limits the calls to the run's target together with those of other processes.
    pub(super) fn shared_limits(&self) -> Result<Option<SharedLimits>, CommandError> {
        if self.stand_in.is_some() {
            return Ok(None);
        }
        let (target, has_quota) = (self.target()?.key(), self.resolved.quota.is_some());
        Ok(self.dir.shared_limits(target, has_quota)?)
    }

    /// What a person types to go on from it.
    pub(super) fn commands(&self) -> Commands {
        Commands::of(self.dir.path(), self.ledger.header())
    }

    /// Keeps what was given anew for whoever goes on with the run after this.
    pub(super) fn keep(&self) -> Result<(), CommandError> {
        self.kept.keep(&self.ledger)
    }
}

/// Which run a command takes where none is named.
#[derive(Clone, Copy)]
pub(crate) struct Selection<'a> {
    /// The command, for the announcement.
    pub(crate) command: &'static str,
    /// What is looked for, in words.
    pub(crate) words: &'static str,
    /// Whether a run is such.
    pub(crate) fits: &'a dyn Fn(&KeptRun, &Ledger) -> bool,
    /// Whether a question that follows says which run it is, so that it is not said before.
    pub(crate) is_asked: bool,
}

/// Opens the run with this prefix of its ID, or else the matching run with the highest epoch on the given target.
pub(super) fn open(
    run: Option<&str>,
    wanted: Selection<'_>,
    purpose: Purpose,
    request: &Request,
) -> Result<OpenRun, CommandError> {
    let Request {
        typed,
        sandbox,
        output,
        ..
    } = request;
    let (catalog, runs_dir) = catalog(typed)?;
    let dir = if let Some(run) = run {
        catalog.find(run)?
    } else {
        let given = given(&values(typed, &BTreeMap::new())?, sandbox);
        choose(&catalog, wanted, &given)?
    };
    let ledger = dir.whole_ledger()?;
    // Before the credentials are asked for, which a stand-in needs none of.
    refuse_ended_stand_in(ledger.header(), sandbox)?;
    refuse_pruned(&ledger)?;
    shard::refuse_other(typed, &ledger)?;
    let kept = SavedSettings::of(&ledger)?;
    let mut run_values = kept.values.clone();
    run_values.insert("system".to_owned(), ledger.header().system.clone());
    run_values.insert("base_url".to_owned(), ledger.header().base_url.clone());
    Guards::forget_duration(&mut run_values);
    let mut values = values(typed, &run_values)?;
    let mut resolved = resolve(&mut values, sandbox.secrets(), *output)?;
    // Where the run lies, other runs of its file lie too.
    resolved.runs_dir = dir.path().parent().map_or(runs_dir, Path::to_owned);
    same_target(&values, &resolved, ledger.header(), sandbox, purpose)?;
    if typed.get("profile").is_some() && purpose.writes() {
        same_as_profile(&values, ledger.header())?;
    }
    if sandbox.sandbox && !kept.typed.always.iter().any(|word| word == "--sandbox") {
        let (run, address) = (&ledger.header().run, ui::visible(&ledger.header().base_url));
        let words = format!("run {run} works on `{address}`, and not on a stand-in");
        return Err(CommandError::usage(words).with_help("leave --sandbox out"));
    }
    same_input(&dir, &ledger)?;
    let rules = kept.rules(&resolved)?;
    let capabilities = resolved.system.capabilities();
    let name = &ledger.header().input_name;
    let (input, reading) = (dir.input()?, kept.reading()?);
    let mut draft = if purpose == Purpose::Write {
        input_plan::read(&input, name, &reading, &rules, capabilities.unique_accounts)?
    } else {
        unplanned::open(&input, name, &reading, &rules, ledger.header().lines)?
    };
    let stand_in = stand_in::start_as_left(sandbox, &mut resolved, &draft, &ledger)?;
    if purpose == Purpose::Write {
        shard::restore(&mut draft, &ledger)?;
    } else {
        shard::restrict(&mut draft.table, ledger.shard()?);
    }
    if run.is_none() && !output.quiet && !wanted.is_asked {
        announce(wanted.command, &ledger);
    }
    if stand_in.is_some() && !output.quiet {
        ui::note(&format!(
            "the stand-in is a new one, filled from the record of run {}; no other system is called",
            dir.run()
        ));
    }
    Ok(OpenRun {
        dir,
        ledger,
        kept: kept.with(&values),
        limits: match purpose {
            Purpose::Look => Guards::default(),
            Purpose::Write | Purpose::Undo => Guards::of(&values)?,
        },
        resolved,
        draft: draft.into(),
        stand_in,
    })
}

/// The run with this prefix of its ID, or else the newest run in progress on the given target.
pub(crate) fn open_live(
    command: &'static str,
    run: Option<&str>,
    typed: &TypedSettings,
) -> Result<KeptRun, CommandError> {
    let (catalog, _) = catalog(typed)?;
    if let Some(run) = run {
        return Ok(catalog.find(run)?);
    }
    let wanted = Selection {
        command,
        words: "run in progress",
        fits: &|_, ledger| ledger.is_live(),
        is_asked: false,
    };
    choose(&catalog, wanted, &given_by(typed)?)
}

/// What is given of a target where no run is named; `None`: anything.
#[derive(Debug)]
pub(crate) struct Given {
    system: Option<String>,
    address: Option<String>,
    tenant: Option<String>,
    /// Whether runs on a stand-in inside of their process are meant, or all others.
    in_process: Option<bool>,
}

/// What the settings say of the target.
fn given(values: &Values, request: &SandboxRequest) -> Given {
    // A sandbox without a system is Plume's.
    let system = values.get("system").map(str::to_owned);
    let system = system.or_else(|| request.sandbox.then(|| Kind::Plume.to_string()));
    // A stand-in has ended with its process, so that no command reaches it without one of its own.
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

/// The same where a command has no options for a target.
pub(crate) fn given_by(typed: &TypedSettings) -> Result<Given, CommandError> {
    let values = values(typed, &BTreeMap::new())?;
    let system = values.get("system").map(str::to_owned);
    Ok(of_values(&values, system, None))
}

impl Given {
    /// Whether an address is given, and not any is meant.
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

/// The run that is meant where none is named.
pub(crate) fn choose(
    catalog: &RunCatalog,
    wanted: Selection<'_>,
    given: &Given,
) -> Result<KeptRun, CommandError> {
    let newest = catalog.newest_by_target(|entry| {
        given.fits(&entry.header.system, &entry.header.target)
            && match entry.ledger() {
                Ok(ledger) => (wanted.fits)(&entry.dir, &ledger),
                // It may be the one that is meant. An older one in its place would be a guess.
                Err(_) => true,
            }
    });
    // A newer run that cannot be read may be the one that is meant: opening it says why it cannot.
    let highest = newest.first().map_or(0, |one| one.header.epoch);
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
            Err(match elsewhere.first() {
                None => none.into(),
                Some(_) => CommandError::from(none).with_help(format!(
                    "on other targets there are: {}. Name the run that is meant",
                    list(&elsewhere)
                )),
            })
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

/// What a run is, in words: `apply of moves.csv`. The name of an undo's input is such words already.
pub(super) fn described(ledger: &Ledger) -> String {
    let header = ledger.header();
    let name = ui::visible(&header.input_name);
    if header.kind == RunKind::Undo {
        return name.into_owned();
    }
    let kind = ledger.kind().unwrap_or(header.kind);
    format!("{} of {name}", kind.as_str())
}

/// Says which run a command is about that was given without one.
pub(crate) fn announce(command: &str, ledger: &Ledger) {
    let header = ledger.header();
    ui::err(&format!(
        "{command}: run {} ({}, {}, {})",
        header.run,
        described(ledger),
        ui::visible(&Target::of_run(header).to_string()),
        ui::lines(header.lines),
    ));
}

/// Whether a run wrote something, or was about to.
pub(super) fn wrote_something(ledger: &Ledger) -> bool {
    ledger.has_writes().unwrap_or(false)
}

/// A stand-in inside of a process has ended with it: nothing answers at its address, or something else does.
fn refuse_ended_stand_in(header: &Header, request: &SandboxRequest) -> Result<(), CommandError> {
    if request.sandbox || !Target::of_run(header).in_process {
        return Ok(());
    }
    let run = &header.run;
    let words = format!("run {run} worked on a stand-in that ended with its process");
    Err(CommandError::usage(words)
        .with_help("name another run; or add --sandbox, which starts a new one, filled as the run's record says"))
}

/// A variable that is set for other work must not carry a run to another system. What is typed may.
fn same_target(
    values: &Values,
    resolved: &Resolved,
    header: &Header,
    request: &SandboxRequest,
    purpose: Purpose,
) -> Result<(), CommandError> {
    if request.sandbox {
        return Ok(());
    }
    let system = resolved.system.to_string();
    for (name, said, begun) in [
        ("system", system.as_str(), header.system.as_str()),
        (
            "base_url",
            said(resolved.base_url.as_ref()),
            &header.base_url,
        ),
        ("tenant", said(resolved.tenant.as_ref()), &header.tenant),
    ] {
        if let Origin::Environment(variable) = values.origin(name)
            && said != begun
        {
            let (said, begun) = (ui::visible(said), ui::visible(begun));
            let flag = format!("--{}", name.replace('_', "-"));
            let words = format!(
                "run {} works on `{begun}`, but {variable} says `{said}`",
                header.run
            );
            if purpose == Purpose::Look {
                ui::warning(&words);
                continue;
            }
            return Err(CommandError::usage(words).with_help(format!(
                "unset {variable}, or say `{flag} {said}` where you mean it"
            )));
        }
    }
    Ok(())
}

/// A run keeps to its own target. Whoever names a profile with another one means that.
fn same_as_profile(values: &Values, header: &Header) -> Result<(), CommandError> {
    for (name, begun) in [("base_url", &header.base_url), ("tenant", &header.tenant)] {
        let Some(said) = values.of_profile(name) else {
            continue;
        };
        // Of the address there are several spellings.
        let spelled = crate::http::check_base_url(said, true);
        let is_same = said == begun || spelled.is_ok_and(|spelled| spelled == *begun);
        // Whatever counts more than the profile has been compared already.
        if is_same
            || matches!(
                values.origin(name),
                Origin::CommandLine | Origin::Environment(_)
            )
        {
            continue;
        }
        let (said, begun) = (ui::visible(said), ui::visible(begun));
        let profile = values.profile_name.as_deref().unwrap_or_default();
        let words = format!(
            "run {} works on `{begun}`, but the profile `{profile}` says `{said}`",
            header.run
        );
        return Err(CommandError::usage(words).with_help(
            "leave --profile out to go on where the run works; another target wants a run of its own",
        ));
    }
    Ok(())
}

fn said(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}
