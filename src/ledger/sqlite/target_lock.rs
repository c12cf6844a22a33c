//! The locks of the targets, beside the state database.

use super::StateDb;
use super::lock_file::{LockFile, held_by, take};
use crate::ledger::{Holder, LedgerError, RegisteredRun, is_of_disk, private};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of the locks, in that of the state database.
const LOCKS: &str = "locks";

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
                return Err(held_by(state.holder(target)?, &path));
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
        file.unlock().map_err(failed)?;
        Ok(false)
    }

    /// Fails if a living process has the exclusive lock of this target for this run, and names that process. A run with a
    /// ledger in a database shares the lock, and is not found here.
    pub(super) fn refuse_if_held_for(
        state: &StateDb,
        target: &str,
        run: &str,
    ) -> Result<(), LedgerError> {
        let lock = lock_of(&state.folder().join(LOCKS), target);
        let holder = state.holder(target)?;
        if holder.run == run && LockFile::is_held(&lock) {
            return Err(held_by(holder, &lock));
        }
        Ok(())
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
        Err(held_by(self.holder(&run.target)?, &lock))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use std::{env, fs, thread};

    fn acquire(folder: &Path, target: &str, run: &str) -> Result<TargetLock, LedgerError> {
        TargetLock::acquire(&StateDb::open_in(folder)?, &[target], run, false)
    }

    #[test]
    fn lock_file_that_cannot_be_opened_is_an_error() {
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
    fn second_holder_is_refused_and_the_first_one_is_named() {
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
    fn target_is_shared_only_by_processes_of_the_same_run() {
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
    fn a_check_that_takes_long_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        drop(acquire(folder, "plume https://x", "run").unwrap());
        let check = LockFile::check_in_progress(&lock_of(&folder.join(LOCKS), "plume https://x"));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::park_timeout(Duration::from_millis(30));
                drop(check);
            });
            acquire(folder, "plume https://x", "run").unwrap();
        });
    }

    #[test]
    fn run_is_active_even_if_several_processes_share_its_target() {
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
    fn checking_the_lock_never_refuses_an_acquisition() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let state = StateDb::open_in(folder.path()).unwrap();
        let (run, target) = ("20261120-223015-k3f9", "plume https://x");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let state = StateDb::open_in(folder.path()).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let _ = TargetLock::refuse_if_held_for(&state, target, run);
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
                "ledger::sqlite::target_lock::tests::child_that_holds_the_lock",
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
