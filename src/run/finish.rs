//! Closes a run: records and prints what happened, where the reports are, and what to do next.

use super::clock;
use super::drift;
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::{Conclusion, Exit, RunAtEnd};
use super::input_plan::InputPlan;
use super::near_misses;
use super::open::OpenRun;
use super::outage::remedy;
use super::plan_view;
use super::prepared_run::{PreparedRun, Work};
use super::prune;
use crate::config::Resolved;
use crate::domain::Status;
use crate::engine::{Ending, Tally};
use crate::http::{Client, Counters};
use crate::ledger::{
    Counted, Ledger, LedgerError, OpenSession, Progress, RunKind, State, StopReason,
};
use crate::report::{Next, Summary, ValuesChanged, note_plan_digest};
use crate::system::Fatal;
use crate::ui;
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the progress display of a run shows.
pub(super) fn progress_of(run: &OpenRun, title: &str, client: &Arc<Client>) -> ui::Source {
    let (limiting, client) = (Arc::clone(client), Arc::clone(client));
    let resolved = &run.resolved;
    ui::Source {
        title: title.to_owned(),
        run: run.dir.run().to_string(),
        limit_per_s: Box::new(move || limiting.rate()),
        quota: resolved
            .quota
            .map(|quota| (u64::from(quota.calls), quota.window)),
        made: Box::new(move || {
            let made = client.counters();
            made.find + made.read + made.write
        }),
        time_in: Box::new(clock::brief_in),
    }
}

/// Records how many calls and how much time the plan will take, and the digest of the plan.
pub(super) fn keep_forecast(
    ledger: &Ledger,
    draft: &InputPlan,
    tally: &Tally,
    resolved: &Resolved,
    counters: Counters,
) -> Result<(), CommandError> {
    let forecast = Forecast::of_plan(ledger, draft, tally, resolved, counters)?;
    ledger.set_forecast(&forecast.document(resolved).to_string())?;
    Ok(note_plan_digest(ledger)?)
}

impl PreparedRun {
    /// Draws the reports. If that fails, the error also says why the run ended.
    fn draw(&self, state: State, why: &str) -> Result<Summary, CommandError> {
        let can_clear = self.run.resolved.system.capabilities().can_clear;
        let drawn = crate::report::draw(
            &self.run.dir,
            &self.run.ledger,
            &self.run.draft.table,
            can_clear,
        );
        drawn.map_err(|error| {
            let failure = CommandError::from(error).because(why);
            let commands = self.run.commands();
            match state {
                State::Stopped | State::Interrupted => failure.resumable(&commands),
                _ => {
                    let again = format!(
                        "correct that, then `{}` draws the reports",
                        commands.report()
                    );
                    failure.with_help(again)
                }
            }
        })
    }

    /// The number of lines that are without a final outcome although they do not wait for a line in doubt.
    fn lost(&self, counts: &[Counted]) -> Result<u64, LedgerError> {
        let open = |counted: &&Counted| {
            counted.status != Status::WouldChange || self.task.work == Work::Plan
        };
        let told: u64 = counts
            .iter()
            .filter(open)
            .map(|counted| counted.lines)
            .sum();
        let lost = self.run.draft.counts.lines.saturating_sub(told);
        if lost == 0 || Counted::lines_named(counts, "in_doubt") == 0 {
            return Ok(lost);
        }
        let waiting = self.run.draft.waiting(&self.run.ledger)?;
        Ok(lost.saturating_sub(waiting))
    }

    /// Reduces older runs after a good reconcile. A failure is only a warning, because the result of this run stands.
    fn retain(&self, end: &Conclusion) {
        let (mine, catalog) = (self.run.ledger.header(), &self.claim.catalog);
        let is_good = mine.kind == RunKind::Reconcile && end.state == State::Finished;
        if is_good
            && let Err(failure) = prune::reduce_idle(&self.run.ledger, catalog, clock::now_ms())
        {
            let why = failure.message;
            ui::warning(&format!("earlier reconciles could not be reduced: {why}"));
        }
    }

