//! What is on record about one line of a run, or about the run itself: from the ledger, the run's copy of its file, and the
//! log of calls where there is one.

use super::error::CommandError;
use super::kept_run::KeptRun;
use super::redraw::table;
use super::saved_settings::SavedSettings;
use super::values::values;
use crate::call_log::{Found, records};
use crate::config::{Log, TypedSettings};
use crate::domain::{Line, LocationState, Outcome, Profile};
use crate::ledger::{Ledger, NEVER_SENT, PastSession, Verdict, Write, WriteRecord};
use crate::report::{run_status, stamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The records about a run in the logs of calls.
pub(crate) struct Logged {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) records: Vec<Found>,
    /// Which logs cannot be read, and why.
    pub(crate) missing: Option<String>,
}

impl Logged {
    fn of(
        typed: &TypedSettings,
        kept: &SavedSettings,
        run: &str,
        wanted: impl Fn(&Found) -> bool,
    ) -> Result<Self, CommandError> {
        let is_typed = typed.get("log").is_some();
        let files = files(typed, kept)?;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for file in &files {
            match records(file, run, &wanted) {
                Ok(more) => found.extend(more),
                Err(why) => {
                    let words = format!("the log {} cannot be read: {why}", file.display());
                    if is_typed {
                        return Err(CommandError::usage(words));
                    }
                    missing.push(words);
                }
            }
        }
        if files.is_empty() {
            missing.push("the run kept no log of its calls; --log FILE names one".to_owned());
        }
        if files.len() > 1 {
            // All times have the same format, so that they can be compared as text.
            found.sort_by(|one: &Found, other| one.text("time").cmp(other.text("time")));
        }
        Ok(Self {
            files,
            records: found,
            missing: (!missing.is_empty()).then(|| missing.join("; ")),
        })
    }

    /// The part of a document that is about the log.
    fn document(&self, name: &str) -> Value {
        let records: Vec<&Map<String, Value>> = self.records.iter().map(|Found(it)| it).collect();
        let files = self.files.iter().map(|file| file.display().to_string());
        json!({
            "logs": files.collect::<Vec<_>>(),
            "log_missing": self.missing,
            name: records,
        })
    }
}

/// Returns the files to read: the typed one, otherwise those that the run has recorded, otherwise that of the settings.
fn files(typed: &TypedSettings, kept: &SavedSettings) -> Result<Vec<PathBuf>, CommandError> {
    if typed.get("log").is_none() && !kept.logs.is_empty() {
        return Ok(kept.logs.iter().map(PathBuf::from).collect());
    }
    let log = Log::of(&values(typed, &BTreeMap::new())?)?;
    Ok(log.file.into_iter().collect())
}

/// What happened to one line.
pub(crate) struct LineStory {
    pub(crate) run: String,
    pub(crate) command: &'static str,
    pub(crate) input: String,
    pub(crate) line: Line,
    /// The known columns of the line with their values, in the order of the file.
    pub(crate) asked: Vec<(&'static str, String)>,
    pub(crate) writes: Vec<WriteRecord>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) logged: Logged,
}

impl LineStory {
    /// Collects what is on record about this line of the run.
    pub(crate) fn of(
        typed: &TypedSettings,
        (run, ledger): (&KeptRun, &Ledger),
        line: Line,
    ) -> Result<Self, CommandError> {
        let kept = SavedSettings::of(ledger)?;
        let asked = asked(run, ledger, &kept, line)?;
        let of_line = |record: &Found| record.is_call() && record.is_about(u64::from(line));
        Ok(Self {
            run: ledger.header().run.clone(),
            command: ledger.kind()?.as_str(),
            input: ledger.header().input_name.clone(),
            line,
            asked,
            writes: ledger.writes_of_line(line)?,
            outcome: ledger.outcome_of(line)?,
            logged: Logged::of(typed, &kept, &ledger.header().run, of_line)?,
        })
    }

    fn asked_for(&self, column: &str) -> Option<&str> {
        let asked = self.asked.iter().find(|(name, _)| *name == column);
        asked.map(|(_, text)| text.as_str())
    }

