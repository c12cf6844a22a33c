//! What holds for every place where runs are kept: each test with SQLite, and all of them with a real PostgreSQL.

mod kept_runs;
mod line_records;
mod noted;
mod run_records;

use super::*;
use crate::domain::Shard;
use crate::ledger::postgres::tests::server::{ADMIN, Server};
use std::sync::Arc;
use std::time::Duration;

/// A process that may write.
const SESSION: Session = Session {
    epoch: 1,
    writing: true,
};

/// Where runs are kept for a test.
pub(super) struct Kept {
    base: TempDir,
    runs: Arc<dyn Runs>,
    /// The database, if it is not SQLite.
    database: Option<(&'static Server, String)>,
}

impl Kept {
    fn local() -> Self {
        Self::of(None)
    }

    fn shared(server: &'static Server) -> Self {
        Self::of(Some((server, server.database())))
    }

    fn of(database: Option<(&'static Server, String)>) -> Self {
        let base = tempfile::tempdir().unwrap();
        let runs = connected(&base, database.as_ref());
        Self {
            base,
            runs,
            database,
        }
    }

    fn is_shared(&self) -> bool {
        self.database.is_some()
    }

    /// The same runs, as another process sees them.
    fn again(&self) -> Arc<dyn Runs> {
        connected(&self.base, self.database.as_ref())
    }

    /// A run that has begun.
    fn fresh(&self) -> (RunDir, Ledger) {
        self.begun(&header(), None)
    }

    fn begun(&self, header: &Header, shard: Option<&(Shard, LineSet)>) -> (RunDir, Ledger) {
        let run = loop {
            let run = RunId::new(1_795_213_815_000);
            if !self.base.path().join("runs").join(run.as_str()).exists() {
                break run;
            }
        };
        let (dir, new) = self.runs.create(&run).unwrap();
        let header = Header {
            run: run.to_string(),
            ..header.clone()
        };
        let ledger = new.begin(&header, shard).unwrap();
        (dir, ledger)
    }

    /// Opened by another process.
    fn open(&self, dir: &RunDir) -> Ledger {
        self.again().open(dir, Check::Whole).unwrap()
    }

    /// Changes the record without the program.
    fn execute(&self, dir: &RunDir, sql: &str) {
        if let Some((server, database)) = &self.database {
            server.psql(database, &format!("SET search_path = idshift; {sql}"));
        } else {
            let file = rusqlite::Connection::open(dir.ledger()).unwrap();
            file.execute(sql, ()).unwrap();
        }
    }
}

fn connected(base: &TempDir, database: Option<&(&'static Server, String)>) -> Arc<dyn Runs> {
    let runs_dir = base.path().join("runs");
    let state = Arc::new(StateDb::open_in(&base.path().join("state")).unwrap());
    let Some((server, database)) = database else {
        return Arc::new(LocalRuns::of(&runs_dir, false, Some(state)));
    };
    let settings = PostgresSettings {
        address: server.address(ADMIN, database).parse().unwrap(),
        password: None,
        tls: None,
        give_up_after: Duration::from_secs(20),
    };
    Arc::new(SharedRuns::apart(
        &settings,
        Duration::from_secs(30),
        &runs_dir,
        Some(state),
    ))
}

macro_rules! contract {
    ($($place:ident::$test:ident,)+) => {
        $(
            #[test]
            fn $test() {
                $place::$test(&Kept::local());
            }
        )+

        /// One test, since each would start a server of its own.
        #[test]
        fn ledger_contract_holds_with_postgresql() {
            let Some(server) = Server::shared() else {
                return;
            };
            $(
                println!(stringify!($test));
                $place::$test(&Kept::shared(server));
            )+
        }
    };
}

contract! {
    line_records::reading_in_pages_loses_no_line,
    line_records::each_status_is_counted_and_marks_its_line_done_or_open,
    line_records::writes_are_read_by_unit_and_unresolved_writes_separately,
    line_records::summaries_equal_the_recorded_outcomes,
    line_records::lines_without_lookup_are_returned_like_looked_up_lines,
    line_records::pruned_run_keeps_only_needed_lines_without_lookup,
    line_records::a_pruned_run_keeps_what_a_failed_line_has_changed,
    line_records::any_outcome_is_read_back_unchanged,
    line_records::recorded_drift_replaces_the_previous_drift,
    run_records::progress_and_run_values_are_read_back_unchanged,
    run_records::applied_plan_counts_as_apply_and_not_as_dry_run,
    run_records::counts_of_closed_run_are_cached_until_a_new_record,
    run_records::shard_lines_are_saved_with_the_run_and_checked_for_damage,
    run_records::remains_of_a_pruned_run_are_recorded_completely,
    run_records::orders_are_numbered_and_followed,
    run_records::first_stop_reason_counts_only_while_the_run_is_in_progress,
    noted::recorded_writes_and_outcomes_are_read_back,
    noted::a_second_journal_of_one_run_is_refused,
    noted::thread_without_a_runtime_can_record_outcomes,
    noted::outcomes_of_a_unit_replace_earlier_outcomes,
    noted::the_last_entry_of_a_line_counts,
    noted::each_write_has_its_own_number_and_its_last_verdict,
    noted::each_process_has_a_session,
    noted::many_lines_are_read_in_pages,
    noted::undo_lines_are_planned_until_they_have_an_outcome,
    kept_runs::run_is_listed_only_after_it_has_begun,
    kept_runs::outdated_list_data_of_a_run_is_not_used,
    kept_runs::one_run_at_a_time_holds_a_target,
    kept_runs::epochs_rise_across_processes,
    kept_runs::registered_run_is_listed_with_its_data,
    kept_runs::sameness_of_systems_is_symmetric_but_difference_is_not,
}
