//! The first station: bytes → rows → changes or problems.
//!
//! Promises: every record of the file is returned once, in the file's order, with the number of the line on which an editor
//! shows its beginning; what cannot be read exactly is refused with the line, the column, the value and the next step, and
//! never guessed; memory use is constant, whatever the length of the file or of one of its lines. Reading and cutting run
//! in the caller's thread, parsing and checking on rayon's.
//!
//! Must not: compare one line with another beyond the [`Survey`] (the plan does that), case-fold or normalise
//! a value, ask a remote system, or know anything asynchronous.
//!
//! A value is first checked by itself (`spreadsheet_damage`, `lookalike`) and, where this does not decide, by its column
//! (`survey`, `verdict`): a value that looks like all others of its column is not damaged.
//!
//! The data flows: `source` (decompressed bytes) → `text` (UTF-8) → `block` (cut at the ends
//! of records) → `pipeline` (parallel, in order) → `record` (the csv crate, and what it does not report) →
//! `row` (checks of one line).

mod accept;
mod block;
pub mod cell;
mod column;
mod column_stats;
mod compatibility;
mod dates;
mod dialect;
mod doubt;
mod encoding;
mod error;
mod file_action;
mod finding;
mod footer;
mod harmless;
mod identifier;
mod layout;
mod line;
mod lookalike;
mod meaning;
mod mojibake;
mod months;
mod numbers;
mod pipeline;
mod placeholder;
mod preamble;
mod record;
mod row;
mod sample;
mod scripts;
mod shape;
mod shapes;
mod similar_names;
mod source;
mod spreadsheet_damage;
mod store;
mod stray_quotes;
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
pub use file_action::FileAction;
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

/// The maximum length of a record, in bytes. Longer ones are refused, so that one open quote cannot fill the memory.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// The maximum number of columns in a header.
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
    /// Columns that are carried through, although their names are nearly those of missing columns.
    pub carry: Vec<String>,
    /// How many lines above the header are passed over.
    pub skip_rows: u32,
}

/// The rules that the system has for values. The numbers come from the system's facts.
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
    /// Whether the IDs of customers and resellers are GUIDs, which the reader brings into one spelling.
    pub ids_are_guids: bool,
    /// The relationship to use where the file has no `resellerId` column.
    pub reseller: Option<Reseller>,
    /// Whether an empty cell of `newAccountId` removes the account ID; otherwise it keeps the ID.
    pub allow_clear: bool,
    /// The codes of problems that were accepted.
    pub accept: Accept,
    /// Whether the values came from the system itself. They are then taken as they are, even unusual ones, and not trimmed.
    pub verbatim: bool,
}