    /// Returns the customer that is meant, and how it was found out; `None`: it was not found out.
    pub(crate) fn customer(&self) -> Option<(&str, &'static str)> {
        let written = self.writes.first().map(|write| &write.intent.customer);
        let outcome = self.outcome.as_ref();
        let customer = outcome.and_then(|it| it.customer.as_ref()).or(written)?;
        let before = outcome.and_then(|outcome| outcome.account.before.as_ref());
        let had = |column| before.is_some() && before.map(AsRef::as_ref) == self.asked_for(column);
        let how = match (self.asked_for("accountId"), self.asked_for("customerId")) {
            (None, _) => "customer_id",
            (Some(_), Some(_)) if had("accountId") => "account_id_and_customer_id",
            (Some(_), None) if had("accountId") => "account_id",
            (Some(_), _) if had("newAccountId") => "new_account_id",
            (Some(_), _) => "record",
        };
        Some((customer.as_str(), how))
    }

    /// Returns everything as JSON, for a script.
    pub(crate) fn document(&self) -> Value {
        let asked = self.asked.iter();
        let asked: Map<String, Value> = asked
            .map(|(name, text)| ((*name).to_owned(), text.as_str().into()))
            .collect();
        let customer = self.customer();
        let mut body = json!({
            "run": self.run,
            "command": self.command,
            "input": self.input,
            "line": self.line,
            "asked": asked,
            "customer_id": customer.map(|(id, _)| id),
            "found_by": customer.map(|(_, how)| how),
            "writes": self.writes.iter().map(write_document).collect::<Vec<_>>(),
            "outcome": self.outcome.as_ref().map(outcome_document),
        });
        extend(&mut body, self.logged.document("calls"));
        body
    }
}

/// Returns the values of the line in the columns that the program knows.
fn asked(
    run: &KeptRun,
    ledger: &Ledger,
    kept: &SavedSettings,
    line: Line,
) -> Result<Vec<(&'static str, String)>, CommandError> {
    let (table, _) = table(run, ledger, kept)?;
    let (mut first, mut before, mut last) = (None, None, None);
    for record in table.records()? {
        let record = record?;
        if record.line == line {
            let known = table.known(&record);
            let known = known.map(|(column, text)| (column.name(), text.into_owned()));
            return Ok(known.filter(|(_, text)| !text.is_empty()).collect());
        }
        first = first.or(Some(record.line));
        before = Some(record.line).filter(|at| *at < line).or(before);
        last = Some(record.line);
    }
    let run = run.run();
    let Some((first, last)) = first.zip(last) else {
        let words = format!("run {run} has no line {line}: its file has no lines");
        return Err(CommandError::usage(words));
    };
    let words = format!("run {run} has no line {line}");
    Err(CommandError::usage(match before {
        Some(before) if line < last => {
            format!("{words}: it is empty, or it belongs to line {before}")
        }
        _ => format!(
            "{words}: its lines are {first} to {last}, and line {} is the header",
            table.header_line()
        ),
    })
    .with_help("lines are counted as an editor counts them; `idshift_line` in results.csv has their numbers"))
}

fn state_document(state: &LocationState) -> Value {
    json!({
        "service_id": state.service.as_ref().map(AsRef::<str>::as_ref),
        "profile": state.profile.map(Profile::as_str),
    })
}

/// Returns the kind of a write, its location, and the values before and after it.
fn sides(write: &Write) -> (&'static str, Option<&str>, Value, Value) {
    match write {
        Write::Account {
            before,
            after,
            temporary,
        } => {
            let kind = if *temporary { "temporary" } else { "account" };
            let [before, after] = [before, after]
                .map(|id| json!({"account_id": id.as_ref().map(AsRef::<str>::as_ref)}));
            (kind, None, before, after)
        }
        Write::Location {
            location,
            before,
            after,
        } => (
            "location",
            Some(location.as_str()),
            state_document(before),
            state_document(after),
        ),
    }
}

