//! Lists the known runs: those in the runs folder and those in the register, the newest first.

use super::kept_run::KeptRun;
use super::target::is_in_process;
use crate::ledger::{
    Check, Epochs, Header, Ledger, LedgerError, ListedRun, RecordPlace, RegisteredRun, RunDir,
    RunId, Runs,
};
use crate::report::Commands;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run that can be opened.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) dir: KeptRun,
    pub(crate) header: Header,
    /// Its epochs when the catalog was loaded.
    pub(crate) epochs: Epochs,
    /// The keys of its target, and of its earlier targets if its system has moved.
    targets: Vec<String>,
    /// Whether it has writes on record, sent or about to be sent.
    pub(crate) has_writes: bool,
    /// Whether it has changed account IDs or may still change some.
    pub(super) may_rename: bool,
}

impl Entry {
    fn of(
        dir: KeptRun,
        ledger: &Ledger,
        epochs: Epochs,
        may_rename: bool,
    ) -> Result<Self, LedgerError> {
        Ok(Self {
            epochs,
            header: ledger.header().clone(),
            targets: ledger.targets().map(str::to_owned).collect(),
            has_writes: ledger.has_writes()?,
            may_rename,
            dir,
        })
    }

    /// Opens its ledger without checking every page.
    pub(crate) fn ledger(&self) -> Result<Ledger, LedgerError> {
        self.dir.ledger()
    }

    /// Whether it has worked on this target.
    pub(super) fn is_on(&self, target: &str) -> bool {
        self.targets.iter().any(|its| its == target)
    }

    /// Whether it has worked on no other targets than these.
    pub(super) fn has_only_worked_on(&self, is_one: impl Fn(&str) -> bool) -> bool {
        self.targets.iter().all(|its| is_one(its))
    }

    /// Whether the systems of the two runs may be one: a run can be resumed at another address.
    pub(super) fn may_be_on_the_system_of(&self, other: &Self) -> bool {
        let system = |one: &Self| (one.header.system.clone(), is_in_process(&one.header.target));
        system(self) == system(other)
    }

    /// Returns the commands with which a person continues from this run.
    pub(super) fn commands(&self) -> Commands {
        let anew = self.ledger().and_then(|ledger| ledger.settings());
        let settings = anew.unwrap_or_else(|_| self.header.settings.clone());
        Commands::with(self.dir.path(), &self.header.run, &settings)
    }
}

/// A run with a missing folder or an unreadable ledger.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) path: PathBuf,
    /// Opening this run gives the reason why it cannot be read; `None`: its folder is gone.
    pub(crate) run: Option<KeptRun>,
    /// Its entry in the register; `None`: it is not registered.
    pub(crate) known: Option<RegisteredRun>,
    pub(crate) why: String,
}

/// All known runs.
#[derive(Debug)]
pub(crate) struct RunCatalog {
    runs: Arc<dyn Runs>,
    /// The newest first, by their epochs.
    pub(crate) entries: Vec<Entry>,
    pub(crate) lost: Vec<Lost>,
}

impl RunCatalog {
    /// Finds all runs, and registers those that are not registered yet.
    pub(crate) fn load(runs: &Arc<dyn Runs>) -> Result<Self, LedgerError> {
        let mut catalog = Self {
            runs: Arc::clone(runs),
            entries: Vec::new(),
            lost: Vec::new(),
        };
        for run in runs.list()? {
            match run {
                ListedRun::There(dir, known) => catalog.add(dir, known)?,
                ListedRun::Gone(run) if run.path.is_dir() => {
                    let why =
                        "its folder has no ledger: it is gone, or kept in PostgreSQL (--ledger)";
                    catalog.lose(run, why);
                }
                ListedRun::Gone(run) => catalog.lose(run, "it is gone"),
                ListedRun::Elsewhere(run) => {
                    catalog.lose(
                        run,
                        "it is not in this database: it is kept in files, or in another database",
                    );
                }
            }
        }
        catalog.sort();
        catalog.lost.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(catalog)
    }

    fn lose(&mut self, run: RegisteredRun, why: &str) {
        self.lost.push(Lost {
            run: self.at(&run.path).filter(|run| run.path().is_dir()),
            path: run.path.clone(),
            known: Some(run),
            why: why.to_owned(),
        });
    }

