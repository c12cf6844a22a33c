//! The columns of a file with some of their values, whatever the columns are called; for `map`.
//!
//! Only the beginning of the file is read. A file is refused if its first line holds values, or if lines stand above its
//! header, because they are no names of columns.

use super::layout::is_own;
use super::meaning::{is_known_name, is_name};
use super::preamble::{self, LOOKED_AT, Top, line_after, rows_end, unquote};
use super::table::cell_meant;
use super::value::shown;
use super::{Column, InputError, MAX_COLUMNS, Settings, dialect};
use crate::domain::{Line, Profile};
use std::path::Path;

/// The maximum number of lines from which values are taken.
const MOST_ROWS: usize = 2_000;

/// The beginning of a file.
#[derive(Debug)]
pub struct Sample {
    /// The line of the header.
    pub line: Line,
    /// The delimiter that was found.
    pub delimiter: u8,
    /// The columns, without those that idshift's reports add.
    pub columns: Vec<SampleColumn>,
}

/// A column.
#[derive(Debug)]
pub struct SampleColumn {
    /// Its place, counted from 1.
    pub number: usize,
    /// Its name, as the header spells it.
    pub name: String,
    /// Its first values, without empty ones.
    pub values: Vec<String>,
}

/// Reads the beginning of a file. `name` is the file's name for people.
pub fn sample(path: &Path, name: &str, settings: &Settings) -> Result<Sample, InputError> {
    let top = preamble::top(path, name, settings)?;
    if top.names.len() > MAX_COLUMNS {
        return Err(InputError::TooManyColumns {
            name: name.to_owned(),
            line: top.line,
            columns: top.names.len(),
        });
    }
    let columns = columns(&top);
    let is_mapped = |name: &str| settings.map.iter().any(|(_, mapped)| mapped == name);
    let names_one = |column: &SampleColumn| is_known_name(&column.name) || is_mapped(&column.name);
    if !columns.iter().any(names_one) {
        if let Some(below) = header_below(&top) {
            return Err(InputError::NoHeader {
                name: name.to_owned(),
                line: top.line,
                found: found(&top),
                below: Some(below),
            });
        }
        if are_values(&columns) {
            return Err(InputError::ValuesForHeader {
                name: name.to_owned(),
                line: top.line,
                found: found(&top),
                columns: top.names.len(),
            });
        }
    }
    let counts = |column: &SampleColumn| !is_own(&column.name);
    Ok(Sample {
        line: top.line,
        delimiter: top.delimiter,
        columns: columns.into_iter().filter(counts).collect(),
    })
}

fn found(top: &Top) -> String {
    let names: Vec<&str> = top.names.iter().map(str::trim).collect();
    shown(&names.join(", "))
}

fn columns(top: &Top) -> Vec<SampleColumn> {
    let column = |(place, name): (usize, &str)| SampleColumn {
        number: place + 1,
        name: name.trim().to_owned(),
        values: Vec::new(),
    };
    let mut columns: Vec<SampleColumn> = top.names.iter().enumerate().map(column).collect();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(top.delimiter)
        .from_reader(&top.head[top.end..]);
    let records = reader.byte_records().map_while(Result::ok);
    let mut records: Vec<csv::ByteRecord> = records.take(MOST_ROWS).collect();
    if !top.at_end && records.len() < MOST_ROWS {
        // The text that was read may end in the middle of the last record.
        records.pop();
    }
    for record in &records {
        for (column, cell) in columns.iter_mut().zip(record) {
            let text = String::from_utf8_lossy(cell);
            let value = cell_meant(&text);
            if !value.is_empty() {
                column.values.push(value.into_owned());
            }
        }
    }
    columns
}

/// Returns the first line below that names at least two known columns.
fn header_below(top: &Top) -> Option<Line> {
    let mut at = top.end;
    for _ in 0..LOOKED_AT {
        let line = &top.head[at..at + rows_end(&top.head[at..], 1)];
        if line.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(line);
        let known = |delimiter: &u8| {
            let cells = text.split(char::from(*delimiter)).map(unquote);
            cells.filter(|cell| is_known_name(cell)).count()
        };
        if dialect::CANDIDATES
            .iter()
            .any(|delimiter| known(delimiter) > 1)
        {
            return Some(line_after(&top.head[..at]));
        }
        at += line.len();
    }
    None
}

/// Whether the first line holds values instead of names: most of its cells are like the values below.
fn are_values(columns: &[SampleColumn]) -> bool {
    let filled = columns.iter().filter(|column| !column.name.is_empty());
    let (mut values, mut names) = (0, 0);
    for column in filled {
        if is_value(column) {
            values += 1;
        } else if is_name(&column.name) || Column::parse(&column.name).is_some() {
            return false;
        } else {
            names += 1;
        }
    }
    values > names
}

/// Whether the name of a column is like its values: one of them, of the same shape, or a word that is only a value.
fn is_value(column: &SampleColumn) -> bool {
    let name = cell_meant(&column.name);
    let has_digit = name.chars().any(|c| c.is_numeric());
    let is_alike = || {
        let alike = column
            .values
            .iter()
            .filter(|value| shape(value) == shape(&name));
        alike.count() * 2 >= column.values.len()
    };
    Profile::parse(&name).is_some()
        || (has_digit && is_alike())
        || column.values.iter().any(|value| *value == name)
}

/// Returns which kinds of characters follow each other: `A-0012` is a letter, a sign, a digit.
fn shape(text: &str) -> Vec<char> {
    let kind = |c: char| match c {
        c if c.is_numeric() => '0',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    let mut shape: Vec<char> = text.chars().map(kind).collect();
    // In a UUID, letters and digits follow each other in any order.
    if text.len() > 20 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return vec!['x'];
    }
    shape.dedup();
    shape
}
