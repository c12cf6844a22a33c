//! A file's text: bytes → UTF-8, whatever the encoding.
//!
//! Promises: nothing is ever replaced; a byte that the encoding does not allow is an error with its offset.
//! UTF-8 is passed on unchecked, because the workers check it in parallel. Must not look at lines or cells.

use super::encoding::{CodePage, Decoding, Encoding};
use super::source::{ReadError, Source};
use super::{InputError, Settings};
use crate::domain::Extent;
use encoding_rs::{DecoderResult, UTF_8, UTF_16BE, UTF_16LE};
use std::path::Path;

/// The number of bytes at the beginning that are examined to distinguish text from anything else.
const HEAD_BYTES: usize = 1 << 13;
const CHUNK_BYTES: usize = 1 << 16;

/// The text of a file, to be read once.
pub(super) struct Text {
    source: Source,
    /// Bytes read but not yet passed on.
    head: Vec<u8>,
    /// `None`: UTF-8.
    decoder: Option<Decoding>,
    /// Bytes of the (unpacked) file passed on so far, byte order mark included.
    offset: u64,
    at_end: bool,
    /// An error of reading ahead. It is returned after all text before it.
    failed: Option<ReadError>,
}

impl Text {
    /// Opens a file and determines its encoding. A byte order mark has priority over the settings.
    pub(super) fn open(path: &Path, name: &str, settings: &Settings) -> Result<Self, InputError> {
        let mut source = Source::open(path, name)?;
        let mut head = Vec::new();
        let failed = source.fill(&mut head, HEAD_BYTES).err();
        let at_end = failed.is_none() && head.len() < HEAD_BYTES;
        let wished = settings
            .encoding
            .as_deref()
            .map(Encoding::named)
            .transpose()?;
        let (encoding, mark) = match encoding_rs::Encoding::for_bom(&head) {
            Some((encoding, length)) if !head.starts_with(&[0xFF, 0xFE, 0, 0]) => {
                (Encoding::Web(encoding), length)
            }
            _ => {
                if let Some(what) = signature(&head) {
                    return Err(InputError::Binary {
                        name: name.to_owned(),
                        what,
                    });
                }
                if wished.is_none_or(Encoding::is_utf_8) {
                    refuse_zeros(&head, name)?;
                }
                (wished.unwrap_or(Encoding::Web(UTF_8)), 0)
            }
        };
        if head.len() == mark {
            return Err(match failed {
                Some(trouble) => trouble.at(name, 1),
                None => InputError::Empty {
                    name: name.to_owned(),
                },
            });
        }
        head.drain(..mark);
        Ok(Self {
            source,
            head,
            decoder: encoding.decoding(),
            offset: mark as u64,
            at_end,
            failed,
        })
    }

    /// Returns from which position of the unpacked file the next text comes, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How much of the file was read.
    pub(super) fn extent(&self) -> Extent {
        self.source.extent()
    }

    /// Appends at least `want` bytes of text; fewer only at the end of the file. Returns `true` at the end. Text that was read
    /// before an error stays in `buf`.
    pub(super) fn fill(&mut self, buf: &mut Vec<u8>, want: usize) -> Result<bool, ReadError> {
        let goal = buf.len() + want;
        if self.decoder.is_some() {
            while buf.len() < goal && self.decode(buf)? {}
            return Ok(self.at_end && self.head.is_empty());
        }
        let before = buf.len();
        buf.append(&mut self.head);
        let missing = goal.saturating_sub(buf.len());
        let result = if missing == 0 || self.at_end {
            Ok(())
        } else {
            buf.reserve(missing);
            self.read(buf, missing)
        };
        self.offset += (buf.len() - before) as u64;
        result.map(|()| self.at_end)
    }

    /// Reads more from the source, or returns an earlier error.
    fn read(&mut self, buf: &mut Vec<u8>, want: usize) -> Result<(), ReadError> {
        if let Some(trouble) = self.failed.take() {
            return Err(trouble);
        }
        self.at_end = self.source.fill(buf, want)? < want;
        Ok(())
    }

