//! The folder of a run: private from its creation, and found again by a prefix of its name.

use super::{LedgerError, RunId, mounts, private};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    run: RunId,
}

impl RunDir {
    /// Creates the folder of a new run (mode 0700), and `runs_dir` where it is missing.
    pub fn create(runs_dir: &Path, run: &RunId) -> Result<Self, LedgerError> {
        if fs::symlink_metadata(runs_dir).is_err() {
            private::create_folder(runs_dir, true)
                .map_err(|source| LedgerError::io(runs_dir, "created", source))?;
        }
        private::check_folder(runs_dir)?;
        if let Some(kind) = mounts::network_file_system(runs_dir) {
            return Err(LedgerError::NetworkDisk {
                path: runs_dir.to_owned(),
                kind,
            });
        }
        let path = runs_dir.join(run.as_str());
        private::create_folder(&path, false).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => LedgerError::Exists { path: path.clone() },
            _ => LedgerError::io(&path, "created", source),
        })?;
        private::sync_folder(runs_dir)
            .map_err(|source| LedgerError::io(runs_dir, "synced", source))?;
        Ok(Self {
            path,
            run: run.clone(),
        })
    }

    /// The folder of a run that exists.
    pub fn open(runs_dir: &Path, run: &RunId) -> Result<Self, LedgerError> {
        let path = runs_dir.join(run.as_str());
        if fs::symlink_metadata(&path).is_err() {
            return Err(LedgerError::NoRun {
                runs_dir: runs_dir.to_owned(),
                wanted: format!("run {run}"),
            });
        }
        private::check_folder(runs_dir)?;
        private::check_folder(&path)?;
        Ok(Self {
            path,
            run: run.clone(),
        })
    }

    /// The run whose ID begins with `prefix`; without one, the newest.
    pub fn find(runs_dir: &Path, prefix: Option<&str>) -> Result<Self, LedgerError> {
        let mut found: Vec<RunId> = ids(runs_dir)?
            .into_iter()
            .filter(|id| prefix.is_none_or(|prefix| id.as_str().starts_with(prefix)))
            .collect();
        if let Some(prefix) = prefix {
            if let Some(exact) = found.iter().find(|id| id.as_str() == prefix) {
                return Self::open(runs_dir, exact);
            }
            if found.len() > 1 {
                return Err(LedgerError::ManyRuns {
                    prefix: prefix.to_owned(),
                    found: found.iter().map(RunId::to_string).collect(),
                });
            }
        }
        match found.drain(..).next() {
            Some(id) => Self::open(runs_dir, &id),
            None => Err(LedgerError::NoRun {
                runs_dir: runs_dir.to_owned(),
                wanted: prefix.map_or_else(
                    || "run".to_owned(),
                    |prefix| format!("run whose ID begins with `{}`", prefix.escape_debug()),
                ),
            }),
        }
    }

    /// The newest run that `resume` has something to go on with.
    pub fn find_unfinished(runs_dir: &Path) -> Result<Self, LedgerError> {
        for id in ids(runs_dir)? {
            let dir = Self::open(runs_dir, &id)?;
            let Ok(ledger) = super::Ledger::glance(&dir) else {
                // A damaged or foreign one must not hide an older run; `runs` shows it.
                continue;
            };
            if ledger.progress()?.state.is_unfinished() {
                return Ok(dir);
            }
        }
        Err(LedgerError::NoRun {
            runs_dir: runs_dir.to_owned(),
            wanted: "unfinished run".to_owned(),
        })
    }

    /// The run's ID.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The input, as its bytes were read.
    pub fn input_path(&self) -> PathBuf {
        self.path.join("input.csv")
    }

    /// The ledger.
    pub fn ledger_path(&self) -> PathBuf {
        self.path.join("ledger.db")
    }

    /// The results of all lines.
    pub fn results_path(&self) -> PathBuf {
        self.path.join("results.csv")
    }

    /// The lines that failed or were not finished.
    pub fn failures_path(&self) -> PathBuf {
        self.path.join("failures.csv")
    }

    /// The counts, for scripts.
    pub fn summary_path(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The report for people.
    pub fn report_path(&self) -> PathBuf {
        self.path.join("report.html")
    }
}

/// The runs in a folder, newest first; none where there is no folder.
pub(super) fn ids(runs_dir: &Path) -> Result<Vec<RunId>, LedgerError> {
    let failed = |source| LedgerError::io(runs_dir, "read", source);
    let entries = match fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| RunId::parse(name).ok());
        // `targets` may lie here too: a run is what has a ledger.
        if let Some(id) = id.filter(|_| entry.path().join("ledger.db").exists()) {
            ids.push(id);
        }
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(runs: &Path, id: &str) -> RunDir {
        let dir = RunDir::create(runs, &RunId::parse(id).unwrap()).unwrap();
        fs::write(dir.ledger_path(), "").unwrap();
        dir
    }

    #[test]
    fn a_run_is_found_by_its_prefix_and_else_the_newest() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("a/runs");
        assert!(matches!(
            RunDir::find(&runs, None),
            Err(LedgerError::NoRun { .. })
        ));
        let old = made(&runs, "20261119-000000-aaaa");
        let new = made(&runs, "20261120-000000-bbbb");
        assert_eq!(RunDir::find(&runs, None).unwrap(), new);
        assert_eq!(RunDir::find(&runs, Some("20261119")).unwrap(), old);
        assert!(matches!(
            RunDir::find(&runs, Some("2026")),
            Err(LedgerError::ManyRuns { .. })
        ));
        assert!(matches!(
            RunDir::find(&runs, Some("x")),
            Err(LedgerError::NoRun { .. })
        ));
        let again = RunDir::create(&runs, old.run());
        assert!(matches!(again, Err(LedgerError::Exists { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn folders_are_private_and_strange_ones_are_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("runs");
        let id = RunId::parse("20261120-000000-bbbb").unwrap();
        let dir = RunDir::create(&runs, &id).unwrap();
        for path in [&runs, dir.path()] {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o7777,
                0o700
            );
        }
        let link = base.path().join("link");
        symlink(&runs, &link).unwrap();
        let other = RunId::parse("20261120-000000-cccc").unwrap();
        assert!(matches!(
            RunDir::create(&link, &other),
            Err(LedgerError::Symlink { .. })
        ));
        assert!(matches!(
            RunDir::open(&link, &id),
            Err(LedgerError::Symlink { .. })
        ));
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(
            RunDir::create(&open, &other),
            Err(LedgerError::Writable { .. })
        ));
    }
}
