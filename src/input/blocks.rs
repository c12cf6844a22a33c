//! Cuts text into blocks of whole records, so that they can be parsed in parallel.
//!
//! The cut is exact: a block without a quote ends at its last line break, and one with quotes is walked
//! through with the same rules that the parser has. Line numbers are those of an editor.

use super::InputError;
use super::decode::Text;

/// The longest record: a longer one is a missing quote, or no CSV at all.
pub(super) const MOST_RECORD_BYTES: usize = 1 << 20;

/// Some whole records.
#[derive(Debug)]
pub(super) struct Block {
    /// UTF-8, unless the file is not.
    pub(super) bytes: Vec<u8>,
    /// The line of its first byte.
    pub(super) line: u32,
    /// The place of its first byte in the text.
    pub(super) offset: u64,
    /// Whether it holds quotes.
    pub(super) quoted: bool,
}

/// Reads a text block by block.
pub(super) struct Blocks {
    text: Text,
    rest: Vec<u8>,
    line: u32,
    offset: u64,
    delimiter: u8,
    at_least: usize,
    ended: bool,
}

impl Blocks {
    /// `rest` are bytes that were read already, such as those behind the header.
    pub(super) fn new(
        text: Text,
        rest: Vec<u8>,
        line: u32,
        offset: u64,
        delimiter: u8,
        at_least: usize,
    ) -> Self {
        Self {
            text,
            rest,
            line,
            offset,
            delimiter,
            at_least,
            ended: false,
        }
    }

    fn next_block(&mut self) -> Result<Option<Block>, InputError> {
        let mut wanted = self.at_least;
        loop {
            while self.rest.len() < wanted && !self.ended {
                self.ended = !self.text.fill(&mut self.rest)?;
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let quoted = memchr::memchr(b'"', &self.rest).is_some();
            let cut = if self.ended {
                if quoted {
                    self.check_closed()?;
                }
                Some(self.rest.len())
            } else if quoted {
                last_end(&self.rest, self.delimiter).end
            } else {
                memchr::memrchr(b'\n', &self.rest).map(|at| at + 1)
            };
            if let Some(cut) = cut {
                return self.cut(cut, quoted).map(Some);
            }
            if self.rest.len() > MOST_RECORD_BYTES + self.at_least {
                return Err(self.too_long());
            }
            wanted = self.rest.len() + 1;
        }
    }

    fn too_long(&self) -> InputError {
        let open = last_end(&self.rest, self.delimiter).open_quote;
        match open {
            Some(at) => InputError::OpenQuote {
                file: self.text.file.clone(),
                line: self.line + breaks(&self.rest[..at]),
            },
            None => InputError::TooLong {
                file: self.text.file.clone(),
                line: self.line,
                limit: MOST_RECORD_BYTES,
            },
        }
    }

    fn check_closed(&self) -> Result<(), InputError> {
        match last_end(&self.rest, self.delimiter).open_quote {
            Some(at) => Err(InputError::OpenQuote {
                file: self.text.file.clone(),
                line: self.line + breaks(&self.rest[..at]),
            }),
            None => Ok(()),
        }
    }

    fn cut(&mut self, cut: usize, quoted: bool) -> Result<Block, InputError> {
        let rest = self.rest.split_off(cut);
        let bytes = std::mem::replace(&mut self.rest, rest);
        let block = Block {
            line: self.line,
            offset: self.offset,
            quoted,
            bytes,
        };
        self.line = self.line.checked_add(breaks(&block.bytes)).ok_or_else(|| {
            InputError::TooManyLines {
                file: self.text.file.clone(),
            }
        })?;
        self.offset += u64::try_from(block.bytes.len()).unwrap_or(0);
        Ok(block)
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_block().transpose();
        if matches!(next, Some(Err(_))) {
            self.rest.clear();
            self.ended = true;
        }
        next
    }
}

fn breaks(bytes: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX)
}

/// Where the last whole record ends, and where a quote is still open.
struct Walked {
    end: Option<usize>,
    open_quote: Option<usize>,
}

fn last_end(bytes: &[u8], delimiter: u8) -> Walked {
    let mut walk = Walk::new(bytes, delimiter);
    let mut end = None;
    while let Some(at) = walk.next_end() {
        end = Some(at);
    }
    Walked {
        end,
        open_quote: walk.open_quote,
    }
}

/// Walks from record end to record end.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    at: usize,
    /// The place of a quote that is not closed before the bytes end.
    pub(super) open_quote: Option<usize>,
    /// The place of the first text behind a closing quote in the record just walked.
    pub(super) text_after_quote: Option<usize>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], delimiter: u8) -> Self {
        Self {
            bytes,
            delimiter,
            at: 0,
            open_quote: None,
            text_after_quote: None,
        }
    }

    /// The place behind the next line break that ends a record.
    pub(super) fn next_end(&mut self) -> Option<usize> {
        self.text_after_quote = None;
        loop {
            // At the start of a field.
            if self.bytes.get(self.at) == Some(&b'"') {
                let opened = self.at;
                self.at += 1;
                loop {
                    let Some(quote) = memchr::memchr(b'"', self.bytes.get(self.at..)?) else {
                        self.open_quote = Some(opened);
                        self.at = self.bytes.len();
                        return None;
                    };
                    self.at += quote + 1;
                    if self.bytes.get(self.at) != Some(&b'"') {
                        break;
                    }
                    self.at += 1;
                }
                let next = self.bytes.get(self.at);
                let ends = [Some(&self.delimiter), Some(&b'\n'), Some(&b'\r'), None];
                if !ends.contains(&next) {
                    self.text_after_quote.get_or_insert(self.at);
                }
            }
            let rest = self.bytes.get(self.at..)?;
            let found = memchr::memchr2(self.delimiter, b'\n', rest)?;
            self.at += found + 1;
            if rest[found] == b'\n' {
                return Some(self.at);
            }
        }
    }
}
