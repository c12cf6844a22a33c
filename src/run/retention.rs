//! Which runs are pruned, and why others stay whatever their age.

use super::catalog::{Entry, RunCatalog};
use super::error::CommandError;
use super::input_identity::InputIdentity;
use super::parked;
use crate::ledger::{Header, Ledger, RunDir, RunKind, State};
use crate::report::run_status;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// The files of a run's folder beside its ledger. The input is the last one: while it exists, pruning is not complete.
pub(super) const FILES: [&str; 5] = [
    "results.csv",
    "failures.csv",
    "report.html",
    "summary.json",
    "input.csv",
];

/// Which runs are pruned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Runs that ended longer ago than this are pruned.
    pub(crate) older_than: Duration,
    /// This many of the newest runs of each target are kept whatever their age.
    pub(crate) keep_last: usize,
}

/// A run that is old enough, and whether it is pruned.
pub(crate) struct Candidate<'a> {
    pub(crate) entry: &'a Entry,
    /// The number of commits of its ledger when it was chosen: it is pruned only if there are no more.
    pub(super) commits: i64,
    /// Why it stays as it is; `None`: it is pruned.
    pub(crate) kept: Option<String>,
    /// The size of the files that would be removed from this machine; `None`: it has none of this run.
    pub(crate) bytes: Option<u64>,
}

/// Returns the runs that are old enough, the oldest first. `within`: only runs in this folder are pruned, but all runs of
/// the catalog count as runs that may refer to others.
pub(crate) fn candidates<'a>(
    catalog: &'a RunCatalog,
    within: &Path,
    retention: Retention,
    now_ms: i64,
) -> Result<Vec<Candidate<'a>>, CommandError> {
    let mut rules = Rules::default();
    let mut found = Vec::new();
    for entry in &catalog.entries {
        let ledger = entry.ledger()?;
        let commits = ledger.commits()?;
        let is_complete = ledger.pruned()?.is_some() && !entry.dir.local_input().exists();
        let progress = ledger.progress()?;
        let ended_ms = progress.finished_at_ms.unwrap_or(progress.started_at_ms);
        let age_ms = u128::from(u64::try_from(now_ms - ended_ms).unwrap_or(0));
        let is_young = age_ms < retention.older_than.as_millis();
        let kept = if ledger.pruned()?.is_some() {
            None
        } else {
            rules.why_kept((entry, &ledger), catalog, retention.keep_last)?
        };
        let stays = is_young || kept.is_some();
        if stays && !is_complete {
            rules.keeps(entry, &ledger)?;
        }
        let is_here = entry.dir.path().parent() == Some(within);
        if is_young || !is_here || is_complete {
            continue;
        }
        found.push(Candidate {
            entry,
            commits,
            kept,
            bytes: bytes(&entry.dir),
        });
    }
    found.reverse();
    Ok(found)
}

/// What the runs that were examined so far, the newest first, say about older ones.
#[derive(Default)]
struct Rules {
    seen: HashMap<String, usize>,
    /// The newest good reconciles: the file and the target of each.
    good: Vec<(InputIdentity, String)>,
    /// By the ID of a run: the first kept run that undoes it.
    referred: HashMap<String, String>,
}

impl Rules {
    /// Returns why a run is kept whatever its age; `None`: nothing keeps it.
    fn why_kept(
        &mut self,
        (entry, ledger): (&Entry, &Ledger),
        catalog: &RunCatalog,
        keep_last: usize,
    ) -> Result<Option<String>, CommandError> {
        let header = &entry.header;
        let seen = self.seen.entry(header.target.clone()).or_default();
        *seen += 1;
        let is_of_newest = *seen <= keep_last;
        let state = run_status::state(&ledger.progress()?, ledger);
        let is_good = header.kind == RunKind::Reconcile && state == State::Finished;
        let is_newest_good = is_good && self.is_newest_good(header);
        if ledger.is_live() {
            return Ok(Some("it is in progress".to_owned()));
        }
        if state == State::Planned {
            return Ok(Some("it is a plan that was not carried out".to_owned()));
        }
        if state.is_unfinished() {
            // Its process may be about to begin.
            if entry.dir.is_claimed(ledger) {
                return Ok(Some("it is in progress".to_owned()));
            }
            if let Some(to_do) = to_finish((entry, ledger), catalog)? {
                return Ok(Some(format!("it is unfinished and has written: {to_do}")));
            }
        }
        if parked::are_left(ledger, catalog)? {
            return Ok(Some("a customer may still have a temporary ID".to_owned()));
        }
        if let Some(by) = self.referred.get(&header.run) {
            return Ok(Some(format!("run {by}, which undoes it, is kept")));
        }
        if is_newest_good {
            return Ok(Some(
                "it is the newest good reconcile of its file".to_owned(),
            ));
        }
        if is_of_newest {
            return Ok(Some(format!(
                "it is one of the newest {keep_last} of its target"
            )));
        }
        Ok(None)
    }

    /// Returns whether no newer good reconcile of the same file and target was examined before, and remembers this one.
    fn is_newest_good(&mut self, header: &Header) -> bool {
        let identity = InputIdentity::of_run(header);
        let is_known = self
            .good
            .iter()
            .any(|(other, target)| *target == header.target && other.is_same_file(&identity));
        if !is_known {
            self.good.push((identity, header.target.clone()));
        }
        !is_known
    }

    /// Remembers that a kept run keeps the run that it undoes.
    fn keeps(&mut self, entry: &Entry, ledger: &Ledger) -> Result<(), CommandError> {
        if ledger.pruned()?.is_none()
            && let Some(parent) = &entry.header.parent
        {
            let by = entry.header.run.clone();
            self.referred.entry(parent.clone()).or_insert(by);
        }
        Ok(())
    }
}

/// What is to be done about a run that is unfinished; `None`: nothing, since it has written nothing, or it was undone.
pub(super) fn to_finish(
    (entry, ledger): (&Entry, &Ledger),
    catalog: &RunCatalog,
) -> Result<Option<String>, CommandError> {
    let is_undone = catalog.undos_of(&entry.header.run).next().is_some();
    if !ledger.has_writes()? || is_undone {
        return Ok(None);
    }
    let commands = entry.commands();
    Ok(Some(format!(
        "`{}` finishes it, `{}` restores what it has changed",
        commands.resume(&[]),
        commands.undo()
    )))
}

fn bytes(dir: &RunDir) -> Option<u64> {
    let size = |name: &&str| Some(std::fs::metadata(dir.path().join(name)).ok()?.len());
    FILES
        .iter()
        .filter_map(size)
        .reduce(|all, bytes| all + bytes)
}
