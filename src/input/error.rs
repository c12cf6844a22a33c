//! Why a file cannot be read at all. Each error says what, where, and what to do; the cause is in `source()`.

use super::{FileAction, MAX_COLUMNS, MAX_RECORD_BYTES};
use crate::domain::{Line, Problem, Severity, counted};
use std::io;

/// Why the file as a whole is refused. `name` is the file's name for people.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The operating system refuses to open, read or write the file.
    #[error("cannot {action} {name}")]
    Io {
        name: String,
        action: FileAction,
        source: io::Error,
    },
    /// There is no such file.
    #[error("{name} does not exist")]
    Missing { name: String },
    /// A directory was named.
    #[error("{name} is a directory")]
    Directory { name: String },
    /// A pipe or a device was named where the file must be read more than once.
    #[error("{name} is not a regular file")]
    NotRegular { name: String },
    /// The file is empty.
    #[error("{name} is empty")]
    Empty { name: String },
    /// Not text: a workbook, an archive, a database.
    #[error("{name} is not a text file: it looks like {what}")]
    Binary { name: String, what: &'static str },
    /// Every other byte is zero, and there is no byte order mark.
    #[error("{name} looks like {guess} without a byte order mark")]
    Utf16WithoutMark { name: String, guess: &'static str },
    /// An unknown encoding.
    #[error("`{label}` is not the name of an encoding")]
    UnknownEncoding { label: String },
    /// A byte that the encoding does not allow.
    #[error("{name}:{line}: the byte {byte} at offset {offset} is not valid {encoding}")]
    BadByte {
        name: String,
        line: Line,
        offset: u64,
        byte: String,
        encoding: String,
    },
    /// The compressed file ends too early.
    #[error("{name} is cut off: the compressed data ends within or after line {line}")]
    Truncated {
        name: String,
        line: Line,
        source: io::Error,
    },
    /// The compressed file is damaged.
    #[error("{name}:{line}: the compressed data is damaged")]
    Corrupt {
        name: String,
        line: Line,
        source: io::Error,
    },
    /// The file unpacks to far more than a list of customers would.
    #[error("{name} unpacks to more than {ratio} times its size, or to more than {max_gib} GiB")]
    Bomb {
        name: String,
        ratio: u64,
        max_gib: u64,
    },
    /// A quote that is never closed.
    #[error("{name}:{line}: the quote opened in line {line} is {reach}")]
    UnclosedQuote {
        name: String,
        line: Line,
        reach: &'static str,
    },
    /// A record longer than [`MAX_RECORD_BYTES`].
    #[error("{name}:{line}: the record is longer than {MAX_RECORD_BYTES} bytes")]
    RecordTooLong { name: String, line: Line },
    /// A header with more than [`MAX_COLUMNS`] columns.
    #[error("{name}:{line}: the header has {columns} columns, {MAX_COLUMNS} are allowed")]
    TooManyColumns {
        name: String,
        line: Line,
        columns: usize,
    },
    /// The file has more lines than a line number can count.
    #[error("{name} has more than {} lines", u32::MAX)]
    TooManyLines { name: String },
    /// The first line names none of the columns.
    #[error("{name}:{line}: no header: `{found}` names none of the known columns{}", hint(*below))]
    NoHeader {
        name: String,
        line: Line,
        found: String,
        /// A line further down that looks like the header.
        below: Option<Line>,
    },
    /// The first line holds values.
    #[error("{name}:{line}: no header: `{found}` are values, not names of columns")]
    ValuesForHeader {
        name: String,
        line: Line,
        found: String,
        columns: usize,
    },
    /// A required column is missing.
    #[error("{name}:{line}: the column {missing} is missing; the header has `{found}`{}", hint(*below))]
    MissingColumn {
        name: String,
        line: Line,
        missing: &'static str,
        found: String,
        /// A line further down that looks like the header.
        below: Option<Line>,
    },
    /// Columns with names that are nearly those of missing ones.
    #[error("{name}:{line}: {}", each(columns, SimilarColumn::message, "; "))]
    SimilarColumns {
        name: String,
        line: Line,
        columns: Vec<SimilarColumn>,
    },
    /// `--carry` names a column that the file does not have.
    #[error("--carry: the column `{column}` is not in the header `{found}`")]
    CarriedColumnMissing {
        column: String,
        line: Line,
        found: String,
    },
    /// Two columns that mean the same.
    #[error(
        "{name}:{line}: the columns {first_at} `{first}` and {second_at} `{second}` are the same column"
    )]
    DuplicateColumn {
        name: String,
        line: Line,
        first: String,
        first_at: usize,
        second: String,
        second_at: usize,
    },
    /// `--map` names a column that the file does not have.
    #[error(
        "{name}:{line}: the column `{column}`, which is to be {wanted}, is not in the header `{found}`"
    )]
    MappedColumnMissing {
        name: String,
        line: Line,
        column: String,
        wanted: &'static str,
        found: String,
    },
    /// `--map` maps one column twice.
    #[error("{column} is mapped twice, to `{first}` and to `{second}`")]
    MappedTwice {
        column: &'static str,
        first: String,
        second: String,
    },
    /// A character that cannot be a delimiter.
    #[error("{delimiter:?} cannot be a delimiter")]
    BadDelimiter { delimiter: char },
    /// A header and nothing below it.
    #[error("{name} has a header and no lines below it")]
    NoRows { name: String, line: Line },
    /// Neither the file nor an option names the reseller.
    #[error("{name}:{line}: the file has no column resellerId, and no reseller is named")]
    NoReseller { name: String, line: Line },
    /// The file is no longer the one that was opened.
    #[error("{name} has changed while it was being read")]
    Changed { name: String },
}

