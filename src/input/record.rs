//! The records of a block: cells with their line number.

use super::blocks::{Block, Walk};

/// One record as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its first line.
    pub line: u32,
    /// Its cells, unquoted, otherwise as they came.
    pub cells: Vec<String>,
}

/// A record borrowed from its block.
pub(super) struct Raw<'a> {
    pub(super) line: u32,
    pub(super) text: &'a str,
    pub(super) quoted: bool,
    /// Text behind a closing quote: most parsers glue the two together, and mean another value.
    pub(super) glued: bool,
}

impl<'a> Raw<'a> {
    /// Puts the cells into `cells`.
    pub(super) fn cells(&self, delimiter: u8, cells: &mut Cells<'a>) {
        cells.plain.clear();
        cells.quoted = None;
        if !self.quoted {
            let bytes = self.text.as_bytes();
            let mut from = 0;
            for at in memchr::memchr_iter(delimiter, bytes) {
                cells.plain.push(&self.text[from..at]);
                from = at + 1;
            }
            cells.plain.push(&self.text[from..]);
            return;
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(self.text.as_bytes());
        let mut record = csv::StringRecord::new();
        // Text from memory that is valid UTF-8 cannot fail.
        if reader.read_record(&mut record).is_ok() {
            cells.quoted = Some(record);
        }
    }
}

/// The cells of one record; reused from record to record.
#[derive(Default)]
pub(super) struct Cells<'a> {
    plain: Vec<&'a str>,
    quoted: Option<csv::StringRecord>,
}

impl Cells<'_> {
    pub(super) fn len(&self) -> usize {
        self.quoted
            .as_ref()
            .map_or(self.plain.len(), csv::StringRecord::len)
    }

    pub(super) fn get(&self, at: usize) -> Option<&str> {
        match &self.quoted {
            Some(record) => record.get(at),
            None => self.plain.get(at).copied(),
        }
    }

    pub(super) fn to_vec(&self) -> Vec<String> {
        (0..self.len())
            .filter_map(|at| self.get(at))
            .map(str::to_owned)
            .collect()
    }
}

/// The records of a block, blank lines left out.
pub(super) fn records<'a>(block: &'a Block, text: &'a str, delimiter: u8) -> Records<'a> {
    Records {
        text,
        walk: Walk::new(block.bytes.as_slice(), delimiter),
        quoted: block.quoted,
        from: 0,
        line: block.line,
    }
}

pub(super) struct Records<'a> {
    text: &'a str,
    walk: Walk<'a>,
    quoted: bool,
    from: usize,
    line: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        loop {
            let bytes = self.text.as_bytes();
            if self.from >= bytes.len() {
                return None;
            }
            let end = if self.quoted {
                self.walk.next_end().unwrap_or(bytes.len())
            } else {
                memchr::memchr(b'\n', &bytes[self.from..])
                    .map_or(bytes.len(), |at| self.from + at + 1)
            };
            let whole = &self.text[self.from..end];
            let line = self.line;
            let breaks = if self.quoted {
                memchr::memchr_iter(b'\n', whole.as_bytes()).count()
            } else {
                1
            };
            self.from = end;
            self.line = self
                .line
                .saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
            let text = whole.strip_suffix('\n').unwrap_or(whole);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if text.trim().is_empty() {
                continue;
            }
            return Some(Raw {
                line,
                text,
                quoted: self.quoted && text.contains('"'),
                glued: self.quoted && self.walk.text_after_quote.is_some(),
            });
        }
    }
}
