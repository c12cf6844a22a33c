//! From what was typed to a run that is ready: settings, stand-in, the run's own copy of the file, ledger, lock.

use super::claim::{TargetClaim, target_of};
use super::command_error::CommandError;
use super::connection::{base_url, check_host};
use super::forecast::{self, Forecast, Question};
use super::guards::Guards;
use super::input_identity::InputIdentity;
use super::input_plan::{self, InputPlan};
use super::lost_runs;
use super::options::{GuardArgs, InputArgs, OutputArgs, SandboxArgs, Target};
use super::redraw::refresh_report;
use super::resolve::{resolve, values_of_file};
use super::saved_settings::{SavedSettings, as_its_run_did, kept};
use super::{Exit, clock, recall, reported, stand_in};
use crate::config::{Resolved, Values};
use crate::engine::History;
use crate::input::{self, Rules};
use crate::ledger::{Header, Ledger, RunDir, RunId};
use crate::report::{Commands, run_status};
use crate::ui;
use std::path::Path;

/// A new run that is ready to be worked on.
pub(super) struct Ready {
    pub(super) dir: RunDir,
    pub(super) ledger: Ledger,
    pub(super) claim: TargetClaim,
    pub(super) draft: InputPlan,
    /// What earlier runs tell of the file's lines.
    pub(super) history: History,
    pub(super) resolved: Resolved,
    pub(super) limits: Guards,
    /// Lives as long as the run.
    pub(super) stand_in: Option<stand_in::StandIn>,
}

/// What a new run is made from.
pub(super) struct Wanted<'a> {
    pub(super) command: &'static str,
    pub(super) file: &'a Path,
    pub(super) reading: &'a InputArgs,
    pub(super) target: &'a Target,
    pub(super) inside: &'a SandboxArgs,
    pub(super) guards: Option<&'a GuardArgs>,
    pub(super) speech: &'a OutputArgs,
    pub(super) writes: bool,
    /// Whether chains and swaps are carried out although runs that may have done so are lost.
    pub(super) without_history: bool,
}

impl Wanted<'_> {
    fn kept(&self, values: &Values, limits: Guards) -> Result<SavedSettings, CommandError> {
        let sandbox = self.inside.sandbox;
        kept(self.reading, self.target, sandbox, values, limits)
    }
}

/// Where the file is kept until there is a run.
pub(super) fn staging(runs_dir: &Path) -> Result<tempfile::TempDir, CommandError> {
    tempfile::Builder::new()
        .prefix(".staging-")
        .tempdir_in(runs_dir)
        .map_err(|why| {
            CommandError::usage(format!("{}: cannot be written: {why}", runs_dir.display()))
                .with_help("make it writable, or name another folder with --runs-dir")
        })
}

