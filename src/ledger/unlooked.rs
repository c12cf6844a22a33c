//! Lines that a scheduled run did not look at, because they are as in the last good run of the file. One compressed row
//! holds some thousands of them: a row for each line would cost as much as looking at the line.
//!
//! Each line is `unchanged`, with the customer and the account ID that the earlier run found. Queries return their
//! outcomes like all others, so that no reader has to know how they are kept.

use super::checksum::Checksum;
use super::columns::Fault;
use crate::domain::{AccountId, CustomerId, IdError, Line, Outcome, Status, Transition, Unchanged};
use std::borrow::Cow;
use std::io;
use std::vec;

/// Maximum number of lines that a run puts into one row.
pub const MOST_UNLOOKED: usize = 2_000;

/// The compression level of zstd, for short texts that resemble each other.
const LEVEL: i32 = 1;

/// Lines that were not looked at, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unlooked {
    /// Why they were not looked at.
    pub message: String,
    /// In milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The lines.
    pub lines: Vec<UnlookedLine>,
}

/// A line that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlookedLine {
    /// The line.
    pub line: Line,
    /// Its customer, if the earlier run recorded it.
    pub customer: Option<CustomerId>,
    /// The account ID that the customer has.
    pub account: Option<AccountId>,
}

/// The status of all of them.
pub(super) const STATUS: Status = Status::Unchanged(Unchanged::Already);

impl Unlooked {
    /// Returns the outcome of each line.
    pub fn outcomes(self) -> UnlookedOutcomes {
        UnlookedOutcomes {
            message: self.message,
            at_ms: self.at_ms,
            lines: self.lines.into_iter(),
        }
    }
}

/// The outcomes of lines that were not looked at, each made when it is asked for.
#[derive(Debug, Default)]
pub struct UnlookedOutcomes {
    message: String,
    at_ms: i64,
    lines: vec::IntoIter<UnlookedLine>,
}

impl UnlookedOutcomes {
    /// The line of the next outcome.
    pub(super) fn next_line(&self) -> Option<Line> {
        self.lines.as_slice().first().map(|one| one.line)
    }
}

impl Iterator for UnlookedOutcomes {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        let one = self.lines.next()?;
        Some(Outcome {
            message: self.message.clone(),
            customer: one.customer,
            account: Transition {
                before: one.account.clone(),
                after: one.account,
            },
            finished_at_ms: self.at_ms,
            ..Outcome::bare(one.line, STATUS)
        })
    }
}

/// A row of lines that were not looked at.
pub(super) struct PackedLines<'a> {
    pub(super) first: Line,
    pub(super) last: Line,
    pub(super) lines: u64,
    pub(super) message: &'a str,
    pub(super) at_ms: i64,
    pub(super) packed: Cow<'a, [u8]>,
}

impl<'a> PackedLines<'a> {
    /// `None`: there are no lines.
    pub(super) fn of(unlooked: &'a Unlooked) -> io::Result<Option<Self>> {
        let ends = unlooked.lines.first().zip(unlooked.lines.last());
        let pack = |(first, last): (&UnlookedLine, &UnlookedLine)| {
            Ok(Self {
                first: first.line,
                last: last.line,
                lines: unlooked.lines.len() as u64,
                message: &unlooked.message,
                at_ms: unlooked.at_ms,
                packed: pack(&unlooked.lines)?.into(),
            })
        };
        ends.map(pack).transpose()
    }

    pub(super) fn checksum(&self) -> i64 {
        Checksum::new()
            .number(i64::from(self.first))
            .number(i64::from(self.last))
            .number(self.lines.cast_signed())
            .text(Some(self.message))
            .number(self.at_ms)
            .bytes(&self.packed)
            .finish()
    }

    /// Unpacks the lines; refuses a row that does not match its checksum.
    pub(super) fn unpack(&self, sum: i64) -> Result<Unlooked, Fault> {
        let is_as_noted = self.checksum() == sum;
        let lines = is_as_noted.then(|| unpack(&self.packed, self.lines));
        let (first, last) = (self.first, self.last);
        let altered =
            || Fault(format!("what is known of lines {first} to {last} was altered").into());
        Ok(Unlooked {
            message: self.message.to_owned(),
            at_ms: self.at_ms,
            lines: lines.flatten().ok_or_else(altered)?,
        })
    }
}

/// Packs for each line its distance from the line before, then customer and account ID, each after its length; 0: there is none.
fn pack(lines: &[UnlookedLine]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(lines.len() * 32);
    let mut before = 0;
    for one in lines {
        number(&mut bytes, one.line - before);
        before = one.line;
        for text in [
            one.customer.as_ref().map(CustomerId::as_str),
            one.account.as_ref().map(AccountId::as_str),
        ] {
            let text = text.unwrap_or_default();
            number(&mut bytes, u32::try_from(text.len()).unwrap_or(u32::MAX));
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    zstd::encode_all(bytes.as_slice(), LEVEL)
}

/// Appends a number with seven bits per byte, the lowest first; the highest bit says that more follow.
fn number(bytes: &mut Vec<u8>, mut number: u32) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Reads what [`pack`] has written; `None`: it is damaged.
fn unpack(packed: &[u8], lines: u64) -> Option<Vec<UnlookedLine>> {
    let bytes = zstd::decode_all(packed).ok()?;
    let mut rest = bytes.as_slice();
    let mut before: Line = 0;
    let mut unpacked = Vec::with_capacity(usize::try_from(lines).ok()?.min(MOST_UNLOOKED));
    while !rest.is_empty() {
        before = before.checked_add(take_number(&mut rest)?)?;
        let customer = take_text(&mut rest)?;
        let account = take_text(&mut rest)?;
        unpacked.push(UnlookedLine {
            line: before,
            customer: id(customer, |text| CustomerId::new(text)).ok()?,
            account: id(account, |text| AccountId::new(text)).ok()?,
        });
    }
    (unpacked.len() as u64 == lines).then_some(unpacked)
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, more) = rest.split_first()?;
        *rest = more;
        number |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes a text off, after its length; an empty text stands for none.
fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_number(rest)? as usize;
    let (text, more) = rest.split_at_checked(length)?;
    *rest = more;
    std::str::from_utf8(text).ok()
}

fn id<T>(text: &str, make: impl FnOnce(&str) -> Result<T, IdError>) -> Result<Option<T>, IdError> {
    (!text.is_empty()).then(|| make(text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_lines_are_unpacked_unchanged(
            lines in proptest::collection::btree_map(2_u32.., ("[ -~]{0,40}", "[ -~]{0,40}"), 1..60),
        ) {
            let lines: Vec<UnlookedLine> = lines.into_iter().map(|(line, (customer, account))| UnlookedLine {
                line,
                customer: CustomerId::new(customer).ok(),
                account: AccountId::new(account).ok(),
            }).collect();
            let packed = pack(&lines).unwrap();
            let number = lines.len() as u64;
            prop_assert_eq!(unpack(&packed, number), Some(lines));
            prop_assert_eq!(unpack(&packed, number + 1), None);
            prop_assert_eq!(unpack(&packed[..packed.len() - 1], number), None);
        }
    }
}
