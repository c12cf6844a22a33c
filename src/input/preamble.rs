//! Reads the beginning of a file: what stands above the header, the delimiter, the header.
//!
//! Promises: the delimiter is found from the header alone, because its names are known. A wrong guess from the data would
//! cause a wrong write.

use super::block::{breaks, record_end};
use super::layout::{Layout, is_own, known};
use super::source::ReadError;
use super::text::{Text, hex};
use super::{FileAction, InputError, MAX_RECORD_BYTES, Rules, Settings, dialect};
use crate::domain::Line;
use csv::StringRecord;
use std::path::Path;

/// What the beginning of the file determines for the rest.
#[derive(Debug)]
pub(super) struct Preamble {
    pub(super) delimiter: u8,
    pub(super) layout: Layout,
    /// The text up to the first line below the header, with which a replaced file is recognised.
    pub(super) text: Vec<u8>,
    /// The first line below the header.
    pub(super) next: Line,
}

/// What every worker needs to know of an opened file.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) head: Preamble,
    pub(super) rules: Rules,
}

/// The names of the columns, and where they stand.
pub(super) struct Top {
    /// The text that was read so far.
    pub(super) head: Vec<u8>,
    pub(super) at_end: bool,
    pub(super) line: Line,
    pub(super) delimiter: u8,
    pub(super) names: StringRecord,
    /// Where the header ends.
    pub(super) end: usize,
}

/// Reads the beginning of a file.
pub(super) fn read(
    path: &Path,
    name: &str,
    settings: &Settings,
    rules: &Rules,
) -> Result<Preamble, InputError> {
    let Top {
        mut head,
        at_end,
        line,
        delimiter,
        names,
        end,
    } = top(path, name, settings)?;
    let layout = Layout::find(&names, line, name, settings, rules)
        .map_err(|error| with_header_below(error, (&head, end), &names, settings))?;
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x1A;
    if at_end && head[end..].iter().all(is_blank) {
        return Err(InputError::NoRows {
            name: name.to_owned(),
            line,
        });
    }
    let next = line_after(&head[..end]);
    head.truncate(end);
    Ok(Preamble {
        delimiter,
        layout,
        text: head,
        next,
    })
}

/// Whether a file is one of idshift's own reports, by its header. `name` is the file's name for people.
pub fn is_report(path: &Path, name: &str, settings: &Settings) -> Result<bool, InputError> {
    Ok(top(path, name, settings)?.names.iter().any(is_own))
}

/// Reads the header, whatever its columns are.
pub(super) fn top(path: &Path, name: &str, settings: &Settings) -> Result<Top, InputError> {
    let mut text = Text::open(path, name, settings)?;
    let mut head = Vec::new();
    let result = text.fill(&mut head, MAX_RECORD_BYTES + 1);
    let at_end = match result {
        Ok(at_end) => at_end,
        // The text that could be read may have the header. The error is then reported later, with its line.
        Err(trouble) if record_end(&head, b',', false).is_none() => {
            return Err(trouble.at(name, line_after(&head)));
        }
        Err(ReadError::Bomb) => return Err(ReadError::Bomb.at(name, 1)),
        Err(_) => false,
    };
    let mut at = rows_end(&head, settings.skip_rows);
    at += skip_blank(&head[at..]);
    let first = &head[at..record_end(&head[at..], 0, true).map_or(head.len(), |end| at + end)];
    let sign = dialect::excel_sign(first);
    if sign.is_some() {
        at += first.len();
        at += skip_blank(&head[at..]);
    }
    let line = line_after(&head[..at]);
    if at == head.len() {
        return Err(InputError::Empty {
            name: name.to_owned(),
        });
    }
    let wished = settings.delimiter.or(sign);
    let (delimiter, names, end) = header(&head[at..], at_end, name, line, wished, settings)?;
    Ok(Top {
        end: at + end,
        head,
        at_end,
        line,
        delimiter,
        names,
    })
}

