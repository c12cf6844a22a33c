//! Cuts the text into blocks at the ends of records, so that each block can be parsed by itself.
//!
//! Promises: a block begins and ends with a record, whatever is quoted; its first line has the number that an
//! editor shows (LF, CRLF and lone CR each end a line); a quote that is never closed is reported with its line. Must
//! agree with the csv crate about where a record ends; the tests compare the two.

use super::source::ReadError;
use super::text::Text;
use super::{InputError, MAX_RECORD_BYTES};
use crate::domain::{Extent, Line};
use memchr::{memchr, memchr_iter, memchr3, memrchr};

/// Some whole records.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// The line on which it begins.
    pub(super) line: Line,
    /// Where it begins in the unpacked file, in bytes (right for UTF-8 only).
    pub(super) offset: u64,
    /// Whether the end mark of DOS followed it.
    pub(super) end_mark: bool,
    /// How much of the file was read when it was cut off.
    pub(super) read: Extent,
}

/// How the scan of one cell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At a delimiter or a line break.
    Closed,
    /// At the end of the text; more text could belong to the cell.
    Cut,
    /// At the end of the text, inside quotes.
    OpenQuote,
}

/// One cell as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// The position of the delimiter or line break after it.
    pub(super) stop: usize,
    pub(super) end: End,
    pub(super) quoted: bool,
    /// Text follows the closing quote.
    pub(super) stray: bool,
}

/// Scans the cell that begins at `at`. A quote begins a quoted cell only as its first character.
pub(super) fn span(text: &[u8], at: usize, delimiter: u8) -> Span {
    let (mut place, mut stray) = (at, false);
    let quoted = text.get(at) == Some(&b'"');
    if quoted {
        place += 1;
        loop {
            let Some(quote) = memchr(b'"', &text[place..]) else {
                return Span {
                    stop: text.len(),
                    end: End::OpenQuote,
                    quoted,
                    stray,
                };
            };
            place += quote + 1;
            match text.get(place) {
                None => {
                    return Span {
                        stop: place,
                        end: End::Cut,
                        quoted,
                        stray,
                    };
                }
                Some(b'"') => place += 1,
                Some(&next) => {
                    stray = next != delimiter && next != b'\n' && next != b'\r';
                    break;
                }
            }
        }
    }
    match memchr3(delimiter, b'\n', b'\r', &text[place..]) {
        Some(length) => Span {
            stop: place + length,
            end: End::Closed,
            quoted,
            stray,
        },
        None => Span {
            stop: text.len(),
            end: End::Cut,
            quoted,
            stray,
        },
    }
}

/// Returns how many lines end in the text. The text must not end between CR and LF.
pub(super) fn breaks(text: &[u8]) -> usize {
    let feeds = memchr_iter(b'\n', text).count();
    if memchr(b'\r', text).is_none() {
        return feeds;
    }
    let lone = memchr_iter(b'\r', text)
        .filter(|at| text.get(at + 1) != Some(&b'\n'))
        .count();
    feeds + lone
}

/// Where the last whole record ends, and which quote is open after it.
struct Cut {
    end: usize,
    open_quote: Option<usize>,
}

fn cut(text: &[u8], delimiter: u8) -> Cut {
    if memchr(b'"', text).is_some() {
        return cut_quoted(text, delimiter);
    }
    let feed = memrchr(b'\n', text).map_or(0, |at| at + 1);
    // A CR at the very end may be half of a CRLF.
    let end = match feed {
        0 => memrchr(b'\r', &text[..text.len().saturating_sub(1)]).map_or(0, |at| at + 1),
        end => end,
    };
    Cut {
        end,
        open_quote: None,
    }
}

fn cut_quoted(text: &[u8], delimiter: u8) -> Cut {
    let (mut at, mut end) = (0, 0);
    while at < text.len() {
        let cell = span(text, at, delimiter);
        match cell.end {
            End::OpenQuote => {
                return Cut {
                    end,
                    open_quote: Some(at),
                };
            }
            End::Cut => break,
            End::Closed => {}
        }
        at = cell.stop + 1;
        if text[cell.stop] == b'\r' {
            match text.get(at) {
                None => break,
                Some(b'\n') => at += 1,
                Some(_) => {}
            }
            end = at;
        } else if text[cell.stop] == b'\n' {
            end = at;
        }
    }
    Cut {
        end,
        open_quote: None,
    }
}

/// Returns where the first record of the text ends, including its line break; `None`: it does not end in this text.
pub(super) fn record_end(text: &[u8], delimiter: u8, at_end: bool) -> Option<usize> {
    let mut at = 0;
    loop {
        let cell = span(text, at, delimiter);
        match cell.end {
            End::OpenQuote => return None,
            End::Cut => return at_end.then_some(text.len()),
            End::Closed => {}
        }
        at = cell.stop + 1;
        match text[cell.stop] {
            b'\r' if text.get(at) == Some(&b'\n') => return Some(at + 1),
            b'\n' | b'\r' => return Some(at),
            _ => {}
        }
    }
}

