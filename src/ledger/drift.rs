//! Of a reconcile: why lines were not as the file has them, and for how many nights in a row.

use super::checksum::Checksum;
use super::outcome_row::damaged;
use super::{Ledger, LedgerError};
use crate::domain::{Drift, Line};
use rusqlite::params;

/// A line that was not as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftedLine {
    /// The line.
    pub line: Line,
    /// Why.
    pub cause: Drift,
    /// How many reconciles in a row have found it so.
    pub nights: u32,
    /// What tells the line from others, whatever it asks for: its customer and location as the file names them.
    pub key: u64,
}

fn checksum(one: &DriftedLine) -> i64 {
    Checksum::new()
        .number(i64::from(one.line))
        .text(Some(one.cause.as_str()))
        .number(i64::from(one.nights))
        .number(one.key.cast_signed())
        .finish()
}

impl Ledger {
    /// Records the lines that were not as the file has them, in place of what was recorded before.
    pub fn set_drift(&self, lines: &[DriftedLine]) -> Result<(), LedgerError> {
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute("DELETE FROM drift", ())?;
            let mut insert =
                transaction.prepare("INSERT INTO drift VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for one in lines {
                let cause = one.cause.as_str();
                let key = one.key.cast_signed();
                insert.execute(params![one.line, cause, one.nights, key, checksum(one)])?;
            }
            drop(insert);
            transaction.commit()
        })
    }

    /// The lines that were not as the file has them, in the order of the file.
    pub fn drift(&self) -> Result<Vec<DriftedLine>, LedgerError> {
        let sql = "SELECT line, cause, nights, key, checksum FROM drift ORDER BY line";
        let rows: Vec<(Line, String, u32, i64, i64)> = self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })?;
            rows.collect()
        })?;
        rows.into_iter()
            .map(|(line, cause, nights, key, stored)| {
                let cause = Drift::parse(&cause);
                let one = cause.map(|cause| DriftedLine {
                    line,
                    cause,
                    nights,
                    key: key.cast_unsigned(),
                });
                one.filter(|one| checksum(one) == stored).ok_or_else(|| {
                    damaged(self.path(), format!("the drift of line {line} was altered"))
                })
            })
            .collect()
    }
}
