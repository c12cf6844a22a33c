//! Locks that the kernel frees when their holder dies, however it dies: a file that merely exists proves nothing.

use super::{LedgerError, private};
use sha2::{Digest, Sha256};
use std::env;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Who holds a lock, as it wrote into the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holder {
    /// Its run.
    pub run: String,
    /// Its process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
}

impl Holder {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        // Whoever holds it may be writing its name at this very moment; that it is held is true all the same.
        let _ = file.take(1000).read_to_string(&mut text);
        serde_json::from_str(&text).unwrap_or_default()
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
    let holder = Holder {
        run: run.to_owned(),
        pid: std::process::id(),
        host: host(),
    };
    let text = serde_json::to_string(&holder).unwrap_or_default();
    let mut note = || {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())
    };
    note().map_err(|source| LedgerError::io(path, "written", source))?;
    Ok(file)
}

/// Where the lock of a target and the record of its calls lie.
struct Place {
    folder: PathBuf,
    /// What its being there does not guard against, to be told to a person.
    note: Option<String>,
}

impl Place {
    /// The user's state folder, so that runs kept in different folders exclude each other too.
    ///
    /// Beside the runs only where there is no state folder and none can be made: nobody holds a lock in a folder that
    /// does not exist. One that is there and cannot be used may well hold another run's lock.
    fn beside(runs_dir: &Path, state: Option<PathBuf>) -> Result<Self, LedgerError> {
        let beside = |why: String| {
            let folder = runs_dir.join(".targets");
            let note = format!(
                "{why}, so the lock of this target lies in {}: a run with another --runs-dir is not kept out",
                folder.display()
            );
            Self::made(folder, Some(note))
        };
        let Some(state) = state else {
            return beside("neither XDG_STATE_HOME nor HOME names a folder".to_owned());
        };
        match private::create_folder(&state, true) {
            Ok(()) => Self::made(state, None),
            Err(source) if is_absent(&state) => {
                beside(format!("{} cannot be made ({source})", state.display()))
            }
            Err(source) => Err(LedgerError::Unlockable {
                path: state,
                source,
            }),
        }
    }

    fn made(folder: PathBuf, note: Option<String>) -> Result<Self, LedgerError> {
        private::create_folder(&folder, true)
            .map_err(|source| LedgerError::io(&folder, "made", source))?;
        private::check_folder(&folder)?;
        Ok(Self { folder, note })
    }

    fn lock_file(&self, target: &str) -> PathBuf {
        let digest = Sha256::digest(target.as_bytes());
        let number = digest
            .iter()
            .take(8)
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        self.folder.join(format!("{number:016x}.lock"))
    }
}

fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|why| why.kind() == io::ErrorKind::NotFound)
}

/// One run at a time for a target (system, base URL and tenant): held while this value lives.
#[derive(Debug)]
pub struct TargetLock {
    file: File,
    path: PathBuf,
    note: Option<String>,
    turn: Turn,
}

/// When a process worked on a target, among the others: counted, so that no clock has a say.
///
/// Two counts can only be compared where they are of one counter, which may be lost and begun anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    counter: String,
    number: u64,
}

impl Turn {
    /// Whether this was after the other; `None`: it cannot be told.
    pub fn is_after(&self, other: &Self) -> Option<bool> {
        (self.counter == other.counter).then_some(self.number > other.number)
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (counter, number) = text.trim().split_once(':')?;
        Some(Self {
            counter: counter.to_owned(),
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.counter, self.number)
    }
}

impl TargetLock {
    /// Takes the lock of a target, or says who has it ([`LedgerError::Held`]).
    ///
    /// A lock that cannot be looked at is refused ([`LedgerError::Unlockable`]): another place for it would let two
    /// runs work on one target. It does not reach another machine.
    pub fn acquire(target: &str, runs_dir: &Path, run: &str) -> Result<Self, LedgerError> {
        let place = Place::beside(runs_dir, state_dir())?;
        Self::acquire_in(place, target, run)
    }

    fn acquire_in(place: Place, target: &str, run: &str) -> Result<Self, LedgerError> {
        let path = place.lock_file(target);
        let file = hold(&path, run).map_err(|error| match error {
            LedgerError::Io { path, source, .. } => LedgerError::Unlockable { path, source },
            LedgerError::ReadOnly { path } => LedgerError::Unlockable {
                path,
                source: io::ErrorKind::ReadOnlyFilesystem.into(),
            },
            error => error,
        })?;
        let turn = next_turn(&path.with_extension("turn"))?;
        Ok(Self {
            file,
            path,
            note: place.note,
            turn,
        })
    }

