//! Which customers a line meant when it was carried out before.
//!
//! The IDs of chains and swaps mean other customers once they are carried out, so a second run of the same lines
//! would move everybody on. The ledgers of earlier runs on this target know better: of the same file, of a file of
//! the same name, which is the same one with a line mended, and of reports that were carried out in their turn, which
//! hold lines of any file.

use super::draft::Draft;
use super::failure::Failure;
use super::prepare::Kept;
use super::wish::{Wish, wish};
use crate::config::Resolved;
use crate::domain::{AccountId, Change, CustomerId, Line, Status, Transition, Unchanged};
use crate::engine::{Hands, History};
use crate::input::Table;
use crate::ledger::{Header, Ledger, LedgerError, Recorded, RunDir, State, Verdict, Write};
use crate::plan::Shape;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

/// The note of a run whose file was a report of another one.
const FROM_REPORT: &str = "from_report";

/// What earlier runs tell of the lines of a file.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The customers of lines whose IDs mean somebody else once they are carried out, as the newest earlier run that
    /// came as far as these lines found them.
    pub(super) customers: HashMap<Line, CustomerId>,
    /// The account IDs that went from one customer to another.
    pub(super) hands: HashMap<AccountId, Hands>,
}

impl Memory {
    /// The same, as the engine asks it.
    pub(super) fn history(&self) -> History {
        let mut claims: HashMap<CustomerId, Vec<Line>> = HashMap::new();
        for (line, customer) in &self.customers {
            claims.entry(customer.clone()).or_default().push(*line);
        }
        History {
            hands: self.hands.clone(),
            claims,
        }
    }
}

/// Notes what later runs must know to recall this one.
pub(super) fn note_origin(ledger: &Ledger, draft: &Draft) -> Result<(), Failure> {
    if draft.table.is_report() {
        ledger.set(FROM_REPORT, "true")?;
    }
    Ok(())
}

/// Asks the earlier runs.
pub(super) fn of(mine: &Header, draft: &Draft, resolved: &Resolved) -> Result<Memory, Failure> {
    let runs = related(mine, draft, resolved)?;
    let mut memory = Memory {
        customers: HashMap::new(),
        hands: changed_hands(&runs)?,
    };
    if runs.is_empty() {
        return Ok(memory);
    }
    let unique = resolved.system.facts().unique_accounts;
    let mut open = ordered(draft, unique, &memory.hands)?;
    for earlier in runs {
        if open.is_empty() {
            break;
        }
        let other = Ledger::glance(&earlier)?;
        let same_file = other.header().input_sha256 == mine.input_sha256;
        for (wish, customer) in found(&earlier, &other, &open, resolved, same_file)? {
            for line in open.remove(&wish).into_iter().flatten() {
                memory.customers.insert(line, customer.clone());
            }
        }
    }
    Ok(memory)
}

/// The earlier runs that wrote for lines of this file, the newest first.
fn related(mine: &Header, draft: &Draft, resolved: &Resolved) -> Result<Vec<RunDir>, Failure> {
    let from_report = draft.table.is_report();
    let mut runs = Vec::new();
    for earlier in RunDir::list(&resolved.runs_dir)? {
        if earlier.run().as_str() == mine.run {
            continue;
        }
        let other = match Ledger::glance(&earlier) {
            Ok(other) => other,
            Err(_) if !earlier.has_begun() => continue,
            // It may be the one that swapped these customers already; swapping them again would be wrong writes.
            Err(why) => {
                return Err(Failure::from(why).with_help(
                    "whether that run carried out chains or swaps of this file cannot be told. \
                     Look at the customers, then move its folder away",
                ));
            }
        };
        let its = other.header();
        let is_related = its.input_sha256 == mine.input_sha256
            || its.input_name == mine.input_name
            || (from_report && its.parent.is_none())
            || other.get(FROM_REPORT)?.is_some();
        if its.target == mine.target && is_related && other.has_writes()? {
            runs.push(earlier);
        }
    }
    Ok(runs)
}

/// Calls `each` for every account ID that the run has written, or may have.
fn moves(run: &RunDir, mut each: impl FnMut(Recorded)) -> Result<(), Failure> {
    for write in Ledger::glance(run)?.writes() {
        let write = write?;
        let renames = matches!(write.intent.write, Write::Account { .. });
        if renames && write.verdict != Some(Verdict::NotApplied) {
            each(write);
        }
    }
    Ok(())
}

