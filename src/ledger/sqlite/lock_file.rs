//! A file that the kernel unlocks when its holder ends in any way: a file that merely exists proves nothing.

use crate::ledger::{Holder, LedgerError, private};
use crate::regular_file;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A file to lock. It is unlocked explicitly: a program that is being started has a copy of the open file for a moment,
/// which would keep the lock.
#[derive(Debug)]
pub(super) struct LockFile(File);

impl Drop for LockFile {
    fn drop(&mut self) {
        // If this fails, closing the file frees the lock.
        let _ = self.0.unlock();
    }
}

impl LockFile {
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_symlink()) {
            return Err(LedgerError::Symlink {
                path: path.to_owned(),
            });
        }
        let file = private::open_private(path);
        file.map(Self)
            .map_err(|source| LedgerError::io(path, "opened", source))
    }

    /// Tries to take the exclusive lock.
    pub(super) fn try_exclusive(&self) -> io::Result<bool> {
        is_taken(self.0.try_lock())
    }

    /// Tries to take the lock that several processes can have. Takes it in place of the exclusive lock, if this process has
    /// that one.
    pub(super) fn try_shared(&self) -> io::Result<bool> {
        is_taken(self.0.try_lock_shared())
    }

    pub(super) fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }

    /// Writes into the file which process has the lock.
    pub(super) fn name(&mut self, holder: &Holder) -> io::Result<()> {
        let text = serde_json::to_string(holder).unwrap_or_default();
        self.0.set_len(0)?;
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(text.as_bytes())
    }

    /// Returns which process has the lock, as it wrote into the file.
    pub(super) fn named(&mut self) -> Holder {
        Holder::read(&mut self.0)
    }

    /// Whether a living process has the exclusive lock of the file with this path.
    pub(super) fn is_held(path: &Path) -> bool {
        regular_file::open(path).is_ok_and(|file| Self(file).is_exclusive().unwrap_or(false))
    }

    /// Whether another process has the exclusive lock. Takes only the shared one to find out, so that checks do not take
    /// each other for a holder.
    fn is_exclusive(&self) -> io::Result<bool> {
        let is_shared = self.try_shared()?;
        self.0.unlock()?;
        Ok(!is_shared)
    }
}

#[cfg(test)]
impl LockFile {
    /// Holds the lock as a process does in the middle of a check, until the returned file is dropped.
    pub(super) fn check_in_progress(path: &Path) -> Self {
        let file = Self::open(path).unwrap();
        assert!(file.try_shared().unwrap());
        file
    }
}

/// Whether the attempt took the lock; `false`: another process has it.
fn is_taken(attempt: Result<(), TryLockError>) -> io::Result<bool> {
    match attempt {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(source),
    }
}

/// Repeats the attempt to take a lock for half a second, and returns whether it was taken. A process that checks whether a
/// lock is held has the lock itself between two system calls, and a busy machine may stop the process there.
pub(super) fn take(attempt: impl Fn() -> Result<bool, LedgerError>) -> Result<bool, LedgerError> {
    for _ in 0..50 {
        if attempt()? {
            return Ok(true);
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    attempt()
}

/// Returns the error that names the process which has the lock.
pub(super) fn held_by(holder: Holder, lock: &Path) -> LedgerError {
    LedgerError::Held {
        holder,
        lock: lock.display().to_string(),
        free_in: None,
    }
}
