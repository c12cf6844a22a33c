//! Of a reconcile: why lines were not as the file has them, and for how many nights in a row.

use super::checksum;
use super::columns::{Fault, Row, Value};
use crate::domain::{Drift, Line};

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

/// All columns of the table `drift`, with the checksum over the others last.
pub(super) const COLUMNS: &str = "line, cause, nights, key, checksum";

/// The values of all columns but the checksum.
pub(super) fn values(one: &DriftedLine) -> [Value<'_>; 4] {
    [
        one.line.into(),
        one.cause.as_str().into(),
        one.nights.into(),
        one.key.cast_signed().into(),
    ]
}

/// Reads a row of [`COLUMNS`]; what does not fit its checksum is refused.
pub(super) fn read(row: &impl Row) -> Result<DriftedLine, Fault> {
    let line = row.required(0)?;
    let altered = || Fault(format!("the drift of line {line} was altered").into());
    let one = DriftedLine {
        line,
        cause: Drift::parse(row.word(1)?).ok_or_else(altered)?,
        nights: row.required(2)?,
        key: row.required::<i64>(3)?.cast_unsigned(),
    };
    if checksum::of(&values(&one)) == row.required::<i64>(4)? {
        Ok(one)
    } else {
        Err(altered())
    }
}