/// The blocks of a text, in order.
pub(super) struct Blocks {
    text: Text,
    name: String,
    delimiter: u8,
    block_bytes: usize,
    rest: Vec<u8>,
    at_end: bool,
    line: u64,
    offset: u64,
    done: bool,
    end_mark: bool,
}

/// `^Z`, with which DOS ended its text files.
const END_MARK: u8 = 0x1A;

impl Blocks {
    /// Continues with a text: `rest` was read and not yet cut into blocks, and begins on `line`.
    pub(super) fn new(
        text: Text,
        name: &str,
        delimiter: u8,
        block_bytes: usize,
        (rest, at_end): (Vec<u8>, bool),
        line: Line,
    ) -> Self {
        // The offset is right only for UTF-8, which is checked later: other decoded text may be longer than its bytes.
        let offset = text.offset().saturating_sub(rest.len() as u64);
        Self {
            text,
            name: name.to_owned(),
            delimiter,
            block_bytes,
            rest,
            at_end,
            line: u64::from(line),
            offset,
            done: false,
            end_mark: false,
        }
    }

    fn line_at(&self, text: &[u8]) -> Line {
        Line::try_from(self.line + breaks(text) as u64).unwrap_or(Line::MAX)
    }

    /// Converts an error of reading into one that names the line.
    fn trouble(&self, text: &[u8], trouble: ReadError) -> InputError {
        trouble.at(&self.name, self.line_at(text))
    }

    /// Removes the end mark of DOS from the end of the file.
    fn take_end_mark(&mut self, text: &mut Vec<u8>) {
        while self.at_end && text.last() == Some(&END_MARK) {
            text.pop();
            self.end_mark = true;
        }
    }

    fn advance(&mut self) -> Result<Option<Block>, InputError> {
        let mut text = std::mem::take(&mut self.rest);
        self.take_end_mark(&mut text);
        let mut want = self.block_bytes.saturating_sub(text.len()).max(1);
        let cut = loop {
            if !self.at_end {
                match self.text.fill(&mut text, want) {
                    Ok(at_end) => self.at_end = at_end,
                    Err(trouble) => return Err(self.trouble(&text, trouble)),
                }
                self.take_end_mark(&mut text);
            }
            let found = cut(&text, self.delimiter);
            if found.end > 0 || self.at_end {
                break found;
            }
            if text.len() > MAX_RECORD_BYTES {
                return Err(self.too_long(&text, found.open_quote));
            }
            want = text.len();
        };
        let end = match cut.open_quote {
            None if self.at_end => text.len(),
            Some(at) if cut.end == 0 => {
                let (name, line) = (self.name.clone(), self.line_at(&text[..at]));
                return Err(InputError::UnclosedQuote {
                    name,
                    line,
                    reach: "never closed",
                });
            }
            _ => cut.end,
        };
        let end_mark = std::mem::take(&mut self.end_mark);
        if end == 0 && !end_mark {
            return Ok(None);
        }
        self.rest = Vec::with_capacity(self.block_bytes.max(text.len() - end));
        self.rest.extend_from_slice(&text[end..]);
        text.truncate(end);
        let line = Line::try_from(self.line);
        let Ok(line) = line else {
            return Err(InputError::TooManyLines {
                name: self.name.clone(),
            });
        };
        let block = Block {
            line,
            offset: self.offset,
            bytes: text,
            end_mark,
            read: self.text.extent(),
        };
        self.line += breaks(&block.bytes) as u64;
        self.offset += end as u64;
        Ok(Some(block))
    }

    fn too_long(&self, text: &[u8], open_quote: Option<usize>) -> InputError {
        let name = self.name.clone();
        match open_quote {
            Some(at) => {
                let line = self.line_at(&text[..at]);
                InputError::UnclosedQuote {
                    name,
                    line,
                    reach: "not closed within 1 MiB",
                }
            }
            None => InputError::RecordTooLong {
                name,
                line: self.line_at(&[]),
            },
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<Block, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_are_counted_like_in_an_editor() {
        for (text, lines) in [
            ("a\nb\n", 2),
            ("a\r\nb\r\n", 2),
            ("a\rb\r", 2),
            ("a\n\rb\r\n", 3),
            ("", 0),
        ] {
            assert_eq!(breaks(text.as_bytes()), lines, "{text:?}");
        }
    }

    #[test]
    fn no_cut_is_made_inside_quotes_or_a_line_break() {
        for (text, end) in [
            ("a,b\nc", 4),
            ("a,b\r", 0),
            ("a\rb\r", 2),
            ("\"a\nb\",c\nd", 8),
            ("\"a\nb\"", 0),
            ("a\n\"b\n", 2),
            ("a\"b\nc\"d\n", 8),
            ("\"a\"\"\n\"\r\nb", 8),
            ("\"a\"\r", 0),
        ] {
            assert_eq!(cut(text.as_bytes(), b',').end, end, "{text:?}");
        }
    }
}
