//! A witness beside the ledger: how many groups were committed. SQLite drops the end of a damaged or
//! missing write-ahead log without a word, and with it intents that were acknowledged; this shows it.
//!
//! The file is written after each commit and never synced: after a power cut it may be behind, which
//! proves nothing, but it is never ahead of what is on the disk.

use crate::ledger::{LedgerError, private};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub(in crate::ledger) struct CommitCounter(File);

impl CommitCounter {
    fn path(ledger: &Path) -> PathBuf {
        ledger.with_extension("seal")
    }

    pub(in crate::ledger) fn open(ledger: &Path) -> Result<Self, LedgerError> {
        let path = Self::path(ledger);
        private::open_private(&path)
            .map(Self)
            .map_err(|source| LedgerError::io(&path, "opened", source))
    }

    /// Notes the number. Failing is harmless: the witness then knows less.
    pub(in crate::ledger) fn note(&mut self, commits: i64) {
        let text = format!("{commits:020}\n");
        if self.0.seek(SeekFrom::Start(0)).is_ok() {
            let _ = self.0.write_all(text.as_bytes());
        }
    }

    /// The number that was noted last; `None` where there is no witness, or a torn one.
    pub(in crate::ledger) fn read(ledger: &Path) -> Option<i64> {
        fs::read_to_string(Self::path(ledger))
            .ok()?
            .trim_ascii()
            .parse()
            .ok()
    }
}
