//! summary.json: one document about a run, for scripts. The same is printed by `--format json`.

use super::commands::Commands;
use super::error::ReportError;
use super::results::stamp;
use super::tally::{Reason, Tally, ValuesChanged};
use super::{CannotUndo, NearMisses, file, run_status};
use crate::domain::Drift;
use crate::ledger::{Ledger, LedgerError, Progress, RunDir, RunKind, State, StopReason};
use crate::regular_file;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;

/// The format version of every JSON document that this program prints or writes.
pub const FORMAT: u8 = 1;

/// The summary of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// [`FORMAT`].
    pub format: u8,
    /// The program's version.
    pub version: &'static str,
    /// The exit code of the last process; `null` if it was killed, or is still at work.
    pub exit_code: Option<u8>,
    /// The run's ID.
    pub run: String,
    /// Its folder.
    pub run_dir: String,
    /// The command that made it.
    pub command: String,
    /// The system's name.
    pub system: String,
    /// The address of the system.
    pub base_url: String,
    /// The share of its file that it carries out, as `1/3`; only if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The state, as in the ledger; a run that was killed is `interrupted`.
    pub state: String,
    /// What stopped it; `null` if nothing did.
    pub cause: Option<String>,
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// When it ended: RFC 3339, UTC; `null` while it is under way.
    pub finished_at: Option<String>,
    /// `lines`, one number for each status, and `half_done`.
    pub counts: BTreeMap<&'static str, u64>,
    /// Reasons, and how many lines have each.
    pub reasons: BTreeMap<&'static str, u64>,
    /// How many calls were made.
    pub calls: Calls,
    /// The limit of the calls and their speed.
    pub pace: Pace,
    /// How many of its changes cannot be undone; for an undo: how many could not be undone.
    #[serde(serialize_with = "total")]
    pub cannot_undo: CannotUndo,
    /// The digest of everything that was to be done, if all lines were looked up first; otherwise of what was done.
    pub plan_digest: String,
    /// After a plan: the calls and the time that carrying it out would take.
    pub forecast: Option<serde_json::Value>,
    /// Lines that were not found but would be found with another spelling of their account ID, by what differs.
    pub near_misses: NearMisses,
    /// For a reconcile: how many lines were not as the file has them, by cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<BTreeMap<&'static str, u64>>,
    /// The number of commits of the ledger when this was drawn.
    pub ledger_commits: i64,
    /// Values that were changed, or would be changed; for display.
    #[serde(skip)]
    pub changed: ValuesChanged,
    /// Why lines did not succeed, the most frequent reason first; for display.
    #[serde(skip)]
    pub failures: Vec<Reason>,
    /// Whether it is a plan that waits to be carried out.
    #[serde(skip)]
    pub planned: bool,
    /// The number of lines that would change, if it is above the limit.
    #[serde(skip)]
    pub too_many_changes: Option<u64>,
    /// The commands that may follow.
    #[serde(skip)]
    pub commands: Commands,
    /// The run that this run undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
}

/// Calls by kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Calls {
    /// Searches, and look-ups of many customers with one call.
    pub find: u64,
    /// Other reads.
    pub read: u64,
    /// Writes.
    pub write: u64,
    /// The repetitions among all these calls.
    pub retried: u64,
    /// Answers that asked for less speed.
    pub throttled: u64,
    /// The number of all calls divided by the number of writes; `null` if nothing was written.
    pub per_write: Option<f64>,
    /// Whether all calls were recorded; `false`: a process was killed or still works, and the numbers are minimum values.
    pub complete: bool,
}

/// The limit, and the speed that was reached.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pace {
    /// Calls a second; `null`: unlimited.
    pub limit_per_s: Option<f64>,
    /// Calls a second.
    pub achieved_per_s: f64,
}

