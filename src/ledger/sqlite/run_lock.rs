//! The lock of a run's ledger.

use super::lock_file::{LockFile, held_by, take};
use crate::ledger::{Holder, LedgerError};
use std::path::Path;

/// One process at a time writes to a run's ledger.
pub(super) struct RunLock {
    _file: LockFile,
}

impl RunLock {
    /// Takes the lock, and writes into its file which process has it.
    pub(super) fn acquire(path: &Path, run: &str) -> Result<Self, LedgerError> {
        let mut file = LockFile::open(path)?;
        let failed = |source| LedgerError::io(path, "locked", source);
        if !take(|| file.try_exclusive().map_err(failed))? {
            return Err(held_by(file.named(), path));
        }
        file.name(&Holder::this_process(run))
            .map_err(|source| LedgerError::io(path, "written", source))?;
        Ok(Self { _file: file })
    }

    /// Whether a living process holds it.
    pub(super) fn is_held(path: &Path) -> bool {
        LockFile::is_held(path)
    }

    /// Fails if a living process holds it, and names that process.
    pub(super) fn refuse_if_held(path: &Path) -> Result<(), LedgerError> {
        if Self::is_held(path) {
            return Err(held_by(LockFile::open(path)?.named(), path));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_check_that_takes_long_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let check = LockFile::check_in_progress(&path);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::park_timeout(Duration::from_millis(30));
                drop(check);
            });
            RunLock::acquire(&path, "run").map(drop).unwrap();
        });
    }

    #[test]
    fn check_in_progress_does_not_count_as_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let held = RunLock::acquire(&path, "run").unwrap();
        assert!(RunLock::is_held(&path));
        drop(held);
        let _check = LockFile::check_in_progress(&path);
        assert!(!RunLock::is_held(&path));
        RunLock::refuse_if_held(&path).unwrap();
    }
}
