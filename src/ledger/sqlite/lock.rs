//! Locks that the kernel frees when their holder ends in any way: a file that merely exists proves nothing.

use super::StateDb;
use crate::ledger::{Holder, LedgerError, RegisteredRun, is_of_disk, private};
use crate::regular_file;
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The folder of the locks, in that of the state database.
const LOCKS: &str = "locks";

/// A file to lock. It is unlocked explicitly: a program that is being started has a copy of the open file for a moment,
/// which would keep the lock.
#[derive(Debug)]
struct LockFile(File);

impl Drop for LockFile {
    fn drop(&mut self) {
        // If this fails, closing the file frees the lock.
        let _ = self.0.unlock();
    }
}

/// How an attempt to take a lock ended.
enum Attempt {
    Taken,
    /// Another process has it.
    Held,
    /// It is not free, but may be soon: a process may only be checking whether it is held.
    NotYet,
}

impl LockFile {
    fn open(path: &Path) -> Result<Self, LedgerError> {
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
    fn try_exclusive(&self) -> io::Result<Attempt> {
        Ok(match self.0.try_lock() {
            Ok(()) => Attempt::Taken,
            Err(TryLockError::Error(source)) => return Err(source),
            Err(TryLockError::WouldBlock) if self.is_exclusive()? => Attempt::Held,
            Err(TryLockError::WouldBlock) => Attempt::NotYet,
        })
    }

    /// Whether another process has the exclusive lock. Takes only the shared one to find out, so that checks do not take
    /// each other for a holder.
    fn is_exclusive(&self) -> io::Result<bool> {
        match self.0.try_lock_shared() {
            Ok(()) => self.0.unlock().map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(source),
        }
    }
}

/// Repeats an attempt to take a lock that may be free soon, and returns whether it was taken. A check whether a lock is
/// held lasts for two system calls, but a busy machine may stop the process between them, so one second is allowed.
fn take(attempt: impl Fn() -> Result<Attempt, LedgerError>) -> Result<bool, LedgerError> {
    let begun = Instant::now();
    loop {
        match attempt()? {
            Attempt::Taken => return Ok(true),
            Attempt::NotYet if begun.elapsed() < Duration::from_secs(1) => {
                thread::park_timeout(Duration::from_millis(1));
            }
            Attempt::Held | Attempt::NotYet => return Ok(false),
        }
    }
}

/// Lets one run at a time work on a target (system, address and tenant), while this value lives.
///
/// The lock does not reach another machine.
#[derive(Debug)]
pub(super) struct TargetLock {
    _files: Vec<LockFile>,
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
            let file = LockFile::open(&path).map_err(|error| match error {
                LedgerError::Io { path, source, .. } => unlockable(&path, source),
                LedgerError::ReadOnly { path } => {
                    unlockable(&path, io::ErrorKind::ReadOnlyFilesystem.into())
                }
                error => error,
            })?;
            let attempt = || {
                let exclusive = Self::try_exclusive(state, target, &file, &path, run)?;
                if !with_others {
                    return Ok(exclusive);
                }
                // The first process that shares the lock has recorded for which run. It has an exclusive lock until then.
                if file.0.try_lock_shared().is_ok() && state.holder(target)?.run == run {
                    return Ok(Attempt::Taken);
                }
                file.0
                    .unlock()
                    .map_err(|source| unlockable(&path, source))?;
                Ok(Attempt::NotYet)
            };
            if !take(attempt)? {
                return Err(LedgerError::Held {
                    holder: state.holder(target)?,
                    lock: path.display().to_string(),
                    free_in: None,
                });
            }
            files.push(file);
        }
        Ok(Self { _files: files })
    }

    /// Tries to take the exclusive lock of a target, and records which process has it.
    fn try_exclusive(
        state: &StateDb,
        target: &str,
        file: &LockFile,
        path: &Path,
        run: &str,
    ) -> Result<Attempt, LedgerError> {
        let attempt = file
            .try_exclusive()
            .map_err(|source| unlockable(path, source))?;
        if matches!(attempt, Attempt::Taken) {
            state.set_holder(target, &Holder::this_process(run))?;
        }
        Ok(attempt)
    }

    /// Whether a living process has the lock of this target for this run, whose ledger is a SQLite file: such a run
    /// never shares the lock.
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
            return Err(LedgerError::Held {
                holder: Holder::read(&mut file.0),
                lock: path.display().to_string(),
                free_in: None,
            });
        }
        let text = serde_json::to_string(&Holder::this_process(run)).unwrap_or_default();
        let mut write = || {
            file.0.set_len(0)?;
            file.0.seek(SeekFrom::Start(0))?;
            file.0.write_all(text.as_bytes())
        };
        write().map_err(|source| LedgerError::io(path, "written", source))?;
        Ok(Self { _file: file })
    }

    /// Whether a living process holds it.
    pub(super) fn is_held(path: &Path) -> bool {
        regular_file::open(path).is_ok_and(|file| LockFile(file).is_exclusive().unwrap_or(false))
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

    /// Stops a process in the middle of a check whether the lock is held, for as long as the returned file is there.
    fn check_in_progress(path: &Path) -> LockFile {
        let file = LockFile::open(path).unwrap();
        file.0.try_lock_shared().unwrap();
        file
    }

    #[test]
    fn a_check_that_takes_long_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        drop(acquire(folder, "plume https://x", "run").unwrap());
        let target = lock_of(&folder.join(LOCKS), "plume https://x");
        let of_run = folder.join("run.lock");
        for path in [&target, &of_run] {
            let check = check_in_progress(path);
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::park_timeout(Duration::from_millis(100));
                    drop(check);
                });
                if *path == of_run {
                    RunLock::acquire(path, "run").map(drop).unwrap();
                } else {
                    acquire(folder, "plume https://x", "run").unwrap();
                }
            });
        }
    }

    #[test]
    fn a_check_is_not_taken_for_a_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        let held = RunLock::acquire(&path, "run").unwrap();
        assert!(RunLock::is_held(&path));
        drop(held);
        let _check = check_in_progress(&path);
        assert!(!RunLock::is_held(&path));
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