    /// Records how the run ended, draws the reports, and prints what to do next.
    pub(super) fn close(
        self,
        signal: u8,
        ending: Ending,
        session: OpenSession,
    ) -> Result<Exit, CommandError> {
        let ledger = &self.run.ledger;
        let counts = ledger.counts()?;
        let of = |name| Counted::lines_named(&counts, name);
        let at_end = RunAtEnd {
            lost: self.lost(&counts)?,
            in_doubt: of("in_doubt"),
            failed: of("failed"),
            differences: if self.task.differences_count {
                of("would_change")
            } else {
                0
            },
            wrote: ledger.has_writes()?,
            only_looks: self.task.work == Work::Plan,
            signal,
            system: self.run.resolved.system,
        };
        let end = Conclusion::of(ending, &at_end);
        // Not logged: `why`, because it may quote an answer of the system. The ledger has it.
        tracing::info!(
            event = "session_ended",
            state = end.state.as_str(),
            exit_code = end.exit as u8,
            stopped_by = end.stopped_by.map(|reason| reason.as_str())
        );
        let progress = Progress {
            state: end.state,
            exit_code: Some(end.exit as u8),
            stopped_by: end.stopped_by,
            why: end.why.clone(),
            finished_at_ms: Some(clock::now_ms()),
            ..ledger.progress()?
        };
        ledger
            .close(&progress, &counts)
            .map_err(|error| CommandError::from(error).because(&end.why))?;
        // From now on, other processes find a run that has ended.
        drop(session);
        // The run's changes are known now. The register only helps later runs: its failure changes no result.
        if let Err(failure) = self.claim.register(&self.run.dir, &self.run.ledger, false) {
            ui::warning(&failure.message);
        }
        if let Err(failure) = drift::record(&self.run, &self.claim.catalog) {
            let why = failure.message;
            ui::warning(&format!(
                "the causes of drift could not be determined: {why}"
            ));
        }
        let summary = self.draw(end.state, &end.why)?;
        print(&self, &summary, &end)?;
        if end.stopped_by == Some(StopReason::Canary) {
            self.run.ledger.wave_is_told()?;
        }
        self.retain(&end);
        Ok(end.exit)
    }
}

/// Prints how a run ended: as JSON for a script, or as text for a person with the next step as the last line.
fn print(prepared: &PreparedRun, summary: &Summary, end: &Conclusion) -> Result<(), CommandError> {
    let (exit, why) = (end.exit, end.why.as_str());
    if prepared.task.output.json {
        print_document(prepared, summary)?;
        if !why.is_empty() {
            ui::err(&format!("{}: {}", prepared.task.title, ui::visible(why)));
        }
        // The document has no commands. The command that continues the run goes to standard error, for a person.
        if matches!(exit, Exit::Stopped | Exit::Interrupted | Exit::Terminated) {
            let next = next_step(prepared, summary, end.fatal).to_string();
            ui::err(&format!("next: {}", ui::visible(&next)));
        }
        return Ok(());
    }
    let quiet = prepared.task.output.quiet;
    if quiet && prepared.task.work == Work::Plan {
        // A script needs the run ID to carry out the plan; everything else is for a person.
        ui::out(&summary.run);
        if exit != Exit::Success {
            ui::err(&ui::closing(&closing(prepared, summary, end)?));
        }
        return Ok(());
    }
    if quiet && exit == Exit::Success {
        return Ok(());
    }
    let of = |name| summary.counts.get(name).copied().unwrap_or(0);
    if exit == Exit::Success
        && of("changed") + of("skipped") == 0
        && prepared.task.quiet_if_unchanged
    {
        let unlooked = prepared.known.skipped.lines.load(Ordering::Relaxed);
        ui::out(&nothing_to_do(prepared.task.title, of("lines"), unlooked));
        return Ok(());
    }
    let verbose = prepared.task.output.verbose;
    if verbose {
        each_failure(prepared)?;
    }
    match prepared.task.work {
        Work::Plan if verbose => plan_view::show_all(&prepared.run.ledger)?,
        Work::Plan => {
            ui::out(plan_view::sample(&prepared.run.ledger, plan_view::SAMPLE)?.trim_end());
        }
        _ => {}
    }
    ui::out(&ui::closing(&closing(prepared, summary, end)?));
    Ok(())
}

