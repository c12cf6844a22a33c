//! Converts values and rows for PostgreSQL, and reads those that it returns.
//!
//! Rows are sent as JSON, one object per row with the names of the columns as keys, so that one statement takes any
//! number of them. PostgreSQL cannot store U+0000 in a text, but a message may quote it: it is written as U+0001 and
//! `0`, and U+0001 as U+0001 and `1`.

use super::error::PostgresError;
use super::statement::Statement;
use super::thread::Postgres;
use crate::domain::hex;
use crate::ledger::LedgerError;
use crate::ledger::checksum;
use crate::ledger::columns::{Fault, Row, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use tokio_postgres::types::Type;

/// Stands before `0` for U+0000, and before `1` for itself.
const MARK: char = '\u{1}';

/// Encodes a text for the database.
pub(super) fn kept(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return text.into();
    }
    text.replace(MARK, "\u{1}1").replace('\0', "\u{1}0").into()
}

/// Decodes a text that [`kept`] has encoded.
fn restored(text: &str) -> String {
    let mut parts = text.split(MARK);
    let mut restored = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        restored.push(if part.starts_with('0') { '\0' } else { MARK });
        restored.push_str(part.get(1..).unwrap_or_default());
    }
    restored
}

/// Bytes as PostgreSQL reads them from a text.
pub(super) fn bytea(bytes: &[u8]) -> String {
    format!("\\x{}", hex(bytes))
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::None => to.serialize_none(),
            Self::Number(number) => to.serialize_i64(number),
            Self::Text(text) => to.serialize_str(&kept(text)),
        }
    }
}

/// The values of columns, as an object.
struct Object<'a>(&'a [&'a str], &'a [Value<'a>]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (column, value) in self.0.iter().zip(self.1) {
            map.serialize_entry(column, value)?;
        }
        map.end()
    }
}

/// Rows of one table, as an array of objects.
pub(super) struct Rows {
    columns: Vec<&'static str>,
    json: String,
    pub(super) count: usize,
}

impl Rows {
    /// Makes an empty list; the columns are separated by commas.
    pub(super) fn of(columns: &'static str) -> Self {
        Self {
            columns: columns.split(", ").collect(),
            json: String::new(),
            count: 0,
        }
    }

    /// As [`Rows::of`], with a column before the others.
    pub(super) fn with_first(first: &'static str, columns: &'static str) -> Self {
        let mut rows = Self::of(columns);
        rows.columns.insert(0, first);
        rows
    }

    /// Adds columns after the others.
    pub(super) fn and(mut self, columns: &'static str) -> Self {
        self.columns.extend(columns.split(", "));
        self
    }

    pub(super) fn push(&mut self, values: &[Value<'_>]) {
        self.json.push(if self.count == 0 { '[' } else { ',' });
        self.count += 1;
        // Keys are texts, so that cannot fail.
        let object = serde_json::to_string(&Object(&self.columns, values));
        self.json.push_str(&object.unwrap_or_default());
    }

    /// Adds a row with the checksum over the other columns in its last one.
    pub(super) fn push_summed(&mut self, values: &[Value<'_>]) {
        let sum = Value::Number(checksum::of(values));
        let values: Vec<Value<'_>> = values.iter().copied().chain([sum]).collect();
        self.push(&values);
    }

    /// Returns the rows; `None`: there are no rows.
    pub(super) fn json(mut self) -> Option<String> {
        (self.count > 0).then(|| {
            self.json.push(']');
            self.json
        })
    }

    /// Returns the only row, as an object.
    pub(super) fn object(self) -> String {
        self.json.trim_start_matches('[').to_owned()
    }
}

/// A row of an answer.
pub(super) struct PgRow<'r> {
    row: &'r tokio_postgres::Row,
    /// The decoded texts, by column; empty: no text had to be decoded.
    texts: Vec<Option<String>>,
}

impl<'r> PgRow<'r> {
    pub(super) fn of(row: &'r tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
        let mut texts = Vec::new();
        for (at, column) in row.columns().iter().enumerate() {
            if *column.type_() != Type::TEXT {
                continue;
            }
            if let Some(text) = row.try_get::<_, Option<&str>>(at)?
                && text.contains(MARK)
            {
                texts.resize(row.len(), None);
                texts[at] = Some(restored(text));
            }
        }
        Ok(Self { row, texts })
    }

    pub(super) fn bytes(&self, at: usize) -> Result<Option<&'r [u8]>, Fault> {
        Ok(self.row.try_get(at)?)
    }

    /// A floating-point number.
    pub(super) fn real(&self, at: usize) -> Result<Option<f64>, Fault> {
        Ok(self.row.try_get(at)?)
    }

    /// The numbers of an array; NULL: an empty list.
    pub(super) fn numbers(&self, at: usize) -> Result<Vec<i32>, Fault> {
        Ok(self
            .row
            .try_get::<_, Option<Vec<i32>>>(at)?
            .unwrap_or_default())
    }

    pub(super) fn truth(&self, at: usize) -> Result<bool, Fault> {
        Ok(self.row.try_get(at)?)
    }
}

impl Row for PgRow<'_> {
    fn number(&self, at: usize) -> Result<Option<i64>, Fault> {
        let row = self.row;
        Ok(match *row.columns()[at].type_() {
            Type::INT2 => row.try_get::<_, Option<i16>>(at)?.map(i64::from),
            Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map(i64::from),
            Type::BOOL => row.try_get::<_, Option<bool>>(at)?.map(i64::from),
            _ => row.try_get(at)?,
        })
    }

    fn text(&self, at: usize) -> Result<Option<&str>, Fault> {
        match self.texts.get(at) {
            Some(Some(restored)) => Ok(Some(restored)),
            _ => Ok(self.row.try_get(at)?),
        }
    }
}

/// A value of another type than idshift writes.
impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(super::explain::said(&error).into())
    }
}

impl Postgres {
    /// Makes the error for a record that contradicts itself.
    pub(super) fn damaged(&self, fault: &Fault) -> LedgerError {
        LedgerError::Postgres(PostgresError::Damaged {
            at: self.place().to_owned(),
            why: fault.0.to_string(),
        })
    }

    /// Carries a statement out and reads each row of its answer. A row that idshift does not write is damage.
    pub(super) fn rows<T>(
        &self,
        statement: Statement,
        read: impl Fn(&PgRow<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, LedgerError> {
        let rows = self.ask(statement, |row| PgRow::of(row).map(|row| read(&row)))?;
        let rows: Result<Vec<T>, Fault> = rows.into_iter().collect();
        rows.map_err(|fault| self.damaged(&fault))
    }

    /// Carries a statement out and reads the one row of its answer.
    pub(super) fn row<T>(
        &self,
        statement: Statement,
        read: impl Fn(&PgRow<'_>) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        let first = self.rows(statement, read)?.pop();
        first.ok_or_else(|| self.damaged(&Fault::from("a row is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_is_kept_and_restored(text in "[\u{0}\u{1}01a]{0,12}") {
            let kept = kept(&text).into_owned();
            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(restored(&kept), text);
        }
    }
}
