//! `idshift undo`: restores what a run changed, except what was changed again since.
//!
//! The undo is a run like any other: a file of the inverse changes, planned with its chains and swaps,
//! carried out by the same engine, and undone in the same way. The values that the run left are recorded as the
//! expected ones, so a customer that was changed since is `stale` and skipped.

use super::catalog::RunCatalog;
use super::claim::TargetClaim;
use super::clock;
use super::connect::base_url;
use super::consent::{Question, ask, refuse_emails};
use super::create::begin;
use super::document::document;
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::Exit;
use super::feeder::Known;
use super::guards::Guards;
use super::input_plan;
use super::newer_runs;
use super::open::{self, OpenRun, Purpose, Selection};
use super::prior_runs;
use super::request::Request;
use super::session::{Session, Task, Work};
use super::values::{catalog, values};
use crate::domain::{Change, Failed, NetChange, NewAccount, Outcome, Status};
use crate::engine::{History, Since};
use crate::ledger::{Header, Ledger, LineSet, Phase, PrivateFile, RunDir, RunId, RunKind, State};
use crate::plan::{self, Impossible, Inverse};
use crate::report::CannotUndo;
use crate::ui;
use std::io::Write;
use std::sync::Arc;

/// What cannot be undone; each has a line of its own that only says so.
fn cannot_undo(plan: &[Inverse]) -> CannotUndo {
    let mut counts = CannotUndo::default();
    for impossible in plan.iter().filter_map(|line| line.impossible) {
        match impossible {
            Impossible::Account => counts.accounts += 1,
            Impossible::Service => counts.services += 1,
            Impossible::Profile(_) => counts.profiles += 1,
        }
    }
    counts
}

/// Undoes this run, or the newest that wrote something.
pub(crate) fn undo(run: Option<&str>, request: &Request) -> Result<Exit, CommandError> {
    let mut known = open::open(
        run,
        Selection {
            command: "undo",
            words: "run that wrote something and is no undo itself",
            // Typed twice, it must not undo itself.
            fits: &|ledger| open::wrote_something(ledger) && ledger.header().kind != RunKind::Undo,
            is_asked: request.consent.is_asked(),
        },
        Purpose::Write,
        request,
    )?;
    known.ledger.refuse_if_live()?;
    let parent = known.dir.run().to_string();
    let (catalog, _) = catalog(&request.typed)?;
    let left = what_it_left(&known, &catalog)?;
    refuse_emails(&known.resolved, "undo")?;
    let back = plan::undo_plan(&left, known.resolved.system.capabilities().can_clear);
    if back.is_empty() {
        if request.output.json {
            let body = serde_json::json!({
                "undoes": parent, "counts": {"lines": 0}, "cannot_undo": 0,
            });
            ui::out(&document(Exit::Success, body));
        } else if !request.output.quiet {
            ui::err(&format!(
                "undo {parent}: nothing to restore; no change of the run is still in place"
            ));
        }
        return Ok(Exit::Success);
    }
    let address = base_url(&known.resolved)?;
    let values = values(&request.typed, &known.kept.inherited_by_undo())?;
    let limits = Guards::of(&values)?;
    known.kept = known.kept.of_undo(&values);
    let of = |asks: fn(&Change) -> bool| {
        let asking = back.iter().filter(|back| asks(&back.change));
        u64::try_from(asking.count()).unwrap_or(u64::MAX)
    };
    let many = of(|_| true);
    limits.refuse_changes(many, known.draft.counts.lines)?;
    let (accounts, locations) = (of(|one| one.new_account.asks()), of(Change::asks_location));
    let mut counts = format!(
        "restore {} and {}",
        ui::counted(accounts, "account ID"),
        ui::counted(locations, "location")
    );
    for words in cannot_undo(&back).words() {
        counts.push_str(&format!("\n  {words}"));
    }
    let estimate = Forecast::of_changes(accounts, locations, (many, 0), &known.resolved);
    let question = Question {
        what: format!(
            "undo run {parent} ({}, {})",
            open::described(&known.ledger),
            ui::lines(known.draft.counts.lines)
        ),
        counts,
        forecast: Some(estimate),
        resolved: &known.resolved,
        base_url: &address,
        profile: known.kept.values.get("profile").map(String::as_str),
        limits: &limits,
        may_set_services: false,
        looked: false,
    };
    ask(&question.text(), request.consent, "undo")?;
    let run = RunId::new(clock::now_ms());
    let claim = TargetClaim::take(&known.resolved, known.target()?, run.as_str())?;
    // Another process may have resumed the run while the question stood.
    if what_it_left(&known, &claim.catalog)? != left {
        let words = format!("run {parent} was resumed meanwhile; nothing was written");
        let undo = known.commands().undo();
        return Err(
            CommandError::usage(words).with_help(format!("{undo} shows what it has left now"))
        );
    }
    carry_out(
        request,
        known,
        limits,
        &parent,
        (&run, claim),
        (&back, estimate),
    )
}