/// A column with a name that is nearly that of a missing one.
#[derive(Debug)]
pub struct SimilarColumn {
    /// The name, as the file spells it.
    pub(super) column: String,
    /// Its place, counted from 1.
    pub(super) number: usize,
    /// The name of the missing column.
    pub(super) meant: &'static str,
    /// How the name differs, if words can describe it.
    pub(super) why: Option<String>,
}

impl SimilarColumn {
    fn message(&self) -> String {
        let Self {
            column,
            number,
            meant,
            why,
        } = self;
        let why = why.as_ref().map(|why| format!("; {why}"));
        format!(
            "column {number} `{column}` is nearly {meant}, which is missing{}: is {meant} meant?",
            why.unwrap_or_default()
        )
    }

    /// Returns the options with which the user says what the column is.
    fn options(&self) -> String {
        let Self { column, meant, .. } = self;
        format!("--map '{meant}={column}' or --carry '{column}'")
    }
}

fn each(columns: &[SimilarColumn], words: fn(&SimilarColumn) -> String, between: &str) -> String {
    let words: Vec<String> = columns.iter().map(words).collect();
    words.join(between)
}

/// Says which line looks like the header.
fn hint(below: Option<Line>) -> String {
    below.map_or_else(String::new, |line| {
        format!("; line {line} looks like the header")
    })
}

