//! A plain file: planning finds no problem in it, and no lines that depend on each other.
//!
//! A reconcile saves the counts of its lines, so that the next night need not plan the same bytes again.

use super::input_plan::InputPlan;
use crate::domain::ProblemList;
use crate::input::Table;
use crate::plan::{Counts, Index};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// The counts of a plain file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PlainFile {
    lines: u64,
    renames: u64,
    clears: u64,
    locations: u64,
    nothing: u64,
    without_customer: u64,
}

impl PlainFile {
    /// Returns the counts of a planned file; `None`: the file is not plain.
    pub(super) fn of(draft: &InputPlan) -> Option<Self> {
        let Counts {
            lines,
            renames,
            clears,
            locations,
            nothing,
            ..
        } = draft.counts;
        let plain = Self {
            lines,
            renames,
            clears,
            locations,
            nothing,
            without_customer: draft.without_customer,
        };
        let is_plain = draft.problems.is_empty()
            && !draft.has_errors()
            && draft.invalid == 0
            && draft.blank_rows == 0
            && draft.units.is_empty()
            && draft.index.entangled().is_empty()
            && draft.crossing.is_none()
            && draft.counts == plain.counts();
        is_plain.then_some(plain)
    }

    fn counts(self) -> Counts {
        Counts {
            lines: self.lines,
            renames: self.renames,
            clears: self.clears,
            locations: self.locations,
            nothing: self.nothing,
            ..Counts::default()
        }
    }

    /// Makes the plan of the file from its counts.
    pub(super) fn plan(self, table: Table) -> InputPlan {
        InputPlan {
            table,
            index: Index::default(),
            units: HashMap::new(),
            problems: ProblemList::default(),
            wrong: Arc::default(),
            invalid: 0,
            counts: self.counts(),
            blank_rows: 0,
            without_customer: self.without_customer,
            crossing: None,
        }
    }
}

#[cfg(test)]
mod tests;
