//! Locks that the kernel frees when their holder ends in any way: a file that merely exists proves nothing.

use super::StateDb;
use crate::ledger::{Holder, LedgerError, RegisteredRun, is_of_disk, private};
use crate::regular_file;
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The folder of the locks, in that of the state database.
const LOCKS: &str = "locks";

/// A locked file. It is unlocked explicitly: a program that is being started has a copy of the open file for a moment,
/// which would keep the lock.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // If this fails, closing the file frees the lock.
        let _ = self.0.unlock();
    }
}

/// Opens and locks a file; `false`: another process holds the lock.
fn try_hold(path: &Path) -> Result<(File, bool), LedgerError> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_symlink()) {
        return Err(LedgerError::Symlink {
            path: path.to_owned(),
        });
    }
    let file =
        private::open_private(path).map_err(|source| LedgerError::io(path, "opened", source))?;
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => Ok((file, false)),
        Err(TryLockError::Error(source)) => Err(LedgerError::io(path, "locked", source)),
    }
}

/// Takes a lock. A process that only checks whether the lock is held has it for two system calls, so a lock that is not free
/// is tried again.
fn beside_checks<T>(
    hold: impl Fn() -> Result<Option<T>, LedgerError>,
) -> Result<Option<T>, LedgerError> {
    for _ in 0..100 {
        if let Some(held) = hold()? {
            return Ok(Some(held));
        }
        std::thread::yield_now();
    }
    hold()
}

/// Lets one run at a time work on a target (system, address and tenant), while this value lives.
///
/// The lock does not reach another machine.
#[derive(Debug)]
pub(super) struct TargetLock {
    _files: Vec<Locked>,
}

impl TargetLock {
    /// Takes the locks of these targets, which are one system, or says which process has one ([`LedgerError::Held`]).
    ///
    /// `with_others`: other processes on the same run may have them, too, if they take them in this way.
    ///
    /// Fails if a lock cannot be examined ([`LedgerError::Unlockable`]): a lock in another place would let two runs
    /// work on one target.
    pub(super) fn acquire(
        state: &StateDb,
        targets: &[&str],
        run: &str,
        with_others: bool,
    ) -> Result<Self, LedgerError> {
        let folder = state.folder().join(LOCKS);
        private::create_folder(&folder, true).map_err(|source| unlockable(&folder, source))?;
        private::check_folder(&folder)?;
        let mut targets = targets.to_vec();
        // Sorted, so that two processes never wait for each other.
        targets.sort_unstable();
        targets.dedup();
        let mut files = Vec::with_capacity(targets.len());
        for target in targets {
            let path = lock_of(&folder, target);
            let hold = || Self::try_one(state, target, &path, run, with_others);
            let Some(file) = beside_checks(hold)? else {
                return Err(LedgerError::Held {
                    holder: state.holder(target)?,
                    lock: path.display().to_string(),
                    free_in: None,
                });
            };
            files.push(file);
        }
        Ok(Self { _files: files })
    }

    /// Takes the lock of one target; `None`: another process has it.
    fn try_one(
        state: &StateDb,
        target: &str,
        path: &Path,
        run: &str,
        with_others: bool,
    ) -> Result<Option<Locked>, LedgerError> {
        let (file, is_free) = try_hold(path).map_err(|error| match error {
            LedgerError::Io { path, source, .. } => unlockable(&path, source),
            LedgerError::ReadOnly { path } => {
                unlockable(&path, io::ErrorKind::ReadOnlyFilesystem.into())
            }
            error => error,
        })?;
        let file = Locked(file);
        if is_free {
            state.set_holder(target, &Holder::this_process(run))?;
        }
        // The first process that shares the lock has recorded for which run.
        let is_held = if with_others {
            file.0.try_lock_shared().is_ok() && state.holder(target)?.run == run
        } else {
            is_free
        };
        Ok(is_held.then_some(file))
    }

    /// Whether a living process has the lock of this target for this run.
    pub(super) fn is_held_for(state: &StateDb, target: &str, run: &str) -> bool {
        state.holder(target).is_ok_and(|holder| holder.run == run)
            && RunLock::is_held(&lock_of(&state.folder().join(LOCKS), target))
    }
}

impl StateDb {
    /// Fails if a process of this machine works on the run, wherever the run's folder is by now: that process has the
    /// lock of the run's target.
    pub fn refuse_if_at_work(&self, run: &RegisteredRun) -> Result<(), LedgerError> {
        if !TargetLock::is_held_for(self, &run.target, &run.run) {
            return Ok(());
        }
        let lock = lock_of(&self.folder().join(LOCKS), &run.target);
        Err(LedgerError::Held {
            holder: self.holder(&run.target)?,
            lock: lock.display().to_string(),
            free_in: None,
        })
    }
}

/// A lock that cannot be looked at; that the disk is full says enough.
fn unlockable(path: &Path, source: io::Error) -> LedgerError {
    if is_of_disk(&source) {
        return LedgerError::io(path, "created", source);
    }
    let path = path.to_owned();
    LedgerError::Unlockable { path, source }
}

/// The file of the lock of a target.
fn lock_of(folder: &Path, target: &str) -> PathBuf {
    folder.join(format!("{:016x}.lock", number(target)))
}

fn number(target: &str) -> u64 {
    let digest = Sha256::digest(target.as_bytes());
    let bytes = digest.iter().take(8);
    bytes.fold(0_u64, |all, byte| all << 8 | u64::from(*byte))
}