    /// Decodes one chunk; returns `false` when there is none left.
    fn decode(&mut self, buf: &mut Vec<u8>) -> Result<bool, ReadError> {
        let mut chunk = std::mem::take(&mut self.head);
        if chunk.is_empty() {
            if self.at_end {
                return Ok(false);
            }
            if let Err(trouble) = self.read(&mut chunk, CHUNK_BYTES) {
                if chunk.is_empty() {
                    return Err(trouble);
                }
                self.failed = Some(trouble);
            }
        }
        let decoder = match &mut self.decoder {
            None => return Ok(false),
            Some(Decoding::Dos(page)) => {
                let page = *page;
                return self.decode_page(page, &chunk, buf);
            }
            Some(Decoding::Web(decoder)) => decoder,
        };
        let before = buf.len();
        let mut rest = chunk.as_slice();
        loop {
            let start = buf.len();
            buf.resize(start + rest.len() * 3 + 16, 0);
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(rest, &mut buf[start..], self.at_end);
            buf.truncate(start + written);
            self.offset += read as u64;
            rest = &rest[read..];
            match result {
                DecoderResult::InputEmpty => return Ok(!self.at_end),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, after) => {
                    let back = u64::from(length) + u64::from(after);
                    let seen = chunk.len() - rest.len();
                    let from = seen.saturating_sub(usize::from(length) + usize::from(after));
                    let trouble = ReadError::BadByte {
                        offset: self.offset.saturating_sub(back),
                        byte: hex(&chunk[from..seen.min(from + usize::from(length))]),
                        encoding: decoder.encoding().name().to_owned(),
                    };
                    if buf.len() == before {
                        return Err(trouble);
                    }
                    self.at_end = false;
                    self.failed = Some(trouble);
                    return Ok(true);
                }
            }
        }
    }
}

impl Text {
    /// Decodes a chunk by a code page.
    fn decode_page(
        &mut self,
        page: CodePage,
        chunk: &[u8],
        buf: &mut Vec<u8>,
    ) -> Result<bool, ReadError> {
        let before = buf.len();
        let Err(at) = page.decode(chunk, buf) else {
            self.offset += chunk.len() as u64;
            return Ok(!self.at_end);
        };
        let trouble = ReadError::BadByte {
            offset: self.offset + at as u64,
            byte: hex(&chunk[at..=at]),
            encoding: page.name(),
        };
        if buf.len() == before {
            return Err(trouble);
        }
        self.at_end = false;
        self.failed = Some(trouble);
        Ok(true)
    }
}

/// Formats bytes as a person writes them: `0xE4 0x20`.
pub(super) fn hex(bytes: &[u8]) -> String {
    let shown: Vec<_> = bytes.iter().map(|byte| format!("0x{byte:02X}")).collect();
    shown.join(" ")
}

/// Returns the name of a format other than text, if the first bytes show it.
fn signature(head: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"PK\x03\x04", "an Excel workbook (.xlsx) or a zip archive"),
        (b"\xD0\xCF\x11\xE0", "an old Excel workbook (.xls)"),
        (b"BZh91AY&SY", "a bzip2 archive"),
        (b"\xFD7zXZ\0", "an xz archive"),
        (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
        (b"%PDF-", "a PDF document"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\x89PNG", "a picture"),
        (b"\xFF\xFE\0\0", "UTF-32 text"),
    ];
    KNOWN
        .iter()
        .find(|(magic, _)| head.starts_with(magic))
        .map(|(_, what)| *what)
}

/// Refuses UTF-16 without a byte order mark, and binary data. The checks of each line find single zeros.
fn refuse_zeros(head: &[u8], name: &str) -> Result<(), InputError> {
    // A file that was not written to its end is padded with zeros; the check of their line reports them.
    let text = head
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let head = if head.len() - text > 1 && text > 0 {
        &head[..text]
    } else {
        head
    };
    let zeros = |parity: usize| {
        head.iter()
            .skip(parity)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let (even, odd, half) = (zeros(0), zeros(1), head.len() / 2);
    let name = name.to_owned();
    if half >= 2 && odd * 5 > half * 2 && even * 20 < odd {
        return Err(InputError::Utf16WithoutMark {
            name,
            guess: UTF_16LE.name(),
        });
    }
    if half >= 2 && even * 5 > half * 2 && odd * 20 < even {
        return Err(InputError::Utf16WithoutMark {
            name,
            guess: UTF_16BE.name(),
        });
    }
    let controls = head
        .iter()
        .filter(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r'))
        .count();
    if controls * 20 > head.len() {
        return Err(InputError::Binary {
            name,
            what: "binary data",
        });
    }
    Ok(())
}
