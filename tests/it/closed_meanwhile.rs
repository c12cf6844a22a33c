//! Runs of which the leading process is gone, and which another process is closing when they are resumed.

use crate::shared_ledger::{Machine, database, until};
use crate::support::finish;
use crate::support::postgres::Server;
use crate::workers::{all_as_wished, slow, sql, terminate, until_at_work, with_lines};

const LINES: u32 = 600;
const JOB: [&str; 6] = ["apply", "moves.csv", "--yes", "--key", "night-1", "--quiet"];

/// Kills the leading process of a run. Resumes the run with this command once the worker that closes it waits in the
/// database: `trigger` says before which change.
fn resumed_while_it_is_closed(trigger: &str, by_key: bool) {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_lines(server, LINES, slow());
    let machine = Machine::new(&place, "one");
    let worker = machine.command(&["worker"]).spawn().unwrap();
    let slowly = [&JOB[..], &["--rate", "100/s"]].concat();
    let mut leader = place.command(&slowly).spawn().unwrap();
    until_at_work(server, &place, 2);
    let wait = format!(
        "CREATE FUNCTION idshift.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(4); \
         IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; RETURN NEW; END'; \
         CREATE TRIGGER wait BEFORE {trigger} EXECUTE FUNCTION idshift.wait()"
    );
    sql(server, &place, &wait);
    leader.kill().unwrap();
    finish(leader);
    let sleeps = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    until("a worker closes the run", || {
        server.psql(database(&place), sleeps) == "t"
    });
    let run = place.newest_id();
    let resumed = if by_key {
        place.run(&JOB[..5])
    } else {
        place.run(&["resume", &run])
    };
    let resumed = resumed.expect(0);
    if trigger == DRAWS && !by_key {
        let waits =
            format!(" has closed run {run} and draws its reports; waiting for them, at most 60 s");
        let by = format!("process {} on ", worker.id());
        assert!(resumed.err.contains(&by), "{}", resumed.err);
        assert!(resumed.err.contains(&waits), "{}", resumed.err);
    }
    let title = format!("apply {run}: finished");
    assert!(
        resumed.out.contains(&title),
        "{}{}",
        resumed.out,
        resumed.err
    );
    assert!(resumed.out.contains("600  changed"), "{}", resumed.out);
    all_as_wished(&place, LINES);
    terminate(worker).expect(0);
}

const CLOSES: &str = "UPDATE ON progress FOR EACH ROW WHEN (NEW.state = 'finished')";
const DRAWS: &str = "DELETE ON hold FOR EACH ROW WHEN (OLD.name LIKE 'target %')";

#[test]
fn resume_reports_the_result_while_a_worker_closes_the_run() {
    resumed_while_it_is_closed(CLOSES, false);
}

#[test]
fn resume_reports_the_result_while_a_worker_still_holds_the_target() {
    resumed_while_it_is_closed(DRAWS, false);
}

#[test]
fn restarted_job_reports_the_result_while_a_worker_closes_its_run() {
    resumed_while_it_is_closed(CLOSES, true);
    resumed_while_it_is_closed(DRAWS, true);
}