impl InputError {
    /// A file that the operating system does not open.
    pub(super) fn opening(name: String, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { name },
            _ => Self::Io {
                name,
                action: FileAction::Open,
                source,
            },
        }
    }

    /// A stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Missing { .. } => "unreadable",
            Self::Directory { .. } => "directory",
            Self::NotRegular { .. } => "not_a_file",
            Self::Empty { .. } => "empty_file",
            Self::Binary { .. } => "binary_file",
            Self::Utf16WithoutMark { .. } => "utf16_without_mark",
            Self::UnknownEncoding { .. } => "unknown_encoding",
            Self::BadByte { .. } => "bad_byte",
            Self::Truncated { .. } => "truncated",
            Self::Corrupt { .. } => "corrupt",
            Self::Bomb { .. } => "bomb",
            Self::UnclosedQuote { .. } => "unclosed_quote",
            Self::RecordTooLong { .. } => "record_too_long",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::TooManyLines { .. } => "too_many_lines",
            Self::NoHeader { .. } | Self::ValuesForHeader { .. } => "no_header",
            Self::MissingColumn { .. } => "missing_column",
            Self::SimilarColumns { .. } => "near_column",
            Self::CarriedColumnMissing { .. } => "carried_column_missing",
            Self::DuplicateColumn { .. } => "duplicate_column",
            Self::MappedColumnMissing { .. } => "mapped_column_missing",
            Self::MappedTwice { .. } => "mapped_twice",
            Self::BadDelimiter { .. } => "bad_delimiter",
            Self::NoRows { .. } => "no_rows",
            Self::NoReseller { .. } => "no_reseller",
            Self::Changed { .. } => "file_changed",
        }
    }

    /// What to do about it, one clause.
    pub fn help(&self) -> String {
        match self {
            Self::Io { action: FileAction::Open | FileAction::Read, .. } => "check the path and its permissions".into(),
            Self::Io { .. } => "check the path, the permissions and the space on the disk".into(),
            Self::Missing { .. } => {
                "check the spelling; a path that does not begin with / is looked for in the folder in which the command is given".into()
            }
            Self::Directory { .. } => "name the CSV file inside it".into(),
            Self::NotRegular { .. } => "pipe it in and name `-` as the file".into(),
            Self::Empty { .. } => "export it again, with a header in its first line".into(),
            Self::Binary { .. } => "export the list as CSV (in a spreadsheet: Save As, CSV UTF-8)".into(),
            Self::Utf16WithoutMark { guess, .. } => {
                format!("pass --encoding {}, or save the file as UTF-8", guess.to_lowercase())
            }
            Self::UnknownEncoding { .. } => {
                "try utf-8, utf-16le, windows-1252, iso-8859-15, cp850 or cp437; `iconv -l` lists more, and `iconv -f NAME -t UTF-8` converts".into()
            }
            Self::BadByte { byte, .. } => {
                // At these bytes the code pages of DOS have letters, and those of Windows have few.
                let dos = byte.strip_prefix("0x8").is_some_and(|rest| !rest.starts_with(['0', '5']))
                    || byte.starts_with("0x9A") || byte.starts_with("0x9B") || byte.starts_with("0x94");
                let (likely, other) = if dos { ("cp850", "windows-1252") } else { ("windows-1252", "cp850") };
                format!("name the file's encoding, such as --encoding {likely} or --encoding {other}, or convert it with `iconv -f {} -t UTF-8`", likely.to_uppercase())
            }
            Self::Truncated { .. } | Self::Corrupt { .. } => {
                "copy the file again and test it with `gzip -t` or `zstd -t`".into()
            }
            Self::Bomb { .. } => "unpack it yourself, look at it, and pass the unpacked file".into(),
            Self::UnclosedQuote { .. } => {
                "close the quote, or double it if it belongs to the value".into()
            }
            Self::RecordTooLong { .. } => "look for an open quote or a missing line break there".into(),
            Self::TooManyColumns { .. } => "leave out the columns that are not needed".into(),
            Self::TooManyLines { .. } => "split the file".into(),
            Self::NoHeader { below: Some(line), .. }
            | Self::MissingColumn { below: Some(line), .. } => {
                format!("skip the lines above the header with --skip-rows {}", line - 1)
            }
            Self::SimilarColumns { columns, .. } => {
                let names = if columns.len() > 1 { "the names, or say what the columns are" } else { "the name, or say what the column is" };
                format!("correct {names}: {}", each(columns, SimilarColumn::options, "; "))
            }
            Self::NoHeader { .. } => {
                "begin the file with a header such as `accountId,newAccountId`, or name the columns with --map newAccountId=NAME".into()
            }
            Self::ValuesForHeader { columns, .. } => {
                format!(
                    "add a header line above it that names {}, such as `accountId,newAccountId` for the current and \
                     the new account ID",
                    counted(*columns as u64, "column")
                )
            }
            Self::MissingColumn { missing, .. } => {
                let column = missing.split(' ').next().unwrap_or(missing);
                format!("add it, or say which column it is with --map {column}=NAME")
            }
            Self::DuplicateColumn { .. } => "rename or remove one of them".into(),
            Self::MappedColumnMissing { wanted, .. } => {
                format!("spell it as the header does, with --map '{wanted}=NAME' or in [map] of idshift.toml; `idshift map FILE` shows the columns")
            }
            Self::CarriedColumnMissing { .. } => "spell it as the header does".into(),
            Self::MappedTwice { .. } => "keep one of the two".into(),
            Self::BadDelimiter { .. } => "use one of `,` `;` `|` or a tab".into(),
            Self::NoRows { .. } => "check the export: it holds no customers".into(),
            Self::NoReseller { .. } => {
                "add the column (a reseller's ID or `own` in each line), or pass --reseller own".into()
            }
            Self::Changed { .. } => "run the command again when no program writes to the file any more".into(),
        }
    }

    /// The line it is about; 1 where it is about the whole file.
    pub fn line(&self) -> Line {
        match self {
            Self::BadByte { line, .. }
            | Self::Truncated { line, .. }
            | Self::Corrupt { line, .. }
            | Self::UnclosedQuote { line, .. }
            | Self::RecordTooLong { line, .. }
            | Self::TooManyColumns { line, .. }
            | Self::NoHeader { line, .. }
            | Self::ValuesForHeader { line, .. }
            | Self::MissingColumn { line, .. }
            | Self::SimilarColumns { line, .. }
            | Self::CarriedColumnMissing { line, .. }
            | Self::DuplicateColumn { line, .. }
            | Self::MappedColumnMissing { line, .. }
            | Self::NoRows { line, .. }
            | Self::NoReseller { line, .. } => *line,
            Self::Io { .. }
            | Self::Missing { .. }
            | Self::Directory { .. }
            | Self::NotRegular { .. }
            | Self::Empty { .. }
            | Self::Binary { .. }
            | Self::Utf16WithoutMark { .. }
            | Self::UnknownEncoding { .. }
            | Self::Bomb { .. }
            | Self::TooManyLines { .. }
            | Self::MappedTwice { .. }
            | Self::BadDelimiter { .. }
            | Self::Changed { .. } => 1,
        }
    }

    /// Returns the error as problems, for lists that hold both: one for each column with a nearly known name. The text of the
    /// cause is part of the message.
    pub fn problems(&self) -> Vec<Problem> {
        let Self::SimilarColumns {
            name,
            line,
            columns,
        } = self
        else {
            return vec![self.problem()];
        };
        let of_column = |similar: &SimilarColumn| Problem {
            line: *line,
            column: similar.column.clone(),
            value: similar.column.clone(),
            severity: Severity::Error,
            code: self.code(),
            message: format!("{name}:{line}: {}", similar.message()),
            help: format!(
                "correct the name, or say what the column is: {}",
                similar.options()
            ),
        };
        columns.iter().map(of_column).collect()
    }

    fn problem(&self) -> Problem {
        let (column, value) = match self {
            Self::DuplicateColumn { second, .. } => (second.clone(), second.clone()),
            Self::MissingColumn { missing, .. } => ((*missing).to_owned(), String::new()),
            Self::MappedColumnMissing { wanted, column, .. } => {
                ((*wanted).to_owned(), column.clone())
            }
            Self::CarriedColumnMissing { column, .. } => (column.clone(), column.clone()),
            Self::NoHeader { found, .. } | Self::ValuesForHeader { found, .. } => {
                (String::new(), found.clone())
            }
            Self::BadByte { byte, .. } => (String::new(), byte.clone()),
            Self::UnknownEncoding { label } => (String::new(), label.clone()),
            _ => (String::new(), String::new()),
        };
        let message = match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        };
        Problem {
            line: self.line(),
            column,
            value,
            severity: Severity::Error,
            code: self.code(),
            message,
            help: self.help(),
        }
    }
}
