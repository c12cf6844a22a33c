//! One run, as a list of runs shows it.

use super::rows::{Input, Row};
use crate::domain::Status;
use crate::ledger::{Calls, Epochs, Ledger, LedgerError, Progress, State, StopReason};
use crate::report::{half_done, run_status, stamp};
use crate::run::{KeptRun, Target, try_refresh};
use crate::ui;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One run in a list.
pub(in crate::cli) struct Overview {
    pub(in crate::cli) ledger: Ledger,
    dir: KeptRun,
    pub(in crate::cli) kind: &'static str,
    pub(in crate::cli) state: State,
    progress: Progress,
    pub(in crate::cli) calls: Calls,
    /// When the run was reduced to its compact record.
    pub(in crate::cli) pruned_at_ms: Option<i64>,
    pub(in crate::cli) target: Target,
    epochs: Epochs,
    /// Numbers of lines by the name of their status, and `half_done`.
    pub(in crate::cli) counts: BTreeMap<&'static str, u64>,
}

impl Overview {
    pub(in crate::cli) fn of(dir: &KeptRun) -> Result<Self, LedgerError> {
        let ledger = dir.ledger()?;
        try_refresh(dir, &ledger);
        let progress = ledger.progress()?;
        let mut counts = run_status::counts(&ledger)?;
        let pruned = ledger.pruned()?;
        let half = pruned.map_or_else(|| half_done(dir).unwrap_or(0), |pruned| pruned.half_done);
        counts.insert("half_done", half);
        Ok(Self {
            dir: dir.clone(),
            kind: ledger.kind()?.as_str(),
            state: run_status::state(&progress, &ledger),
            calls: ledger.calls()?,
            epochs: ledger.epochs()?,
            progress,
            pruned_at_ms: pruned.map(|pruned| pruned.at_ms),
            target: Target::of_run(ledger.header()),
            counts,
            ledger,
        })
    }

    /// The same of a run that a process has taken and is about to begin: it is in progress, and why it was stopped before does
    /// not apply any more.
    pub(in crate::cli) fn running_if_taken(mut self) -> Self {
        if self.state.is_unfinished() && self.dir.is_taken(&self.ledger) {
            self.state = State::Running;
            self.progress.stopped_by = None;
            self.progress.why.clear();
            self.progress.exit_code = None;
            self.progress.finished_at_ms = None;
        }
        self
    }

    /// Returns how long the run took, or has taken so far, in seconds; `None`: it was killed, and the time is not known.
    pub(in crate::cli) fn duration_s(&self, now_ms: i64) -> Option<u64> {
        let end = match (self.progress.finished_at_ms, self.state) {
            (Some(end), _) => end,
            (None, State::Running) => now_ms,
            (None, _) => return None,
        };
        u64::try_from((end - self.progress.started_at_ms) / 1000).ok()
    }

    /// Returns how long ago the run began, in seconds.
    fn age_s(&self, now_ms: i64) -> u64 {
        u64::try_from((now_ms - self.progress.started_at_ms) / 1000).unwrap_or(0)
    }

    /// Returns the JSON document of the run, with the fields of `more`.
    pub(in crate::cli) fn document_with(&self, now_ms: i64, more: Value) -> Value {
        let mut document = self.document(now_ms);
        if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
            document.extend(more);
        }
        document
    }

    /// Returns the JSON document of the run.
    pub(in crate::cli) fn document(&self, now_ms: i64) -> Value {
        let (header, progress, calls) = (self.ledger.header(), &self.progress, self.calls);
        json!({
            "run": header.run,
            "epoch": self.epochs.last(),
            "command": self.kind,
            "system": header.system,
            "base_url": header.base_url,
            "tenant": header.tenant,
            "in_process": self.target.in_process,
            "input": header.input_name,
            "lines": header.lines,
            "state": self.state.as_str(),
            "phase": progress.phase.as_str(),
            "stopped_by": progress.stopped_by.map(StopReason::as_str),
            "cause": Some(&progress.why).filter(|why| !why.is_empty()),
            "exit_code": progress.exit_code,
            "undoes": header.parent,
            "started_at": stamp(self.progress.started_at_ms),
            "finished_at": self.progress.finished_at_ms.map(stamp),
            "duration_s": self.duration_s(now_ms),
            "pruned_at": self.pruned_at_ms.map(stamp),
            "counts": self.counts,
            "calls": {"find": calls.find, "read": calls.read, "write": calls.write,
                      "retried": calls.retried, "throttled": calls.throttled},
            "run_dir": self.dir.path().display().to_string(),
        })
    }

    /// Returns the row of the run in a list for a person.
    pub(super) fn row(&self, now_ms: i64) -> Row {
        let header = self.ledger.header();
        let duration = self.duration_s(now_ms);
        Row {
            run: header.run.clone(),
            command: self.kind.to_owned(),
            state: self.state_words(),
            age: age(self.age_s(now_ms)),
            duration: duration.map_or_else(String::new, ui::duration),
            target: ui::visible(&self.target.to_string()).into_owned(),
            counts: self.counted_in_colour(),
            input: match &header.parent {
                Some(run) => Input::Undone(run.clone()),
                None => Input::File(ui::visible(&header.input_name).into_owned()),
            },
        }
    }

    fn state_words(&self) -> String {
        let pruned = self.pruned_at_ms.map_or("", |_| ", pruned");
        format!("{}{pruned}", self.state.as_str())
    }

    /// Returns the counts in colour, such as `changed 37, failed 2`. The open lines of a run in progress are shown as
    /// `to do` or `in progress`, not as results.
    pub(in crate::cli) fn counted_in_colour(&self) -> String {
        let names = Status::NAMES.iter().chain(&["half_done"]);
        let counted = names.filter_map(|name| {
            let lines = *self.counts.get(name)?;
            let (name, tone) = match (self.state, *name) {
                (State::Running, "skipped") => ("to do", ui::Tone::Plain),
                (State::Running, "in_doubt") => ("in progress", ui::Tone::Plain),
                (_, name) => (name, ui::Tone::of_status(name)),
            };
            let words = format!("{name} {}", ui::count(lines));
            (lines > 0).then(|| tone.paint(&words))
        });
        counted.collect::<Vec<_>>().join(", ")
    }
}

/// Returns an age in its largest unit: `3 min`, `5 h`, `12 days`.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
