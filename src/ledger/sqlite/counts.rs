//! Counts the lines of a run per status.

use super::store::SqliteStore;
use super::unlooked;
use crate::ledger::columns::Row;
use crate::ledger::unlooked::STATUS;
use crate::ledger::{Counted, LedgerError, outcome_columns};

impl SqliteStore {
    /// Returns the counts that were recorded when the run was closed; empty: something was recorded since.
    pub(super) fn closed_counts(&self) -> Result<Vec<Counted>, LedgerError> {
        let sql = "SELECT status, reason, lines, first_line FROM closed \
                   WHERE commits = (SELECT commits FROM seal)";
        self.all(sql, (), |row| {
            Ok(Counted {
                status: outcome_columns::status(row.word(0)?, row.word(1)?)?,
                lines: row.required::<i64>(2)?.cast_unsigned(),
                first_line: row.required(3)?,
            })
        })
    }

    /// Counts the lines per status; reads every outcome.
    pub(super) fn count_outcomes(&self) -> Result<Vec<Counted>, LedgerError> {
        // Counted here and not by GROUP BY, which sorts all rows first and takes three times as long.
        let sql = "SELECT status, reason, line FROM outcomes ORDER BY line";
        let mut counts: Vec<Counted> = Vec::new();
        self.each(sql, (), |row| {
            let (name, reason) = (row.word(0)?, row.word(1)?);
            let is_same =
                |one: &&mut Counted| one.status.name() == name && one.status.reason() == reason;
            match counts.iter_mut().find(is_same) {
                Some(known) => known.lines += 1,
                None => counts.push(Counted {
                    status: outcome_columns::status(name, reason)?,
                    lines: 1,
                    first_line: row.required(2)?,
                }),
            }
            Ok(())
        })?;
        if let Some((lines, first_line)) = self.with(unlooked::count)? {
            match counts.iter_mut().find(|one| one.status == STATUS) {
                Some(known) => {
                    known.lines += lines;
                    known.first_line = known.first_line.min(first_line);
                }
                None => counts.push(Counted {
                    status: STATUS,
                    lines,
                    first_line,
                }),
            }
        }
        Ok(counts)
    }
}
