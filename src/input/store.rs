//! Keeps the input of a run: the unpacked bytes as read, and their digest.
//!
//! Promises: the copy is readable by its owner only from the moment it exists, is on the disk when [`store`]
//! returns, and is removed when it cannot be completed. The bytes are not decoded: the operator can compare the
//! digest with `sha256sum`.

use super::block::breaks;
use super::source::Source;
use super::{FileAction, InputError};
use crate::domain::{Line, hex};
use crate::regular_file;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

const CHUNK_BYTES: usize = 1 << 20;

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of the unpacked bytes, in hexadecimal digits.
    pub sha256: String,
    /// How many bytes, unpacked.
    pub bytes: u64,
    /// The name of the file for people; `standard input` for `-`.
    pub name: String,
}

/// Whether a file can be read only once, so that it must be stored before a table is opened on it: standard input
/// (`-`), a pipe, a device.
pub fn must_be_stored(path: &Path) -> bool {
    path.as_os_str() == "-"
        || std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Copies a file (`-`: standard input) to a new file, unpacked.
pub fn store(from: &Path, to: &Path) -> Result<Stored, InputError> {
    let name = if from.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        from.display().to_string()
    };
    let source = Source::open(from, &name)?;
    let before = stamp(from);
    let target = |action, source| InputError::Io {
        name: to.display().to_string(),
        action,
        source,
    };
    // The file has mode 0600, and is removed if it is not moved to its place.
    let mut file = NamedTempFile::new_in(to.parent().unwrap_or(to))
        .map_err(|error| target(FileAction::Create, error))?;
    let (sha256, bytes) = copy(source, file.as_file_mut(), &name, &target)?;
    if stamp(from) != before {
        let source = io::Error::other("it was changed meanwhile; run again once it is complete");
        return Err(InputError::Io {
            name,
            action: FileAction::Read,
            source,
        });
    }
    if bytes == 0 {
        return Err(InputError::Empty { name });
    }
    file.persist_noclobber(to)
        .map_err(|failed| target(FileAction::Create, failed.error))?;
    Ok(Stored {
        sha256,
        bytes,
        name,
    })
}

/// Returns what changes with a file's content: its length and the time of its last write; `None` for anything but a file.
fn stamp(path: &Path) -> Option<(u64, std::time::SystemTime)> {
    let meta = std::fs::metadata(path).ok().filter(|meta| meta.is_file())?;
    Some((meta.len(), meta.modified().ok()?))
}

fn copy(
    mut source: Source,
    file: &mut File,
    name: &str,
    target: &impl Fn(FileAction, io::Error) -> InputError,
) -> Result<(String, u64), InputError> {
    let (mut chunk, mut digest) = (Vec::with_capacity(CHUNK_BYTES), Sha256::new());
    let (mut bytes, mut lines) = (0, 0);
    loop {
        chunk.clear();
        let result = source.fill(&mut chunk, CHUNK_BYTES);
        if source.is_packed() {
            lines += breaks(&chunk);
        }
        let line = Line::try_from(lines + 1).unwrap_or(Line::MAX);
        let read = result.map_err(|trouble| trouble.at(name, line))?;
        // The digest of a chunk is calculated while the chunk is written.
        let ((), written) = rayon::join(|| digest.update(&chunk), || file.write_all(&chunk));
        written.map_err(|error| target(FileAction::Write, error))?;
        bytes += read as u64;
        if read < CHUNK_BYTES {
            break;
        }
    }
    file.sync_all()
        .map_err(|error| target(FileAction::Write, error))?;
    Ok((hex(&digest.finalize()), bytes))
}

/// SHA-256 of a file's bytes, in hexadecimal digits.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut file = regular_file::open(path)?;
    let (mut chunk, mut digest) = (vec![0; CHUNK_BYTES], Sha256::new());
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&chunk[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn copy_is_decompressed_private_and_has_a_digest() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("in.gz"), dir.path().join("out.csv"));
        let mut packer = flate2::write::GzEncoder::new(
            File::create(&from).unwrap(),
            flate2::Compression::fast(),
        );
        packer.write_all(b"abc").unwrap();
        packer.finish().unwrap();
        let stored = store(&from, &to).unwrap();
        assert_eq!(stored.bytes, 3);
        assert_eq!(
            stored.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(std::fs::read(&to).unwrap(), b"abc");
        assert_eq!(digest(&to).unwrap(), stored.sha256);
        let mode = std::fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(
            store(&from, &to),
            Err(InputError::Io {
                action: FileAction::Create,
                ..
            })
        ));
    }

    #[test]
    fn truncated_or_empty_file_leaves_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("in"), dir.path().join("out.csv"));
        let packed = zstd::encode_all(&b"accountId\nA\nB\n"[..], 1).unwrap();
        std::fs::write(&from, &packed[..packed.len() - 2]).unwrap();
        let found = store(&from, &to);
        assert!(
            matches!(found, Err(InputError::Truncated { .. })),
            "{found:?}"
        );
        assert!(!to.exists());
        assert!(matches!(
            store(dir.path(), &to),
            Err(InputError::Directory { .. })
        ));
        std::fs::write(&from, "").unwrap();
        assert!(matches!(store(&from, &to), Err(InputError::Empty { .. })));
        assert!(!to.exists());
    }
}
