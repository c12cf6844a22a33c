//! Bytes of some encoding → UTF-8, without ever replacing what cannot be read: a replaced byte would be
//! another ID.

use super::InputError;
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::io::Read;
use std::path::PathBuf;

/// A source of UTF-8 bytes. UTF-8 itself passes through unread: the parser's workers check it, in parallel.
pub(super) struct Text {
    source: Box<dyn Read + Send>,
    decoder: Option<Decoder>,
    encoding: &'static Encoding,
    raw: Vec<u8>,
    ended: bool,
    /// Bytes taken from the source so far.
    offset: u64,
    /// Lines decoded so far, for the message.
    lines: u32,
    cr_only: bool,
    pub(super) file: String,
    pub(super) path: PathBuf,
}

/// How much is read at once.
const CHUNK: usize = 1 << 20;

impl Text {
    /// Begins to read: looks at the byte order mark and at what the operator said.
    pub(super) fn open(
        mut source: Box<dyn Read + Send>,
        encoding: Option<&str>,
        file: &str,
        path: PathBuf,
    ) -> Result<Self, InputError> {
        let mut start = Vec::with_capacity(3);
        source
            .by_ref()
            .take(3)
            .read_to_end(&mut start)
            .map_err(|error| super::store::read_error(file, &path, error))?;
        let said = match encoding {
            None => None,
            Some(label) => Some(
                Encoding::for_label(label.trim().as_bytes())
                    .ok_or_else(|| InputError::UnknownEncoding(label.to_owned()))?,
            ),
        };
        let (marked, skip) = match start.as_slice() {
            [0xef, 0xbb, 0xbf] => (Some(UTF_8), 3),
            [0xff, 0xfe, ..] => (Some(UTF_16LE), 2),
            [0xfe, 0xff, ..] => (Some(UTF_16BE), 2),
            _ => (None, 0),
        };
        let encoding = marked.or(said).unwrap_or(UTF_8);
        let rest = start.split_off(skip.min(start.len()));
        Ok(Self {
            source: Box::new(std::io::Cursor::new(rest).chain(source)),
            decoder: (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling()),
            encoding,
            raw: Vec::new(),
            ended: false,
            offset: u64::try_from(skip).unwrap_or(0),
            lines: 1,
            cr_only: false,
            file: file.to_owned(),
            path,
        })
    }

    /// From now on a carriage return alone ends a line.
    pub(super) fn set_cr_only(&mut self) {
        self.cr_only = true;
    }

    /// Adds about a megabyte of text to `to`; says whether there may be more.
    pub(super) fn fill(&mut self, to: &mut Vec<u8>) -> Result<bool, InputError> {
        if self.ended {
            return Ok(false);
        }
        let from = to.len();
        if self.decoder.is_some() {
            self.decode(to)?;
        } else {
            let taken = self.take(to)?;
            self.ended = taken == 0;
        }
        if self.cr_only {
            for byte in &mut to[from..] {
                if *byte == b'\r' {
                    *byte = b'\n';
                }
            }
        }
        Ok(!self.ended)
    }

    fn take(&mut self, to: &mut Vec<u8>) -> Result<usize, InputError> {
        let taken = self
            .source
            .by_ref()
            .take(u64::try_from(CHUNK).unwrap_or(u64::MAX))
            .read_to_end(to)
            .map_err(|error| super::store::read_error(&self.file, &self.path, error))?;
        self.offset += u64::try_from(taken).unwrap_or(u64::MAX);
        Ok(taken)
    }

    fn decode(&mut self, to: &mut Vec<u8>) -> Result<(), InputError> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        let start = self.offset;
        let last = self.take(&mut raw)? == 0;
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        let mut text = String::with_capacity(
            decoder
                .max_utf8_buffer_length_without_replacement(raw.len())
                .unwrap_or(raw.len() * 3),
        );
        let (result, read) = decoder.decode_to_string_without_replacement(&raw, &mut text, last);
        self.lines +=
            u32::try_from(memchr::memchr_iter(b'\n', text.as_bytes()).count()).unwrap_or(0);
        if let DecoderResult::Malformed(bad, after) = result {
            let back = u64::from(bad) + u64::from(after);
            let offset = start + u64::try_from(read).unwrap_or(0);
            return Err(InputError::Encoding {
                file: self.file.clone(),
                line: self.lines,
                offset: offset.saturating_sub(back),
                encoding: self.encoding.name().to_owned(),
                help: "save the file as UTF-8, or name its encoding with --encoding",
            });
        }
        debug_assert!(!matches!(result, DecoderResult::OutputFull));
        to.extend_from_slice(text.as_bytes());
        self.raw = raw;
        self.ended = last;
        Ok(())
    }
}
