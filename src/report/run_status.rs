//! The state of a run, from its ledger alone: the same words and numbers as in its reports, without reading its file.

use crate::domain::{Line, Status};
use crate::ledger::{Ledger, LedgerError, Progress, State};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the state of a run. A run that is recorded as working and has no living process was killed.
pub fn state(progress: &Progress, ledger: &Ledger) -> State {
    match progress.state {
        State::Created | State::Running if !ledger.is_live() => State::Interrupted,
        state => state,
    }
}

/// Returns how many lines have each status. In a run that writes, the outcome that a plan recorded is not the final one.
pub fn counts(ledger: &Ledger) -> Result<BTreeMap<&'static str, u64>, LedgerError> {
    let mut counts: BTreeMap<&'static str, u64> =
        Status::NAMES.into_iter().map(|name| (name, 0)).collect();
    for counted in ledger.counts()? {
        *counts.entry(counted.status.name()).or_default() += counted.lines;
    }
    let mut would_change = counts.remove("would_change").unwrap_or(0);
    let mut in_doubt = 0;
    if !matches!(ledger.progress()?.state, State::Finished | State::Planned) {
        let begun: BTreeSet<Line> = ledger
            .unresolved_writes()?
            .iter()
            .map(|write| write.intent.line)
            .collect();
        for line in begun {
            let noted = ledger.outcome_of(line)?.map(|outcome| outcome.status);
            let only_planned = noted == Some(Status::WouldChange);
            would_change -= u64::from(only_planned && would_change > 0);
            in_doubt += u64::from(only_planned || noted.is_none());
        }
    }
    let mut skipped = 0;
    if !ledger.only_looks()? {
        skipped = std::mem::take(&mut would_change);
    }
    counts.insert("would_change", would_change);
    *counts.entry("in_doubt").or_default() += in_doubt;
    *counts.entry("skipped").or_default() += skipped;
    // Lines without any record were not begun.
    let told: u64 = counts.values().sum();
    *counts.entry("skipped").or_default() += ledger.header().lines.saturating_sub(told);
    Ok(counts)
}
