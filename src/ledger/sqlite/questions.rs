//! The questions about a run's writes, as SQL, each with its values.

use crate::domain::Line;
use crate::ledger::WriteId;
use crate::ledger::columns::Value;
use crate::ledger::store::WritesOf;
use rusqlite::{Params, params_from_iter};
use std::iter;

/// Returns the condition for the wanted rows of `writes`, and the value of `?2` if the condition has one.
pub(super) fn condition(which: WritesOf) -> (&'static str, Option<Line>) {
    match which {
        WritesOf::All => ("TRUE", None),
        WritesOf::Applied => ("verdict = 'applied'", None),
        WritesOf::Accounts => ("kind <> 'location'", None),
        WritesOf::Locations => ("kind = 'location'", None),
        WritesOf::Temporary => ("kind = 'temporary'", None),
        WritesOf::Altered => ("altered = 1 AND kind <> 'temporary'", None),
        WritesOf::Unit(unit) => ("unit = ?2", Some(unit)),
        WritesOf::Line(line) => ("line = ?2", Some(line)),
    }
}

/// Returns the query for the writes of a kind after the number in `?1`, in the order of noting.
pub(super) fn writes(columns: &str, condition: &str) -> String {
    format!("SELECT {columns} FROM writes WHERE write_id > ?1 AND {condition} ORDER BY write_id")
}

/// Returns the values of such a query.
pub(super) fn from(WriteId(after): WriteId, line: Option<Line>) -> impl Params {
    let values = iter::once(Value::Number(after)).chain(line.map(Value::from));
    params_from_iter(values)
}

/// The number before the first write.
pub(super) const START: WriteId = WriteId(0);
