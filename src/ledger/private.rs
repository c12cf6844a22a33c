//! Files and folders that only their owner may read, from the moment of their creation.
//!
//! If the mode were set afterwards, another user could open the file in between.

use super::LedgerError;
use super::folder_writers::other_writers;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file with mode 0600 that is whole or absent: it is written beside its place, and put there by
/// [`PrivateFile::finish`]. Dropped before that, it is removed.
#[derive(Debug)]
pub struct PrivateFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl PrivateFile {
    /// Begins a file that will be at this path, and replaces a file that is there.
    pub fn begin(path: PathBuf) -> io::Result<Self> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidFilename)?;
        let file = tempfile::Builder::new()
            .prefix(".")
            .suffix(".tmp")
            .tempfile_in(folder)?;
        let file = BufWriter::with_capacity(1 << 16, file);
        Ok(Self { path, file })
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the file to its path; it is on the disk when this returns.
    pub fn finish(self) -> io::Result<()> {
        let file = self.file.into_inner()?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Creates a new file with mode 0600, open for reading and writing; fails where something is already there.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Opens a file for reading and writing, creating it with mode 0600 where it is missing.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Creates a folder with mode 0700; with `parents`, also the missing ones above it.
pub(super) fn create_folder(path: &Path, parents: bool) -> io::Result<()> {
    DirBuilder::new()
        .recursive(parents)
        .mode(0o700)
        .create(path)
}

/// Makes the names in a folder durable: a renamed file is only there after a power cut if its folder was synced.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Refuses a folder that is a symbolic link, or into which other users may write.
pub(super) fn check_folder(path: &Path) -> Result<(), LedgerError> {
    let meta =
        fs::symlink_metadata(path).map_err(|source| LedgerError::io(path, "read", source))?;
    if meta.file_type().is_symlink() {
        return Err(LedgerError::Symlink {
            path: path.to_owned(),
        });
    }
    if !meta.is_dir() {
        let source = io::Error::from(io::ErrorKind::NotADirectory);
        return Err(LedgerError::io(path, "used as a folder", source));
    }
    let mode = meta.mode() & 0o7777;
    match other_writers(mode, meta.gid()) {
        None => Ok(()),
        Some(writers) => Err(LedgerError::Writable {
            path: path.to_owned(),
            mode,
            writers,
        }),
    }
}
