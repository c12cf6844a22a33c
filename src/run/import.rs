//! Moves runs that are kept in files to a database that several machines share, so that what they have done is known there.

use super::catalog::{RunCatalog, describe};
use super::error::CommandError;
use super::import_order::ImportOrder;
use super::input_identity::same_input;
use super::kept_run::KeptRun;
use super::lock_wait;
use super::run_storage::RunsSettings;
use super::values::values;
use crate::config::{SharedLedger, TypedSettings};
use crate::ledger::{
    ExclusiveLock, Header, LedgerError, ListedRun, LocalRuns, MovingRun, RunDir, RunId, Runs,
    SharedRuns, StateDb,
};
use crate::ui;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The result of importing one run.
pub(crate) struct ImportedRun {
    /// Its ID.
    pub(crate) run: String,
    pub(crate) folder: PathBuf,
    pub(crate) result: Result<Imported, CommandError>,
}

/// How a run came into the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imported {
    /// It was moved now. `lines`: the number of lines of its file.
    Now { lines: u64 },
    /// It can be moved, but `only_asks` was given.
    Possible { lines: u64 },
    /// It was in the database already, with the same record.
    Before,
}

/// Why a run was not imported.
enum Refused {
    /// This run cannot be imported; others may be.
    Run(CommandError),
    /// The database cannot be used.
    Database(CommandError),
}

impl From<LedgerError> for Refused {
    fn from(error: LedgerError) -> Self {
        if error.is_of_database() {
            let help = "then give the same command again: it goes on";
            return Self::Database(CommandError::from(error).with_help(help));
        }
        Self::Run(error.into())
    }
}

impl From<CommandError> for Refused {
    fn from(error: CommandError) -> Self {
        Self::Run(error)
    }
}

