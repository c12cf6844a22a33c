//! Files and folders that only their owner may read, from the moment of their creation.
//!
//! A mode that is set afterwards leaves a moment in which anybody could have opened the file.

use super::LedgerError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a new file with mode 0600, open for reading and writing; fails where something is already there.
pub fn create_private(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Opens a file for reading and writing, creating it with mode 0600 where it is missing.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a folder with mode 0700; with `parents`, also the missing ones above it.
pub(super) fn create_folder(path: &Path, parents: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(parents);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the names in a folder durable: a renamed file is only there after a power cut if its folder was synced.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Refuses a folder that is a symbolic link, or into which others may write.
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
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&meta) & 0o7777;
        if mode & 0o022 != 0 {
            return Err(LedgerError::Writable {
                path: path.to_owned(),
                mode,
            });
        }
    }
    Ok(())
}