    fn add(&mut self, dir: RunDir, known: Option<RegisteredRun>) -> Result<(), LedgerError> {
        let ledger = match self.runs.open(&dir, Check::Short) {
            Ok(ledger) => ledger,
            // Its process was killed before the run had begun.
            Err(_) if !self.runs.has_begun(&dir) && known.is_none() => return Ok(()),
            Err(why) => {
                self.lost.push(Lost {
                    path: dir.path().to_owned(),
                    run: Some(KeptRun::of(&self.runs, dir)),
                    known,
                    why: why.to_string(),
                });
                return Ok(());
            }
        };
        let epochs = ledger.epochs()?;
        let mut found = described(&dir, &ledger, epochs)?;
        // The register says so for a run that is going to rename but has not renamed yet.
        found.renames |= known.as_ref().is_some_and(|known| known.renames);
        if !is_in_process(&found.target) && known.as_ref() != Some(&found) {
            self.runs.register(&found)?;
        }
        let run = KeptRun::of(&self.runs, dir);
        let entry = Entry::of(run, &ledger, epochs, found.renames)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Adds a run that was created after the catalog was loaded.
    pub(super) fn include(&mut self, run: KeptRun) -> Result<(), LedgerError> {
        let ledger = run.ledger()?;
        let may_rename = ledger.has_renames()?;
        let entry = Entry::of(run, &ledger, ledger.epochs()?, may_rename)?;
        self.entries.push(entry);
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        self.entries
            .sort_by(|a, b| (b.epochs.last(), b.dir.run()).cmp(&(a.epochs.last(), a.dir.run())));
    }

    /// Where the runs are kept, for messages.
    pub(super) fn place(&self) -> RecordPlace {
        self.runs.place()
    }

    /// Returns the run in this folder, without looking at the content of the folder.
    fn at(&self, folder: &Path) -> Option<KeptRun> {
        RunDir::at(folder).map(|dir| KeptRun::of(&self.runs, dir))
    }

    /// The highest epoch of all processes of all runs, as far as it is known of lost runs.
    pub(crate) fn highest_epoch(&self) -> u64 {
        let entries = self.entries.iter().map(|entry| entry.epochs.highest());
        let lost = self.lost.iter().filter_map(|lost| lost.known.as_ref());
        let lost = lost.map(|run| run.epoch);
        entries.chain(lost).max().unwrap_or(0)
    }

    /// The run with this prefix of its ID, or with its folder at this path.
    pub(crate) fn find(&self, run: &str) -> Result<KeptRun, LedgerError> {
        let by_path = Path::new(run);
        if run.contains('/')
            && by_path.is_dir()
            && let Some(dir) = self.at(by_path)
        {
            return dir.checked();
        }
        let prefix = run.trim_end_matches('/').rsplit('/').next().unwrap_or(run);
        RunId::parse(prefix)?;
        let found: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.dir.run().as_str().starts_with(prefix))
            .collect();
        let exact = found.iter().find(|one| one.dir.run().as_str() == prefix);
        match (exact, found.as_slice()) {
            (Some(one), _) | (None, [one]) => one.dir.clone().checked(),
            (None, []) => {
                // Opening it says why it cannot be read.
                let of_run = |lost: &&Lost| lost.path.ends_with(prefix);
                let lost = self.lost.iter().find(of_run);
                match lost.and_then(|lost| lost.run.clone()) {
                    Some(run) => run.checked(),
                    None => Err(LedgerError::NoRun {
                        place: self.place(),
                        wanted: format!("run `{prefix}`"),
                    }),
                }
            }
            (None, several) => Err(LedgerError::ManyRuns {
                prefix: prefix.to_owned(),
                found: several
                    .iter()
                    .map(|one| one.dir.run().to_string())
                    .collect(),
            }),
        }
    }

