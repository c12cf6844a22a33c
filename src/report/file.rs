//! A file that is whole or absent.

use super::ReportError;
use crate::ledger::{create_private, sync_folder};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file in the making; it takes its place with [`Draft::finish`].
pub(super) struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    writer: BufWriter<File>,
}

impl Draft {
    pub(super) fn begin(path: PathBuf) -> Result<Self, ReportError> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        // What an earlier process of the same number left behind is nobody's.
        let _ = std::fs::remove_file(&temporary);
        let file = create_private(&temporary).map_err(|source| failed(&path, source))?;
        Ok(Self {
            path,
            temporary,
            writer: BufWriter::with_capacity(1 << 16, file),
        })
    }

    pub(super) fn failed(&self, source: std::io::Error) -> ReportError {
        failed(&self.path, source)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn finish(mut self) -> Result<(), ReportError> {
        let done = (|| {
            self.writer.flush()?;
            self.writer.get_ref().sync_all()?;
            std::fs::rename(&self.temporary, &self.path)?;
            self.path.parent().map_or(Ok(()), sync_folder)
        })();
        done.map_err(|source| failed(&self.path, source))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the renaming there is nothing left to remove.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

pub(super) fn failed(path: &Path, source: std::io::Error) -> ReportError {
    ReportError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Writes a small file at once.
pub(super) fn write(path: PathBuf, bytes: &[u8]) -> Result<(), ReportError> {
    let mut draft = Draft::begin(path)?;
    draft
        .write_all(bytes)
        .map_err(|source| draft.failed(source))?;
    draft.finish()
}
