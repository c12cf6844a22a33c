//! Which customers a file meant when it was carried out before.
//!
//! The IDs of chains and swaps mean other customers once they are carried out, so a second run of the same
//! file would move everybody on. The ledgers of earlier runs of this file on this target know better.

use super::draft::Draft;
use super::failure::Failure;
use crate::domain::{CustomerId, Line};
use crate::ledger::{Header, Ledger, RunDir, State};
use crate::plan::Shape;
use std::collections::HashMap;
use std::path::Path;

/// The customers of the lines of chains and cycles, as the newest earlier run of the same file found them.
pub(super) fn customers(
    mine: &Header,
    draft: &Draft,
    runs_dir: &Path,
) -> Result<HashMap<Line, CustomerId>, Failure> {
    let ordered = draft
        .units
        .values()
        .filter(|unit| unit.shape != Shape::Single);
    let lines: Vec<Line> = ordered
        .flat_map(|unit| unit.lines().collect::<Vec<_>>())
        .collect();
    let mut known = HashMap::new();
    if lines.is_empty() {
        return Ok(known);
    }
    for earlier in RunDir::list(runs_dir)? {
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
        let same = its.target == mine.target && its.input_sha256 == mine.input_sha256;
        if !same || !other.has_writes()? {
            continue;
        }
        for line in &lines {
            if let Some(customer) = other
                .outcome_of(*line)?
                .and_then(|outcome| outcome.customer)
            {
                known.insert(*line, customer);
            }
        }
        break;
    }
    Ok(known)
}

/// So many runs are looked at for one that was killed: the newest, for an old one has long been noticed.
const LOOKED_AT: usize = 10;

/// A run on the same target that was killed while it was writing, and that nobody has resumed.
///
/// It may have left customers under temporary IDs, where no other run finds them.
pub(super) fn killed(mine: &Header, runs_dir: &Path) -> Result<Option<String>, Failure> {
    for earlier in RunDir::list(runs_dir)?.into_iter().take(LOOKED_AT) {
        let Ok(other) = Ledger::glance(&earlier) else {
            continue;
        };
        // This run holds the target, so whoever still says that it is running is not.
        if other.header().target == mine.target
            && other.progress()?.state == State::Running
            && other.has_writes()?
        {
            return Ok(Some(earlier.run().to_string()));
        }
    }
    Ok(None)
}
