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
        fn all_of_it_holds_with_postgresql() {
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
    line_records::pages_are_turned_without_losing_a_line,
    line_records::lines_are_done_counted_and_told_apart,
    line_records::resume_gets_the_writes_of_a_unit_and_the_reports_those_in_doubt,
    line_records::what_is_told_in_short_is_what_the_outcomes_say,
    line_records::lines_that_were_not_looked_at_are_given_like_all_others,
    line_records::a_pruned_run_keeps_of_them_what_is_still_needed,
    line_records::a_pruned_run_keeps_what_a_failed_line_has_changed,
    line_records::any_outcome_comes_back_as_it_was,
    line_records::drift_is_kept_in_place_of_what_was_there,
    run_records::the_state_is_read_back_as_it_was_noted,
    run_records::a_plan_that_is_carried_out_no_longer_only_looks,
    run_records::the_counts_of_a_closed_run_are_kept_until_something_else_is_recorded,
    run_records::the_lines_of_a_shard_are_kept_with_the_run_and_guarded,
    run_records::what_is_left_of_a_pruned_run_is_recorded_as_a_whole,
    run_records::orders_are_numbered_and_followed,
    run_records::the_first_reason_to_stop_counts_and_only_while_the_run_is_in_progress,
    noted::what_is_noted_is_read_back,
    noted::a_second_journal_of_one_run_is_refused,
    noted::a_thread_without_a_runtime_can_note_and_wait_for_room,
    noted::outcomes_of_one_unit_take_the_place_of_what_was_there,
    noted::the_last_entry_of_a_line_counts,
    noted::each_write_has_its_own_number_and_its_last_verdict,
    noted::each_process_has_a_session,
    noted::many_lines_are_answered_in_pages,
    noted::the_lines_of_an_undo_are_planned_until_something_is_recorded_of_them,
    kept_runs::a_run_is_there_once_it_is_begun,
    kept_runs::a_run_is_told_as_it_is_after_a_list,
    kept_runs::one_run_at_a_time_holds_a_target,
    kept_runs::epochs_rise_for_all,
    kept_runs::what_is_registered_is_told_again,
    kept_runs::what_is_the_same_system_is_so_from_either_side,
}
