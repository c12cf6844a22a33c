//! Reads the records of one block with the csv crate, and adds what the crate does not report.
//!
//! Promises: each record has the line on which it begins and the text it was read from; blank lines and rows of delimiters
//! alone are skipped, and the rows are counted; what the csv crate would read as something else (`"1"x` as `1x`) can be
//! seen in [`Raw`].

use super::block::{Block, breaks, span};
use super::layout::Layout;
use super::text::hex;
use super::{FileAction, InputError, MAX_RECORD_BYTES, cell};
use crate::domain::Line;
use csv::StringRecord;
use memchr::memchr;
use std::io::{Chain, Read};

/// One line of the input as it came, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins.
    pub line: Line,
    /// Its cells, one for each column of the table's header. Missing, excess and badly quoted cells are marked, and the reader
    /// refuses the marks if the line is read again uncorrected.
    pub cells: Vec<String>,
    /// Whether it had more or fewer cells than the header.
    pub ragged: bool,
    /// In one of our reports: the run and the line of its input that the record came from.
    pub origin: Option<(String, Line)>,
}

/// The text of a record, which shows more than its cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'b> {
    pub(super) line: Line,
    pub(super) text: &'b [u8],
    pub(super) delimiter: u8,
    /// Whether there is a quote anywhere in it.
    pub(super) quotes: bool,
}

/// One cell as it stands in the text, and how it is quoted.
pub(super) struct RawCell<'b> {
    pub(super) text: &'b [u8],
    pub(super) quoted: bool,
    pub(super) stray: bool,
}

impl<'b> Raw<'b> {
    /// The cells of the record as they stand in the text, quotes included.
    pub(super) fn cells(self) -> impl Iterator<Item = RawCell<'b>> {
        let mut at = Some(0);
        std::iter::from_fn(move || {
            let from = at?;
            let found = span(self.text, from, self.delimiter);
            let more = self.text.get(found.stop) == Some(&self.delimiter);
            at = more.then_some(found.stop + 1);
            let text = &self.text[from..found.stop];
            Some(RawCell {
                text,
                quoted: found.quoted,
                stray: found.stray,
            })
        })
    }

    /// The first cell with text after its closing quote.
    pub(super) fn stray(self) -> Option<usize> {
        if !self.quotes {
            return None;
        }
        self.cells().position(|cell| cell.stray)
    }
}

/// What the reader has skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Rows of nothing but delimiters.
    pub blank_rows: u64,
    /// The line of the first one.
    pub first: Option<Line>,
    /// Whether the text ends with the end mark of DOS, `^Z`.
    pub end_mark: bool,
}

impl Passed {
    /// Adds what was skipped further down in the file.
    pub fn append(&mut self, other: Self) {
        self.blank_rows += other.blank_rows;
        self.first = self.first.or(other.first);
        self.end_mark |= other.end_mark;
    }
}

/// Reads the records of a block.
pub(super) struct Records<'b> {
    reader: csv::Reader<Chain<&'static [u8], &'b [u8]>>,
    bytes: &'b [u8],
    name: &'b str,
    delimiter: u8,
    any_quotes: bool,
    /// Where the last record began, and on which line.
    last: usize,
    line: Line,
    passed: Passed,
}

