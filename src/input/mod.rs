//! Bytes → rows → changes, or problems that say what to do.
//!
//! A file is opened as a [`Table`]: compression, encoding and delimiter are found, the header is read, and then
//! its rows come in the order of the file, parsed in parallel in bounded batches, so that memory does not grow
//! with the file. Nothing is guessed and nothing is repaired silently: a value that is not certain is a
//! [`Problem`](crate::domain::Problem) with line, column, value and what to do.

mod blocks;
pub mod cell;
mod column;
mod damage;
mod decode;
mod error;
mod header;
mod record;
mod row;
mod store;
mod survey;
mod table;

pub use column::Column;
pub use error::InputError;
pub use record::Record;
pub use row::Row;
pub use store::{Stored, digest, store};
pub use survey::Survey;
pub use table::Table;

use crate::domain::Reseller;

/// How a file is to be read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The encoding's name, such as `windows-1252`; `None`: UTF-8, or what the byte order mark says.
    pub encoding: Option<String>,
    /// Columns that are called otherwise: what they mean, and how the header spells them.
    pub map: Vec<(Column, String)>,
    /// The delimiter; `None`: found from the header.
    pub delimiter: Option<u8>,
}

/// What the system at hand allows in a line.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The longest account ID, in characters.
    pub max_account_chars: usize,
    /// The shortest new account ID that raises no warning, in characters.
    pub min_account_chars: usize,
    /// Characters that an account ID must not contain.
    pub forbidden_in_account: &'static str,
    /// Words that cannot be account IDs, because the search refuses them.
    pub forbidden_accounts: &'static [&'static str],
    /// Whether there are locations with service IDs and profiles.
    pub has_locations: bool,
    /// Whether every line must say whose relationship it means.
    pub per_reseller: bool,
    /// Whose relationship all lines mean, where the file has no such column.
    pub reseller: Option<Reseller>,
    /// Whether an empty new account ID means that the ID is to be removed.
    pub allow_clear: bool,
}
