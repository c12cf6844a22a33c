//! Rows of a table that are sent as an array of the table's row type (`writes[]`): what is noted of each line. The
//! server takes the values as they are; from JSON, it would have to parse them.

use super::rows::kept;
use crate::ledger::checksum;
use crate::ledger::columns::Value;
use bytes::{BufMut, BytesMut};
use std::error::Error;
use std::ops::Range;
use tokio_postgres::types::{Field, IsNull, Kind, ToSql, Type, to_sql_checked};

type Failure = Box<dyn Error + Sync + Send>;

/// A value; a text is a range of [`Records::texts`].
#[derive(Debug, Clone)]
enum Cell {
    None,
    Number(i64),
    Text(Range<usize>),
}

/// Rows of one table. Columns that are not named get no value.
#[derive(Debug)]
pub(super) struct Records {
    columns: Vec<&'static str>,
    /// The values, row by row.
    cells: Vec<Cell>,
    texts: String,
    /// Number of first columns with the same value in each row; these values come first in `cells`.
    common: usize,
}

impl Records {
    /// Makes an empty list. The first columns have these values in each row; `columns` are the others, separated by commas.
    pub(super) fn of(common: &[(&'static str, Value<'_>)], columns: &'static str) -> Self {
        let names = common.iter().map(|(name, _)| *name);
        let mut records = Self {
            columns: names.chain(columns.split(", ")).collect(),
            cells: Vec::new(),
            texts: String::new(),
            common: common.len(),
        };
        for (_, value) in common {
            records.put(*value);
        }
        records
    }

    fn put(&mut self, value: Value<'_>) {
        let cell = match value {
            Value::None => Cell::None,
            Value::Number(number) => Cell::Number(number),
            Value::Text(text) => {
                let from = self.texts.len();
                self.texts.push_str(&kept(text));
                Cell::Text(from..self.texts.len())
            }
        };
        self.cells.push(cell);
    }

    /// Puts a row in.
    pub(super) fn push<'v>(&mut self, values: impl IntoIterator<Item = Value<'v>>) {
        for value in values {
            self.put(value);
        }
    }

    /// Adds a row with the checksum over these values in its last column; before them comes a number that it does not cover.
    pub(super) fn push_summed(&mut self, first: Option<i64>, values: &[Value<'_>]) {
        let sum = Value::Number(checksum::of(values));
        let first = first.map(Value::Number);
        self.push(first.into_iter().chain(values.iter().copied()).chain([sum]));
    }

    fn encode(&self, row: &Type, to: &mut BytesMut) -> Result<(), Failure> {
        let Kind::Composite(fields) = row.kind() else {
            return Err(format!("{row} is no row type").into());
        };
        let place = |field: &Field| self.columns.iter().position(|name| *name == field.name());
        let places: Vec<Option<usize>> = fields.iter().map(place).collect();
        let (common, own) = self.cells.split_at(self.common);
        let width = self.columns.len() - self.common;
        let rows = own.chunks_exact(width);
        // The array has one dimension, no NULL, and is numbered from 1.
        to.put_i32(1);
        to.put_i32(0);
        to.put_u32(row.oid());
        to.put_i32(i32::try_from(rows.len())?);
        to.put_i32(1);
        for cells in rows {
            sized(to, |to| {
                to.put_i32(i32::try_from(fields.len())?);
                for (field, place) in fields.iter().zip(&places) {
                    to.put_u32(field.type_().oid());
                    let cell =
                        place.map(|at| common.get(at).unwrap_or_else(|| &cells[at - common.len()]));
                    self.value(cell, field.type_(), to)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn value(&self, cell: Option<&Cell>, kind: &Type, to: &mut BytesMut) -> Result<(), Failure> {
        match (cell, kind) {
            (None | Some(Cell::None), _) => to.put_i32(-1),
            (Some(Cell::Text(range)), &Type::TEXT) => {
                let text = &self.texts[range.clone()];
                to.put_i32(i32::try_from(text.len())?);
                to.put_slice(text.as_bytes());
            }
            (Some(Cell::Number(number)), &Type::INT8) => {
                to.put_i32(8);
                to.put_i64(*number);
            }
            (Some(Cell::Number(number)), &Type::INT4) => {
                to.put_i32(4);
                to.put_i32(i32::try_from(*number)?);
            }
            (Some(Cell::Number(number)), &Type::BOOL) => {
                to.put_i32(1);
                to.put_u8(u8::from(*number != 0));
            }
            (Some(_), kind) => return Err(format!("no value for a column of type {kind}").into()),
        }
        Ok(())
    }
}

/// Writes something after its length in bytes.
fn sized(
    to: &mut BytesMut,
    put: impl FnOnce(&mut BytesMut) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let at = to.len();
    to.put_i32(0);
    put(to)?;
    let length = i32::try_from(to.len() - at - 4)?;
    to[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

impl ToSql for Records {
    fn to_sql(&self, kind: &Type, to: &mut BytesMut) -> Result<IsNull, Failure> {
        let Kind::Array(row) = kind.kind() else {
            return Err(format!("{kind} is no array").into());
        };
        self.encode(row, to)?;
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(kind.kind(), Kind::Array(row) if matches!(row.kind(), Kind::Composite(_)))
    }

    to_sql_checked!();
}
