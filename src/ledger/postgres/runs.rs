//! Runs in PostgreSQL, for every machine that uses it. Their files are made in a folder of this machine when they are needed.

use super::ledger_rate::LedgerRate;
use super::overviews::RunOverview;
use super::process_lease::Process;
use super::run_import::RunImport;
use super::shared_connection::SharedConnection;
use super::statement::Statement;
use super::store::PgStore;
use super::{Presence, Settings, draft, input_copy, overviews};
use crate::ledger::columns::Row;
use crate::ledger::private::{create_folder, sync_folder};
use crate::ledger::{
    Check, ExclusiveLock, Ledger, LedgerError, ListedRun, LocalRuns, MovingRun, NewLedger,
    RecordPlace, RegisteredRun, RunDir, RunId, RunToJoin, Runs, Sameness, StateDb, crash_point,
};
use crate::limits::SharedRate;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The runs of a database. The first question connects to it.
#[derive(Debug)]
pub struct SharedRuns {
    connection: Arc<SharedConnection>,
    call_timeout: Duration,
    runs_dir: PathBuf,
    /// The name of the address that calls of this process come from.
    egress: Option<String>,
    /// This user's state database, which knows runs in files. `None`: the command only reads, or works on a stand-in in
    /// this process; no other process knows the stand-in, so there is nothing to hold.
    local: Option<Arc<StateDb>>,
    /// What the last list read of each run, for the next opening of the run.
    listed: Mutex<HashMap<String, RunOverview>>,
}

impl SharedRuns {
    /// The runs of this database; their files are kept in this folder. `call_timeout`: how long a call that this
    /// process has begun may take.
    pub fn of(
        settings: &Settings,
        call_timeout: Duration,
        runs_dir: &Path,
        local: Option<Arc<StateDb>>,
    ) -> Self {
        Self::with(
            SharedConnection::of(settings),
            call_timeout,
            runs_dir,
            local,
        )
    }

    /// The same with a connection of its own, as another program has it.
    #[cfg(test)]
    pub(in crate::ledger) fn apart(
        settings: &Settings,
        call_timeout: Duration,
        runs_dir: &Path,
        local: Option<Arc<StateDb>>,
    ) -> Self {
        Self::with(
            SharedConnection::apart(settings),
            call_timeout,
            runs_dir,
            local,
        )
    }

    fn with(
        connection: Arc<SharedConnection>,
        call_timeout: Duration,
        runs_dir: &Path,
        local: Option<Arc<StateDb>>,
    ) -> Self {
        Self {
            connection,
            call_timeout,
            runs_dir: runs_dir.to_owned(),
            egress: None,
            local,
            listed: Mutex::default(),
        }
    }

    /// Sets the name of the address that calls of this process come from.
    pub fn calling_from(self, egress: Option<String>) -> Self {
        Self { egress, ..self }
    }

    fn process(&self) -> Result<Arc<Process>, LedgerError> {
        let process = self.connection.process()?;
        process.allow_calls_of(self.call_timeout);
        Ok(process)
    }

    /// Returns what this machine knows of its runs, wherever they are kept. Through it, a run in files or in another
    /// database knows the runs in this one: it does not work on their targets at the same time, and repeats no swap.
    fn here(&self) -> Option<LocalRuns> {
        let state = self.local.as_ref()?;
        Some(LocalRuns::of(&self.runs_dir, true, Some(Arc::clone(state))))
    }

    /// The runs that this user has made on this machine, also in files.
    fn in_files(&self) -> Result<Vec<RegisteredRun>, LedgerError> {
        let local = self.local.as_ref();
        local.map_or(Ok(Vec::new()), |state| state.runs())
    }

    fn store(&self, run: &RunDir) -> Result<PgStore, LedgerError> {
        Ok(PgStore::of(&self.process()?, run.run().as_str()))
    }

    /// Database, servers and role, for people.
    pub fn place(&self) -> Result<String, LedgerError> {
        Ok(self.process()?.place().to_owned())
    }

    /// Moves a run from files into this database, all or nothing. The caller holds its targets meanwhile ([`Runs::hold`]).
    pub fn import(
        &self,
        run: MovingRun,
        targets: &[&str],
        known: &RegisteredRun,
    ) -> Result<(), LedgerError> {
        let process = self.process()?;
        let import = RunImport::begin(&process, &known.run, targets)?;
        import.copy(run.store(), &run.input())?;
        let whole = import.whole(run.store(), known)?;
        // Marked as moved before it is a run here, so that no two places work on it at any time.
        let moved = run.set_moved(process.place())?;
        crash_point();
        let finished = import.finish(whole);
        crash_point();
        if let Err(LedgerError::TakenOver { .. }) = &finished {
            moved.revoke()?;
        }
        finished
    }
}

impl Runs for SharedRuns {
    fn place(&self) -> RecordPlace {
        RecordPlace::Database(self.connection.place())
    }

    fn prepare(&self) -> Result<(), LedgerError> {
        RunDir::prepare(&self.runs_dir)?;
        self.process().map(drop)
    }