impl Summary {
    pub(super) fn of(
        dir: &RunDir,
        ledger: &Ledger,
        tally: &Tally,
        ledger_commits: i64,
    ) -> Result<Self, ReportError> {
        let (header, progress, calls) = (ledger.header(), ledger.progress()?, ledger.calls()?);
        let (gaps, gaps_ms) = ledger.pace()?;
        let mut counts: BTreeMap<&'static str, u64> = tally.statuses().collect();
        counts.insert("lines", tally.lines);
        counts.insert("half_done", tally.half_done);
        let reasons = tally.reasons.clone();
        let forecast = ledger.forecast()?;
        let cannot_undo = match ledger.cannot_undo()? {
            Some(text) => serde_json::from_str(&text).unwrap_or_default(),
            None => tally.cannot_undo.counts,
        };
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            run: header.run.clone(),
            run_dir: dir.path().display().to_string(),
            command: ledger.kind()?.as_str().to_owned(),
            system: header.system.clone(),
            base_url: header.base_url.clone(),
            shard: ledger.shard_name()?,
            state: run_status::state(&progress, ledger).as_str().to_owned(),
            planned: progress.state == State::Planned,
            too_many_changes: too_many_changes(&progress, ledger)?,
            commands: Commands::of(dir.path(), ledger)?,
            cause: Some(progress.why).filter(|why| !why.is_empty()),
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
                complete: ledger.has_all_calls()?,
            },
            pace: Pace {
                limit_per_s: calls.limit_per_s,
                achieved_per_s: ratio(gaps, gaps_ms, 1000.0),
            },
            cannot_undo,
            changed: tally.changed,
            failures: tally.failures(),
            plan_digest: String::new(),
            forecast: forecast.and_then(|text| serde_json::from_str(&text).ok()),
            near_misses: NearMisses::of(ledger)?,
            drift: drift(ledger)?,
            ledger_commits,
            undoes: header.parent.clone(),
        })
    }

    pub(super) fn write(&self, dir: &RunDir) -> Result<(), ReportError> {
        let path = dir.path().join("summary.json");
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| file::failed(&path, std::io::Error::other(error)))?;
        text.push(b'\n');
        file::write(path, &text)
    }
}

fn drift(ledger: &Ledger) -> Result<Option<BTreeMap<&'static str, u64>>, ReportError> {
    if ledger.header().kind != RunKind::Reconcile {
        return Ok(None);
    }
    let mut counts: BTreeMap<&'static str, u64> = Drift::ALL
        .into_iter()
        .map(|cause| (cause.as_str(), 0))
        .collect();
    for one in ledger.drift() {
        let one = one?;
        *counts.entry(one.cause.as_str()).or_default() += 1;
    }
    Ok(Some(counts))
}

fn total<S: Serializer>(counts: &CannotUndo, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(counts.total())
}

/// The part of a summary that tells how old it is.
#[derive(Deserialize)]
struct Age {
    state: String,
    exit_code: Option<u8>,
    finished_at: Option<String>,
    ledger_commits: i64,
}

#[derive(Deserialize)]
struct Drawn {
    counts: BTreeMap<String, u64>,
}

/// Returns how many lines the reports of a run count as half done; `None`: there are no reports. Only the reports know
/// what the file requests.
pub fn half_done(dir: &RunDir) -> Option<u64> {
    let text = regular_file::read(&dir.path().join("summary.json")).ok()?;
    let drawn: Drawn = serde_json::from_slice(&text).ok()?;
    drawn.counts.get("half_done").copied()
}

/// Returns whether the reports of a run match its ledger. They do not after a kill, or if some are missing.
pub fn is_current(dir: &RunDir, ledger: &Ledger) -> Result<bool, LedgerError> {
    let others = ["results.csv", "failures.csv", "report.html"];
    if !others
        .iter()
        .all(|name| regular_file::check(&dir.path().join(name)).is_ok())
    {
        return Ok(false);
    }
    let Some(drawn) = age(dir.path()) else {
        return Ok(false);
    };
    Ok(drawn.ledger_commits == ledger.commits()? && drawn.is_of_the_end(ledger)?)
}

/// Returns whether the summary in the folder of a run describes its end. It does not if the process was killed between
/// the end and the reports: the summary is then missing, or was written by an earlier process.
pub fn tells_the_end(folder: &Path, ledger: &Ledger) -> Result<bool, LedgerError> {
    age(folder).map_or(Ok(false), |drawn| drawn.is_of_the_end(ledger))
}

fn age(folder: &Path) -> Option<Age> {
    let text = regular_file::read(&folder.join("summary.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

impl Age {
    fn is_of_the_end(&self, ledger: &Ledger) -> Result<bool, LedgerError> {
        let progress = ledger.progress()?;
        Ok(self.state == run_status::state(&progress, ledger).as_str()
            && self.exit_code == progress.exit_code
            && self.finished_at == progress.finished_at_ms.map(stamp))
    }
}

/// Returns how many lines would change, if that stopped the run: continuing in the same way would stop it again.
fn too_many_changes(progress: &Progress, ledger: &Ledger) -> Result<Option<u64>, ReportError> {
    if progress.stopped_by == Some(StopReason::MaxChanges) {
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