/// What newer runs have written and no undo has restored: the undo of an older run must not overwrite that.
fn written_since(known: &OpenRun, claim: &TargetClaim) -> Result<Since, CommandError> {
    let catalog = &claim.catalog;
    let counts = |header: &Header| {
        header.kind != RunKind::Undo && catalog.undos_of(&header.run).next().is_none()
    };
    let keys = claim.keys();
    let targets: Vec<&str> = known.ledger.targets().chain(keys.iter().copied()).collect();
    let begun = known.ledger.progress()?.started_at_ms;
    let mut since = newer_runs::since((&known.ledger, &targets), begun, catalog, counts)?;
    since.retain(|_, newer| newer.wrote);
    Ok(since)
}

/// What the run left, where that can be put back.
fn what_it_left(known: &OpenRun, catalog: &RunCatalog) -> Result<Vec<NetChange>, CommandError> {
    let parent = known.dir.run();
    let left = known.ledger.net_changes()?;
    if left.iter().any(NetChange::is_temporary) {
        return Err(CommandError::usage(format!(
            "run {parent} left a customer under a temporary ID"
        ))
        .with_help(format!(
            "{} finishes or rolls back; then undo",
            known.commands().resume(&[])
        )));
    }
    if known.ledger.progress()?.state == State::Running
        && !known.ledger.unresolved_writes()?.is_empty()
    {
        return Err(
            CommandError::usage(format!("run {parent} was killed while it was writing"))
                .with_help(format!("{} first; then undo", known.commands().resume(&[]))),
        );
    }
    refuse_half_done(catalog, parent.as_str())?;
    Ok(left)
}

/// An undo that was interrupted has restored a part, and its ledger has recorded which.
fn refuse_half_done(catalog: &RunCatalog, parent: &str) -> Result<(), CommandError> {
    for undo in catalog.undos_of(parent) {
        match undo.ledger()?.progress()?.state {
            State::Running | State::Stopped | State::Interrupted => {}
            State::Created | State::Planned | State::Finished => continue,
        }
        let id = &undo.header.run;
        // An undo that was itself undone is not resumed.
        if catalog.undos_of(id).next().is_some() {
            return Ok(());
        }
        let resume = undo.commands().resume(&[]);
        let words = format!("run {id}, which undoes run {parent}, was not finished");
        return Err(CommandError::usage(words).with_help(format!("{resume} continues it")));
    }
    Ok(())
}