/// One line for a run that found everything as requested. `unlooked`: lines that were not looked at again.
fn nothing_to_do(title: &str, lines: u64, unlooked: u64) -> String {
    let but = match unlooked {
        0 => String::new(),
        some => format!(
            "; {} found so by an earlier run and not looked up again",
            ui::one_or_many(some, "of them was", "of them were")
        ),
    };
    let all = ui::one_or_many(lines, "line is", "lines are");
    format!("{title}: nothing to do, all {all} already as requested{but}")
}

/// What the closing table shows.
fn closing(
    prepared: &PreparedRun,
    summary: &Summary,
    end: &Conclusion,
) -> Result<ui::Closing, CommandError> {
    Ok(ui::Closing {
        title: format!("{} {}", prepared.task.title, summary.run),
        state: summary.state.clone(),
        target: format!(
            "{} at {}",
            prepared.run.resolved.system.capabilities().title,
            summary.base_url
        ),
        stopped: end.why.clone(),
        counts: counts(summary),
        notes: notes(prepared, summary)?,
        remarks: summary.cannot_undo.words(),
        next: next_step(prepared, summary, end.fatal).to_string(),
    })
}

/// The lines by status, with what was changed and why lines did not succeed.
pub(super) fn counts(summary: &Summary) -> Vec<ui::Count> {
    let of = |name| summary.counts.get(name).copied().unwrap_or(0);
    let statuses = crate::domain::Status::NAMES.into_iter().map(|name| {
        let failures = summary.failures.iter();
        let reasons = failures.filter(|reason| reason.status.name() == name);
        ui::Count {
            name,
            lines: of(name),
            more: match name {
                "changed" | "would_change" => changed(summary.changed),
                _ => String::new(),
            },
            reasons: reasons
                .map(|reason| ui::Reason {
                    name: reason.status.reason(),
                    lines: reason.lines,
                    first_line: reason.first_line,
                    message: reason.message.clone(),
                })
                .collect(),
        }
    });
    let half_done = ui::Count {
        name: "half_done",
        lines: of("half_done"),
        more: "the account ID was changed, and the location was not".to_owned(),
        reasons: Vec::new(),
    };
    let all = statuses.chain([half_done]);
    all.filter(|count| count.lines > 0).collect()
}

/// `12,000 account IDs, 390 service IDs, 1 profile`.
fn changed(values: ValuesChanged) -> String {
    let kinds = [
        (values.accounts, "account ID"),
        (values.services, "service ID"),
        (values.profiles, "profile"),
    ];
    let kinds = kinds.into_iter().filter(|(number, _)| *number > 0);
    let kinds: Vec<String> = kinds
        .map(|(number, noun)| ui::counted(number, noun))
        .collect();
    kinds.join(", ")
}

/// Prints the summary as JSON; that of a plan includes the planned changes.
fn print_document(prepared: &PreparedRun, summary: &Summary) -> Result<(), CommandError> {
    let is_plan = prepared.task.work == Work::Plan;
    let document = Document {
        summary,
        changes: is_plan.then_some(plan_view::Changes(&prepared.run.ledger)),
    };
    let mut out = ui::OutWriter::open();
    serde_json::to_writer_pretty(&mut out, &document)
        .map_err(|error| CommandError::usage(format!("the result cannot be printed: {error}")))?;
    // The writer remembers a failure.
    let _ = out.write_all(b"\n").and_then(|()| out.flush());
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<plan_view::Changes<'a>>,
}

