//! summary.json: one document about a run, for scripts. The same is printed by `--format json`.

use super::failures::Tally;
use super::next::{Commands, Next};
use super::results::stamp;
use super::{ReportError, file, standing};
use crate::ledger::{Ledger, Progress, RunDir, State};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a run adds up to.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The run's ID.
    pub run: String,
    /// Its folder.
    pub run_dir: String,
    /// The command that made it.
    pub command: String,
    /// The system's name.
    pub system: String,
    /// Where the system is.
    pub base_url: String,
    /// `finished` (also: a plan that has looked at every line), `stopped` or `interrupted` (also: killed);
    /// `running` in between.
    pub state: String,
    /// Why it stopped, where it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stopped_because: String,
    /// The last thing that happened, of a run that stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The exit code of the last process; `null` where it was killed, or is still at work.
    pub exit_code: Option<u8>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; `null` while it is under way.
    pub finished_at: Option<String>,
    /// `lines`, and one number for each status.
    pub counts: BTreeMap<&'static str, u64>,
    /// Reasons, and how many lines have each.
    pub reasons: BTreeMap<&'static str, u64>,
    /// How many calls were made.
    pub calls: Calls,
    /// How fast.
    pub pace: Pace,
    /// After a plan: what carrying it out would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<serde_json::Value>,
    /// Whether it is a plan that waits to be carried out.
    #[serde(skip)]
    pub planned: bool,
    /// Where more lines would change than it was allowed: so many would.
    #[serde(skip)]
    pub too_many_changes: Option<u64>,
    /// What may be typed next.
    #[serde(skip)]
    pub commands: Commands,
    /// The run that this one undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
}

/// Calls by kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Calls {
    /// Searches and look-ups of many at once.
    pub find: u64,
    /// Other reads.
    pub read: u64,
    /// Writes.
    pub write: u64,
    /// Those of them that were repetitions.
    pub retried: u64,
    /// Answers that asked for less speed.
    pub throttled: u64,
    /// All calls for each write; `null` where nothing was written.
    pub per_write: Option<f64>,
}

/// The limit, and what was reached.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pace {
    /// Calls a second; `null`: unlimited.
    pub limit_per_s: Option<f64>,
    /// Calls a second.
    pub achieved_per_s: f64,
}

impl Summary {
    pub(super) fn of(dir: &RunDir, ledger: &Ledger, tally: &Tally) -> Result<Self, ReportError> {
        let (header, progress, calls) = (ledger.header(), ledger.progress()?, ledger.calls()?);
        let (gaps, gaps_ms) = ledger.pace()?;
        let mut counts: BTreeMap<&'static str, u64> = tally.statuses().collect();
        counts.insert("lines", tally.lines);
        let reasons = tally
            .reasons
            .iter()
            .map(|(name, reason)| (*name, reason.lines))
            .collect();
        let forecast = ledger
            .get("forecast")?
            .and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            run: header.run.clone(),
            run_dir: dir.path().display().to_string(),
            command: standing::command(ledger)?,
            system: header.system.clone(),
            base_url: header.base_url.clone(),
            // A plan that was looked at to its end is a finished piece of work.
            state: match standing::state(&progress, ledger) {
                State::Planned => State::Finished,
                state => state,
            }
            .as_str()
            .to_owned(),
            planned: progress.state == State::Planned,
            too_many_changes: too_many_changes(&progress, ledger)?,
            commands: Commands::of(dir.path(), header),
            stopped_because: progress.why,
            cause: ledger.get("cause")?.filter(|cause| !cause.is_empty()),
            exit_code: progress.exit_code,
            started_at: stamp(progress.started_at_ms),
            finished_at: progress.finished_at_ms.map(stamp),
            counts,
            reasons,
            calls: Calls {
                find: calls.find,
                read: calls.read,
                write: calls.write,
                retried: calls.retried,
                throttled: calls.throttled,
                per_write: (calls.write > 0).then(|| ratio(calls.total(), calls.write, 1.0)),
            },
            pace: Pace {
                limit_per_s: calls.limit_per_s,
                achieved_per_s: ratio(gaps, gaps_ms, 1000.0),
            },
            forecast,
            undoes: header.parent.clone(),
        })
    }

    /// What a person would most likely want next.
    pub fn next_step(&self) -> Next {
        Next::after(self)
    }

    pub(super) fn write(&self, dir: &RunDir) -> Result<(), ReportError> {
        let path = dir.path().join("summary.json");
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| file::failed(&path, std::io::Error::other(error)))?;
        text.push(b'\n');
        file::write(path, &text)
    }
}

/// How many lines would change, where that is why it stopped: going on in the same way would stop it again.
fn too_many_changes(progress: &Progress, ledger: &Ledger) -> Result<Option<u64>, ReportError> {
    if progress.state == State::Stopped && progress.why.starts_with("--max-changes ") {
        Ok(Some(ledger.planned()?.len()))
    } else {
        Ok(None)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for a person, rounded to four places"
)]
fn ratio(part: u64, whole: u64, scale: f64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * scale * 10_000.0).round() / 10_000.0
}
