//! A run in PostgreSQL that is being made. Its lines and the pieces of its input are stored first; one statement then
//! makes it a run.

use super::input_copy;
use super::process_lease::Process;
use super::rows::{Rows, bytea};
use super::statement::Statement;
use super::store::PgStore;
use crate::domain::{Outcome, Shard};
use crate::ledger::store::{Draft, Store};
use crate::ledger::{Header, LedgerError, LineSet, RunDir, header_columns, outcome_columns, shard};
use std::sync::Arc;

/// Maximum number of lines per statement.
const PAGE: usize = 2_000;

/// A draft. If it is dropped before it is a run, its rows are removed.
struct PgDraft {
    process: Arc<Process>,
    dir: RunDir,
    lines: Vec<i64>,
    rows: Rows,
    has_begun: bool,
}

/// Begins the draft of a run; the input will lie in this folder.
pub(super) fn create(process: &Arc<Process>, dir: &RunDir) -> Result<Box<dyn Draft>, LedgerError> {
    let make = Statement::repeatable("SELECT make_draft($1)").with(dir.run().to_string());
    process.rows(make, |_| Ok(()))?;
    Ok(Box::new(PgDraft {
        process: Arc::clone(process),
        dir: dir.clone(),
        lines: Vec::new(),
        rows: Rows::of(outcome_columns::COLUMNS),
        has_begun: false,
    }))
}

impl PgDraft {
    /// Sends the lines that were put.
    fn flush(&mut self) -> Result<(), LedgerError> {
        let lines = std::mem::take(&mut self.lines);
        let rows = std::mem::replace(&mut self.rows, Rows::of(outcome_columns::COLUMNS));
        let Some(rows) = rows.json() else {
            return Ok(());
        };
        let put = Statement::repeatable("SELECT put_draft($1, $2, $3::text::json)")
            .with(self.dir.run().to_string())
            .with(lines)
            .with(rows);
        let is_draft = self.process.row(put, |row| row.truth(0))?;
        self.still(is_draft)
    }

    fn still(&self, is_draft: bool) -> Result<(), LedgerError> {
        if is_draft {
            return Ok(());
        }
        Err(LedgerError::TakenOver {
            at: self.process.place().to_owned(),
            run: self.dir.run().to_string(),
            why: "making it has taken more than a day, so it was removed".to_owned(),
        })
    }
}

impl Draft for PgDraft {
    fn put(&mut self, outcome: &Outcome) -> Result<(), LedgerError> {
        // One statement does not take two rows for one line.
        let line = i64::from(outcome.line);
        if self.rows.count >= PAGE || self.lines.last().is_some_and(|last| *last >= line) {
            self.flush()?;
        }
        self.lines.push(line);
        self.rows.push_summed(&outcome_columns::values(outcome));
        Ok(())
    }

    fn begin(
        mut self: Box<Self>,
        header: &Header,
        share: Option<&(Shard, LineSet)>,
    ) -> Result<Box<dyn Store>, LedgerError> {
        self.flush()?;
        let run = self.dir.run().to_string();
        input_copy::store(&self.process, &run, &self.dir.local_input())?;
        let origins = header.origins.join("\n");
        let mut row = Rows::of(header_columns::COLUMNS);
        row.push_summed(&header_columns::values(header, &origins));
        let begin =
            Statement::repeatable("SELECT begin_run($1, $2::text::json, $3::text::json, $4)")
                .with(run.clone())
                .with(row.object())
                .with(share.map(|share| shard_json(&run, share)))
                .with(header.key());
        let is_draft = self.process.row(begin, |row| row.truth(0))?;
        self.still(is_draft)?;
        self.has_begun = true;
        Ok(Box::new(PgStore::of(&self.process, &run)))
    }
}

pub(super) fn shard_json(run: &str, (part, lines): &(Shard, LineSet)) -> String {
    let name = part.to_string();
    let sum = shard::checksum(&name, lines);
    let lines = bytea(&lines.to_bytes());
    serde_json::json!({ "run": run, "shard": name, "lines": lines, "checksum": sum }).to_string()
}

impl Drop for PgDraft {
    fn drop(&mut self) {
        if !self.has_begun {
            let run = self.dir.run().to_string();
            // If this fails, the draft is removed a day later.
            let _ = self.process.rows(
                Statement::repeatable("SELECT drop_draft($1)").with(run),
                |_| Ok(()),
            );
        }
    }
}
