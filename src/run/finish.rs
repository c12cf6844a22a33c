//! The closing message of a run: what happened, where the reports are, what to do next.

use super::clock;
use super::error::CommandError;
use super::estimate::Forecast;
use super::exit_code::{Conclusion, Exit, Facts};
use super::input_plan::InputPlan;
use super::outage::remedy;
use super::plan_view;
use super::session::{Session, Work};
use crate::config::Resolved;
use crate::domain::Status;
use crate::engine::{Ending, Tally};
use crate::http::{Client, Counters};
use crate::ledger::{Counted, Ledger, Progress, State};
use crate::report::{Commands, Next, Summary, note_plan_digest};
use crate::system::Fatal;
use crate::ui;
use std::sync::Arc;

/// What the display of a run is told of its calls.
pub(super) fn calls(resolved: &Resolved, client: &Arc<Client>) -> ui::Calls {
    let client = Arc::clone(client);
    ui::Calls {
        quota: resolved
            .quota
            .map(|quota| (u64::from(quota.calls), quota.window)),
        made: Box::new(move || {
            let made = client.counters();
            made.find + made.read + made.write
        }),
    }
}

/// Notes what carrying the plan out would take.
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

impl Session {
    /// Draws the reports; where that fails, why the run ended is told too.
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
            let commands = Commands::of(self.run.dir.path(), self.run.ledger.header());
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

    /// The number of lines without a final outcome.
    fn lost(&self, counts: &[Counted]) -> u64 {
        let open = |counted: &&Counted| {
            counted.status != Status::WouldChange || self.task.work == Work::Plan
        };
        let told: u64 = counts
            .iter()
            .filter(open)
            .map(|counted| counted.lines)
            .sum();
        self.run.draft.counts.lines.saturating_sub(told)
    }

    /// Notes how it ended, draws the reports, and says what to do next.
    pub(super) fn close(self, signal: u8, ending: Ending) -> Result<Exit, CommandError> {
        let ledger = &self.run.ledger;
        let counts = ledger.counts()?;
        let of = |name| Counted::lines_named(&counts, name);
        let facts = Facts {
            lost: self.lost(&counts),
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
        let end = Conclusion::of(ending, &facts);
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
        // What it has changed is known now. The register is only a help for later runs: its failure changes no result.
        if let Err(failure) = self.claim.register(&self.run.dir, &self.run.ledger, false) {
            ui::err(&format!("warning: {}", ui::visible(&failure.message)));
        }
        let summary = self.draw(end.state, &end.why)?;
        print(&self, &summary, &end)?;
        Ok(end.exit)
    }
}

/// Says how a run ended: for a script on standard output, for a person with the next step as the last line.
fn print(session: &Session, summary: &Summary, end: &Conclusion) -> Result<(), CommandError> {
    let (exit, why) = (end.exit, end.why.as_str());
    if session.task.output.json {
        ui::out(&document(session, summary)?);
        if !why.is_empty() {
            ui::err(&format!("{}: {}", session.task.title, ui::visible(why)));
        }
        return Ok(());
    }
    let changed = summary.counts.get("changed").copied().unwrap_or(0);
    let lines = summary.counts.get("lines").copied().unwrap_or(0);
    let quiet = session.task.output.quiet || session.task.quiet_if_unchanged.is_some();
    if exit == Exit::Success && quiet && (changed == 0 || session.task.output.quiet) {
        if !session.task.output.quiet {
            let unlooked = session.task.quiet_if_unchanged.unwrap_or(0);
            let but = match unlooked {
                0 => String::new(),
                some => format!(
                    "; {} found so before and not looked at again",
                    ui::one_or_many(some, "of them was", "of them were")
                ),
            };
            ui::out(&format!(
                "{}: nothing to do, all {} as wished{but}",
                session.task.title,
                ui::one_or_many(lines, "line is", "lines are")
            ));
        }
        return Ok(());
    }
    if session.task.output.verbose {
        each_failure(session)?;
    }
    if session.task.work == Work::Plan {
        ui::out(plan_view::sample(&session.run.ledger, plan_view::SAMPLE)?.trim_end());
    }
    let next = next_step(session, summary, end.fatal);
    let counts: Vec<(&str, u64)> = crate::domain::Status::NAMES
        .iter()
        .chain(&["half_done"])
        .map(|name| (*name, summary.counts.get(name).copied().unwrap_or(0)))
        .filter(|(_, lines)| *lines > 0)
        .collect();
    let reasons: Vec<(String, u64, Option<u32>)> = session
        .run
        .ledger
        .counts()?
        .into_iter()
        .filter(|counted| counted.status.is_open_or_failed())
        .map(|counted| {
            let name = format!("{}/{}", counted.status.name(), counted.status.reason());
            (name, counted.lines, Some(counted.first_line))
        })
        .collect();
    ui::out(&ui::closing(&ui::Closing {
        title: format!("{} {}: {}", session.task.title, summary.run, summary.state),
        target: format!(
            "{} at {}",
            session.run.resolved.system.capabilities().title,
            ui::visible(&summary.base_url)
        ),
        stopped: why.to_owned(),
        counts,
        reasons,
        notes: notes(session, summary)?,
        next: ui::visible(&next.to_string()).into_owned(),
    }));
    Ok(())
}

/// The summary, with what a plan would change.
fn document(session: &Session, summary: &Summary) -> Result<String, CommandError> {
    let bug = |error| CommandError::usage(format!("a bug: {error}"));
    if session.task.work != Work::Plan {
        return serde_json::to_string_pretty(summary).map_err(bug);
    }
    let plan = PlanDocument {
        summary,
        changes: plan_view::changes(&session.run.ledger)?,
    };
    serde_json::to_string_pretty(&plan).map_err(bug)
}

#[derive(serde::Serialize)]
struct PlanDocument<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    changes: Vec<serde_json::Value>,
}

/// What a person does next.
fn next_step(session: &Session, summary: &Summary, fatal: Option<Fatal>) -> Next {
    let mut next = summary.next_step();
    let sends_emails = session.run.resolved.sends_emails();
    if session.task.work == Work::Plan
        && next.command == summary.commands.carry_out(&[])
        && sends_emails
        && !session.run.resolved.accept_welcome_emails
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

/// Every line that failed, and why; on standard error, for it is no result.
fn each_failure(session: &Session) -> Result<(), CommandError> {
    for outcome in session.run.ledger.outcomes() {
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

fn notes(session: &Session, summary: &Summary) -> Result<Vec<String>, CommandError> {
    let calls = summary.calls;
    let mut notes = vec![format!(
        "calls   {} to find, {} to read, {} to write{}{}; {:.1} a second{}",
        ui::count(calls.find),
        ui::count(calls.read),
        ui::count(calls.write),
        if calls.retried > 0 {
            format!(", {} of them repeated", calls.retried)
        } else {
            String::new()
        },
        if calls.throttled > 0 {
            format!(", {} held back", calls.throttled)
        } else {
            String::new()
        },
        summary.pace.achieved_per_s,
        summary
            .pace
            .limit_per_s
            .map_or_else(String::new, |limit| format!(" of {limit}")),
    )];
    if session.task.work == Work::Plan
        && let Some(forecast) = Forecast::kept(&session.run.ledger)?
    {
        notes.push(format!(
            "apply   would take {}",
            forecast.words(&session.run.resolved)
        ));
    }
    notes.extend(summary.cannot_undo.words());
    notes.push(format!(
        "report  {}/report.html, results.csv, failures.csv",
        summary.run_dir
    ));
    Ok(notes)
}
