//! Locks that the kernel frees when their holder ends in any way: a file that merely exists proves nothing.

use super::StateDb;
use crate::ledger::{Holder, LedgerError, RegisteredRun, is_of_disk, private};
use crate::regular_file;
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

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
    fn try_exclusive(&self) -> io::Result<bool> {
        is_taken(self.0.try_lock())
    }

    /// Tries to take the lock that several processes can have. Takes it in place of the exclusive lock, if this process has
    /// that one.
    fn try_shared(&self) -> io::Result<bool> {
        is_taken(self.0.try_lock_shared())
    }

    /// Whether another process has the exclusive lock. Takes only the shared one to find out, so that checks do not take
    /// each other for a holder.
    fn is_exclusive(&self) -> io::Result<bool> {
        let is_shared = self.try_shared()?;
        self.0.unlock()?;
        Ok(!is_shared)
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
fn take(attempt: impl Fn() -> Result<bool, LedgerError>) -> Result<bool, LedgerError> {
    for _ in 0..50 {
        if attempt()? {
            return Ok(true);
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    attempt()
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
            let attempt = || Self::try_one(state, target, (&file, &path), (run, with_others));
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

    /// Tries to take the lock of one target. Whoever has the exclusive lock records for which run.
    fn try_one(
        state: &StateDb,
        target: &str,
        (file, path): (&LockFile, &Path),
        (run, with_others): (&str, bool),
    ) -> Result<bool, LedgerError> {
        let failed = |source| unlockable(path, source);
        let is_alone = file.try_exclusive().map_err(failed)?;
        if is_alone {
            state.set_holder(target, &Holder::this_process(run))?;
        }
        if !with_others {
            return Ok(is_alone);
        }
        let is_shared = file.try_shared().map_err(failed)?;
        if is_shared && state.holder(target)?.run == run {
            return Ok(true);
        }
        file.0.unlock().map_err(failed)?;
        Ok(false)
    }

    /// Whether a living process has the exclusive lock of this target for this run. A run with a ledger in a database
    /// shares the lock, and is not found here.
    pub(super) fn is_held_for(state: &StateDb, target: &str, run: &str) -> bool {
        state.holder(target).is_ok_and(|holder| holder.run == run)
            && RunLock::is_held(&lock_of(&state.folder().join(LOCKS), target))
    }
}

impl StateDb {
    /// Fails if a process of this machine works on the run, wherever the run's folder or database is by now: that process has
    /// the lock of the run's target, alone or with others.
    pub fn refuse_if_at_work(&self, run: &RegisteredRun) -> Result<(), LedgerError> {
        let lock = lock_of(&self.folder().join(LOCKS), &run.target);
        if self.holder(&run.target)?.run != run.run || !lock.exists() {
            return Ok(());
        }
        let file = LockFile::open(&lock)?;
        let failed = |source| unlockable(&lock, source);
        if take(|| file.try_exclusive().map_err(failed))? {
            return Ok(());
        }
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
            return Err(held_by(&mut file.0, path));
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

    /// Fails if a living process holds it, and names that process.
    pub(super) fn refuse_if_held(path: &Path) -> Result<(), LedgerError> {
        if !Self::is_held(path) {
            return Ok(());
        }
        let mut file =
            regular_file::open(path).map_err(|source| LedgerError::io(path, "opened", source))?;
        Err(held_by(&mut file, path))
    }
}

/// The error that names the process which has the lock of a run.
fn held_by(file: &mut File, path: &Path) -> LedgerError {
    LedgerError::Held {
        holder: Holder::read(file),
        lock: path.display().to_string(),
        free_in: None,
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

    /// Holds the lock as a process does in the middle of a check, until the returned file is dropped.
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
                    thread::park_timeout(Duration::from_millis(30));
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
        RunLock::refuse_if_held(&path).unwrap();
    }

    #[test]
    fn a_run_is_at_work_also_where_several_processes_share_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        let mut run = RegisteredRun {
            path: folder.path().join("run"),
            run: "20261120-223015-k3f9".to_owned(),
            system: "plume".to_owned(),
            target: "plume https://x".to_owned(),
            epoch: 1,
            renames: true,
            customer: None,
        };
        for with_others in [false, true] {
            let held = TargetLock::acquire(&state, &[&run.target], &run.run, with_others).unwrap();
            let error = state.refuse_if_at_work(&run).unwrap_err();
            assert!(matches!(error, LedgerError::Held { .. }), "{error}");
            drop(held);
            state.refuse_if_at_work(&run).unwrap();
        }
        run.target = "plume https://never".to_owned();
        state.refuse_if_at_work(&run).unwrap();
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