/// The account IDs that these runs took from customers and gave to customers. Rare; so first only hashes are kept.
fn changed_hands(runs: &[RunDir]) -> Result<HashMap<AccountId, Hands>, Failure> {
    let hasher = RandomState::new();
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    for run in runs {
        moves(run, |write| {
            if let Write::Account { before, after, .. } = write.intent.write {
                taken.extend(before.map(|id| hasher.hash_one(&id)));
                given.extend(after.map(|id| hasher.hash_one(&id)));
            }
        })?;
    }
    given.sort_unstable();
    let both: HashSet<u64> = taken
        .into_iter()
        .filter(|id| given.binary_search(id).is_ok())
        .collect();
    let mut hands: HashMap<AccountId, Hands> = HashMap::new();
    if both.is_empty() {
        return Ok(hands);
    }
    for run in runs {
        moves(run, |write| {
            let customer = write.intent.customer;
            if let Write::Account { before, after, .. } = write.intent.write {
                let wanted = |id: &AccountId| both.contains(&hasher.hash_one(id));
                if let Some(before) = before.filter(wanted) {
                    let hands = hands.entry(before).or_default();
                    hands.had.insert(customer.clone());
                }
                if let Some(after) = after.filter(wanted) {
                    hands.entry(after).or_default().got.insert(customer);
                }
            }
        })?;
    }
    Ok(hands)
}

/// The lines of chains and cycles, and those that go by an ID that changed hands, by what they ask for. Where several
/// customers may carry one ID nothing is ordered, and all lines that share an ID count.
fn ordered(
    draft: &Draft,
    unique_accounts: bool,
    hands: &HashMap<AccountId, Hands>,
) -> Result<HashMap<Wish, Vec<Line>>, Failure> {
    let mut lines: HashMap<Wish, Vec<Line>> = HashMap::new();
    let mut add = |change: &Change| {
        let lines = lines.entry(wish(change)).or_default();
        if !lines.contains(&change.line) {
            lines.push(change.line);
        }
    };
    for unit in draft.units.values() {
        if unit.shape != Shape::Single || !unique_accounts {
            unit.changes().for_each(&mut add);
        }
    }
    if !hands.is_empty() {
        let goes_by = |change: &Change| {
            let account = change.account.as_ref();
            account.is_some_and(|account| hands.contains_key(account))
        };
        for batch in draft.table.batches()? {
            let changes = batch?.into_iter().filter_map(|row| row.change);
            changes.filter(goes_by).for_each(|change| add(&change));
        }
    }
    Ok(lines)
}

/// What an earlier run found for wishes that are still open.
fn found(
    dir: &RunDir,
    ledger: &Ledger,
    open: &HashMap<Wish, Vec<Line>>,
    resolved: &Resolved,
    same_file: bool,
) -> Result<Vec<(Wish, CustomerId)>, Failure> {
    // Begun, and without a last word: the run was killed there.
    let begun: HashMap<Line, CustomerId> = ledger
        .doubtful()?
        .into_iter()
        .map(|write| (write.intent.line, write.intent.customer))
        .collect();
    let customer = |line: Line| -> Result<Option<CustomerId>, LedgerError> {
        // A line that failed may have been renamed all the same, before something else of it failed.
        let outcome = ledger.outcome_of(line)?.filter(|outcome| {
            let Transition { before, after } = &outcome.account;
            match outcome.status {
                Status::Changed | Status::Unchanged(Unchanged::Already) | Status::InDoubt => true,
                Status::Failed(_) => after.is_some() && after != before,
                Status::WouldChange | Status::Unchanged(_) | Status::Skipped(_) => false,
            }
        });
        let told = outcome.and_then(|outcome| outcome.customer);
        Ok(told.or_else(|| begun.get(&line).cloned()))
    };
    let mut found = Vec::new();
    if same_file {
        for (wish, lines) in open {
            for line in lines {
                found.extend(customer(*line)?.map(|customer| (*wish, customer)));
            }
        }
        return Ok(found);
    }
    let kept = Kept::of(ledger)?;
    let (name, rules) = (&ledger.header().input_name, kept.rules(resolved)?);
    let table = Table::open(&dir.input(), name, &kept.reading()?, &rules)?;
    for batch in table.batches()? {
        for change in batch?.into_iter().filter_map(|row| row.change) {
            let wish = wish(&change);
            if open.contains_key(&wish) {
                found.extend(customer(change.line)?.map(|customer| (wish, customer)));
            }
        }
    }
    Ok(found)
}

/// So many runs are looked at for one that was killed: the newest, for an old one has long been noticed.
const LOOKED_AT: usize = 10;

/// A run on the same target that was killed while it was writing, or stopped in the middle of a swap, and that nobody
/// has resumed.
///
/// It may have left customers under temporary IDs, where no other run finds them.
pub(super) fn killed(mine: &Header, runs_dir: &Path) -> Result<Option<String>, Failure> {
    for earlier in RunDir::list(runs_dir)?.into_iter().take(LOOKED_AT) {
        let Ok(other) = Ledger::glance(&earlier) else {
            continue;
        };
        if other.header().target != mine.target {
            continue;
        }
        let left_behind = match other.progress()?.state {
            // This run holds the target, so whoever still says that it is running is not.
            State::Running => other.has_writes()?,
            State::Stopped | State::Interrupted => {
                other.has_parked()? && other.left()?.iter().any(|left| left.parked)
            }
            State::Created | State::Planned | State::Finished => false,
        };
        if left_behind {
            return Ok(Some(earlier.run().to_string()));
        }
    }
    Ok(None)
}
