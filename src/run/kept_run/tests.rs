//! Tests with runs that have their records and inputs in another place than their folders, as with a database that several
//! machines share: every command must find them in their storage, and not in the folder.

use super::*;
use crate::ledger::{
    Check, ExclusiveLock, Header, Holder, ListedRun, NewLedger, RecordPlace, RegisteredRun, RunId,
    Sameness, StateDb, absolute, host,
};
use crate::limits::SharedRate;
use crate::run::catalog::RunCatalog;
use crate::run::redraw::{draw, refresh_report};
use std::fs;

const ID: &str = "20261120-223015-k3f9";
const INPUT: &str = "customerId,newAccountId\nC-1,A-2\n";

#[derive(Debug)]
struct Elsewhere {
    records: LocalRuns,
    of_records: PathBuf,
    folder: PathBuf,
}

impl Elsewhere {
    fn record(&self, run: &RunDir) -> RunDir {
        RunDir::at(&self.of_records.join(run.run().as_str())).unwrap()
    }

    fn here(&self, run: &RunDir) -> RunDir {
        RunDir::at(&self.folder.join(run.run().as_str())).unwrap()
    }
}

impl Runs for Elsewhere {
    fn place(&self) -> RecordPlace {
        RecordPlace::Database("elsewhere".to_owned())
    }

    fn prepare(&self) -> Result<(), LedgerError> {
        self.records.prepare()
    }

    fn rate_of(&self, _target: &str) -> Result<Option<Arc<dyn SharedRate>>, LedgerError> {
        Ok(None)
    }

    fn list(&self) -> Result<Vec<ListedRun>, LedgerError> {
        let all = self.records.list()?.into_iter();
        Ok(all
            .map(|one| match one {
                ListedRun::There(record, known) => ListedRun::There(self.here(&record), known),
                other => other,
            })
            .collect())
    }

    fn open(&self, run: &RunDir, check: Check) -> Result<Ledger, LedgerError> {
        self.records.open(&self.record(run), check)
    }

    fn open_read_only(&self, run: &RunDir) -> Result<Ledger, LedgerError> {
        self.records.open_read_only(&self.record(run))
    }

    fn has(&self, run: &RunDir) -> bool {
        self.records.has(&self.record(run))
    }

    fn has_begun(&self, run: &RunDir) -> bool {
        self.records.has_begun(&self.record(run))
    }

    fn folder(&self, run: &RunDir) -> Result<(), LedgerError> {
        fs::create_dir_all(run.path()).unwrap();
        Ok(())
    }

    fn input(&self, run: &RunDir) -> Result<PathBuf, LedgerError> {
        fs::copy(self.record(run).local_input(), run.local_input()).unwrap();
        Ok(run.local_input())
    }

    fn create(&self, run: &RunId) -> Result<(RunDir, NewLedger), LedgerError> {
        let (record, new) = self.records.create(run)?;
        Ok((self.here(&record), new))
    }

    fn hold(&self, targets: &[&str], run: &str) -> Result<ExclusiveLock, LedgerError> {
        self.records.hold(targets, run)
    }

    fn refuse_if_at(&self, target: &str, run: &str) -> Result<(), LedgerError> {
        self.records.refuse_if_at(target, run)
    }

    fn next_epoch(&self, above: u64) -> Result<u64, LedgerError> {
        self.records.next_epoch(above)
    }

    fn register(&self, run: &RegisteredRun) -> Result<(), LedgerError> {
        self.records.register(run)
    }

    fn discard(&self, run: &RunDir) -> Result<(), LedgerError> {
        let _ = fs::remove_dir_all(run.path());
        self.records.discard(&self.record(run))
    }

    fn sameness(&self, target: &str, other: &str) -> Result<Option<Sameness>, LedgerError> {
        self.records.sameness(target, other)
    }

    fn set_sameness(&self, target: &str, other: &str, found: Sameness) -> Result<(), LedgerError> {
        self.records.set_sameness(target, other, found)
    }
}

#[test]
fn run_is_found_and_reported_if_its_record_is_not_in_its_folder() {
    let base = tempfile::tempdir().unwrap();
    let base = absolute(base.path());
    let (of_records, folder) = (base.join("records"), base.join("here"));
    fs::create_dir(&folder).unwrap();
    let runs: Arc<dyn Runs> = Arc::new(Elsewhere {
        records: LocalRuns::of(&of_records, false, None),
        of_records: of_records.clone(),
        folder: folder.clone(),
    });
    let (dir, new) = runs.create(&RunId::parse(ID).unwrap()).unwrap();
    let original = of_records.join(ID).join("input.csv");
    fs::write(&original, INPUT).unwrap();
    let header = Header {
        run: ID.to_owned(),
        input_sha256: crate::input::digest(&original).unwrap(),
        settings: "{}".to_owned(),
        ..Header::example()
    };
    new.begin(&header, None).unwrap();

    let catalog = RunCatalog::load(&runs).unwrap();
    // If a run was begun on another machine, its folder is made here when the run is looked for.
    assert!(!dir.path().exists());
    let run = catalog.find("20261120").unwrap();
    let ledger = run.whole_ledger().unwrap();
    draw(&run, &ledger).unwrap();
    assert_eq!(fs::read_to_string(dir.local_input()).unwrap(), INPUT);
    assert!(dir.path().join("results.csv").exists());
    assert!(!dir.path().join("ledger.db").exists());

    // A report of the run is recognised, and drawn again if it is missing.
    let failures = dir.path().join("failures.csv");
    fs::remove_file(&failures).unwrap();
    refresh_report(&failures, &runs).unwrap();
    assert_eq!(
        KeptRun::of_file(&runs, &failures).unwrap().run().as_str(),
        ID
    );
    run.discard();
    assert!(!dir.path().exists() && !of_records.join(ID).exists());
}

/// A process that resumes a run claims its target before it opens the journal of the run.
#[test]
fn run_is_taken_while_a_process_holds_its_target_for_it() {
    let base = tempfile::tempdir().unwrap();
    let state = Arc::new(StateDb::open_in(&base.path().join("state")).unwrap());
    let folder = absolute(base.path()).join("runs");
    let runs: Arc<dyn Runs> = Arc::new(LocalRuns::of(&folder, false, Some(state)));
    let made = ["20261120-223015-k3f9", "20261120-223016-aaaa"].map(|id| {
        let (dir, new) = runs.create(&RunId::parse(id).unwrap()).unwrap();
        let header = Header {
            run: id.to_owned(),
            ..Header::example()
        };
        (KeptRun::of(&runs, dir), new.begin(&header, None).unwrap())
    });
    let [(run, ledger), (other, others)] = &made;
    let target = [ledger.header().target.as_str()];
    let claim = runs.hold(&target, run.run().as_str()).unwrap();
    match run.refuse_if_taken(ledger) {
        Err(LedgerError::Held { holder, .. }) => assert_eq!(
            holder,
            Holder {
                run: run.run().to_string(),
                pid: std::process::id(),
                host: host(),
            }
        ),
        other => panic!("{other:?}"),
    }
    other.refuse_if_taken(others).unwrap();
    drop(claim);
    run.refuse_if_taken(ledger).unwrap();
}
