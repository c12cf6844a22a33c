//! The first station: bytes → rows → changes or problems.
//!
//! Promises: every record of the file comes out once, in the file's order, under the number of the line on
//! which an editor shows its beginning; what cannot be read exactly is refused with the line, the column, the
//! value and the next step, never guessed at; memory stays flat, whatever the length of the file or of one of
//! its lines. Reading and cutting run in the caller's thread, parsing and checking on rayon's.
//!
//! Must not: compare one line with another beyond the [`Survey`] (that is the plan's), case-fold or normalise
//! a value, ask a remote system, or know anything asynchronous.
//!
//! A value is checked by itself (`damage`, `lookalike`) and, where that does not decide, by its column (`survey`,
//! `verdict`): what all other values of the column look like is no damage.
//!
//! The way of the data inside: `source` (decompressed bytes) → `text` (UTF-8) → `block` (cut at the ends
//! of records) → `pipeline` (parallel, in order) → `record` (the csv crate, and what it is silent about) →
//! `row` (checks of one line).

mod accept;
mod block;
pub mod cell;
mod column;
mod column_stats;
mod compatibility;
mod dates;
mod decoded;
mod dialect;
mod doubt;
mod encoding;
mod error;
mod finding;
mod footer;
mod harmless;
mod identifier;
mod layout;
mod line;
mod lookalike;
mod meaning;
mod months;
mod near;
mod numbers;
mod pipeline;
mod placeholder;
mod preamble;
mod quoted;
mod record;
mod row;
mod sample;
mod scripts;
mod shape;
mod shapes;
mod source;
mod spreadsheet_damage;
mod store;
mod suppressions;
mod survey;
mod table;
mod tail;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod verdict;
mod vocabulary;

pub use accept::{ACCEPTABLE, Accept};
pub use column::Column;
pub use error::InputError;
pub use meaning::{Guess, Strength, guesses};
pub use preamble::is_report;
pub use record::{Passed, Record};
pub use row::Row;
pub use sample::{Sample, sample};
pub use spreadsheet_damage::is_damaged;
pub use store::{Stored, digest, must_be_stored, store};
pub use suppressions::{Suppression, suppressions};
pub use survey::{Findings, Known, Survey};
pub use table::Table;

use crate::domain::Reseller;

/// The longest record, in bytes: longer ones are refused, so that one open quote cannot fill the memory.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// The most columns that a header may have.
pub const MAX_COLUMNS: usize = 1024;

/// How the file is to be read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The encoding's label (`windows-1252`); `None`: UTF-8, or what a byte order mark says.
    pub encoding: Option<String>,
    /// Columns that the file calls by other names: `newAccountId` is `CRM_KEY`.
    pub map: Vec<(Column, String)>,
    /// The delimiter; `None`: found from the header.
    pub delimiter: Option<u8>,
    /// Columns that are carried through, though they are called nearly like ones that are missing.
    pub carry: Vec<String>,
    /// How many lines above the header are passed over.
    pub skip_rows: u32,
}

/// What the system asks of the values. The numbers come from the system's facts.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent rules, each read alone"
)]
pub struct Rules {
    /// The longest account ID, in characters.
    pub max_account_chars: usize,
    /// The shortest new account ID that raises no warning, in characters.
    pub min_account_chars: usize,
    /// Characters that an account ID must not contain.
    pub forbidden_in_account: &'static str,
    /// Keywords that the system's search refuses.
    pub forbidden_accounts: &'static [&'static str],
    /// Whether a customer has locations with service IDs and profiles.
    pub has_locations: bool,
    /// Whether the account ID belongs to the relationship of a reseller and a customer.
    pub per_reseller: bool,
    /// Whether the IDs of customers and resellers are GUIDs, brought into one spelling as they are read.
    pub ids_are_guids: bool,
    /// The relationship that is meant where the file has no `resellerId` column.
    pub reseller: Option<Reseller>,
    /// Whether an empty cell of `newAccountId` removes the account ID; else it keeps it.
    pub allow_clear: bool,
    /// The codes of problems that were accepted.
    pub accept: Accept,
    /// Whether the values came from the system itself: they are taken as they are, odd ones too, and not trimmed.
    pub verbatim: bool,
}
