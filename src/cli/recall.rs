//! Which customers a file meant when it was carried out before.
//!
//! The IDs of chains and swaps mean other customers once they are carried out, so a second run of the same
//! file would move everybody on. The ledgers of earlier runs of this file on this target know better.

use super::draft::Draft;
use super::failure::Failure;
use crate::domain::{CustomerId, Line};
use crate::ledger::{Header, Ledger, RunDir};
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
