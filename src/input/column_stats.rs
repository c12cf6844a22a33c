//! Counts the values of one column.
//!
//! Promise: if parts are appended in the order of the file, the result does not depend on how the file was cut.

use super::numbers::KEPT_DIGITS;
use super::shape::Scan;
use super::shapes::Shapes;
use crate::domain::Line;

/// The counts of one column.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnStats {
    pub(super) values: u64,
    /// Values of digits only.
    pub(super) digits: u64,
    /// Values of more digits than a spreadsheet keeps.
    pub(super) long: u64,
    /// Values without any digit.
    pub(super) digitless: u64,
    pub(super) shapes: Shapes,
}

impl ColumnStats {
    /// Counts a value.
    pub(super) fn observe(&mut self, line: Line, value: &str, seen: &Scan) {
        self.values += 1;
        self.digits += u64::from(seen.only_digits);
        self.digitless += u64::from(!seen.any_digit);
        self.long += u64::from(seen.only_digits && value.len() > KEPT_DIGITS);
        self.shapes.add(line, value, seen);
    }

    /// Adds the counts of a part further down in the file.
    pub(super) fn append(&mut self, other: Self) {
        self.values += other.values;
        self.digits += other.digits;
        self.long += other.long;
        self.digitless += other.digitless;
        self.shapes.append(other.shapes);
    }
}
