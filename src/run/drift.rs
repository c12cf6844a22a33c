//! Why the lines that a reconcile changed, or could not, were not as the file has them: compared with the last good
//! reconcile of the file, and with the values that earlier runs have replaced.

use super::catalog::{Entry, RunCatalog};
use super::error::CommandError;
use super::input_identity::InputIdentity;
use super::line_digest::{Wish, key, wish};
use super::open::OpenRun;
use super::replaced::{digests, of_account, of_profile, of_service};
use super::saved_settings::SavedSettings;
use crate::domain::{CustomerId, Drift, Line, Outcome, Skipped, Status, Unchanged};
use crate::input::Table;
use crate::ledger::{DriftedLine, Header, Ledger, RunKind, State};
use std::collections::{HashMap, HashSet};

/// What earlier reconciles of the file know.
#[derive(Default)]
struct Before {
    /// By the key of a line: what the last good reconcile was asked for there, and how that ended.
    wishes: HashMap<u64, HashMap<Wish, Was>>,
    /// By the key of a line: for how many reconciles in a row it has not been as the file has it, without this one.
    nights: HashMap<u64, u32>,
}

/// What a line asks for.
#[derive(Clone, Copy, Default)]
struct Asked {
    key: u64,
    wish: Wish,
    account: bool,
    service: bool,
    profile: bool,
}

/// Records the drift of a reconcile in its ledger. Nothing is recorded for other runs.
pub(super) fn record(run: &OpenRun, catalog: &RunCatalog) -> Result<(), CommandError> {
    let header = run.ledger.header();
    if header.kind != RunKind::Reconcile {
        return Ok(());
    }
    let mut drifted: HashMap<Line, Outcome> = HashMap::new();
    for outcome in run.ledger.outcomes() {
        let outcome = outcome?;
        match outcome.status {
            Status::Changed | Status::Failed(_) | Status::InDoubt | Status::WouldChange => {
                drifted.insert(outcome.line, outcome);
            }
            Status::Unchanged(_) | Status::Skipped(_) => {}
        }
    }
    let mut lines = Vec::with_capacity(drifted.len());
    if !drifted.is_empty() {
        let mine = asked(&run.draft.table, &drifted)?;
        let before = before(run, catalog, &mine)?;
        let replaced = replaced(header, catalog, &drifted)?;
        for (line, outcome) in &drifted {
            // A line that cannot be read has no key; it is new each night.
            let asked = mine.get(line).copied().unwrap_or_default();
            let (key, wish) = (asked.key, asked.wish);
            let is_replaced = || {
                let mut found = found(outcome, asked);
                found.any(|digest| replaced.contains(&digest))
            };
            lines.push(DriftedLine {
                line: *line,
                cause: cause(before.wishes.get(&key), wish, is_replaced),
                nights: before.nights.get(&key).map_or(1, |nights| nights + 1),
                key,
            });
        }
        lines.sort_by_key(|one| one.line);
    }
    Ok(run.ledger.set_drift(&lines)?)
}

/// How a line of an earlier reconcile ended.
#[derive(Clone, Copy)]
enum Was {
    InPlace,
    NotApplied,
    /// It was left alone, so it may have been in place before.
    Suppressed,
}

fn cause(known: Option<&HashMap<Wish, Was>>, wish: Wish, is_replaced: impl Fn() -> bool) -> Drift {
    let Some(known) = known else {
        return Drift::New;
    };
    match known.get(&wish) {
        None => Drift::Changed,
        Some(Was::InPlace | Was::Suppressed) if is_replaced() => Drift::Reverted,
        Some(Was::InPlace) => Drift::ByOthers,
        Some(Was::NotApplied | Was::Suppressed) => Drift::NeverApplied,
    }
}