    fn rate_of(&self, target: &str) -> Result<Option<Arc<dyn SharedRate>>, LedgerError> {
        Ok(Some(Arc::new(LedgerRate {
            postgres: self.connection.postgres()?,
            presence: Presence::of(self.process()?)?,
            egress: self.egress.clone(),
            target: target.to_owned(),
        })))
    }

    fn list(&self) -> Result<Vec<ListedRun>, LedgerError> {
        let sql = "SELECT r.run, g.system, g.target, g.epoch, g.renames, g.customer_id, g.reseller FROM run r \
                   LEFT JOIN register g USING (run) ORDER BY r.epoch DESC, r.run DESC";
        let runs = self.process()?.rows(Statement::repeatable(sql), |row| {
            let Some(dir) = RunDir::at(&self.runs_dir.join(row.word(0)?)) else {
                return Ok(None);
            };
            let text =
                |at| Ok::<_, crate::ledger::columns::Fault>(row.text(at)?.map(str::to_owned));
            let customer = text(5)?;
            let reseller = text(6)?;
            let known = match (text(1)?, text(2)?) {
                (Some(system), Some(target)) => Some(RegisteredRun {
                    path: dir.absolute(),
                    run: dir.run().to_string(),
                    system,
                    target,
                    epoch: row.required::<i64>(3)?.cast_unsigned(),
                    renames: row.truth(4)?,
                    customer: customer.map(|customer| (customer, reseller)),
                }),
                _ => None,
            };
            Ok(Some(ListedRun::There(dir, known)))
        })?;
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) =
            overviews::read(&*self.process()?)?;
        let mut all: Vec<ListedRun> = runs.into_iter().flatten().collect();
        let known: HashSet<String> = all
            .iter()
            .filter_map(|one| match one {
                ListedRun::There(dir, _) => Some(dir.run().to_string()),
                ListedRun::Gone(_) | ListedRun::Elsewhere(_) => None,
            })
            .collect();
        let elsewhere = self.in_files()?.into_iter();
        let elsewhere = elsewhere.filter(|run| !known.contains(&run.run));
        all.extend(elsewhere.map(ListedRun::Elsewhere));
        Ok(all)
    }

    fn open(&self, run: &RunDir, check: Check) -> Result<Ledger, LedgerError> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let overview = listed.remove(run.run().as_str());
        drop(listed);
        let overview = overview.filter(|overview| check == Check::Short && overview.is_fresh());
        Ledger::of(Box::new(self.store(run)?.with(overview)))
    }

    fn open_read_only(&self, run: &RunDir) -> Result<Ledger, LedgerError> {
        self.open(run, Check::Short)
    }

    fn has(&self, run: &RunDir) -> bool {
        self.has_begun(run)
    }

    fn has_begun(&self, run: &RunDir) -> bool {
        // If this cannot be determined, the run may have begun.
        self.store(run)
            .and_then(|store| store.exists())
            .unwrap_or(true)
    }

    fn folder(&self, run: &RunDir) -> Result<(), LedgerError> {
        let folder = run.path();
        let parent = folder.parent().unwrap_or(folder);
        RunDir::prepare(parent)?;
        match create_folder(folder, false) {
            Ok(()) => sync_folder(parent).map_err(|why| LedgerError::io(parent, "synced", why)),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => run.check(),
            Err(why) => Err(LedgerError::io(folder, "made", why)),
        }
    }

    fn input(&self, run: &RunDir) -> Result<PathBuf, LedgerError> {
        self.folder(run)?;
        let copy = run.local_input();
        if !copy.exists() {
            let ledger = self.open(run, Check::Short)?;
            if ledger.pruned()?.is_none() {
                let digest = &ledger.header().input_sha256;
                input_copy::fetch(&*self.process()?, run.run().as_str(), digest, &copy)?;
            }
        }
        run.checked_input()
    }

    fn create(&self, run: &RunId) -> Result<(RunDir, NewLedger), LedgerError> {
        let dir = RunDir::create(&self.runs_dir, run)?;
        match self
            .process()
            .and_then(|process| draft::create(&process, &dir))
        {
            Ok(draft) => Ok((dir, NewLedger(draft))),
            Err(error) => {
                let _ = fs::remove_dir_all(dir.path());
                Err(error)
            }
        }
    }

    fn hold(&self, targets: &[&str], run: &str) -> Result<ExclusiveLock, LedgerError> {
        let Some(here) = self.here() else {
            return Ok(ExclusiveLock::of(()));
        };
        let local = here.hold_with_others(targets, run)?;
        let names = targets.iter().map(|target| format!("target {target}"));
        let shared = self.process()?.take(names.collect(), run)?;
        Ok(ExclusiveLock::of((local, shared)))
    }

    fn hold_with_others(&self, targets: &[&str], run: &str) -> Result<ExclusiveLock, LedgerError> {
        let Some(here) = self.here() else {
            return Ok(ExclusiveLock::of(()));
        };
        let local = here.hold_with_others(targets, run)?;
        let names = targets.iter().map(|target| format!("target {target}"));
        let names = names.collect();
        let shared = self.process()?.take_with_others(names, run)?;
        Ok(ExclusiveLock::of((local, shared)))
    }

    fn refuse_if_at(&self, target: &str, run: &str) -> Result<(), LedgerError> {
        let hold = format!("target {target}");
        self.process()?.refuse_if_held_for(&hold, run)
    }

    fn to_join(&self) -> Result<Vec<RunToJoin>, LedgerError> {
        let process = self.process()?;
        let gone = process.gone_from_all()?;
        let ask = Statement::repeatable("SELECT run, system, target, is_led FROM runs_to_join($1)");
        let found = process.rows(ask.with(gone), |row| {
            let text = |at| row.word(at).map(str::to_owned);
            Ok((text(0)?, text(1)?, text(2)?, row.truth(3)?))
        })?;
        let runs = found.into_iter().map(|(run, system, target, is_led)| {
            Ok(RunToJoin {
                run: RunId::parse(&run)?,
                system,
                target,
                is_led,
            })
        });
        runs.collect()
    }

    fn next_epoch(&self, above: u64) -> Result<u64, LedgerError> {
        // Runs in files must count as earlier ones, so the epoch is above theirs.
        let in_files = self.in_files()?.into_iter().map(|run| run.epoch).max();
        let above = above.max(in_files.unwrap_or(0));
        let ask = Statement::repeatable("SELECT next_epoch($1, $2)")
            .with(self.process()?.name().to_owned())
            .with(above.cast_signed());
        let epoch: i64 = self.process()?.row(ask, |row| row.required(0))?;
        let epoch = epoch.cast_unsigned();
        // A run in files that this machine begins later must count as later when it is imported.
        if let Some(state) = &self.local {
            state.next_epoch(epoch.saturating_sub(1))?;
        }
        Ok(epoch)
    }

    fn register(&self, run: &RegisteredRun) -> Result<(), LedgerError> {
        if let Some(here) = self.here() {
            here.register(run)?;
        }
        // The folder is that of the last process that worked on the run, whatever machine looks at the run.
        let sql = "INSERT INTO register (run, path, system, target, epoch, renames, customer_id, reseller) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (run) DO UPDATE SET \
                   path = CASE WHEN EXCLUDED.epoch > register.epoch THEN EXCLUDED.path ELSE register.path END, \
                   system = EXCLUDED.system, target = EXCLUDED.target, epoch = greatest(register.epoch, EXCLUDED.epoch), \
                   renames = register.renames OR EXCLUDED.renames, customer_id = EXCLUDED.customer_id, \
                   reseller = EXCLUDED.reseller";
        let (customer, reseller) = match &run.customer {
            None => (None, None),
            Some((customer, reseller)) => (Some(customer.clone()), reseller.clone()),
        };
        let put = Statement::repeatable(sql)
            .with(run.run.clone())
            .with(run.path.to_string_lossy().into_owned())
            .with(run.system.clone())
            .with(run.target.clone())
            .with(run.epoch.cast_signed())
            .with(run.renames)
            .with(customer)
            .with(reseller);
        self.process()?.rows(put, |_| Ok(())).map(drop)
    }

    fn worked_on_in(&self, run: &RunDir) -> Result<Option<PathBuf>, LedgerError> {
        let ask = Statement::repeatable("SELECT path FROM register WHERE run = $1")
            .with(run.run().to_string());
        let paths = self
            .process()?
            .rows(ask, |row| Ok(row.text(0)?.map(PathBuf::from)))?;
        Ok(paths.into_iter().flatten().next())
    }

    fn discard(&self, run: &RunDir) -> Result<(), LedgerError> {
        let discard = Statement::repeatable("SELECT discard($1)").with(run.run().to_string());
        let discarded = self
            .process()
            .and_then(|process| process.rows(discard, |_| Ok(())))
            .map(drop);
        let files = LocalRuns::of(&self.runs_dir, true, self.local.clone());
        files.discard(run)?;
        discarded
    }

    fn sameness(&self, target: &str, other: &str) -> Result<Option<Sameness>, LedgerError> {
        let sql = "SELECT same, epoch FROM same_system WHERE target = $1 AND other = $2";
        let ask = Statement::repeatable(sql)
            .with(target.to_owned())
            .with(other.to_owned());
        let found = self.process()?.rows(ask, |row| {
            Ok(Sameness {
                same: row.truth(0)?,
                epoch: row.required::<i64>(1)?.cast_unsigned(),
            })
        })?;
        Ok(found.into_iter().next())
    }

    fn set_sameness(&self, target: &str, other: &str, found: Sameness) -> Result<(), LedgerError> {
        // If they are one system, this is recorded in both directions.
        let sql = "INSERT INTO same_system (target, other, same, epoch) \
                   SELECT $1::text, $2::text, $3::bool, $4::bigint UNION ALL SELECT $2, $1, true, $4 WHERE $3 \
                   ON CONFLICT (target, other) DO UPDATE SET same = EXCLUDED.same, epoch = EXCLUDED.epoch";
        let put = Statement::repeatable(sql)
            .with(target.to_owned())
            .with(other.to_owned())
            .with(found.same)
            .with(found.epoch.cast_signed());
        self.process()?.rows(put, |_| Ok(())).map(drop)
    }
}