/// Reads a file and makes a run for it. Nothing is left behind where the file cannot be used.
pub(super) fn new_run(wanted: &Wanted<'_>) -> Result<Ready, CommandError> {
    let limits = wanted
        .guards
        .map(Guards::of)
        .transpose()?
        .unwrap_or_default();
    let mut values = values_of_file(wanted.target, wanted.reading)?;
    let mut resolved = resolve(&mut values, wanted.inside.secrets(), wanted.speech)?;
    let mut kept = wanted.kept(&values, limits.clone())?;
    let rules = kept.rules(&resolved)?;
    RunDir::prepare(&resolved.runs_dir)?;
    let staging = staging(&resolved.runs_dir)?;
    let copy = staging.path().join("input.csv");
    refresh_report(wanted.file)?;
    let stored = input::store(wanted.file, &copy)?;
    as_its_run_did(&mut kept, wanted.file, &copy, wanted.speech)?;
    let unique = resolved.system.capabilities().unique_accounts;
    let read = |path: &Path| {
        input_plan::read(path, &stored.name, &kept.reading()?, &rules, unique)
            .map_err(CommandError::from)
    };
    let mut checked = read(&copy)?;
    let more = reported::compare(&checked.table, wanted.file, &resolved.runs_dir)?;
    checked.add(more)?;
    refuse_problems(&checked, kept.skip_invalid, wanted.speech)?;
    if !wanted.inside.sandbox {
        refuse_unfindable(&checked, &resolved)?;
    }
    if wanted.writes {
        refuse_emails(&resolved, wanted.command)?;
    }
    let stand_in = stand_in::start(wanted.inside, &mut resolved, Some(&checked))?;
    let base_url = base_url(&resolved)?;
    check_host(&base_url)?;
    consent(wanted, &checked, &resolved, &kept, &base_url)?;
    let run = RunId::new(clock::now_ms());
    let target = target_of(&resolved, &base_url, wanted.inside.sandbox);
    let claim = TargetClaim::take(&resolved, target, run.as_str())?;
    let header = Header {
        run: run.to_string(),
        command: wanted.command.to_owned(),
        system: resolved.system.to_string(),
        base_url,
        tenant: resolved.tenant.clone().unwrap_or_default(),
        target: claim.target.key(),
        input_name: stored.name.clone(),
        input_sha256: stored.sha256.clone(),
        settings: serde_json::to_string(&kept).unwrap_or_default(),
        parent: None,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at_ms: clock::now_ms(),
        epoch: claim.epoch,
    };
    let identity = InputIdentity::of_file(wanted.file, &checked, &header)?;
    let history = history(wanted, &header, &claim, &identity, &checked, &resolved)?;
    let (dir, ledger) = begin(&resolved.runs_dir, &run, |dir| {
        let ledger = take_in(dir, &copy, &header)?;
        identity.note(&ledger)?;
        ledger.set(run_status::LINES, &checked.counts.lines.to_string())?;
        claim.register(dir, &ledger, false)?;
        Ok(ledger)
    })?;
    // From now on the run's own copy is the file.
    let draft = InputPlan {
        table: reopen(&dir, &stored.name, &kept, &rules)?,
        ..checked
    };
    Ok(Ready {
        dir,
        ledger,
        claim,
        draft,
        history,
        resolved,
        limits,
        stand_in,
    })
}

/// Takes the copy of the file into the run's folder, and makes the ledger beside it.
fn take_in(dir: &RunDir, copy: &Path, header: &Header) -> Result<Ledger, CommandError> {
    std::fs::rename(copy, dir.input()).map_err(|why| {
        let path = dir.input();
        CommandError::usage(format!("{}: cannot be written: {why}", path.display()))
    })?;
    Ok(Ledger::create(dir, header)?)
}

/// What earlier runs tell of the file's lines.
fn history(
    wanted: &Wanted<'_>,
    header: &Header,
    claim: &TargetClaim,
    identity: &InputIdentity,
    draft: &InputPlan,
    resolved: &Resolved,
) -> Result<History, CommandError> {
    warn_of_killed(claim)?;
    let history = recall::of(
        header,
        &claim.keys(),
        &claim.catalog,
        identity,
        draft,
        resolved,
    )?;
    if !wanted.without_history {
        lost_runs::refuse_repeats(draft, claim, &history, resolved)?;
    }
    Ok(history)
}

fn warn_of_killed(claim: &TargetClaim) -> Result<(), CommandError> {
    if let Some(dir) = recall::killed(&claim.catalog, &claim.keys())? {
        let resume = Commands::of(dir.path(), Ledger::open_unchecked(&dir)?.header()).resume(&[]);
        // Also with --quiet.
        ui::err(&format!(
            "warning: run {} ended in the middle of a swap, and customers still have temporary IDs from it; no other run \
             finds them. `{}` restores them",
            dir.run(),
            ui::visible(&resume)
        ));
    }
    Ok(())
}

/// Makes a run's folder and its ledger; where that fails, nothing is left behind.
pub(super) fn begin(
    runs_dir: &Path,
    run: &RunId,
    make: impl FnOnce(&RunDir) -> Result<Ledger, CommandError>,
) -> Result<(RunDir, Ledger), CommandError> {
    let dir = RunDir::create(runs_dir, run)?;
    match make(&dir) {
        Ok(ledger) => Ok((dir, ledger)),
        Err(failure) => {
            // An incomplete run folder can neither be resumed nor read, and its run ID was not shown to the user.
            let _ = std::fs::remove_dir_all(dir.path());
            Err(failure.before_anything())
        }
    }
}

fn reopen(
    dir: &RunDir,
    name: &str,
    kept: &SavedSettings,
    rules: &Rules,
) -> Result<input::Table, CommandError> {
    Ok(input::Table::open(
        &dir.input(),
        name,
        &kept.reading()?,
        rules,
    )?)
}

