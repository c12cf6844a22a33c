use crate::shared_ledger::{shared, until};
use crate::support::postgres::Server;
use crate::support::{Done, Place, finish};
use crate::workers::{signal, sql};
use idshift::sandbox::Options;
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader};
use std::process::Child;

/// A place with its runs in files, and one with its runs in a database, if there is a server.
fn places() -> Vec<Place> {
    let mut places = vec![Place::plume()];
    places.extend(Server::shared().map(|server| shared(server, Options::default())));
    places
}

/// Starts a command that makes a run, at a low rate, and waits until it has made more than this number of calls.
fn slowly(place: &Place, arguments: &[&str], calls: usize) -> (Child, String) {
    let before = place.sandbox.log().len();
    let more = ["--yes", "--rate", "8/s", "--lookup", "each"];
    let child = place.command(&[arguments, &more].concat()).spawn().unwrap();
    until("the run makes calls", || {
        place.sandbox.log().len() > before + calls
    });
    (child, place.newest_id())
}

/// Checks that the command names the process on the run, and says how to see its state, but not how to resume it.
fn is_refused(refused: &Done, run: &str, child: &Child) {
    let at_work = format!("run {run} holds this target: process {} on ", child.id());
    assert_eq!(refused.code, 5, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains(&at_work), "{}", refused.err);
    let shows = format!("`idshift status {run}` shows its state");
    assert!(refused.err.contains(&shows), "{}", refused.err);
    assert!(!refused.err.contains("idshift resume"), "{}", refused.err);
}

fn ends(place: &Place, run: &str, child: Child) {
    place.run(&["rate", run, "500/s"]).expect(0);
    finish(child).expect(0);
}

#[test]
fn second_undo_during_the_first_names_its_process() {
    for place in places() {
        let file = place.moves(40);
        place.run(&["apply", &file, "--yes"]).expect(0);
        let run = place.newest_id();
        let before = place.patches();
        let (child, undo) = slowly(&place, &["undo", &run], 2);
        until("the undo writes", || place.patches() > before + 1);
        is_refused(&place.run(&["undo", &run, "--yes"]), &undo, &child);
        ends(&place, &undo, child);
        assert_eq!(place.account_of("C-39"), "A-000039");
    }
}

/// The lease of a frozen process ends, and only then is its undo one that was not finished.
#[test]
fn second_undo_waits_for_the_lease_of_a_frozen_first_undo() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = shared(server, Options::default());
    let file = place.moves(40);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let (run, before) = (place.newest_id(), place.patches());
    let (child, undo) = slowly(&place, &["undo", &run], 2);
    until("the undo writes", || place.patches() > before + 1);
    signal(&child, Signal::STOP);
    let silent = format!(
        "SELECT count(*) FROM process WHERE pid = {} AND seen_at < clock_timestamp() - interval '4 s'",
        child.id()
    );
    until("the process is silent", || {
        sql(server, &place, &silent) == "1"
    });
    let refused = place.run(&["undo", &run, "--yes"]).expect(2);
    let waits = format!("works on run {undo}, but has not renewed its lease");
    assert!(refused.err.contains(&waits), "{}", refused.err);
    let resume = format!("idshift resume {undo} continues it");
    assert!(refused.err.contains(&resume), "{}", refused.err);
    // No other process has taken the run, so it goes on.
    signal(&child, Signal::CONT);
    ends(&place, &undo, child);
}

#[test]
fn plan_in_progress_is_neither_verified_nor_applied() {
    for place in places() {
        let file = place.moves(40);
        let (child, plan) = slowly(&place, &["plan", &file], 2);
        is_refused(&place.run(&["verify", &plan]), &plan, &child);
        let carry_out = ["apply", "--run", &plan, "--yes"];
        is_refused(&place.run(&carry_out), &plan, &child);
        ends(&place, &plan, child);
        let (child, _) = slowly(&place, &["apply", "--run", &plan], 2);
        is_refused(&place.run(&carry_out), &plan, &child);
        ends(&place, &plan, child);
        assert_eq!(place.account_of("C-39"), "B-000039");
    }
}

#[test]
fn verify_and_report_suggest_no_resume_of_a_run_in_progress() {
    for place in places() {
        let file = place.moves(40);
        let (child, run) = slowly(&place, &["apply", &file], 4);
        let verified = place.run(&["verify", &run]).expect(4);
        let shows = format!("the run was in progress; `idshift status {run}` shows its state");
        assert!(verified.out.contains(&shows), "{}", verified.out);
        assert!(!verified.out.contains("idshift resume"), "{}", verified.out);
        // A write without an answer is under way.
        place
            .sandbox
            .set_faults(vec!["customer-patch:hang=1000".parse().unwrap()]);
        until("a line is being written", || {
            place.run(&["report", &run]).expect(0);
            let rows = place.rows("results.csv");
            let mut rows = rows
                .iter()
                .filter(|row| row["idshift_status"] == "in_doubt");
            rows.next().is_some_and(|row| {
                assert_eq!(
                    row["idshift_message"],
                    "the run is in progress, and has not finished this line yet"
                );
                true
            })
        });
        place.sandbox.set_faults(Vec::new());
        ends(&place, &run, child);
    }
}

/// A process on another machine has claimed the target for the run, and has not begun to work on it.
#[test]
fn worker_waits_for_a_stopped_run_that_is_about_to_be_resumed() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = shared(server, Options::default());
    let file = place.moves(40);
    let (child, run) = slowly(&place, &["apply", &file], 4);
    place.run(&["drain", &run]).expect(0);
    finish(child).expect(4);
    let claim = "INSERT INTO process VALUES ('other', 'elsewhere', 4711, 'elsewhere', now(), now() + interval '1 h', '0'); \
                 INSERT INTO hold SELECT 'target ' || target, 'other', run, 'token' FROM run";
    sql(server, &place, claim);
    let mut worker = place.command(&["worker", &run]).spawn().unwrap();
    let mut first = String::new();
    let mut said = BufReader::new(worker.stderr.take().unwrap());
    said.read_line(&mut first).unwrap();
    assert!(first.contains("waiting for a run in"), "{first}");
    sql(server, &place, "DELETE FROM hold");
    assert_eq!(worker.wait().unwrap().code(), Some(0));
}
