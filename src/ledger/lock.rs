//! Locks that the kernel frees when their holder dies, however it dies: a file that merely exists proves nothing.

use super::{LedgerError, RunId, private};
use sha2::{Digest, Sha256};
use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Who holds a lock, as it wrote into the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its run.
    pub run: String,
    /// Its process; `?` where it had not yet written it.
    pub pid: String,
    /// Its machine.
    pub host: String,
}

impl Holder {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let _ = file.take(1000).read_to_string(&mut text);
        let mut words = text.split_whitespace().map(str::to_owned);
        let mut word = || words.next().unwrap_or_else(|| "?".to_owned());
        Self {
            run: word(),
            pid: word(),
            host: word(),
        }
    }
}

/// This machine's name, for the message to whoever comes second.
pub(super) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"))
        .or_else(|_| env::var("HOSTNAME"))
        .unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).collect();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

/// Opens and locks the file and writes into it who we are.
fn hold(path: &Path, run: &str) -> Result<File, LedgerError> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_symlink()) {
        return Err(LedgerError::Symlink {
            path: path.to_owned(),
        });
    }
    let failed = |source| LedgerError::io(path, "opened", source);
    let mut file = private::open_private(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LedgerError::Held {
                holder: Holder::read(&mut file),
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(LedgerError::io(path, "locked", source)),
    }
    let mut note = || {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{run} {} {}\n", std::process::id(), host()).as_bytes())
    };
    note().map_err(|source| LedgerError::io(path, "written", source))?;
    Ok(file)
}

/// One run at a time for a target (system, base URL and tenant): held while this value lives.
#[derive(Debug)]
pub struct TargetLock {
    file: File,
    quota: PathBuf,
}

impl TargetLock {
    /// The folder of the locks: `$XDG_STATE_HOME/idshift/targets`, else under `~/.local/state`, else in `runs_dir`.
    pub fn folder(runs_dir: &Path) -> PathBuf {
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map_or_else(
                || runs_dir.join("targets"),
                |state| state.join("idshift/targets"),
            )
    }

    /// Takes the lock of `target` in `folder`, or says who has it ([`LedgerError::Held`]).
    pub fn acquire(folder: &Path, target: &str, run: &RunId) -> Result<Self, LedgerError> {
        if !folder.exists() {
            private::create_folder(folder, true)
                .map_err(|source| LedgerError::io(folder, "created", source))?;
        }
        private::check_folder(folder)?;
        let digest = Sha256::digest(target.as_bytes());
        let number = digest
            .iter()
            .take(8)
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let name = format!("{number:016x}");
        let file = hold(&folder.join(format!("{name}.lock")), run.as_str())?;
        Ok(Self {
            file,
            quota: folder.join(format!("{name}.quota")),
        })
    }

    /// A file beside the lock, in which the calls of the last minutes can be kept from run to run.
    pub fn quota_path(&self) -> &Path {
        &self.quota
    }
}

impl Drop for TargetLock {
    fn drop(&mut self) {
        // Only for the looks: the kernel frees the lock with the file.
        let _ = self.file.set_len(0);
    }
}

/// One process at a time writes to a run's ledger.
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    pub(super) fn acquire(path: &Path, run: &str) -> Result<Self, LedgerError> {
        hold(path, run).map(|file| Self { _file: file })
    }

    /// Whether a living process holds it.
    pub(super) fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("targets");
        let first = RunId::parse("20261120-223015-k3f9").unwrap();
        let held = TargetLock::acquire(&folder, "plume https://x", &first).unwrap();
        let second = RunId::parse("20261120-223016-aaaa").unwrap();
        let error = TargetLock::acquire(&folder, "plume https://x", &second).unwrap_err();
        let text = error.to_string();
        let LedgerError::Held { holder, .. } = error else {
            panic!("{text}")
        };
        assert_eq!(holder.run, first.as_str());
        assert_eq!(holder.pid, std::process::id().to_string());
        assert_eq!(holder.host, host());
        assert!(text.contains(first.as_str()), "{text}");
        TargetLock::acquire(&folder, "plume https://y", &second).expect("another target is free");
        drop(held);
        TargetLock::acquire(&folder, "plume https://x", &second).expect("it is free again");
    }

    /// Not a test of its own: the process that `a_killed_holder_does_not_block` kills.
    #[test]
    fn child_that_holds_the_lock() {
        let Some(folder) = env::var_os("IDSHIFT_TEST_LOCK") else {
            return;
        };
        let run = RunId::parse("20261120-223015-k3f9").unwrap();
        let _held = TargetLock::acquire(Path::new(&folder), "plume https://x", &run).unwrap();
        println!("held");
        let _ = std::io::stdin().read(&mut [0]);
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
                "ledger::lock::tests::child_that_holds_the_lock",
            ])
            .env("IDSHIFT_TEST_LOCK", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        assert!(said.lines().any(|line| line.unwrap().contains("held")));
        let run = RunId::parse("20261120-223016-aaaa").unwrap();
        let acquire = || TargetLock::acquire(&folder, "plume https://x", &run);
        match acquire() {
            Err(LedgerError::Held { holder, .. }) => {
                assert_eq!(holder.pid, child.id().to_string());
            }
            other => panic!("{other:?}"),
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acquire().expect("the kernel freed it");
    }
}