/// Returns the header by the delimiter that gives the most known columns; among equal ones, the most columns.
fn header(
    text: &[u8],
    at_end: bool,
    name: &str,
    line: Line,
    wished: Option<u8>,
    settings: &Settings,
) -> Result<(u8, StringRecord, usize), InputError> {
    let candidates = dialect::candidates(wished)?;
    let mut best: Option<((usize, usize), u8, StringRecord, usize)> = None;
    let mut open = false;
    for &delimiter in &candidates {
        let Some(end) = record_end(text, delimiter, at_end) else {
            open |= text.contains(&b'"');
            continue;
        };
        let record = parse(&text[..end], delimiter, name, line)?;
        let score = (known(record.iter(), settings), record.len());
        if best.as_ref().is_none_or(|(most, ..)| score > *most) {
            best = Some((score, delimiter, record, end));
        }
    }
    let best = best.filter(|((known, _), ..)| *known > 0 || !open);
    if let Some((_, delimiter, record, end)) = best {
        return Ok((delimiter, record, end));
    }
    let name = name.to_owned();
    if open {
        let reach = if at_end {
            "never closed"
        } else {
            "not closed within 1 MiB"
        };
        return Err(InputError::UnclosedQuote { name, line, reach });
    }
    Err(InputError::RecordTooLong { name, line })
}

fn parse(text: &[u8], delimiter: u8, name: &str, line: Line) -> Result<StringRecord, InputError> {
    if let Err(error) = std::str::from_utf8(text) {
        let at = error.valid_up_to();
        return Err(InputError::BadByte {
            name: name.to_owned(),
            line,
            offset: at as u64,
            byte: hex(&text[at..at + error.error_len().unwrap_or(1)]),
            encoding: "UTF-8".to_owned(),
        });
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(text);
    let mut record = StringRecord::new();
    reader
        .read_record(&mut record)
        .map_err(|error| InputError::Io {
            name: name.to_owned(),
            action: FileAction::Parse,
            source: error.into(),
        })?;
    Ok(record)
}

/// The maximum number of lines in which a header is looked for.
pub(super) const LOOKED_AT: usize = 200;

/// Adds to an error the line that looks like the header, where the first one is none.
fn with_header_below(
    error: InputError,
    (head, end): (&[u8], usize),
    names: &StringRecord,
    settings: &Settings,
) -> InputError {
    let most = known(names.iter(), settings).max(1);
    let mut at = end;
    let mut found = None;
    for _ in 0..LOOKED_AT {
        let line = &head[at..at + rows_end(&head[at..], 1)];
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        let names =
            |delimiter: &u8| known(text.split(char::from(*delimiter)).map(unquote), settings);
        if dialect::CANDIDATES
            .iter()
            .any(|delimiter| names(delimiter) > most)
        {
            found = Some(line_after(&head[..at]));
            break;
        }
        at += line.len();
    }
    match error {
        InputError::NoHeader {
            name,
            line,
            found: header,
            ..
        } => InputError::NoHeader {
            name,
            line,
            found: header,
            below: found,
        },
        InputError::MissingColumn {
            name,
            line,
            missing,
            found: header,
            ..
        } => InputError::MissingColumn {
            name,
            line,
            missing,
            found: header,
            below: found,
        },
        other => other,
    }
}

/// Returns where the first lines of a text end; `rows`: how many.
pub(super) fn rows_end(text: &[u8], rows: u32) -> usize {
    let mut at = 0;
    for _ in 0..rows {
        let Some(length) = text[at..]
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
        else {
            return text.len();
        };
        at += length + 1;
        if text[at - 1] == b'\r' && text.get(at) == Some(&b'\n') {
            at += 1;
        }
    }
    at
}

pub(super) fn unquote(name: &str) -> &str {
    name.trim().trim_matches('"')
}

fn skip_blank(text: &[u8]) -> usize {
    let mut skipped = 0;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\n' | b'\r' => skipped = at + 1,
            b' ' => {}
            _ => break,
        }
    }
    skipped
}

/// The number of the line that begins after this text.
pub(super) fn line_after(text: &[u8]) -> Line {
    Line::try_from(breaks(text) + 1).unwrap_or(Line::MAX)
}
