//! Opens a file (compressed or not), and keeps the run's own copy of it.

use super::InputError;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

/// No input is this large; a compressed file that is, is a bomb.
const MOST_BYTES: u64 = 64 << 30;

/// The run's copy of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of the (unpacked) bytes, in hexadecimal.
    pub sha256: String,
    /// How many bytes.
    pub bytes: u64,
    /// The name for people.
    pub name: String,
}

/// Opens a file for reading, unpacking it where its first bytes say so. `-` is standard input.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>, InputError> {
    let failed = |source| InputError::Read {
        path: path.to_owned(),
        source,
    };
    let mut raw: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        let meta = std::fs::metadata(path).map_err(failed)?;
        if meta.is_dir() {
            return Err(InputError::NotAFile {
                path: path.to_owned(),
            });
        }
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut magic = Vec::with_capacity(4);
    raw.by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(failed)?;
    let whole = std::io::Cursor::new(magic.clone()).chain(raw);
    Ok(match magic.as_slice() {
        // Several members are one file: the plain decoder would stop silently after the first.
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(whole))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(whole).map_err(failed)?),
        _ => Box::new(whole),
    })
}

/// Whether the file's first bytes are those of a compressed file; its errors are about that then.
pub(super) fn read_error(file: &str, path: &Path, error: std::io::Error) -> InputError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof
        | std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::InvalidData
        | std::io::ErrorKind::Other => InputError::Compressed {
            file: file.to_owned(),
            why: error.to_string(),
        },
        _ => InputError::Read {
            path: path.to_owned(),
            source: error,
        },
    }
}

/// Copies an input, unpacked and otherwise byte for byte, to a new file that only the user can read.
pub fn store(from: &Path, to: &Path) -> Result<Stored, InputError> {
    let name = if from.as_os_str() == "-" {
        "stdin".to_owned()
    } else {
        from.display().to_string()
    };
    let mut source = open(from)?;
    let failed = |source| InputError::Store {
        path: to.to_owned(),
        source,
    };
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(to).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut bytes = 0_u64;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = source
            .read(&mut buffer)
            .map_err(|error| read_error(&name, from, error))?;
        if count == 0 {
            break;
        }
        bytes += u64::try_from(count).unwrap_or(u64::MAX);
        if bytes > MOST_BYTES {
            return Err(InputError::TooLarge {
                file: name,
                limit_gib: MOST_BYTES >> 30,
            });
        }
        digest.update(&buffer[..count]);
        copy.write_all(&buffer[..count]).map_err(failed)?;
    }
    copy.sync_all().map_err(failed)?;
    let sha256 = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Stored {
        sha256,
        bytes,
        name,
    })
}