/// Opens and locks the file of a run, and writes into it which process has it; `None`: another process has it.
fn hold(path: &Path, run: &str) -> Result<Option<Locked>, LedgerError> {
    let (file, is_free) = try_hold(path)?;
    if !is_free {
        return Ok(None);
    }
    let locked = Locked(file);
    let text = serde_json::to_string(&Holder::this_process(run)).unwrap_or_default();
    let write = || {
        let mut file = &locked.0;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| LedgerError::io(path, "written", source))?;
    Ok(Some(locked))
}

/// One process at a time writes to a run's ledger.
pub(super) struct RunLock {
    _file: Locked,
}

impl RunLock {
    pub(super) fn acquire(path: &Path, run: &str) -> Result<Self, LedgerError> {
        if let Some(file) = beside_checks(|| hold(path, run))? {
            return Ok(Self { _file: file });
        }
        let (mut file, _) = try_hold(path)?;
        Err(LedgerError::Held {
            holder: Holder::read(&mut file),
            lock: path.display().to_string(),
            free_in: None,
        })
    }

    /// Whether a living process holds it.
    pub(super) fn is_held(path: &Path) -> bool {
        regular_file::open(path).is_ok_and(|file| match file.try_lock() {
            Ok(()) => {
                drop(Locked(file));
                false
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(_)) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    fn acquire(folder: &Path, target: &str, run: &str) -> Result<TargetLock, LedgerError> {
        TargetLock::acquire(&StateDb::open_in(folder)?, &[target], run, false)
    }

    #[test]
    fn a_lock_that_cannot_be_looked_at_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let locks = folder.path().join("locks");
        drop(acquire(folder.path(), "plume https://x", "run").unwrap());
        let lock = fs::read_dir(&locks)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        fs::remove_file(&lock).unwrap();
        // A folder cannot be opened as a file, not even by root.
        fs::create_dir(&lock).unwrap();
        let error = acquire(folder.path(), "plume https://x", "run").unwrap_err();
        assert!(matches!(error, LedgerError::Unlockable { .. }), "{error}");
        assert!(
            error.to_string().contains(lock.to_str().unwrap()),
            "{error}"
        );
    }

    #[test]
    fn the_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let first = "20261120-223015-k3f9";
        let held = acquire(folder, "plume https://x", first).unwrap();
        let second = "20261120-223016-aaaa";
        let error = acquire(folder, "plume https://x", second).unwrap_err();
        let text = error.to_string();
        let LedgerError::Held { holder, .. } = error else {
            panic!("{text}")
        };
        assert_eq!(holder, Holder::this_process(first));
        assert!(text.contains(first), "{text}");
        acquire(folder, "plume https://y", second).expect("another target is free");
        drop(held);
        acquire(folder, "plume https://x", second).expect("it is free again");
    }

    #[test]
    fn a_system_under_two_addresses_is_held_under_both() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        let _held = TargetLock::acquire(&state, &["b", "a", "b"], "run", false).unwrap();
        for target in ["a", "b"] {
            let error = acquire(folder.path(), target, "other").unwrap_err();
            assert!(matches!(error, LedgerError::Held { .. }), "{error}");
        }
    }

    #[test]
    fn a_target_is_shared_with_processes_on_the_same_run_alone() {
        let folder = tempfile::tempdir().unwrap();
        let share = |run| {
            let state = StateDb::open_in(folder.path()).unwrap();
            TargetLock::acquire(&state, &["plume https://x"], run, true)
        };
        let [first, second] = ["run", "run"].map(|run| share(run).unwrap());
        drop(first);
        for refused in [
            share("other"),
            acquire(folder.path(), "plume https://x", "run"),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, LedgerError::Held { .. }), "{error}");
        }
        drop(second);
        let alone = acquire(folder.path(), "plume https://x", "run").unwrap();
        assert!(share("run").is_err());
        drop(alone);
        share("other").unwrap();
    }

    #[test]
    fn a_check_whether_the_lock_is_held_refuses_nobody() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        let (run, target) = ("20261120-223015-k3f9", "plume https://x");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let state = StateDb::open_in(folder.path()).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    TargetLock::is_held_for(&state, target, run);
                }
            });
            let refused = (0..2_000)
                .map(|n| TargetLock::acquire(&state, &[target], run, n % 2 == 0).map(drop))
                .find_map(Result::err);
            is_over.store(true, Ordering::Relaxed);
            assert!(refused.is_none(), "{refused:?}");
        });
    }

    /// Not a test of its own: the process that `a_killed_holder_does_not_block` kills.
    #[test]
    fn child_that_holds_the_lock() {
        let Some(folder) = env::var_os("IDSHIFT_TEST_LOCK") else {
            return;
        };
        let run = "20261120-223015-k3f9";
        let _held = acquire(Path::new(&folder), "plume https://x", run).unwrap();
        println!("held");
        let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    }

    #[test]
    fn a_killed_holder_does_not_block() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("targets");
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "ledger::sqlite::lock::tests::child_that_holds_the_lock",
            ])
            .env("IDSHIFT_TEST_LOCK", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        assert!(said.lines().any(|line| line.unwrap().contains("held")));
        let run = "20261120-223016-aaaa";
        let again = || acquire(&folder, "plume https://x", run);
        match again() {
            Err(LedgerError::Held { holder, .. }) => {
                assert_eq!(holder.pid, child.id());
            }
            other => panic!("{other:?}"),
        }
        child.kill().unwrap();
        child.wait().unwrap();
        again().expect("the kernel freed it");
    }
}