/// Returns the next step for the user.
fn next_step(prepared: &PreparedRun, summary: &Summary, fatal: Option<Fatal>) -> Next {
    let mut next = summary.next_step();
    let sends_emails = prepared.run.resolved.sends_emails();
    if prepared.task.work == Work::Plan
        && next.command == summary.commands.carry_out(&[])
        && sends_emails
        && !prepared.run.resolved.accept_welcome_emails
    {
        next.before
            .push_str("with your consent to the e-mails that it sends: ");
        next.command = summary.commands.carry_out(&["--accept-welcome-emails"]);
    }
    if let Some((before, more)) = fatal.map(remedy) {
        next.before.insert_str(0, before);
        if !more.is_empty() {
            next.command = summary.commands.resume(more);
        }
    }
    next
}

/// Prints every failed line with its reason, on standard error because it is not a result.
fn each_failure(prepared: &PreparedRun) -> Result<(), CommandError> {
    for outcome in prepared.run.ledger.outcomes() {
        let outcome = outcome?;
        if outcome.status.is_open_or_failed() {
            let (line, status) = (outcome.line, outcome.status);
            let message = ui::visible(&outcome.message);
            ui::err(&format!(
                "line {line}: {}/{}: {message}",
                status.name(),
                status.reason()
            ));
        }
    }
    Ok(())
}

/// Returns the notes of the closing table: spelling, time, calls, estimate, reports.
fn notes(
    prepared: &PreparedRun,
    summary: &Summary,
) -> Result<Vec<(&'static str, String)>, CommandError> {
    let near = near_misses::words(&prepared.run.ledger)?;
    let mut notes: Vec<(&'static str, String)> =
        near.map(|words| ("spelling", words)).into_iter().collect();
    let progress = prepared.run.ledger.progress()?;
    if let Some(finished) = progress.finished_at_ms {
        notes.push(("time", clock::from_to(progress.started_at_ms, finished)));
    }
    let rate = rate(&prepared.run.ledger)?;
    notes.push(("calls", format!("{}{rate}", calls(summary))));
    if prepared.task.work == Work::Plan
        && let Some(forecast) = Forecast::kept(&prepared.run.ledger)?
        && forecast.writes() > 0
    {
        let words = forecast.words(&prepared.run.resolved);
        notes.push(("apply", format!("would take {words}")));
    }
    let failures = if summary.failures.is_empty() {
        ""
    } else {
        ", failures.csv"
    };
    let reports = format!("{}/report.html, results.csv{failures}", summary.run_dir);
    notes.push(("report", reports));
    Ok(notes)
}

/// Returns the calls as text: `12 to find, 3 to read, 4 to write, 2 of them repeated`.
fn calls(summary: &Summary) -> String {
    let calls = summary.calls;
    let mut words = format!(
        "{}{} to find, {} to read, {} to write",
        // The last calls of a killed process are not on record.
        if calls.complete { "" } else { "at least " },
        ui::count(calls.find),
        ui::count(calls.read),
        ui::count(calls.write)
    );
    if calls.retried > 0 {
        words.push_str(&format!(", {} of them repeated", ui::count(calls.retried)));
    }
    if calls.throttled > 0 {
        words.push_str(&format!(", {} held back", ui::count(calls.throttled)));
    }
    words
}

/// Returns `; 19.8 of 20 calls/s`, for the processes of the last epoch only: earlier ones may have had another limit. Empty
/// if an order changed the limit, or if there was at most one call.
fn rate(ledger: &Ledger) -> Result<String, CommandError> {
    let ((gaps, ms), was_continued) = ledger.last_pace()?;
    if gaps == 0 || ledger.orders()?.rate_per_s.is_some() {
        return Ok(String::new());
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    let rate = gaps as f64 * 1000.0 / ms as f64;
    let limit = ledger.calls()?.limit_per_s;
    let limit = limit.map(|limit| format!(" of {}", ui::per_second(limit)));
    let since = if was_continued {
        " since it was continued"
    } else {
        ""
    };
    Ok(format!(
        "; {}{} calls/s{since}",
        ui::per_second(rate),
        limit.unwrap_or_default()
    ))
}
