//! Opens an existing run: finds it, reads its file again, and applies the settings that it was begun with.

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
use super::selection::{Selection, choose, given};
use super::shard;
use super::stand_in::{self, StandIn};
use super::target::Target;
use super::unplanned;
use super::values::{catalog, resolve, values};
use crate::config::{Origin, Resolved, Values};
use crate::ledger::{Header, Ledger, RunKind};
use crate::report::{Commands, SANDBOX};
use crate::ui;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What a run is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing is written, so that looking at another target does no harm.
    Look,
    /// The remaining lines are carried out.
    Write,
    /// The values that the run has replaced are restored, by another run with its own file.
    Undo,
}

impl Purpose {
    fn writes(self) -> bool {
        self != Self::Look
    }
}

/// An open run. `F`: its planned file, or `()` if the command does not need the file.
pub(crate) struct OpenRun<F = Arc<InputPlan>> {
    pub(super) dir: KeptRun,
    pub(super) ledger: Ledger,
    /// The saved settings, with those that this command gives anew.
    pub(super) kept: SavedSettings,
    /// The guards: as this command gives them, otherwise as the run was begun with. None for [`Purpose::Look`].
    pub(super) limits: Guards,
    pub(super) resolved: Resolved,
    pub(super) draft: F,
    /// Must live as long as the run.
    pub(super) stand_in: Option<StandIn>,
}

impl<F> OpenRun<F> {
    /// Returns its target. This is not the original target if this command gives another address.
    pub(super) fn target(&self) -> Result<Target, CommandError> {
        let base_url = base_url(&self.resolved)?;
        Ok(Target::of(
            &self.resolved,
            &base_url,
            self.stand_in.is_some(),
        ))
    }

    /// Claims the run's target, so that no other run works on it meanwhile. Refuses a run that was pruned since it was
    /// opened.
    pub(super) fn claim(&self) -> Result<TargetClaim, CommandError> {
        let claim = TargetClaim::take(&self.resolved, self.target()?, self.dir.run().as_str())?;
        refuse_pruned(&self.ledger)?;
        Ok(claim)
    }

    /// Returns the limits that this process shares with other processes that call the run's target.
    pub(super) fn shared_limits(&self) -> Result<Option<SharedLimits>, CommandError> {
        if self.stand_in.is_some() {
            return Ok(None);
        }
        let (target, has_quota) = (self.target()?.key(), self.resolved.quota.is_some());
        Ok(self.dir.shared_limits(target, has_quota)?)
    }

    /// Returns the commands with which a person continues from this run.
    pub(super) fn commands(&self) -> Commands {
        let run = &self.ledger.header().run;
        Commands::with(self.dir.path(), run, &self.kept.text())
    }

    /// Saves what this command gives anew, for later commands that continue the run.
    pub(super) fn keep(&self) -> Result<(), CommandError> {
        self.kept.keep(&self.ledger)
    }
}

/// Opens the run with this prefix of its ID, or else the newest matching run on the given target.
pub(super) fn open(
    run: Option<&str>,
    wanted: Selection<'_>,
    purpose: Purpose,
    request: &Request,
) -> Result<OpenRun, CommandError> {
    let mut found = Found::of(run, wanted, purpose, request)?;
    // Another thread checks the ledger while the file is read. `verify` reads the outcomes, too, before it waits for the result.
    let draft = found.read_input();
    if purpose.writes() {
        found.ledger.checked()?;
    }
    let mut draft = draft?;
    let Found {
        ledger, resolved, ..
    } = &mut found;
    let stand_in = stand_in::start_as_left(&request.sandbox, resolved, &draft, ledger)?;
    found.restrict(&mut draft)?;
    found.opened(draft.into(), stand_in, (run, wanted), request)
}

/// Opens the run that `undo` is to undo, without its file. The ledger alone says what the run wrote, so a run can be undone also
/// if its file is lost or damaged. Another thread checks the ledger meanwhile: `UndoLines::of` waits for the result.
pub(super) fn open_for_undo(
    run: Option<&str>,
    wanted: Selection<'_>,
    request: &Request,
) -> Result<OpenRun<()>, CommandError> {
    let mut found = Found::of(run, wanted, Purpose::Undo, request)?;
    let stand_in = if request.sandbox.sandbox {
        // The stand-in is filled with the customers of the file.
        let draft = found.read_input()?;
        let Found {
            ledger, resolved, ..
        } = &mut found;
        stand_in::start_as_left(&request.sandbox, resolved, &draft, ledger)?
    } else {
        None
    };
    found.opened((), stand_in, (run, wanted), request)
}

/// A run that was found, with its settings, before its file is opened.
struct Found {
    dir: KeptRun,
    ledger: Ledger,
    /// The settings that the run began with.
    kept: SavedSettings,
    /// The same with the settings of this command.
    values: Values,
    resolved: Resolved,
    purpose: Purpose,
}

