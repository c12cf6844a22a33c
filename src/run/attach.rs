//! `resume` of a run that other processes are finishing because its leading process is gone: this process works with them,
//! and reports how the run ended.

use super::consent::ask;
use super::error::CommandError;
use super::exit_code::Exit;
use super::finish::counts;
use super::kept_run::KeptRun;
use super::open::described;
use super::redraw::draw;
use super::request::Request;
use super::resume as alone;
use super::target::{Target, shown_key};
use super::worker::work_with_others;
use crate::ledger::{Ledger, State};
use crate::ui;
use std::thread;
use std::time::Duration;

/// How often to check whether the leading process is gone.
const EVERY: Duration = Duration::from_secs(1);
/// A process that has been silent for longer than this, in milliseconds, may be gone.
const SILENCE_MS: u64 = 3_000;

/// Resumes this run, or the newest unfinished one: alone, or with processes that continue it without a leading process.
pub(crate) fn resume(run: Option<&str>, request: &Request) -> Result<Exit, CommandError> {
    match (alone::resume(run, request), request.run.get()) {
        (Err(busy), Some(run)) if busy.exit == Exit::Busy => {
            if is_without_lead(run)? {
                attach(run, request)
            } else {
                Err(busy)
            }
        }
        (resumed, _) => resumed,
    }
}

/// Returns whether other processes have the run and its leading process is gone. Waits while a process of a led run is
/// silent: it may be the leading process.
fn is_without_lead(run: &KeptRun) -> Result<bool, CommandError> {
    loop {
        let to_join = run.runs().to_join()?;
        let Some(found) = to_join.iter().find(|one| one.run == *run.run()) else {
            return Ok(false);
        };
        let at_work = run.ledger()?.at_work()?;
        let is_open = at_work.iter().any(|one| one.silent_ms > SILENCE_MS);
        if !found.is_led || !is_open {
            return Ok(!found.is_led);
        }
        thread::park_timeout(EVERY);
    }
}

/// Works on the run with the processes that have it, and reports how it ended.
fn attach(run: &KeptRun, request: &Request) -> Result<Exit, CommandError> {
    if !request.output.quiet {
        let run = run.run();
        ui::note(&format!(
            "the process that led run {run} is gone, and other processes continue the run; this process works with \
             them until the run ends"
        ));
    }
    let ledger = run.ledger()?;
    if request.consent.is_asked() {
        let header = ledger.header();
        let question = format!(
            "resume run {} ({}) on {}, with the processes that work on it",
            header.run,
            described(&ledger),
            ui::visible(&Target::of_run(header).to_string())
        );
        ask(&question, request.consent, "resume")?;
    }
    let exit = work_with_others(run.run(), request)?;
    match ledger.progress()?.state {
        State::Created | State::Running if exit == Exit::Success => Ok(Exit::Terminated),
        State::Created | State::Running => Ok(exit),
        State::Planned | State::Finished | State::Stopped | State::Interrupted => {
            finished(run, &ledger, request)
        }
    }
}

/// Reports how a run ended that is at its end.
pub(super) fn finished(
    run: &KeptRun,
    ledger: &Ledger,
    request: &Request,
) -> Result<Exit, CommandError> {
    let progress = ledger.progress()?;
    let exit = progress.exit_code.and_then(Exit::of_code);
    // An ended run without an exit code was not closed properly, so it is not a success.
    let exit = exit.unwrap_or(Exit::Stopped);
    // A pruned run has no reports.
    if ledger.pruned()?.is_some() {
        return Ok(exit);
    }
    let summary = draw(run, ledger)?;
    if request.output.json {
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| CommandError::usage(format!("a bug: {error}")))?;
        ui::out_as_is(&text);
    } else if !request.output.quiet {
        ui::out(&ui::closing(&ui::Closing {
            title: format!("{} {}", ledger.header().kind.as_str(), summary.run),
            state: summary.state.clone(),
            target: shown_key(&ledger.header().target),
            stopped: progress.why,
            counts: counts(&summary),
            notes: Vec::new(),
            remarks: summary.cannot_undo.words(),
            next: summary.next_step().to_string(),
        }));
    }
    Ok(exit)
}
