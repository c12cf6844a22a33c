//! Where a run lives: a folder that only its owner may enter.

use super::private::{check_folder, create_folder, sync_folder};
use super::seal::Seal;
use super::{LedgerError, RunId, mounts};
use std::path::{Path, PathBuf};

/// Where runs are kept, unless somebody says otherwise.
pub const DEFAULT_RUNS_DIR: &str = "idshift-runs";

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    run: RunId,
}

impl RunDir {
    /// Makes the folder of a new run, and the folder of all runs where it is missing.
    pub fn create(runs_dir: &Path, run: &RunId) -> Result<Self, LedgerError> {
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

    /// Makes sure that runs can be kept here: the folder exists, is its owner's alone to write, and is local.
    pub fn prepare(runs_dir: &Path) -> Result<(), LedgerError> {
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

    /// The folder of the run whose ID begins with `prefix`; without one, the newest that `fits`.
    pub fn find(
        runs_dir: &Path,
        prefix: Option<&str>,
        wanted: &str,
        fits: impl Fn(&Self) -> bool,
    ) -> Result<Self, LedgerError> {
        let all = Self::list(runs_dir)?;
        let none = |wanted: String| LedgerError::NoRun {
            runs_dir: runs_dir.to_owned(),
            wanted,
        };
        let Some(prefix) = prefix else {
            return all
                .into_iter()
                .find(|dir| fits(dir))
                .ok_or_else(|| none(wanted.to_owned()))?
                .checked();
        };
        // A path to the folder is understood as well.
        let prefix = prefix
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(prefix);
        RunId::parse(prefix)?;
        if let Some(exact) = all.iter().find(|dir| dir.run.as_str() == prefix) {
            return exact.clone().checked();
        }
        let mut found: Vec<Self> = all
            .into_iter()
            .filter(|dir| dir.run.as_str().starts_with(prefix))
            .collect();
        match found.len() {
            0 => Err(none(format!("run `{prefix}`"))),
            1 => found.remove(0).checked(),
            _ => Err(LedgerError::ManyRuns {
                prefix: prefix.to_owned(),
                found: found.iter().map(|dir| dir.run.to_string()).collect(),
            }),
        }
    }

    /// What is read and written here must be its owner's alone.
    fn checked(self) -> Result<Self, LedgerError> {
        check_folder(&self.path)?;
        Ok(self)
    }

    /// All runs, the newest first.
    pub fn list(runs_dir: &Path) -> Result<Vec<Self>, LedgerError> {
        let entries = match std::fs::read_dir(runs_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(LedgerError::io(runs_dir, "read", source)),
        };
        let mut runs: Vec<Self> = entries
            .flatten()
            .filter_map(|entry| {
                let run = RunId::parse(entry.file_name().to_str()?).ok()?;
                let path = entry.path();
                let run = Self { path, run };
                // What it has done cannot be told without its ledger, but that it was there can.
                (run.ledger().exists() || run.has_begun()).then_some(run)
            })
            .collect();
        runs.sort_by(|a, b| b.run.cmp(&a.run));
        Ok(runs)
    }

    /// The run's ID.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its ledger was whole once: one that was cut short before that cannot have been acted upon.
    pub fn has_begun(&self) -> bool {
        Seal::read(&self.ledger()).is_some()
    }

    /// The run's own copy of the input.
    pub fn input(&self) -> PathBuf {
        self.path.join("input.csv")
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.db")
    }
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
    fn a_run_is_found_by_its_prefix_and_else_the_newest_that_fits() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("a/runs");
        let find = |prefix| RunDir::find(&runs, prefix, "run", |_| true);
        assert!(matches!(find(None), Err(LedgerError::NoRun { .. })));
        let old = made(&runs, "20261119-000000-aaaa");
        let new = made(&runs, "20261120-000000-bbbb");
        assert_eq!(RunDir::list(&runs).unwrap(), [new.clone(), old.clone()]);
        assert_eq!(find(None).unwrap(), new);
        assert_eq!(find(Some("20261119")).unwrap(), old);
        assert_eq!(find(Some("some/where/20261119-000000-aaaa/")).unwrap(), old);
        assert!(matches!(
            find(Some("2026")),
            Err(LedgerError::ManyRuns { .. })
        ));
        assert!(matches!(find(Some("x")), Err(LedgerError::NoRun { .. })));
        let fits = |dir: &RunDir| dir.run() == old.run();
        assert_eq!(RunDir::find(&runs, None, "run", fits).unwrap(), old);
        let again = RunDir::create(&runs, old.run());
        assert!(matches!(again, Err(LedgerError::Exists { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn folders_are_private_and_strange_ones_are_refused() {
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
        let through_a_link = RunDir::find(&runs, Some(other.as_str()), "run", |_| true);
        assert!(matches!(through_a_link, Err(LedgerError::Symlink { .. })));
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            RunDir::create(&open, &other),
            Err(LedgerError::Writable { .. })
        ));
    }
}