/// What these lines ask for.
fn asked(
    table: &Table,
    lines: &HashMap<Line, Outcome>,
) -> Result<HashMap<Line, Asked>, CommandError> {
    let mut keys = HashMap::with_capacity(lines.len());
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            if lines.contains_key(&change.line) {
                let asked = Asked {
                    key: key(&change),
                    wish: wish(&change),
                    account: change.new_account.asks(),
                    service: change.service.is_some(),
                    profile: change.profile.is_some(),
                };
                keys.insert(change.line, asked);
            }
        }
    }
    Ok(keys)
}

/// What earlier reconciles of this file on this target know of the lines with these keys. A night that was stopped
/// counts as a night; what was in place is known from the last good one.
fn before(
    run: &OpenRun,
    catalog: &RunCatalog,
    mine: &HashMap<Line, Asked>,
) -> Result<Before, CommandError> {
    let header = run.ledger.header();
    let identity = InputIdentity::of_run(header);
    let target = [header.target.as_str()];
    let mut before = Before::default();
    for entry in catalog.others(&header.run, &target) {
        let is_earlier = entry.header.kind == RunKind::Reconcile
            && entry.header.epoch < header.epoch
            && identity.is_same_file(&InputIdentity::of_run(&entry.header));
        if !is_earlier {
            continue;
        }
        let ledger = entry.ledger()?;
        // The newest good reconcile of a file is never pruned.
        if ledger.pruned()?.is_some() {
            continue;
        }
        for one in ledger.drift()? {
            before.nights.entry(one.key).or_insert(one.nights);
        }
        if ledger.progress()?.state == State::Finished {
            before.wishes = wishes(entry, &ledger, run, mine)?;
            break;
        }
    }
    Ok(before)
}

/// What the lines with these keys asked for in that run, and whether it was in place at its end.
fn wishes(
    entry: &Entry,
    ledger: &Ledger,
    run: &OpenRun,
    mine: &HashMap<Line, Asked>,
) -> Result<HashMap<u64, HashMap<Wish, Was>>, CommandError> {
    let wanted: HashSet<u64> = mine.values().map(|asked| asked.key).collect();
    let kept = SavedSettings::of(ledger)?;
    let rules = kept.rules(&run.resolved)?;
    let table = kept.table(&entry.dir, &ledger.header().input_name, &rules)?;
    let mut wishes: HashMap<u64, HashMap<Wish, Was>> = HashMap::new();
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let key = key(&change);
            if wanted.contains(&key) {
                let was = was(ledger, change.line)?;
                let of_line = wishes.entry(key).or_default();
                of_line.insert(wish(&change), was);
            }
        }
    }
    Ok(wishes)
}

fn was(ledger: &Ledger, line: Line) -> Result<Was, CommandError> {
    let outcome = ledger.outcome_of(line)?;
    Ok(match outcome.map(|outcome| outcome.status) {
        Some(Status::Changed | Status::Unchanged(Unchanged::Already)) => Was::InPlace,
        Some(Status::Skipped(Skipped::Suppressed)) => Was::Suppressed,
        Some(_) | None => Was::NotApplied,
    })
}

/// Digests of the values of these lines' customers that earlier runs on this target have replaced.
fn replaced(
    mine: &Header,
    catalog: &RunCatalog,
    drifted: &HashMap<Line, Outcome>,
) -> Result<HashSet<u64>, CommandError> {
    let customers: HashSet<&str> = drifted
        .values()
        .filter_map(|outcome| outcome.customer.as_ref())
        .map(CustomerId::as_str)
        .collect();
    let mut replaced = HashSet::new();
    let target = [mine.target.as_str()];
    for entry in catalog.others(&mine.run, &target) {
        if !entry.has_writes {
            continue;
        }
        let ledger = entry.ledger()?;
        let order = ledger.write_order(|customer| customers.contains(customer))?;
        for changes in ledger.net_changes_in(&order) {
            replaced.extend(changes?.iter().flat_map(digests));
        }
        replaced.extend(ledger.replaced()?);
    }
    Ok(replaced)
}

/// The digests of the values that a run found and replaced, or tried to replace.
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
