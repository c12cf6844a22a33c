//! Finds out why the lines that a reconcile changed, or failed to change, had drifted: compares them with the last good
//! reconcile of the file and with the values that earlier runs have replaced.

use super::catalog::{Entry, RunCatalog};
use super::error::CommandError;
use super::input_identity::InputIdentity;
use super::line_digest::{RequestDigest, key, request_digest};
use super::open::OpenRun;
use super::replaced::{digests, of_account, of_profile, of_service};
use super::saved_settings::SavedSettings;
use crate::domain::{Change, Drift, Line, Outcome, Skipped, Status};
use crate::ledger::{DriftedLine, Header, Ledger, RunKind, State};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The statuses of drifted lines: the system did not have the values of the file.
const DRIFTED: &[&str] = &["changed", "failed", "in_doubt", "would_change"];

/// Records the drift of a reconcile in its ledger. Nothing is recorded for other runs.
pub(super) fn record(run: &OpenRun, catalog: &RunCatalog) -> Result<(), CommandError> {
    if run.ledger.header().kind != RunKind::Reconcile {
        return Ok(());
    }
    let earlier = earlier(run, catalog)?;
    // The first reconcile of a file has nothing to compare with: every drifted line is new.
    let before = if earlier.is_empty() {
        Before::default()
    } else {
        Before::of(run, catalog, &earlier)?
    };
    let mut lines = Vec::new();
    each(run, |line, asked, outcome| {
        let (key, request) = (asked.key, asked.request);
        let is_replaced = || {
            let mut found = found(outcome, asked);
            found.any(|digest| before.replaced.binary_search(&digest).is_ok())
        };
        lines.push(DriftedLine {
            line,
            cause: cause(before.of_line(key), request, is_replaced),
            nights: before.nights.get(&key).map_or(1, |nights| nights + 1),
            key,
        });
    })?;
    Ok(run.ledger.set_drift(&lines)?)
}

/// Calls `each` for every drifted line, in the order of the file, with what the line asks for and its outcome.
fn each(run: &OpenRun, mut each: impl FnMut(Line, Asked, &Outcome)) -> Result<(), CommandError> {
    let mut outcomes = run.ledger.outcomes_with(DRIFTED).peekable();
    if outcomes.peek().is_none() {
        return Ok(());
    }
    for batch in run.draft.table.batches()? {
        for row in batch? {
            let is_reached =
                |next: &Result<Outcome, _>| next.as_ref().map_or(true, |one| one.line <= row.line);
            while let Some(outcome) = outcomes.next_if(is_reached) {
                let outcome = outcome?;
                if outcome.line == row.line {
                    // A line that cannot be parsed has no key, so it counts as new every night.
                    let asked = row.change.as_ref().map(Asked::of).unwrap_or_default();
                    each(row.line, asked, &outcome);
                }
            }
        }
    }
    Ok(())
}

/// The key of lines that cannot be parsed: nothing tells which of them are the same line on another night.
const NO_KEY: u64 = 0;

/// What a line asks for.
#[derive(Clone, Copy, Default)]
struct Asked {
    key: u64,
    request: RequestDigest,
    account: bool,
    service: bool,
    profile: bool,
}

impl Asked {
    fn of(change: &Change) -> Self {
        Self {
            key: key(change),
            request: request_digest(change),
            account: change.new_account.asks(),
            service: change.service.is_some(),
            profile: change.profile.is_some(),
        }
    }
}

/// How a line of an earlier reconcile ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Was {
    InPlace,
    NotApplied,
    /// The line was suppressed, so its values may have been in place.
    Suppressed,
}

fn cause(
    known: &[(u64, RequestDigest, Was)],
    request: RequestDigest,
    is_replaced: impl Fn() -> bool,
) -> Drift {
    if known.is_empty() {
        return Drift::New;
    }
    // If several lines ask for the same, the last one counts.
    let of_request = known.iter().rfind(|(_, known, _)| *known == request);
    match of_request.map(|(_, _, was)| was) {
        None => Drift::Changed,
        Some(Was::InPlace | Was::Suppressed) if is_replaced() => Drift::Reverted,
        Some(Was::InPlace) => Drift::ByOthers,
        Some(Was::NotApplied | Was::Suppressed) => Drift::NeverApplied,
    }
}

/// The earlier reconciles of this file on this target, the newest first.
fn earlier<'a>(run: &OpenRun, catalog: &'a RunCatalog) -> Result<Vec<&'a Entry>, CommandError> {
    let epochs = run.ledger.epochs()?;
    let header = run.ledger.header();
    let identity = InputIdentity::of_run(header);
    let targets = [header.target.as_str()];
    let others = catalog.others(&header.run, &targets);
    let is_earlier = |entry: &&Entry| {
        entry.header.kind == RunKind::Reconcile
            && epochs.is_newer_than(entry.epochs)
            && identity.is_same_file(&InputIdentity::of_run(&entry.header))
    };
    Ok(others.filter(is_earlier).collect())
}

/// What earlier runs have recorded about the drifted lines.
#[derive(Default)]
struct Before {
    /// What each line with the same key asked for in the last good reconcile, and how it ended: sorted by key, lines with
    /// one key in the order of that file.
    requests: Vec<(u64, RequestDigest, Was)>,
    /// By the key of a line: the number of successive reconciles before this one in which the line had drifted.
    nights: HashMap<u64, u32>,
    /// Digests of the values that earlier runs on this target have replaced at the lines' customers, sorted.
    replaced: Vec<u64>,
}

