//! The drift that a reconcile found: why lines differed from the file, and in how many reconciles in a row.

use super::checksum;
use super::columns::{Fault, Row, Value};
use crate::domain::{Drift, Line};

/// A line that differed from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftedLine {
    /// The line.
    pub line: Line,
    /// Why.
    pub cause: Drift,
    /// Number of reconciles in a row that found the line drifted.
    pub nights: u32,
    /// Hash of the line's customer and location as the file names them; it identifies the line whatever it asks for.
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

/// Reads a row of [`COLUMNS`]; refuses a row that does not match its checksum.
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
