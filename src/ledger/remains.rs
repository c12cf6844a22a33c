//! What is on record of a pruned run besides its header, its writes and what is left of its lines.

use super::checksum;
use super::columns::{Fault, Row, Value};
use crate::domain::CustomerId;

/// What is known of a pruned run besides its compact record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// When, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// How many lines its reports counted as half done.
    pub half_done: u64,
}

/// A file that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedFile {
    /// Its name in the run's folder.
    pub name: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What a run is reduced to.
#[derive(Debug)]
pub struct Remains {
    /// When it is pruned.
    pub pruned: Pruned,
    /// Which customers its lines meant, by what the lines asked for.
    pub wishes: Vec<(u64, CustomerId)>,
    /// Digests of the values that it has replaced at locations, each with its customer and location.
    pub replaced: Vec<u64>,
    /// The files that will be removed.
    pub removed: Vec<RemovedFile>,
}

/// A wish and its customer, as their columns without the checksum.
pub(super) fn wish_values(wish: u64, customer: &str) -> [Value<'_>; 2] {
    [wish.cast_signed().into(), customer.into()]
}

/// Reads the customer of a wish; refuses a row that does not match its checksum.
pub(super) fn read_wish(wish: u64, customer: &str, sum: i64) -> Result<CustomerId, Fault> {
    let read = CustomerId::new(customer).ok();
    read.filter(|_| checksum::of(&wish_values(wish, customer)) == sum)
        .ok_or(Fault::from("a customer of its lines was altered"))
}

/// Returns the key after which a page of wishes begins: that of this wish, or one below all wishes.
pub(super) fn after(wish: Option<&(u64, CustomerId)>) -> (i64, &str) {
    wish.map_or((i64::MIN, ""), |(wish, customer)| {
        (wish.cast_signed(), customer.as_str())
    })
}

/// Reads a wish, its customer and the checksum over both.
pub(super) fn read_wishes(row: &impl Row) -> Result<(u64, CustomerId), Fault> {
    let wish = row.required::<i64>(0)?.cast_unsigned();
    Ok((wish, read_wish(wish, row.word(1)?, row.required(2)?)?))
}
