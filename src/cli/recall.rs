//! Which customers a line meant when it was carried out before.
//!
//! The IDs of chains and swaps mean other customers once they are carried out, so a second run of the same lines
//! would move everybody on. The ledgers of earlier runs on this target know better: of the same file, and of a file of
//! the same name, which is the same one with a line mended.

use super::draft::Draft;
use super::failure::Failure;
use super::prepare::Kept;
use super::wish::{Wish, wish};
use crate::config::Resolved;
use crate::domain::{CustomerId, Line, Status, Transition, Unchanged};
use crate::input::Table;
use crate::ledger::{Header, Ledger, LedgerError, RunDir, State};
use crate::plan::Shape;
use std::collections::HashMap;
use std::path::Path;

/// The customers of lines whose IDs mean somebody else once they are carried out, as the newest earlier run that
/// came as far as these lines found them.
pub(super) fn customers(
    mine: &Header,
    draft: &Draft,
    resolved: &Resolved,
) -> Result<HashMap<Line, CustomerId>, Failure> {
    let mut open = ordered(draft, resolved.system.facts().unique_accounts);
    let mut known = HashMap::new();
    if open.is_empty() {
        return Ok(known);
    }
    for earlier in RunDir::list(&resolved.runs_dir)? {
        if open.is_empty() {
            break;
        }
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
        let same_file = its.input_sha256 == mine.input_sha256;
        let related = same_file || its.input_name == mine.input_name;
        if its.target != mine.target || !related || !other.has_writes()? {
            continue;
        }
        for (wish, customer) in found(&earlier, &other, &open, resolved, same_file)? {
            for line in open.remove(&wish).into_iter().flatten() {
                known.insert(line, customer.clone());
            }
        }
    }
    Ok(known)
}

/// The lines of chains and cycles, by what they ask for. Where several customers may carry one ID nothing is ordered,
/// and all lines that share an ID count.
fn ordered(draft: &Draft, unique_accounts: bool) -> HashMap<Wish, Vec<Line>> {
    let mut lines: HashMap<Wish, Vec<Line>> = HashMap::new();
    for unit in draft.units.values() {
        if unit.shape == Shape::Single && unique_accounts {
            continue;
        }
        for change in unit.changes() {
            lines.entry(wish(change)).or_default().push(change.line);
        }
    }
    lines
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
    let kept = Kept::of(ledger.header());
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