fn carry_out(
    request: &Request,
    known: OpenRun,
    limits: Guards,
    parent: &str,
    (run, claim): (&RunId, TargetClaim),
    (back, estimate): (&[Inverse], Forecast),
) -> Result<Exit, CommandError> {
    let mut kept = known.kept.clone();
    let clears = |back: &Inverse| back.change.new_account == NewAccount::Clear;
    if known.resolved.system.capabilities().can_clear && back.iter().any(clears) {
        kept.values
            .insert("allow_clear".to_owned(), "true".to_owned());
    }
    let name = format!("undo of {parent}");
    let (dir, ledger) = begin(&known.resolved.runs_dir, run, |dir| {
        let header = Header {
            input_name: name.clone(),
            input_sha256: write_file(dir, back)?,
            parent: Some(parent.to_owned()),
            lines: u64::try_from(back.len()).unwrap_or(u64::MAX),
            ..claim.header(run, RunKind::Undo, &kept)
        };
        let mut ledger = Ledger::create(dir, &header)?;
        ledger.seed(back.iter().map(seed))?;
        let cannot = serde_json::to_string(&cannot_undo(back)).unwrap_or_default();
        ledger.set_cannot_undo(&cannot)?;
        let estimate = estimate.document(&known.resolved);
        ledger.set_estimate(&estimate.to_string())?;
        ledger.set_phase(Phase::Write)?;
        Ok(ledger)
    })?;
    request.set_run(&dir);
    let keys = claim.keys();
    let targets: Vec<&str> = known.ledger.targets().chain(keys.iter().copied()).collect();
    let history = History {
        since: written_since(&known, &claim)?,
        temporary: prior_runs::temporary_ids(ledger.header(), &targets, &claim.catalog)?,
        ..History::default()
    };
    let capabilities = known.resolved.system.capabilities();
    let rules = kept.rules(&known.resolved)?;
    let draft = input_plan::read(
        &dir.input(),
        &name,
        &kept.reading()?,
        &rules,
        capabilities.unique_accounts,
    )?;
    let session = Session {
        known: Known {
            done: ledger.done()?,
            planned: Some(ledger.planned()?),
            ..Known::new(Arc::new(history), LineSet::default())
        },
        run: OpenRun {
            dir,
            ledger,
            kept,
            limits,
            draft: draft.into(),
            ..known
        },
        claim,
        task: Task::of(request, "undo", Work::Apply),
    };
    session.execute()
}

/// A line of which nothing can be restored has failed before it begins.
fn seed(line: &Inverse) -> Outcome {
    let mut outcome = line.expected.clone();
    if let Some(impossible) = &line.impossible {
        outcome.status = Status::Failed(Failed::Rejected);
        outcome.message = impossible.to_string();
        outcome.account.after.clone_from(&outcome.account.before);
        outcome.service.after.clone_from(&outcome.service.before);
        outcome.profile.after = outcome.profile.before;
        outcome.finished_at_ms = clock::now_ms();
    }
    outcome
}

/// Writes the run's file; it is read again like any other.
fn write_file(dir: &RunDir, back: &[Inverse]) -> Result<String, CommandError> {
    let path = dir.input();
    let failed = |why: std::io::Error| {
        CommandError::new(
            Exit::Stopped,
            format!("{}: cannot be written: {why}", path.display()),
        )
    };
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text =
        String::from("accountId,newAccountId,customerId,locationId,serviceId,profile,resellerId\n");
    for back in back {
        let change = &back.change;
        let cells = [
            change.account.as_ref().map(|id| id.as_str().to_owned()),
            change.new_account.id().map(|id| id.as_str().to_owned()),
            change.customer.as_ref().map(|id| id.as_str().to_owned()),
            // A location of which nothing can be asked would be no valid line.
            change
                .location
                .as_ref()
                .filter(|_| change.asks_location())
                .map(|id| id.as_str().to_owned()),
            change.service.as_ref().map(|id| id.as_str().to_owned()),
            change.profile.map(|profile| profile.to_string()),
            change.reseller.as_ref().map(ToString::to_string),
        ];
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| quote(&cell.unwrap_or_default()))
            .collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    let mut file = PrivateFile::begin(path.clone()).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.finish().map_err(failed)?;
    crate::input::digest(&path).map_err(failed)
}