impl<'b> Records<'b> {
    /// Checks that the block is UTF-8 and begins to read it.
    pub(super) fn new(block: &'b Block, name: &'b str, delimiter: u8) -> Result<Self, InputError> {
        if let Err(error) = std::str::from_utf8(&block.bytes) {
            let at = error.valid_up_to();
            let length = error.error_len().unwrap_or(1);
            return Err(InputError::BadByte {
                name: name.to_owned(),
                line: add(block.line, breaks(&block.bytes[..at])),
                offset: block.offset + at as u64,
                byte: hex(&block.bytes[at..at + length]),
                encoding: "UTF-8".to_owned(),
            });
        }
        // A line break is put in front, because the csv crate drops a byte order mark at the beginning. In the middle of a file,
        // the mark is part of a value.
        let text = b"\n".as_slice().chain(block.bytes.as_slice());
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true) // so that a ragged record can be named; the caller counts the cells
            .delimiter(delimiter)
            .buffer_capacity(1 << 16)
            .from_reader(text);
        Ok(Self {
            reader,
            bytes: &block.bytes,
            name,
            delimiter,
            any_quotes: memchr(b'"', &block.bytes).is_some(),
            last: 0,
            line: block.line,
            passed: Passed {
                end_mark: block.end_mark,
                ..Passed::default()
            },
        })
    }

    /// Reads the next record into `record`.
    pub(super) fn read(
        &mut self,
        record: &mut StringRecord,
    ) -> Result<Option<Raw<'b>>, InputError> {
        loop {
            let before = self.place();
            let more = self
                .reader
                .read_record(record)
                .map_err(|error| InputError::Io {
                    name: self.name.to_owned(),
                    action: FileAction::Parse,
                    source: error.into(),
                })?;
            if !more {
                return Ok(None);
            }
            let skipped = self.bytes[before..]
                .iter()
                .take_while(|byte| is_break(**byte))
                .count();
            let start = before + skipped;
            let text = &self.bytes[start..self.place()];
            self.line = add(self.line, breaks(&self.bytes[self.last..start]));
            self.last = start;
            if text.len() > MAX_RECORD_BYTES {
                return Err(InputError::RecordTooLong {
                    name: self.name.to_owned(),
                    line: self.line,
                });
            }
            if record.len() == 1 && text.trim_ascii().is_empty() {
                continue;
            }
            let first = text.first().copied().unwrap_or_default();
            let may_be_blank = first == self.delimiter || matches!(first, b'"' | b' ' | b'\t');
            if may_be_blank && record.iter().all(|cell| cell.trim().is_empty()) {
                self.passed.blank_rows += 1;
                self.passed.first.get_or_insert(self.line);
                continue;
            }
            let quotes = self.any_quotes && memchr(b'"', text).is_some();
            return Ok(Some(Raw {
                line: self.line,
                text,
                delimiter: self.delimiter,
                quotes,
            }));
        }
    }

    /// Returns what was skipped so far.
    pub(super) fn passed(&self) -> Passed {
        self.passed
    }

    /// How far the csv crate has read, without the line break put in front.
    fn place(&self) -> usize {
        let byte = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        byte.saturating_sub(1)
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn add(line: Line, more: usize) -> Line {
    line.saturating_add(Line::try_from(more).unwrap_or(Line::MAX))
}

/// Parses a block for reports.
pub(super) fn parse(
    block: &Block,
    name: &str,
    delimiter: u8,
    layout: &Layout,
) -> Result<Vec<Record>, InputError> {
    let mut records = Records::new(block, name, delimiter)?;
    let mut found = Vec::new();
    let mut record = StringRecord::new();
    while let Some(raw) = records.read(&mut record)? {
        let ragged = record.len() != layout.width();
        let cells = keep(&record, raw, layout);
        found.push(Record {
            line: raw.line,
            cells,
            ragged,
            origin: origin(&record, layout),
        });
    }
    Ok(found)
}

fn origin(record: &StringRecord, layout: &Layout) -> Option<(String, Line)> {
    let own = |name: &str| Some(cell::unescape(record.get(layout.own(name)?)?));
    let line = own("idshift_line")?.trim().parse().ok()?;
    Some((own("idshift_run")?.trim().to_owned(), line))
}

fn keep(record: &StringRecord, raw: Raw<'_>, layout: &Layout) -> Vec<String> {
    let stray = raw.stray();
    let mut cells = Vec::with_capacity(layout.kept().len());
    for &place in layout.kept() {
        let text = match record.get(place) {
            None => cell::MISSING.into(),
            Some(_) if Some(place) == stray => mark_stray(raw, place).into(),
            Some(text) if layout.escaped() => cell::unescape(text),
            Some(text) => text.into(),
        };
        if Some(&place) == layout.kept().last() && record.len() > layout.width() {
            let rest: Vec<_> = record.iter().skip(place).collect();
            cells.push(format!("{}{}", cell::EXCESS, rest.join(",")));
        } else {
            cells.push(text.into_owned());
        }
    }
    cells
}

fn mark_stray(raw: Raw<'_>, place: usize) -> String {
    let text = raw
        .cells()
        .nth(place)
        .map(|cell| String::from_utf8_lossy(cell.text));
    format!("{}{}", cell::QUOTE, text.unwrap_or_default())
}
