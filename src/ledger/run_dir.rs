//! Where a run lives: a folder that only its owner may enter.

use super::private::{check_folder, create_folder, sync_folder};
use super::sqlite::seal::Seal;
use super::{LedgerError, RunId, mounts};
use crate::regular_file;
use std::path::{Path, PathBuf};

/// The default folder for runs.
pub const DEFAULT_RUNS_DIR: &str = "idshift-runs";

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    run: RunId,
}

impl RunDir {
    /// Makes the folder of a new run, and the folder of all runs where it is missing.
    pub(super) fn create(runs_dir: &Path, run: &RunId) -> Result<Self, LedgerError> {
        Self::prepare(runs_dir)?;
        let path = runs_dir.join(run.as_str());
        create_folder(&path, false).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => LedgerError::Exists { path: path.clone() },
            _ => LedgerError::io(&path, "made", source),
        })?;
        sync_folder(runs_dir).map_err(|source| LedgerError::io(runs_dir, "synced", source))?;
        Ok(Self {
            path,
            run: run.clone(),
        })
    }

    /// Makes sure that runs can be kept here: the folder exists, only its owner may write to it, and it is on a local disk.
    pub(super) fn prepare(runs_dir: &Path) -> Result<(), LedgerError> {
        create_folder(runs_dir, true)
            .map_err(|source| LedgerError::io(runs_dir, "made", source))?;
        check_folder(runs_dir)?;
        match mounts::network_file_system(runs_dir) {
            Some(kind) => Err(LedgerError::NetworkDisk {
                path: runs_dir.to_owned(),
                kind,
            }),
            None => Ok(()),
        }
    }

    /// Returns the folder of a run; `None`: its name is not the ID of a run.
    pub fn at(path: &Path) -> Option<Self> {
        let run = RunId::parse(path.file_name()?.to_str()?).ok()?;
        let path = path.to_owned();
        Some(Self { path, run })
    }

    /// Refuses a folder that others may write into, or that is a symbolic link.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        check_folder(&self.path)
    }

    /// All runs in this folder, in no particular order.
    pub(super) fn list(runs_dir: &Path) -> Result<Vec<Self>, LedgerError> {
        let entries = match std::fs::read_dir(runs_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(LedgerError::io(runs_dir, "read", source)),
        };
        let runs = entries.flatten().filter_map(|entry| {
            let run = Self::at(&entry.path())?;
            run.has_ledger().then_some(run)
        });
        Ok(runs.collect())
    }

    /// The run's ID.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the folder, the same for every working directory.
    pub fn absolute(&self) -> PathBuf {
        absolute(&self.path)
    }

    /// Whether its ledger is in it, or was. Without the ledger it is unknown what the run did, but known that the run existed.
    pub(super) fn has_ledger(&self) -> bool {
        self.ledger().exists() || self.has_begun()
    }

    /// Whether its ledger was ever complete. A run whose ledger never was has written nothing.
    pub(super) fn has_begun(&self) -> bool {
        // If this cannot be determined, the run may have begun.
        !matches!(Seal::read(&self.ledger()), Ok(None))
    }

    /// Where this machine's copy of the run's input is; [`Runs::input`](super::Runs::input) makes sure that it is there.
    pub fn local_input(&self) -> PathBuf {
        self.path.join("input.csv")
    }

    /// Returns the same path, if there is a file.
    pub(super) fn checked_input(&self) -> Result<PathBuf, LedgerError> {
        let path = self.local_input();
        match regular_file::check(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(LedgerError::io(&path, "read", source)),
        }
    }

    /// The ledger of a run that was moved to a database.
    pub(super) fn moved_ledger(&self) -> PathBuf {
        self.path.join("ledger.moved.db")
    }

    /// The ledger, where it is a file.
    pub(super) fn ledger(&self) -> PathBuf {
        self.path.join("ledger.db")
    }
}

/// Returns the one path of a folder, the same for every working directory.
pub fn absolute(path: &Path) -> PathBuf {
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn made(runs: &Path, id: &str) -> RunDir {
        let dir = RunDir::create(runs, &RunId::parse(id).unwrap()).unwrap();
        fs::write(dir.ledger(), "").unwrap();
        dir
    }

    #[test]
    fn run_folders_are_private_and_unsafe_folders_are_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("runs");
        let dir = made(&runs, "20261120-000000-bbbb");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&runs), mode(dir.path())), (0o700, 0o700));
        let other = RunId::parse("20261120-000000-cccc").unwrap();
        let link = base.path().join("link");
        symlink(&runs, &link).unwrap();
        assert!(matches!(
            RunDir::create(&link, &other),
            Err(LedgerError::Symlink { .. })
        ));
        symlink(dir.path(), runs.join(other.as_str())).unwrap();
        let through_a_link = RunDir::at(&runs.join(other.as_str())).unwrap().check();
        assert!(matches!(through_a_link, Err(LedgerError::Symlink { .. })));
        assert!(matches!(
            RunDir::create(&runs, dir.run()),
            Err(LedgerError::Exists { .. })
        ));
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            RunDir::create(&open, &other),
            Err(LedgerError::Writable { .. })
        ));
    }
}