    /// The other runs that have worked on one of these targets, the newest first.
    pub(super) fn others<'c, 'a>(
        &'c self,
        mine: &'a str,
        targets: &'a [&'a str],
    ) -> impl Iterator<Item = &'c Entry> {
        self.entries.iter().filter(move |entry| {
            let has_worked_on = |key: &String| targets.contains(&key.as_str());
            entry.header.run != mine && entry.targets.iter().any(has_worked_on)
        })
    }

    /// The runs of the job with this key.
    pub(super) fn of_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.header.key().is_some_and(|its| its == key))
    }

    /// The undos of a run that have writes on record, the newest first.
    pub(super) fn undos_of<'a>(&'a self, run: &'a str) -> impl Iterator<Item = &'a Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.has_writes && entry.header.parent.as_deref() == Some(run))
    }

    /// The lost runs that may have worked on one of these targets.
    pub(crate) fn lost_of<'a>(&'a self, keys: &'a [&str]) -> impl Iterator<Item = &'a Lost> {
        self.lost.iter().filter(|lost| {
            let known = lost.known.as_ref();
            known.is_none_or(|run| keys.contains(&run.target.as_str()))
        })
    }

    /// Returns for each target the newest fitting run; the newest of all comes first.
    pub(crate) fn newest_by_target(&self, fits: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
        let mut seen = HashSet::new();
        let fitting = self.entries.iter().filter(|entry| fits(entry));
        fitting
            .filter(|entry| seen.insert(entry.header.target.as_str()))
            .collect()
    }

    /// The highest epoch of each target of a system, lost runs included.
    pub(super) fn targets_of(&self, system: &str) -> BTreeMap<&str, u64> {
        let mut targets = BTreeMap::new();
        let known = self.lost.iter().filter_map(|lost| lost.known.as_ref());
        let known = known.map(|run| (&run.system, &run.target, run.epoch));
        let entries = self.entries.iter();
        let entries = entries.map(|entry| (&entry.header, entry.epochs.last()));
        let entries = entries.map(|(header, last)| (&header.system, &header.target, last));
        for (its, target, epoch) in entries.chain(known) {
            if its == system && !is_in_process(target) {
                let highest: &mut u64 = targets.entry(target.as_str()).or_default();
                *highest = epoch.max(*highest);
            }
        }
        targets
    }
}

/// Builds the register's entry for a run.
pub(crate) fn describe(dir: &RunDir, ledger: &Ledger) -> Result<RegisteredRun, LedgerError> {
    described(dir, ledger, ledger.epochs()?)
}

fn described(dir: &RunDir, ledger: &Ledger, epochs: Epochs) -> Result<RegisteredRun, LedgerError> {
    let header = ledger.header();
    Ok(RegisteredRun {
        path: dir.absolute(),
        run: header.run.clone(),
        system: header.system.clone(),
        target: header.target.clone(),
        // If the run gets lost, only this shows that it was resumed.
        epoch: epochs.last(),
        renames: ledger.has_renames()?,
        customer: ledger.any_customer()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run_storage::{RunScope, RunsSettings};

    fn made(runs: &Path, id: &str, epoch: u64, target: &str) -> RunDir {
        let (dir, new) = local(runs).create(&RunId::parse(id).unwrap()).unwrap();
        let header = Header {
            run: id.to_owned(),
            base_url: target.to_owned(),
            target: format!("plume {target} "),
            epoch,
            ..Header::example()
        };
        new.begin(&header, None).unwrap();
        dir
    }

    fn local(runs_dir: &Path) -> Arc<dyn Runs> {
        let settings = RunsSettings {
            folder: runs_dir.to_owned(),
            ledger: None,
            egress: None,
        };
        settings.runs(RunScope::Here)
    }

    fn load(runs_dir: &Path) -> RunCatalog {
        RunCatalog::load(&local(runs_dir)).unwrap()
    }

    #[test]
    fn the_newest_run_is_the_one_with_the_highest_epoch_and_not_the_latest_name() {
        let base = tempfile::tempdir().unwrap();
        let runs = base.path().join("a/runs");
        assert!(load(&runs).entries.is_empty());
        let late = made(&runs, "20261120-000000-bbbb", 1, "https://x");
        // The clock was set back in between.
        let early = made(&runs, "20261119-000000-aaaa", 2, "https://x");
        let other = made(&runs, "20261118-000000-aaaa", 3, "https://y");
        let catalog = load(&runs);
        assert_eq!(catalog.highest_epoch(), 3);
        let newest = catalog.newest_by_target(|_| true);
        let newest: Vec<_> = newest
            .iter()
            .map(|entry| RunDir::clone(&entry.dir))
            .collect();
        assert_eq!(newest, [other, early.clone()]);
        let find = |run| catalog.find(run).map(|run| RunDir::clone(&run));
        assert_eq!(find("20261120").unwrap(), late);
        assert_eq!(find("some/where/20261119-000000-aaaa/").unwrap(), early);
        assert!(matches!(find("2026"), Err(LedgerError::ManyRuns { .. })));
        assert!(matches!(find("x"), Err(LedgerError::NoRun { .. })));
    }
}
