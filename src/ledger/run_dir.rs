//! Where a run lives: a folder that only its owner may enter.

use super::private::{check_folder, create_folder};
use super::{LedgerError, RunId, mounts};
use std::path::{Path, PathBuf};

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
                .ok_or_else(|| none(wanted.to_owned()));
        };
        // A path to the folder is understood as well.
        let prefix = prefix
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or(prefix);
        RunId::parse(prefix)?;
        let mut found: Vec<Self> = all
            .into_iter()
            .filter(|dir| dir.run.as_str().starts_with(prefix))
            .collect();
        match found.len() {
            0 => Err(none(format!("run `{prefix}`"))),
            1 => Ok(found.remove(0)),
            _ => Err(LedgerError::ManyRuns {
                prefix: prefix.to_owned(),
                found: found.iter().map(|dir| dir.run.to_string()).collect(),
            }),
        }
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
                path.join("ledger.db")
                    .exists()
                    .then_some(Self { path, run })
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

    /// The run's own copy of the input.
    pub fn input(&self) -> PathBuf {
        self.path.join("input.csv")
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.db")
    }
}
