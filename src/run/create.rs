//! Makes a run from a request and a file: settings, stand-in, the run's own copy of the file, target, ledger.

use super::catalog::RunCatalog;
use super::claim::TargetClaim;
use super::clock;
use super::connect::{base_url, check_egress, check_host};
use super::consent::{self, Question, ask};
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::Exit;
use super::feeder::PassInput;
use super::guards::Guards;
use super::input_identity::InputIdentity;
use super::input_plan::{self, InputPlan};
use super::kept_run::KeptRun;
use super::lost_runs;
use super::open::OpenRun;
use super::plain_file::PlainFile;
use super::planned_before::PlannedAs;
use super::prepared_run::{PreparedRun, Task};
use super::prior_runs;
use super::redraw::refresh_report;
use super::report_edits;
use super::request::{Output, Request};
use super::run_storage::{RunScope, RunsSettings};
use super::saved_settings::{SavedSettings, as_its_run_did, kept};
use super::shard;
use super::stand_in;
use super::target::Target;
use super::values::{resolve, values};
use crate::config::Resolved;
use crate::engine::History;
use crate::input::{self, Stored, Table};
use crate::ledger::{Header, Ledger, NewLedger, RunDir, RunId, RunKind, Runs};
use crate::ui;
use std::collections::BTreeMap;
use std::path::Path;

/// A new run that is ready to be worked on.
pub(crate) struct NewRun {
    pub(super) run: OpenRun,
    pub(super) claim: TargetClaim,
    /// What the records of earlier runs say about the file's lines.
    pub(super) history: History,
}

impl NewRun {
    /// Returns the run with its input and this task, ready to be carried out.
    pub(super) fn prepared(self, known: PassInput, task: Task) -> PreparedRun {
        PreparedRun {
            run: self.run,
            claim: self.claim,
            known,
            task,
        }
    }
}

/// What a new run is made from.
pub(crate) struct Specification<'a> {
    pub(super) kind: RunKind,
    pub(super) file: &'a Path,
    pub(super) request: &'a Request,
    pub(super) writes: bool,
}

/// Makes the temporary folder that holds the file until its run exists.
pub(crate) fn staging(runs_dir: &Path) -> Result<tempfile::TempDir, CommandError> {
    tempfile::Builder::new()
        .prefix(".staging-")
        .tempdir_in(runs_dir)
        .map_err(|why| {
            CommandError::usage(format!("{}: cannot be written: {why}", runs_dir.display()))
                .with_help("make it writable, or name another folder with --runs-dir")
        })
}

/// Reads a file and makes a run for it. Leaves nothing behind if the file cannot be used.
pub(super) fn new_run(spec: &Specification<'_>) -> Result<NewRun, CommandError> {
    let Request {
        typed,
        sandbox,
        output,
        ..
    } = spec.request;
    let mut values = values(typed, &BTreeMap::new())?;
    let limits = Guards::of(&values)?;
    let mut resolved = resolve(&mut values, sandbox.secrets(), *output)?;
    let mut kept = kept(typed, sandbox.sandbox, &values)?;
    kept.key.clone_from(&spec.request.key);
    kept.rules(&resolved)?;
    let runs = RunsSettings::of_resolved(&resolved).runs(RunScope::Here);
    runs.prepare()?;
    let staging = staging(&resolved.runs_dir)?;
    let copy = staging.path().join("input.csv");
    refresh_report(spec.file, &runs)?;
    let of_run = KeptRun::of_file(&runs, spec.file);
    let of_run = of_run.as_ref();
    let stored = input::store(spec.file, &copy)?;
    as_its_run_did(&mut kept, typed, (spec.file, &copy), of_run, *output)?;
    let mut draft = planned(spec.kind, (&copy, &stored), &mut kept, (&resolved, &*runs))?;
    let more = report_edits::compare(&draft.table, spec.file, &runs)?;
    draft.add(more)?;
    refuse(spec, &draft, &kept, &resolved)?;
    let stand_in = stand_in::start(sandbox, &mut resolved, Some(&draft))?;
    let base_url = checked_address(&resolved)?;
    // Only after the stand-in was started, because it needs the customers of the whole file.
    let shard = shard::take(&mut draft, of_run, &resolved, output.quiet)?;
    kept.asks_after_look = asks_after_look(spec, &draft, &resolved)?;
    if spec.writes && !kept.asks_after_look {
        ask_for_consent(spec, &draft, &resolved, (&kept, &limits), &base_url)?;
    }
    let run = RunId::new(clock::now_ms());
    let claim = claim(spec, &resolved, &base_url, &run)?;
    let identity = InputIdentity::of_file(spec.file, &draft, &stored.sha256, of_run)?;
    let mut header = Header {
        input_name: stored.name.clone(),
        input_sha256: stored.sha256.clone(),
        lines: draft.counts.lines,
        origins: identity.origins().to_vec(),
        ..claim.header(&run, spec.kind, &kept)
    };
    let history = history(
        spec.request.without_history,
        &header,
        &claim,
        &identity,
        &draft,
        (&resolved, &mut kept),
    )?;
    header.settings = kept.text();
    let (dir, ledger) = begin(&claim, &run, |dir, new| {
        take_in(dir, &copy, &header, &claim.catalog)?;
        let ledger = new.begin(&header, shard.as_ref())?;
        if spec.writes {
            let estimate = Forecast::of_file(&draft, &resolved).document(&resolved);
            ledger.set_estimate(&estimate.to_string())?;
        }
        claim.register(dir, &ledger, false)?;
        Ok(ledger)
    })?;
    spec.request.set_run(&dir);
    // From now on, lines are read from the run's own copy of the file.
    let rules = kept.rules(&resolved)?;
    draft.table = Table::open(&dir.input()?, &stored.name, &kept.reading()?, &rules)?;
    shard::restrict(&mut draft.table, shard);
    let run = OpenRun {
        dir,
        ledger,
        kept,
        limits,
        resolved,
        draft: draft.into(),
        stand_in,
    };
    Ok(NewRun {
        run,
        claim,
        history,
    })
}

