//! The seal: how many groups were committed. The table `seal` has the number in the ledger, and the file `ledger.seal` repeats
//! it beside it. SQLite drops the end of a damaged or missing write-ahead log without an error, and with it intents that were
//! acknowledged: then the file has a higher number than the ledger.
//!
//! The file is written after each commit and never synced: after a power cut it may be behind, which
//! proves nothing, but it is never ahead of what is on the disk.

use crate::ledger::{LedgerError, private};
use crate::regular_file;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file beside the ledger.
pub(in crate::ledger) struct Seal(File);

impl Seal {
    fn path(ledger: &Path) -> PathBuf {
        ledger.with_extension("seal")
    }

    pub(in crate::ledger) fn open(ledger: &Path) -> Result<Self, LedgerError> {
        let path = Self::path(ledger);
        private::open_private(&path)
            .map(Self)
            .map_err(|source| LedgerError::io(&path, "opened", source))
    }

    /// Notes the number. Failing is harmless: the seal is then behind.
    pub(in crate::ledger) fn note(&mut self, commits: i64) {
        let text = format!("{commits:020}\n");
        if self.0.seek(SeekFrom::Start(0)).is_ok() {
            let _ = self.0.write_all(text.as_bytes());
        }
    }

    /// Returns the number that was noted last; `None`: there is no seal, or it was not written completely.
    pub(in crate::ledger) fn read(ledger: &Path) -> Result<Option<i64>, LedgerError> {
        let path = Self::path(ledger);
        match regular_file::read(&path) {
            Ok(text) => Ok(str::from_utf8(&text)
                .ok()
                .and_then(|text| text.trim_ascii().parse().ok())),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LedgerError::io(&path, "read", source)),
        }
    }
}