/// Returns what decided about a write: its answer, or a read afterwards; `None`: nothing has decided yet.
pub(crate) fn decided_by(write: &WriteRecord) -> Option<&'static str> {
    match (write.verdict?, write.http_status) {
        (Verdict::Unknown, _) => None,
        (Verdict::NotApplied, Some(NEVER_SENT)) => Some("not_sent"),
        (Verdict::Applied, Some(200..=299))
        | (Verdict::NotApplied, Some(400..=407 | 409..=499)) => Some("answer"),
        (Verdict::Applied | Verdict::NotApplied, _) => Some("read_back"),
    }
}

fn write_document(write: &WriteRecord) -> Value {
    let intent = &write.intent;
    let (kind, location, before, after) = sides(&intent.write);
    let stored = write.effect.as_ref().map(|_| sides(&write.stored()).3);
    json!({
        "at": stamp(intent.at_ms),
        "attempt": intent.attempt,
        "kind": kind,
        "customer_id": intent.customer.as_str(),
        "location_id": location,
        "before": before,
        "after": after,
        "correlation_id": intent.correlation,
        "http_status": write.http_status.filter(|status| *status != NEVER_SENT),
        "verdict": write.verdict.map(Verdict::as_str),
        "decided_by": decided_by(write),
        "stored": stored,
    })
}

fn outcome_document(outcome: &Outcome) -> Value {
    json!({
        "status": outcome.status.name(),
        "reason": outcome.status.reason(),
        "message": outcome.message,
        "account_id_before": outcome.account.before.as_ref().map(AsRef::<str>::as_ref),
        "account_id_after": outcome.account.after.as_ref().map(AsRef::<str>::as_ref),
        "location_id": outcome.location.as_ref().map(AsRef::<str>::as_ref),
        "service_id_before": outcome.service.before.as_ref().map(AsRef::<str>::as_ref),
        "service_id_after": outcome.service.after.as_ref().map(AsRef::<str>::as_ref),
        "profile_before": outcome.profile.before.map(Profile::as_str),
        "profile_after": outcome.profile.after.map(Profile::as_str),
        "http_status": outcome.http_status,
        "attempts": outcome.attempts,
        "correlation_id": outcome.correlation,
        "finished_at": stamp(outcome.finished_at_ms),
        "duration_ms": outcome.duration_ms,
    })
}

/// What happened in a run as a whole.
pub(crate) struct RunStory {
    pub(crate) body: Value,
    pub(crate) logged: Logged,
}

impl RunStory {
    /// Collects its sessions, what held its calls, and how it ended.
    pub(crate) fn of(typed: &TypedSettings, ledger: &Ledger) -> Result<Self, CommandError> {
        let (header, progress) = (ledger.header(), ledger.progress()?);
        let sessions: Vec<Value> = ledger.sessions()?.iter().map(session_document).collect();
        let body = json!({
            "run": header.run,
            "command": ledger.kind()?.as_str(),
            "input": header.input_name,
            "system": header.system,
            "base_url": header.base_url,
            "state": run_status::state(&progress, ledger).as_str(),
            "phase": progress.phase.as_str(),
            "run_exit_code": progress.exit_code,
            "stopped_by": progress.stopped_by.map(|reason| reason.as_str()),
            "cause": Some(&progress.why).filter(|why| !why.is_empty()),
            "started_at": stamp(progress.started_at_ms),
            "finished_at": progress.finished_at_ms.map(stamp),
            "sessions": sessions,
        });
        let kept = SavedSettings::of(ledger)?;
        let logged = Logged::of(typed, &kept, &header.run, |record| !record.is_call())?;
        Ok(Self { body, logged })
    }

    /// Returns everything as JSON, for a script.
    pub(crate) fn document(&self) -> Value {
        let mut body = self.body.clone();
        extend(&mut body, self.logged.document("events"));
        body
    }
}

fn session_document(session: &PastSession) -> Value {
    let calls = &session.calls;
    json!({
        "started_at": stamp(session.started_at_ms),
        "pid": session.pid,
        "host": session.host,
        "writing": session.writing,
        "calls": {"find": calls.find, "read": calls.read, "write": calls.write,
                  "retried": calls.retried, "throttled": calls.throttled},
    })
}

fn extend(body: &mut Value, more: Value) {
    if let (Value::Object(body), Value::Object(more)) = (body, more) {
        body.extend(more);
    }
}
