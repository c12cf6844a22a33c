//! Opens files of which the content is read. Opening a pipe would wait for a program that writes into it, so anything but a
//! regular file is an error.

use rustix::fs::OFlags;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file for reading, without waiting.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(at_once).open(path)?;
    refuse_others(&file.metadata()?)?;
    Ok(file)
}

/// Reads a file to its end.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes sure that there is a regular file, without opening it.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    refuse_others(&fs::metadata(path)?)
}

fn refuse_others(meta: &Metadata) -> io::Result<()> {
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(())
}