/// Imports these runs, the earliest first; with `only_asks`, only finds out what an import would do. `which`: run IDs,
/// folders of runs, and folders that contain runs. Calls `each` with the result of every run.
pub(crate) fn import(
    which: &[String],
    typed: &TypedSettings,
    only_asks: bool,
    mut each: impl FnMut(&ImportedRun),
) -> Result<(), CommandError> {
    let mut values = values(typed, &BTreeMap::new())?;
    let settings = RunsSettings::of(&mut values)?;
    let Some((SharedLedger(database), timeout)) = &settings.ledger else {
        return Err(
            CommandError::usage("no database is named that the runs are to be moved to")
                .with_help("--ledger postgres://idshift@HOST/DATABASE; or `ledger` in the profile"),
        );
    };
    let state = Arc::new(StateDb::open()?);
    let local = LocalRuns::of(&settings.folder, true, Some(Arc::clone(&state)));
    let local: Arc<dyn Runs> = Arc::new(local);
    let chosen = chosen(which, &local)?;
    let shared = SharedRuns::of(database, *timeout, &settings.folder, Some(state));
    let mut import = Import {
        shared: Arc::new(shared),
        folder: settings.folder.clone(),
        catalog: RunCatalog::load(&local)?,
        local,
        held: Vec::new(),
        only_asks,
    };
    import.shared.prepare()?;
    for dir in chosen {
        let (result, goes_on) = match import.one(&dir) {
            Ok(imported) => (Ok(imported), true),
            Err(Refused::Run(why)) => (Err(why), true),
            Err(Refused::Database(why)) => (Err(why), false),
        };
        each(&ImportedRun {
            run: dir.run().to_string(),
            folder: dir.path().to_owned(),
            result,
        });
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// Returns the runs that `which` names, the earliest first.
fn chosen(which: &[String], local: &Arc<dyn Runs>) -> Result<Vec<RunDir>, CommandError> {
    let catalog = RunCatalog::load(local)?;
    let mut chosen: Vec<(Option<u64>, RunDir)> = Vec::new();
    let mut add = |dir: RunDir| {
        if !chosen.iter().any(|(_, other)| other.path() == dir.path()) {
            chosen.push((MovingRun::peek(&dir).map(|header| header.epoch).ok(), dir));
        }
    };
    for name in which {
        let path = Path::new(name);
        if path.is_dir() && KeptRun::registered(path).is_none() {
            let found = LocalRuns::of(path, false, None).list()?.into_iter();
            let mut runs: Vec<RunDir> = found
                .filter_map(|one| match one {
                    ListedRun::There(dir, _) => Some(dir),
                    ListedRun::Gone(_) | ListedRun::Elsewhere(_) => None,
                })
                // A run that never began has done nothing.
                .filter(|dir| !matches!(MovingRun::peek(dir), Err(LedgerError::Unbegun { .. })))
                .collect();
            if runs.is_empty() {
                let path = ui::visible(name).into_owned();
                return Err(CommandError::usage(format!("there are no runs in {path}"))
                    .with_help("name a run, or the folder that runs are kept in"));
            }
            runs.drain(..).for_each(&mut add);
        } else {
            add(RunDir::clone(&*catalog.find(name)?));
        }
    }
    chosen.sort_by(|(a, one), (b, other)| (a, one.run()).cmp(&(b, other.run())));
    Ok(chosen.into_iter().map(|(_, dir)| dir).collect())
}

/// An import from files to a database.
struct Import {
    local: Arc<dyn Runs>,
    /// The runs in files.
    catalog: RunCatalog,
    shared: Arc<SharedRuns>,
    /// The folder on this machine for the files of runs that are in the database.
    folder: PathBuf,
    held: Vec<HeldTargets>,
    only_asks: bool,
}

/// Targets that are locked, so that the database gets only imported runs on them.
struct HeldTargets {
    targets: Vec<String>,
    /// The runs in the database, read once.
    there: RunCatalog,
    order: ImportOrder,
    _hold: ExclusiveLock,
}

impl Import {
    fn one(&mut self, dir: &RunDir) -> Result<Imported, Refused> {
        let run = MovingRun::open(dir)?;
        let ledger = run.ledger();
        let header = ledger.header().clone();
        let in_files = KeptRun::of(&self.local, dir.clone());
        if ledger.pruned()?.is_none() {
            same_input(&in_files, ledger)?;
        }
        let mut known = describe(dir, ledger)?;
        let mut listed = self.catalog.entries.iter();
        known.renames |= listed.any(|one| one.dir.path() == dir.path() && one.may_rename);
        let targets: Vec<String> = ledger.targets().map(str::to_owned).collect();
        let only_asks = self.only_asks;
        let place = self.shared.place()?;
        let shared = Arc::clone(&self.shared);
        let runs: Arc<dyn Runs> = Arc::<SharedRuns>::clone(&shared);
        let folder = self.folder.clone();
        let held = self.held(&targets, &header.run)?;
        let mut there = held.there.entries.iter();
        if let Some(other) = there.find(|one| one.header.run == header.run) {
            return known_there(run, &other.ledger()?, &header, (&place, only_asks));
        }
        if let Some(elsewhere) = run.moved_to().filter(|other| *other != place) {
            return Err(moved_elsewhere(&header, dir, elsewhere, &place).into());
        }
        let names: Vec<&str> = targets.iter().map(String::as_str).collect();
        held.order
            .refuse_contradictions(&run, &names, &held.there)?;
        let lines = header.lines;
        if only_asks {
            let is_in_files = run.moved_to().is_none();
            drop(run);
            // The next run is compared with this one as if it had been imported. If an earlier import was cut short, its
            // record cannot be read here.
            if is_in_files {
                held.there.include(in_files)?;
            }
            return Ok(Imported::Possible { lines });
        }
        shared.import(run, &names, &known)?;
        if let Some(moved) = KeptRun::named(&runs, &folder, &RunId::parse(&header.run)?) {
            held.there.include(moved)?;
        }
        Ok(Imported::Now { lines })
    }

    /// Locks the targets of a run, and keeps the lock for later runs on the same targets. Releases a lock that has only
    /// some of these targets.
    fn held(&mut self, targets: &[String], run: &str) -> Result<&mut HeldTargets, Refused> {
        let is_other = |one: &HeldTargets| !one.targets.iter().any(|its| targets.contains(its));
        self.held
            .retain(|one| one.targets == targets || is_other(one));
        let at = self.held.iter().position(|one| one.targets == targets);
        let at = if let Some(at) = at {
            at
        } else {
            let names: Vec<&str> = targets.iter().map(String::as_str).collect();
            let hold = lock_wait::take(|| self.shared.hold(&names, run))?;
            let runs: Arc<dyn Runs> = Arc::<SharedRuns>::clone(&self.shared);
            self.held.push(HeldTargets {
                targets: targets.to_vec(),
                there: RunCatalog::load(&runs)?,
                order: ImportOrder::default(),
                _hold: hold,
            });
            self.held.len() - 1
        };
        Ok(&mut self.held[at])
    }
}

/// Handles a run ID that is in the database already: refuses another record, and marks the run in files as moved.
fn known_there(
    run: MovingRun,
    there: &crate::ledger::Ledger,
    header: &Header,
    (place, only_asks): (&str, bool),
) -> Result<Imported, Refused> {
    let differs = if run.moved_to().is_some() {
        // The run may have continued in the database.
        (!run.is_of(there)?).then_some("its command, input or settings")
    } else {
        run.differs_from(there)?
    };
    let Some(what) = differs else {
        if !only_asks {
            // This may be a copy of the folder. It is marked, too, so that the run is continued in one place only.
            run.set_moved(place)?;
        }
        return Ok(Imported::Before);
    };
    Err(CommandError::usage(format!(
        "run {} is in {place} already, but its record there is different: {what} differs",
        ui::visible(&header.run)
    ))
    .with_help(
        "the run was continued in one of the two places. If that is the database, remove this folder; otherwise find \
         out which changes were made twice (`idshift log RUN --line N` with and without --ledger)",
    )
    .into())
}

fn moved_elsewhere(header: &Header, dir: &RunDir, elsewhere: &str, place: &str) -> CommandError {
    let run = ui::visible(&header.run).into_owned();
    let folder = ui::visible(&dir.path().display().to_string()).into_owned();
    CommandError::usage(format!(
        "run {run} was moved to {elsewhere}, and not to {place}"
    ))
    .with_help(format!(
        "give that database with --ledger. If the run is certainly not there: rename ledger.moved.db in {folder} to ledger.db, \
         and give the command again"
    ))
}
