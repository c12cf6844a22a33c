//! Ledger and input → files: results.csv, failures.csv, summary.json, report.html.
//!
//! Reports depend on these two alone and can be drawn at any time, during a run too. A report is written to a temporary
//! name beside its place, synced and renamed, so it is whole or absent. The memory needed does not grow with the run:
//! input and outcomes are both in the order of lines, and are merged as they come.

mod cannot_undo;
mod commands;
mod digest;
mod error;
mod file;
mod html;
mod incomplete_lines;
mod metrics;
mod near_misses;
mod next_command;
mod results;
pub mod run_status;
mod summary;
mod tally;
#[cfg(test)]
mod tests;

pub use cannot_undo::CannotUndo;
pub use commands::{Commands, SANDBOX, Typed, option, path_word, shell};
pub use digest::{note_plan_digest, plan_digest};
pub use error::ReportError;
pub use metrics::{Measured, write as write_metrics};
pub use near_misses::{Difference, NearMissGroup, NearMisses};
pub use next_command::Next;
pub use results::stamp;
pub use summary::{FORMAT, Summary, half_done, is_current, tells_the_end};
pub use tally::ValuesChanged;

use crate::input::Table;
use crate::ledger::{Ledger, RunDir};

/// Draws all reports of a run, and returns its summary. `can_clear`: whether the system can remove an account ID.
pub fn draw(
    dir: &RunDir,
    ledger: &Ledger,
    table: &Table,
    can_clear: bool,
) -> Result<Summary, ReportError> {
    // Read first: what a run under way records meanwhile makes the reports outdated.
    let commits = ledger.commits()?;
    let mut lines = html::Lines::of(ledger, table)?;
    let tally = results::write(dir, ledger, table, can_clear, |record, outcome| {
        lines.add(table, record, outcome);
    })?;
    let mut summary = Summary::of(dir, ledger, &tally, commits)?;
    summary.plan_digest = match ledger.plan_digest()? {
        Some(planned) => planned,
        None => tally.digest.clone().finish(),
    };
    html::write(dir, ledger, &summary, &tally, lines)?;
    // Written last: it says how old all the reports are.
    summary.write(dir)?;
    Ok(summary)
}