    /// How many processes have worked on this target, this one included: which of two came later, whatever the clock
    /// says.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// What the lock does not guard against where it lies, for a person.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Where calls on this target are noted, for quotas that outlive a run.
    pub fn quota_file(&self) -> PathBuf {
        self.path.with_extension("calls")
    }

    /// The same for whoever only looks, and takes no lock.
    pub fn quota_file_of(target: &str, runs_dir: &Path) -> Result<PathBuf, LedgerError> {
        let place = Place::beside(runs_dir, state_dir())?;
        Ok(place.lock_file(target).with_extension("calls"))
    }
}

/// Counts on; whoever calls this holds the lock.
fn next_turn(path: &Path) -> Result<Turn, LedgerError> {
    let failed = |source| LedgerError::io(path, "written", source);
    let before = fs::read_to_string(path).ok();
    let turn = match before.as_deref().and_then(Turn::parse) {
        Some(Turn { counter, number }) => Turn {
            counter,
            number: number.saturating_add(1),
        },
        None => Turn {
            counter: format!("{:016x}", fastrand::u64(..)),
            number: 1,
        },
    };
    // In one piece: a count that is cut short would be another one.
    let draft = path.with_extension("turn-next");
    let mut file = private::open_private(&draft).map_err(failed)?;
    let mut note = || {
        file.set_len(0)?;
        file.write_all(turn.to_string().as_bytes())?;
        file.sync_data()?;
        fs::rename(&draft, path)
    };
    note().map_err(failed)?;
    Ok(turn)
}

fn state_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("idshift/targets"))
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
        // Whoever only looks if the run is alive holds the lock for two system calls.
        for _ in 0..100 {
            if let Ok(file) = hold(path, run) {
                return Ok(Self { _file: file });
            }
            std::thread::yield_now();
        }
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

    fn acquire(folder: &Path, target: &str, run: &str) -> Result<TargetLock, LedgerError> {
        let place = Place::beside(Path::new("/nonexistent"), Some(folder.to_owned()))?;
        TargetLock::acquire_in(place, target, run)
    }

    #[test]
    fn a_lock_that_cannot_be_looked_at_is_not_looked_for_elsewhere() {
        let base = tempfile::tempdir().unwrap();
        let (state, runs) = (base.path().join("state"), base.path().join("runs"));
        let place = || Place::beside(&runs, Some(state.clone())).unwrap();
        let lock = place().lock_file("plume https://x");
        // Nobody, not even root, can open a folder as a file.
        fs::create_dir(&lock).unwrap();
        let error = TargetLock::acquire_in(place(), "plume https://x", "run").unwrap_err();
        assert!(matches!(error, LedgerError::Unlockable { .. }), "{error}");
        assert!(
            error.to_string().contains(lock.to_str().unwrap()),
            "{error}"
        );
        fs::remove_dir_all(&state).unwrap();
        fs::write(&state, "no folder").unwrap();
        let error = Place::beside(&runs, Some(state.clone())).err().unwrap();
        assert!(matches!(error, LedgerError::Unlockable { .. }), "{error}");
        assert!(!runs.exists());
    }

    #[test]
    fn a_lock_beside_the_runs_is_told() {
        let runs = tempfile::tempdir().unwrap();
        for state in [None, Some(PathBuf::from("/proc/nobody/can/make/this"))] {
            let place = Place::beside(runs.path(), state).unwrap();
            let lock = TargetLock::acquire_in(place, "plume https://x", "run").unwrap();
            assert!(lock.note().unwrap().contains("--runs-dir"));
        }
    }

    #[test]
    fn the_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("targets");
        let first = "20261120-223015-k3f9";
        let held = acquire(&folder, "plume https://x", first).unwrap();
        let second = "20261120-223016-aaaa";
        let error = acquire(&folder, "plume https://x", second).unwrap_err();
        let text = error.to_string();
        let LedgerError::Held { holder, .. } = error else {
            panic!("{text}")
        };
        assert_eq!(holder.run, first);
        assert_eq!(holder.pid, std::process::id());
        assert_eq!(holder.host, host());
        assert!(text.contains(first), "{text}");
        acquire(&folder, "plume https://y", second).expect("another target is free");
        drop(held);
        acquire(&folder, "plume https://x", second).expect("it is free again");
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
