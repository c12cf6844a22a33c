//! What makes a whole file unreadable. Problems of single lines are not errors: see
//! [`Problem`](crate::domain::Problem).

use std::path::PathBuf;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be opened or read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder, a socket: nothing that holds lines.
    #[error("{}: is not a file; give a CSV file, or `-` for standard input", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// The stored copy cannot be written.
    #[error("{}: the copy of the input cannot be written; make room or choose another --runs-dir", path.display())]
    Store {
        /// The copy.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The compressed data ends too early or is damaged.
    #[error("{file}: the compressed file is damaged or cut off ({why}); fetch it again")]
    Compressed {
        /// The file.
        file: String,
        /// What the decompressor said.
        why: String,
    },
    /// Far more data than such a file can mean.
    #[error(
        "{file}: unpacks to more than {limit_gib} GiB; give the unpacked file if that is meant"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The limit.
        limit_gib: u64,
    },
    /// There is nothing in it, or only a header.
    #[error(
        "{file}: {what}; the first line must name the columns, and each further line is one customer"
    )]
    Empty {
        /// The file.
        file: String,
        /// What is missing.
        what: &'static str,
    },
    /// Text that is not in the encoding it should be in.
    #[error("{file}:{line}: byte {offset} of the file is not {encoding}; {help}")]
    Encoding {
        /// The file.
        file: String,
        /// The line.
        line: u32,
        /// Where in the file, counted from 0.
        offset: u64,
        /// What it should be.
        encoding: String,
        /// What to do.
        help: &'static str,
    },
    /// An encoding that nobody knows.
    #[error("`{0}` is not an encoding that is known; try utf-8, utf-16le or windows-1252")]
    UnknownEncoding(String),
    /// NUL bytes: binary data, or UTF-16 without its mark.
    #[error(
        "{file}:{line}: has NUL bytes, so it is not a CSV text; if it is UTF-16 without a byte order mark, say --encoding utf-16le"
    )]
    Binary {
        /// The file.
        file: String,
        /// The line.
        line: u32,
    },
    /// A quote that is never closed.
    #[error(
        "{file}:{line}: the quote opened in this line is never closed; close it, or double it if it belongs to the value"
    )]
    OpenQuote {
        /// The file.
        file: String,
        /// Where it opens.
        line: u32,
    },
    /// A line or record that is too long to be one.
    #[error(
        "{file}:{line}: is longer than {limit} bytes; is a quote missing, or is this another kind of file?"
    )]
    TooLong {
        /// The file.
        file: String,
        /// Where it begins.
        line: u32,
        /// The limit.
        limit: usize,
    },
    /// The header is not usable.
    #[error("{file}:{line}: {what}; {help}")]
    Header {
        /// The file.
        file: String,
        /// The header's line.
        line: u32,
        /// What is wrong.
        what: String,
        /// What to do.
        help: String,
    },
    /// More lines than can be counted.
    #[error("{file}: has more lines than can be counted (4,294,967,295); split it")]
    TooManyLines {
        /// The file.
        file: String,
    },
}
