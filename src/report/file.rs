//! Reports are private files that are whole or absent; their errors name the file.

use super::ReportError;
use crate::ledger::PrivateFile;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) fn begin(path: PathBuf) -> Result<PrivateFile, ReportError> {
    let at = path.clone();
    PrivateFile::begin(path).map_err(|source| failed(&at, source))
}

pub(super) fn finish(file: PrivateFile) -> Result<(), ReportError> {
    let path = file.path().to_owned();
    file.finish().map_err(|source| failed(&path, source))
}

pub(super) fn failed(path: &Path, source: io::Error) -> ReportError {
    ReportError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Writes a whole file.
pub(super) fn write(path: PathBuf, bytes: &[u8]) -> Result<(), ReportError> {
    let mut file = begin(path)?;
    file.write_all(bytes)
        .map_err(|source| failed(file.path(), source))?;
    finish(file)
}
