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
use super::shared_pass::is_for_one_process;
use super::target::{Target, shown_key};
use super::worker::work_with_others;
use crate::ledger::{Holder, Ledger, State};
use crate::system::SystemKind;
use crate::ui;
use std::thread;
use std::time::{Duration, Instant};

/// How often to check whether the leading process is gone.
const EVERY: Duration = Duration::from_secs(1);
/// A process that has been silent for longer than this, in milliseconds, may be gone.
const SILENCE_MS: u64 = 3_000;
/// How long to wait for a process that has closed the run and draws its reports.
const REPORTS: Duration = Duration::from_secs(60);

/// Resumes this run, or the newest unfinished one: alone, or with processes that continue it without a leading process.
pub(crate) fn resume(run: Option<&str>, request: &Request) -> Result<Exit, CommandError> {
    let resumed = alone::resume(run, request);
    let (Err(busy), Some(run)) = (&resumed, request.run.get()) else {
        return resumed;
    };
    let Some(holder) = busy.holder_for(run.run().as_str()) else {
        return resumed;
    };
    match others(run, holder, request.output.quiet)? {
        Others::Lead => resumed,
        Others::GoOn => attach(run, request),
        Others::Ended => finished(run, &run.ledger()?, request),
    }
}

/// What other processes do with a run that this process could not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// The process that began or resumed it is at work, or another one is about to resume it.
    Lead,
    /// That process is gone; others continue the run or close it.
    GoOn,
    /// They have closed it.
    Ended,
}

/// Whether it is known what other processes do with a run.
enum Known {
    /// It is.
    Now(Others),
    /// It is not yet: what is waited for, in words.
    Later(String),
}

/// Looks at what other processes do with the run. Waits while the leading process is silent, because it may be gone, and
/// while a process that has closed the run still holds the target for its reports. `holder`: the process that has the target.
fn others(run: &KeptRun, holder: &Holder, is_quiet: bool) -> Result<Others, CommandError> {
    let asked = Instant::now();
    let mut is_told = is_quiet;
    loop {
        let at_work = others_at_work(run)?;
        // The state is read last: if it is that of a run in progress, the processes found were at work on it.
        let ledger = run.ledger()?;
        let found = match ledger.progress()?.state {
            State::Created | State::Running => at_work,
            // The process has not closed the run, but is about to resume it or to carry it out.
            State::Planned => Known::Now(Others::Lead),
            _ if !has_worked(&ledger, holder)? => Known::Now(Others::Lead),
            State::Finished | State::Stopped | State::Interrupted => {
                if !run.is_taken(&ledger) {
                    Known::Now(Others::Ended)
                } else if asked.elapsed() > REPORTS {
                    Known::Now(Others::Lead)
                } else {
                    Known::Later(format!(
                        "process {} on {} has closed run {} and draws its reports; waiting for them, at most {} s",
                        holder.pid,
                        ui::visible(&holder.host),
                        run.run(),
                        REPORTS.as_secs()
                    ))
                }
            }
        };
        match found {
            Known::Now(found) => return Ok(found),
            Known::Later(why) => {
                if !std::mem::replace(&mut is_told, true) {
                    ui::note(&why);
                }
                thread::park_timeout(EVERY);
            }
        }
    }
}

/// Returns whether this process has had a session on the run.
fn has_worked(ledger: &Ledger, process: &Holder) -> Result<bool, CommandError> {
    let sessions = ledger.sessions()?;
    let mut sessions = sessions.iter();
    Ok(sessions.any(|one| one.pid == i64::from(process.pid) && one.host == process.host))
}

/// Returns what the processes at work on a run in progress do. While the leading process is silent, this is not known.
fn others_at_work(run: &KeptRun) -> Result<Known, CommandError> {
    let ledger = run.ledger()?;
    let at_work = ledger.at_work()?;
    let to_join = run.runs().to_join()?;
    if let Some(found) = to_join.iter().find(|one| one.run == *run.run()) {
        let silent = at_work.iter().find(|one| one.silent_ms > SILENCE_MS);
        return Ok(match silent {
            _ if !found.is_led => Known::Now(Others::GoOn),
            Some(silent) => Known::Later(format!(
                "process {} on {} works on run {}, but has not renewed its lease for some seconds; waiting until it \
                 renews the lease or the lease expires",
                silent.pid,
                ui::visible(&silent.host),
                run.run()
            )),
            None => Known::Now(Others::Lead),
        });
    }
    // The process that closes a run counts as its leading one. The processes that have joined a run have the epoch of the
    // one that began or resumed it, which was the first of this epoch.
    let sessions = ledger.sessions()?;
    let epoch = sessions.last().map(|last| last.epoch);
    let leads = sessions.iter().find(|one| Some(one.epoch) == epoch);
    let is_at_work = leads.is_some_and(|leads| {
        let mut at_work = at_work.iter();
        at_work.any(|one| one.pid == leads.pid && one.host == leads.host)
    });
    Ok(Known::Now(if at_work.is_empty() || is_at_work {
        Others::Lead
    } else {
        Others::GoOn
    }))
}

/// Works on the run with the processes that have it, and reports how it ended.
fn attach(run: &KeptRun, request: &Request) -> Result<Exit, CommandError> {
    let ledger = run.ledger()?;
    if !request.output.quiet {
        let system = SystemKind::parse(&ledger.header().system);
        let then = if system.is_some_and(is_for_one_process) {
            "takes over if they end before the run does"
        } else {
            "works with them until the run ends"
        };
        ui::note(&format!(
            "the process that led run {} is gone, and other processes continue the run; this process {then}",
            run.run()
        ));
    }
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