impl Found {
    fn of(
        run: Option<&str>,
        wanted: Selection<'_>,
        purpose: Purpose,
        request: &Request,
    ) -> Result<Self, CommandError> {
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
        let ledger = dir.ledger_under_check()?;
        // Before the credentials are asked for, because a stand-in needs none.
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
        // Other runs of the same file are in the same folder as this run.
        resolved.runs_dir = dir.path().parent().map_or(runs_dir, Path::to_owned);
        same_target(&values, &resolved, ledger.header(), sandbox, purpose)?;
        if typed.get("profile").is_some() && purpose.writes() {
            same_as_profile(&values, ledger.header())?;
        }
        if sandbox.sandbox && !kept.typed.always.iter().any(|word| word == SANDBOX) {
            let (run, address) = (&ledger.header().run, ui::visible(&ledger.header().base_url));
            let words = format!("run {run} works on `{address}`, and not on a stand-in");
            return Err(CommandError::usage(words).with_help("leave --sandbox out"));
        }
        Ok(Self {
            dir,
            ledger,
            kept,
            values,
            resolved,
            purpose,
        })
    }

    /// Opens the file of the run, and plans it if its lines are to be carried out.
    fn read_input(&self) -> Result<InputPlan, CommandError> {
        same_input(&self.dir, &self.ledger)?;
        let (resolved, header) = (&self.resolved, self.ledger.header());
        let (rules, reading) = (self.kept.rules(resolved)?, self.kept.reading()?);
        let (input, name) = (self.dir.input()?, &header.input_name);
        if self.purpose != Purpose::Write {
            return Ok(unplanned::open(
                &input,
                name,
                &reading,
                &rules,
                header.lines,
            )?);
        }
        let is_unique = resolved.system.capabilities().unique_accounts;
        Ok(input_plan::read(&input, name, &reading, &rules, is_unique)?)
    }

    /// Removes the lines that do not belong to the run's share of the file.
    fn restrict(&self, draft: &mut InputPlan) -> Result<(), CommandError> {
        if self.purpose == Purpose::Write {
            return shard::restore(draft, &self.ledger);
        }
        shard::restrict(&mut draft.table, self.ledger.shard()?);
        Ok(())
    }

    /// Announces the run if the command named none; `wanted` then says how it was chosen.
    fn opened<F>(
        self,
        draft: F,
        stand_in: Option<StandIn>,
        (named, wanted): (Option<&str>, Selection<'_>),
        request: &Request,
    ) -> Result<OpenRun<F>, CommandError> {
        let is_quiet = request.output.quiet;
        if named.is_none() && !is_quiet && !wanted.is_asked {
            announce(wanted.command, &self.ledger);
        }
        if stand_in.is_some() && !is_quiet {
            ui::note(&format!(
                "the stand-in is a new one, filled from the record of run {}; no other system is called",
                self.dir.run()
            ));
        }
        Ok(OpenRun {
            kept: (self.kept).with(&self.values, &request.typed, request.sandbox.sandbox),
            limits: match self.purpose {
                Purpose::Look => Guards::default(),
                Purpose::Write | Purpose::Undo => Guards::of(&self.values)?,
            },
            dir: self.dir,
            ledger: self.ledger,
            resolved: self.resolved,
            draft,
            stand_in,
        })
    }
}

/// Describes a run: `apply of moves.csv`. The input of an undo has a description as its name.
pub(super) fn described(ledger: &Ledger) -> String {
    let header = ledger.header();
    let name = ui::visible(&header.input_name);
    if header.kind == RunKind::Undo {
        return name.into_owned();
    }
    let kind = ledger.kind().unwrap_or(header.kind);
    format!("{} of {name}", kind.as_str())
}

/// Tells the user which run a command has chosen.
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

/// Returns whether a run has writes on record, sent or about to be sent.
pub(super) fn wrote_something(ledger: &Ledger) -> bool {
    ledger.has_writes().unwrap_or(false)
}

/// Refuses a run on a stand-in that has ended with its process: nothing answers at its address, or something else does.
fn refuse_ended_stand_in(header: &Header, request: &SandboxRequest) -> Result<(), CommandError> {
    if request.sandbox || !Target::of_run(header).in_process {
        return Ok(());
    }
    let run = &header.run;
    let words = format!("run {run} worked on a stand-in that ended with its process");
    Err(CommandError::usage(words)
        .with_help("name another run; or add --sandbox, which starts a new one, filled from the record of the run"))
}

/// Refuses if an environment variable names another target: it may have been set for other work. A typed option may name
/// another target. For [`Purpose::Look`] this is only a warning.
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
                "unset {variable}, or give `{flag} {said}` if you mean it"
            )));
        }
    }
    Ok(())
}

/// Refuses a typed profile that names another target: a run keeps to its own target.
fn same_as_profile(values: &Values, header: &Header) -> Result<(), CommandError> {
    for (name, begun) in [("base_url", &header.base_url), ("tenant", &header.tenant)] {
        let Some(said) = values.of_profile(name) else {
            continue;
        };
        // The address can be spelled in several ways.
        let spelled = crate::http::check_base_url(said, true);
        let is_same = said == begun || spelled.is_ok_and(|spelled| spelled == *begun);
        // A typed option or a variable overrides the profile, and `same_target` has checked these.
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
            "leave --profile out to continue on the target of the run; for another target, start a new run",
        ));
    }
    Ok(())
}

fn said(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}