/// Nothing is sent while any line is invalid, unless the operator leaves such lines out, nor while a blocking warning is
/// not accepted.
pub(super) fn refuse_problems(
    draft: &InputPlan,
    skip_invalid: bool,
    speech: &OutputArgs,
) -> Result<(), CommandError> {
    if !draft.problems.is_empty() && !speech.quiet && !speech.is_json() {
        ui::err(&ui::problems(draft.table.name(), &draft.problems));
    }
    let name = draft.table.name();
    let blocking = draft.blocking();
    if !blocking.is_empty() {
        return Err(CommandError::usage(format!(
            "{name}: something may be wrong with the file as a whole ({}); nothing was sent",
            blocking.join(", ")
        ))
        .with_help(format!(
            "look at the lines that are named; if they are right as they are: --accept {}",
            blocking.join(",")
        )));
    }
    if !draft.has_errors() || skip_invalid {
        return Ok(());
    }
    let lines = draft.invalid_lines();
    Err(CommandError::usage(format!(
        "{name}: {} of {} cannot be carried out; nothing was sent",
        ui::count(lines),
        ui::lines(draft.counts.lines)
    ))
    .with_help("correct them (idshift check shows more), or leave them out with --skip-invalid"))
}

/// Adobe has no search: without a listing, only customers that are named by their own ID can be found.
fn refuse_unfindable(draft: &InputPlan, resolved: &Resolved) -> Result<(), CommandError> {
    let needs_listing =
        resolved.system == crate::system::Kind::Adobe && resolved.reseller.is_none();
    if !needs_listing || draft.without_customer == 0 {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "{} no customerId, and Adobe has no search by externalReferenceId",
        ui::one_or_many(draft.without_customer, "line has", "lines have")
    ))
    .with_help("name the reseller whose customers are to be listed: --reseller ID or reseller_id in the profile"))
}

/// A write to Adobe that carries contacts sends them e-mails; the operator must consent to that.
pub(super) fn refuse_emails(resolved: &Resolved, command: &str) -> Result<(), CommandError> {
    let capabilities = resolved.system.capabilities();
    if !resolved.sends_emails() || resolved.accept_welcome_emails {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "{} sends a welcome e-mail to every contact of each customer that is written; {command} writes nothing without your consent",
        capabilities.title
    ))
    .with_help("`idshift plan` says how many would go out; then give --accept-welcome-emails"))
}

/// Shows what is about to happen, where, and asks.
fn consent(
    wanted: &Wanted<'_>,
    draft: &InputPlan,
    resolved: &Resolved,
    kept: &SavedSettings,
    base_url: &str,
) -> Result<(), CommandError> {
    let Some(guards) = wanted.guards.filter(|_| wanted.writes) else {
        return Ok(());
    };
    let command = wanted.command;
    let name = ui::visible(draft.table.name());
    let question = Question {
        what: format!("{command} {name}"),
        counts: forecast::counts(draft),
        forecast: Some(Forecast::of_file(draft, resolved)),
        looked: false,
        resolved,
        base_url,
        profile: kept.values.get("profile").map(String::as_str),
        limits: &kept.limits,
        may_set_services: draft.counts.locations > 0,
    };
    ask(&question.text()?, guards, command)
}

/// Whether a person at a terminal is asked. `resume` without one goes on with the consent of its run.
pub(super) fn is_asked(guards: &GuardArgs) -> bool {
    !guards.yes && !guards.no_input && ui::can_ask()
}

/// Asks, where there is a terminal.
pub(super) fn ask(question: &str, guards: &GuardArgs, command: &str) -> Result<(), CommandError> {
    if guards.yes {
        return Ok(());
    }
    let no_terminal = || {
        CommandError::usage(format!(
            "{command} needs --yes when there is no terminal to ask at"
        ))
        .with_help("nothing was written")
    };
    if guards.no_input {
        return Err(CommandError::usage(format!(
            "{command} needs --yes, for --no-input keeps it from asking"
        ))
        .with_help("nothing was written"));
    }
    match ui::confirm(question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommandError::new(
            Exit::NothingDone,
            "not confirmed; nothing was written",
        )),
        Err(_) => Err(no_terminal()),
    }
}