/// Plans the file. A reconcile takes the plan from the last reconcile if the file is plain and has the same bytes.
fn planned(
    kind: RunKind,
    (copy, stored): (&Path, &Stored),
    kept: &mut SavedSettings,
    (resolved, runs): (&Resolved, &dyn Runs),
) -> Result<InputPlan, CommandError> {
    let (rules, name) = (kept.rules(resolved)?, &stored.name);
    let of_night = kind == RunKind::Reconcile;
    let system = resolved.system.to_string();
    let file = PlannedAs {
        name,
        sha256: &stored.sha256,
        kept,
        system: &system,
    };
    if let Some(plain) = of_night.then(|| file.known(runs)).flatten() {
        kept.plain = Some(plain);
        let table = Table::open(copy, name, &kept.reading()?, &rules)?;
        return Ok(plain.plan(table));
    }
    let unique = resolved.system.capabilities().unique_accounts;
    let draft = input_plan::read(copy, name, &kept.reading()?, &rules, unique)?;
    kept.plain = of_night.then(|| PlainFile::of(&draft)).flatten();
    Ok(draft)
}

/// Claims the target of a new run. Refuses if another machine has begun a run with the same key in the meantime.
fn claim(
    spec: &Specification<'_>,
    resolved: &Resolved,
    base_url: &str,
    run: &RunId,
) -> Result<TargetClaim, CommandError> {
    let target = Target::of(resolved, base_url, spec.request.sandbox.sandbox);
    let claim = TargetClaim::take(resolved, target, run.as_str())?;
    let key = spec.request.key.as_deref();
    let Some((key, entry)) = key.and_then(|key| Some((key, claim.catalog.of_key(key).next()?)))
    else {
        return Ok(claim);
    };
    let (run, host) = (&entry.header.run, ui::visible(&entry.header.host));
    Err(CommandError::new(
        Exit::Busy,
        format!("run {run} was begun on {host} with the key {key} meanwhile; nothing was sent"),
    )
    .with_help("give the same command again: it goes on with that run"))
}

/// Refuses input that cannot be carried out.
fn refuse(
    spec: &Specification<'_>,
    draft: &InputPlan,
    kept: &SavedSettings,
    resolved: &Resolved,
) -> Result<(), CommandError> {
    refuse_problems(draft, kept.skips_invalid()?, spec.request.output)?;
    if !spec.request.sandbox.sandbox {
        refuse_unfindable(draft, resolved)?;
    }
    if spec.writes {
        consent::refuse_emails(resolved, spec.kind.as_str())?;
    }
    Ok(())
}

/// Returns the address of the system, after checking that this machine can call it.
fn checked_address(resolved: &Resolved) -> Result<String, CommandError> {
    let base_url = base_url(resolved)?;
    check_host(&base_url)?;
    check_egress(resolved, &base_url)?;
    Ok(base_url)
}

/// Puts the file into the run's folder: a link to the same input of another run, or the copy.
fn take_in(
    dir: &RunDir,
    copy: &Path,
    header: &Header,
    catalog: &RunCatalog,
) -> Result<(), CommandError> {
    if !is_shared(dir, header, catalog) {
        std::fs::rename(copy, dir.local_input()).map_err(|why| {
            let path = dir.local_input();
            CommandError::usage(format!("{}: cannot be written: {why}", path.display()))
        })?;
    }
    Ok(())
}

/// Hard-links the input of another run in the same runs folder if it has the same content and still matches its recorded
/// digest, so that the same bytes are stored once. Returns `false` if that is not possible; the run then gets a copy.
fn is_shared(dir: &RunDir, header: &Header, catalog: &RunCatalog) -> bool {
    let folder = dir.path().parent();
    let same = catalog.entries.iter().find(|entry| {
        entry.header.input_sha256 == header.input_sha256
            && entry.dir.path().parent() == folder
            && crate::input::digest(&entry.dir.local_input())
                .is_ok_and(|digest| digest == header.input_sha256)
    });
    same.is_some_and(|entry| std::fs::hard_link(entry.dir.local_input(), dir.local_input()).is_ok())
}