impl Before {
    fn of(run: &OpenRun, catalog: &RunCatalog, earlier: &[&Entry]) -> Result<Self, CommandError> {
        let hasher = RandomState::new();
        let (mut keys, mut customers) = (Vec::new(), Vec::new());
        each(run, |_, asked, outcome| {
            keys.extend((asked.key != NO_KEY).then_some(asked.key));
            customers.extend(
                outcome
                    .customer
                    .as_ref()
                    .map(|id| hasher.hash_one(id.as_str())),
            );
        })?;
        if keys.is_empty() && customers.is_empty() {
            return Ok(Self::default());
        }
        keys.sort_unstable();
        customers.sort_unstable();
        let mut before = Self::default();
        before.read(run, earlier, &keys)?;
        let is_wanted =
            |customer: &str| customers.binary_search(&hasher.hash_one(customer)).is_ok();
        before.replaced = replaced(run.ledger.header(), catalog, is_wanted)?;
        Ok(before)
    }

    fn of_line(&self, key: u64) -> &[(u64, RequestDigest, Was)] {
        let first = self.requests.partition_point(|(known, ..)| *known < key);
        let rest = &self.requests[first..];
        &rest[..rest.partition_point(|(known, ..)| *known == key)]
    }

    /// Reads the earlier reconciles, from the newest to the last good one. A stopped reconcile counts as a night, but only
    /// the last good one shows which values were in place.
    fn read(
        &mut self,
        run: &OpenRun,
        earlier: &[&Entry],
        keys: &[u64],
    ) -> Result<(), CommandError> {
        let is_mine = |key: u64| keys.binary_search(&key).is_ok();
        for entry in earlier {
            let ledger = entry.ledger()?;
            // It can be skipped, because the newest good reconcile of a file is never pruned.
            if ledger.pruned()?.is_some() {
                continue;
            }
            for one in ledger.drift() {
                let one = one?;
                if is_mine(one.key) {
                    self.nights.entry(one.key).or_insert(one.nights);
                }
            }
            if ledger.progress()?.state == State::Finished {
                self.requests = earlier_requests(entry, &ledger, run, is_mine)?;
                break;
            }
        }
        Ok(())
    }
}

/// Returns what the lines with these keys asked for in that run, and how they ended.
fn earlier_requests(
    entry: &Entry,
    ledger: &Ledger,
    run: &OpenRun,
    wanted: impl Fn(u64) -> bool,
) -> Result<Vec<(u64, RequestDigest, Was)>, CommandError> {
    let kept = SavedSettings::of(ledger)?;
    let rules = kept.rules(&run.resolved)?;
    let table = kept.table(&entry.dir, &rules)?;
    let mut requests = Vec::new();
    let mut outcomes = ledger.outcomes().peekable();
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let key = key(&change);
            if !wanted(key) {
                continue;
            }
            let is_reached = |next: &Result<Outcome, _>| {
                next.as_ref().map_or(true, |one| one.line <= change.line)
            };
            let mut status = None;
            while let Some(outcome) = outcomes.next_if(is_reached) {
                let outcome = outcome?;
                status = (outcome.line == change.line).then_some(outcome.status);
            }
            requests.push((key, request_digest(&change), was(status)));
        }
    }
    requests.sort_by_key(|(key, ..)| *key);
    Ok(requests)
}

fn was(status: Option<Status>) -> Was {
    match status {
        Some(status) if status.is_in_place() => Was::InPlace,
        Some(Status::Skipped(Skipped::Suppressed)) => Was::Suppressed,
        Some(_) | None => Was::NotApplied,
    }
}

/// Returns digests of the values that earlier runs on this target have replaced at these customers.
fn replaced(
    mine: &Header,
    catalog: &RunCatalog,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<u64>, CommandError> {
    let mut replaced = Vec::new();
    let target = [mine.target.as_str()];
    for entry in catalog.others(&mine.run, &target) {
        if !entry.has_writes {
            continue;
        }
        let ledger = entry.ledger()?;
        let order = ledger.write_order(&wanted)?;
        for changes in ledger.net_changes_in(&order) {
            replaced.extend(changes?.iter().flat_map(digests));
        }
        replaced.extend(ledger.replaced()?);
    }
    replaced.sort_unstable();
    Ok(replaced)
}

/// Returns the digests of the values of a line that a run found and replaced, or tried to replace.
fn found(outcome: &Outcome, asked: Asked) -> impl Iterator<Item = u64> {
    let has_failed = matches!(outcome.status, Status::Failed(_) | Status::InDoubt);
    let of_customer = outcome.customer.as_ref();
    let account = of_customer
        .filter(|_| asked.account && (has_failed || outcome.account.differs()))
        .map(|customer| of_account(customer, outcome.account.before.as_ref()));
    let place = of_customer.zip(outcome.location.as_ref());
    let service = place
        .filter(|_| asked.service && (has_failed || outcome.service.differs()))
        .map(|(customer, location)| {
            of_service(customer, location, outcome.service.before.as_ref())
        });
    let profile = place
        .filter(|_| asked.profile && (has_failed || outcome.profile.differs()))
        .map(|(customer, location)| of_profile(customer, location, outcome.profile.before));
    account.into_iter().chain(service).chain(profile)
}
