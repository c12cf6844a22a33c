//! A file's bytes, unpacked: plain, gzip (all members) or Zstandard (all frames), recognised by their magic bytes and not by
//! the file's name.
//!
//! Promises: a packed file that is cut off is an error, and so is one that unpacks to absurd size. Must not
//! interpret the bytes any further.

use super::{FileAction, InputError};
use crate::domain::{Extent, Line};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum unpacked size as a multiple of the packed size. Lists of customers are packed to a tenth or a thirtieth, a
/// decompression bomb to a thousandth.
const MAX_RATIO: u64 = 200;
/// The unpacked size, in bytes, below which no ratio is suspicious.
const RATIO_FROM: u64 = 64 << 20;
/// The maximum unpacked size of a packed file, in GiB.
const MAX_GIB: u64 = 64;

/// An error while bytes are read, before its line is known.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    Truncated(io::Error),
    Corrupt(io::Error),
    Bomb,
    BadByte {
        offset: u64,
        byte: String,
        encoding: String,
    },
}

impl ReadError {
    /// Returns the error for people, with the file's name and the line.
    pub(super) fn at(self, name: &str, line: Line) -> InputError {
        let name = name.to_owned();
        match self {
            Self::Io(source) => InputError::Io {
                name,
                action: FileAction::Read,
                source,
            },
            Self::Truncated(source) => InputError::Truncated { name, line, source },
            Self::Corrupt(source) => InputError::Corrupt { name, line, source },
            Self::Bomb => InputError::Bomb {
                name,
                ratio: MAX_RATIO,
                max_gib: MAX_GIB,
            },
            Self::BadByte {
                offset,
                byte,
                encoding,
            } => InputError::BadByte {
                name,
                line,
                offset,
                byte,
                encoding,
            },
        }
    }
}

/// The unpacked bytes of a file.
pub(super) struct Source {
    bytes: Box<dyn Read + Send>,
    /// Packed bytes read so far; `None` for a plain file.
    packed: Option<Arc<AtomicU64>>,
    unpacked: u64,
    /// The length of the file as it is, packed or not; 0 where it is not known.
    length: u64,
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl Source {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self, InputError> {
        let io = |action, source| InputError::Io {
            name: name.to_owned(),
            action,
            source,
        };
        let mut length = 0;
        let input: Box<dyn Read + Send> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            let refused = |error| InputError::opening(name.to_owned(), error);
            let file = File::open(path).map_err(refused)?;
            let meta = file.metadata().map_err(refused)?;
            if meta.is_dir() {
                return Err(InputError::Directory {
                    name: name.to_owned(),
                });
            }
            length = meta.len();
            Box::new(file)
        };
        let source = Self::unpack(input).map_err(|error| io(FileAction::Read, error))?;
        Ok(Self { length, ..source })
    }

    fn unpack(mut input: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(4);
        input.by_ref().take(4).read_to_end(&mut magic)?;
        let gzip = magic.starts_with(&[0x1F, 0x8B]);
        let zstd = magic == [0x28, 0xB5, 0x2F, 0xFD];
        let whole = io::Cursor::new(magic).chain(input);
        if !gzip && !zstd {
            return Ok(Self {
                bytes: Box::new(whole),
                packed: None,
                unpacked: 0,
                length: 0,
            });
        }
        let count = Arc::new(AtomicU64::new(0));
        let counted = BufReader::with_capacity(
            1 << 16,
            Counted {
                inner: whole,
                count: Arc::clone(&count),
            },
        );
        let bytes: Box<dyn Read + Send> = if gzip {
            Box::new(flate2::bufread::MultiGzDecoder::new(counted))
        } else {
            Box::new(zstd::Decoder::with_buffer(counted)?)
        };
        Ok(Self {
            bytes,
            packed: Some(count),
            unpacked: 0,
            length: 0,
        })
    }

    /// Whether the file is packed.
    pub(super) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// How much of the file was read.
    pub(super) fn extent(&self) -> Extent {
        let packed = self.packed.as_ref();
        let done = packed.map_or(self.unpacked, |packed| packed.load(Ordering::Relaxed));
        Extent {
            done,
            whole: self.length.max(done),
        }
    }

    /// Appends up to `want` bytes; fewer only at the end of the file. Bytes that were read before an error stay in `buf`.
    pub(super) fn fill(&mut self, buf: &mut Vec<u8>, want: usize) -> Result<usize, ReadError> {
        let before = buf.len();
        let result = self.bytes.by_ref().take(want as u64).read_to_end(buf);
        let read = buf.len() - before;
        self.unpacked += read as u64;
        let Some(packed) = &self.packed else {
            return result.map_err(ReadError::Io);
        };
        let limit = packed
            .load(Ordering::Relaxed)
            .saturating_mul(MAX_RATIO)
            .max(RATIO_FROM);
        if self.unpacked > limit.min(MAX_GIB << 30) {
            return Err(ReadError::Bomb);
        }
        result.map_err(|error| {
            if error.raw_os_error().is_some() && error.kind() != io::ErrorKind::UnexpectedEof {
                ReadError::Io(error)
            } else if error.kind() == io::ErrorKind::UnexpectedEof {
                ReadError::Truncated(error)
            } else {
                ReadError::Corrupt(error)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: Vec<u8>) -> Result<Vec<u8>, ReadError> {
        let mut source = Source::unpack(Box::new(io::Cursor::new(bytes))).unwrap();
        let mut all = Vec::new();
        while source.fill(&mut all, 1 << 16)? > 0 {}
        Ok(all)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn all_gzip_members_and_zstd_frames_are_read() {
        let mut two = gzip(b"one\n");
        two.extend(gzip(b"two\n"));
        assert_eq!(read(two).unwrap(), b"one\ntwo\n");
        let mut two = zstd::encode_all(&b"one\n"[..], 1).unwrap();
        two.extend(zstd::encode_all(&b"two\n"[..], 1).unwrap());
        assert_eq!(read(two).unwrap(), b"one\ntwo\n");
        assert_eq!(read(b"ab".to_vec()).unwrap(), b"ab");
    }

    #[test]
    fn file_truncated_at_any_position_is_an_error() {
        let text: Vec<u8> = (0..5000)
            .flat_map(|n| format!("A-{n}\n").into_bytes())
            .collect();
        for packed in [gzip(&text), zstd::encode_all(&text[..], 1).unwrap()] {
            for cut in [5, 30, packed.len() / 2, packed.len() - 1] {
                let found = read(packed[..cut].to_vec());
                assert!(
                    matches!(found, Err(ReadError::Truncated(_))),
                    "{cut}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn decompression_bomb_is_rejected() {
        let mut packer = zstd::Encoder::new(Vec::new(), 1).unwrap();
        for _ in 0..200 {
            packer.write_all(&vec![b'a'; 1 << 20]).unwrap();
        }
        let found = read(packer.finish().unwrap());
        assert!(matches!(found, Err(ReadError::Bomb)));
    }
}