/// Returns what earlier runs say about the lines. Refuses lines that a lost run or another shard may have carried out.
fn history(
    without_history: bool,
    header: &Header,
    claim: &TargetClaim,
    identity: &InputIdentity,
    draft: &InputPlan,
    (resolved, kept): (&Resolved, &mut SavedSettings),
) -> Result<History, CommandError> {
    let history = prior_runs::of(
        header,
        &claim.keys(),
        &claim.catalog,
        identity,
        draft,
        (resolved, kept),
    )?;
    warn_of_temporary_ids(claim, &history)?;
    if !without_history {
        lost_runs::refuse_repeats(draft, claim, &history, resolved)?;
        let run = (claim, header.run.as_str());
        shard::refuse_repeats(draft, run, identity, &history, resolved)?;
    }
    Ok(history)
}

fn warn_of_temporary_ids(claim: &TargetClaim, history: &History) -> Result<(), CommandError> {
    let (catalog, keys) = (&claim.catalog, claim.keys());
    if let Some(left) = prior_runs::leaving_temporary_ids(catalog, &keys, history)? {
        let (run, resume) = (&left.header.run, left.commands().resume(&[]));
        // This warning is shown even with --quiet.
        ui::warning(&format!(
            "run {run} ended in the middle of a swap, and customers still have temporary IDs from it; no other \
             run finds them. `{}` restores them",
            ui::visible(&resume)
        ));
    }
    Ok(())
}

/// Makes a run's folder and its ledger. Leaves nothing behind on failure.
pub(super) fn begin(
    claim: &TargetClaim,
    run: &RunId,
    make: impl FnOnce(&RunDir, NewLedger) -> Result<Ledger, CommandError>,
) -> Result<(KeptRun, Ledger), CommandError> {
    let created = claim.runs.create(run);
    let (dir, new) = created.map_err(|error| CommandError::from(error).before_anything())?;
    let run = KeptRun::of(&claim.runs, dir);
    match make(&run, new) {
        Ok(ledger) => Ok((run, ledger)),
        Err(failure) => {
            // An incomplete run folder can neither be resumed nor read, and its run ID was not shown to the user.
            run.discard();
            Err(failure.before_anything())
        }
    }
}

/// Refuses a file with an invalid line that is not skipped, or with a blocking warning that was not accepted.
fn refuse_problems(
    draft: &InputPlan,
    skip_invalid: bool,
    output: Output,
) -> Result<(), CommandError> {
    if !draft.problems.is_empty() && !output.quiet && !output.json {
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
            "check the lines that are named; if they are correct: --accept {}",
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

/// Refuses lines without `customerId` if no reseller is named: Adobe has no search, only a listing by reseller.
fn refuse_unfindable(draft: &InputPlan, resolved: &Resolved) -> Result<(), CommandError> {
    let needs_listing =
        !resolved.system.capabilities().searches_live && resolved.reseller.is_none();
    if !needs_listing || draft.without_customer == 0 {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "{} no customerId, and Adobe has no search by externalReferenceId",
        ui::one_or_many(draft.without_customer, "line has", "lines have")
    ))
    .with_help("name the reseller whose customers are to be listed: --reseller ID or reseller_id in the profile"))
}

/// The longest time, in seconds, that the look-ups before a question may take.
const LOOK_FIRST_SECONDS: u64 = 120;

/// Returns whether all customers are looked up before the question, so that the user decides about the actual changes and
/// not about the requested ones.
fn asks_after_look(
    spec: &Specification<'_>,
    draft: &InputPlan,
    resolved: &Resolved,
) -> Result<bool, CommandError> {
    let (consent, plan_first) = (spec.request.consent, spec.request.plan_first);
    if spec.kind != RunKind::Apply || !(plan_first || consent.is_asked()) {
        return Ok(false);
    }
    let seconds = Forecast::of_file(draft, resolved)
        .lookups()
        .seconds(resolved);
    if seconds < LOOK_FIRST_SECONDS {
        consent::must_be_possible(consent, spec.kind.as_str())?;
        return Ok(true);
    }
    ui::note(&format!(
        "looking all customers up would take about {}, so they are looked up and written in one pass; `idshift plan` \
         shows what would change first",
        ui::duration(seconds)
    ));
    Ok(false)
}

/// Shows what will be written and where, and asks for consent.
fn ask_for_consent(
    spec: &Specification<'_>,
    draft: &InputPlan,
    resolved: &Resolved,
    (kept, limits): (&SavedSettings, &Guards),
    base_url: &str,
) -> Result<(), CommandError> {
    let command = spec.kind.as_str();
    let name = ui::visible(draft.table.name());
    let shard = resolved.shard.filter(|shard| shard.is_part());
    let shard = shard.map_or_else(String::new, |shard| format!(", shard {shard}"));
    let question = Question {
        what: format!("{command} {name}{shard}"),
        counts: consent::counts(draft),
        forecast: Some(Forecast::of_file(draft, resolved)),
        looked: false,
        resolved,
        base_url,
        profile: kept.values.get("profile").map(String::as_str),
        limits,
        may_set_services: draft.counts.locations > 0,
    };
    ask(&question.text(), spec.request.consent, command)
}
