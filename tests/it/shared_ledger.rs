//! Runs that are kept in PostgreSQL: a single process, on a real server, from several machines.

use crate::support::postgres::{ADMIN, Server};
use crate::support::{Done, Place, customer, finish};
use idshift::sandbox::Options;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The same chain, swap and location as in the crash tests with files.
pub(crate) const FILE: &str = "accountId,newAccountId,locationId,serviceId\n\
    A-000000,B-000000,,\n\
    A-000001,A-000002,,\n\
    A-000002,A-000003,,\n\
    A-000003,A-000030,,S-3\n\
    A-000004,A-000005,,\n\
    A-000005,A-000004,,\n\
    A-000009,,L-9,S-9\n";

/// The account IDs after the file is carried out.
pub(crate) const WISHED: [(&str, &str); 7] = [
    ("C-0", "B-000000"),
    ("C-1", "A-000002"),
    ("C-2", "A-000003"),
    ("C-3", "A-000030"),
    ("C-4", "A-000005"),
    ("C-5", "A-000004"),
    ("C-9", "A-000009"),
];

fn world(place: &Place, customers: u32) {
    place.with_world(|mut world| (0..customers).for_each(|n| world.add_plume(customer(n))));
}

/// Makes a place with its runs in their own database.
pub(crate) fn shared(server: &Server, options: Options) -> Place {
    let address = server.address(ADMIN, &server.database());
    Place {
        ledger: Some(address),
        ..Place::new(options)
    }
}

/// Starts a server that waits for a standby; returns both, a database there, and an address that names both.
pub(crate) fn with_standby() -> Option<(Server, Server, String, String)> {
    let primary = Server::start()?;
    let standby = primary.standby();
    primary.set("synchronous_standby_names", "*");
    let is_waited_for = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    until("a standby that is waited for", || {
        primary.psql("postgres", is_waited_for) == "1"
    });
    let database = primary.database();
    let address = format!(
        "postgres://{ADMIN}@127.0.0.1:{},127.0.0.1:{}/{database}",
        primary.port, standby.port
    );
    Some((primary, standby, database, address))
}

/// Makes such a place with ten customers and the file.
pub(crate) fn with_file(server: &Server) -> Place {
    let place = shared(server, Options::default());
    world(&place, 10);
    place.file("moves.csv", FILE);
    place
}

fn all_as_wished(place: &Place, step: &str) {
    for (id, account) in WISHED {
        assert_eq!(place.account_of(id), account, "{step}");
    }
    let verdicts = place.verdicts();
    assert!(
        verdicts.len() == 7 && verdicts.iter().all(|one| one == "changed/"),
        "{step}: {verdicts:?}"
    );
    place.judge_writes();
}

/// Another machine: it has other folders, the same system and the same ledger.
pub(crate) struct Machine<'p> {
    place: &'p Place,
    pub(crate) folder: PathBuf,
}

impl<'p> Machine<'p> {
    pub(crate) fn new(place: &'p Place, name: &str) -> Self {
        let folder = place.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self { place, folder }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("XDG_STATE_HOME", self.folder.join("state"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        finish(self.command(arguments).spawn().unwrap())
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }
}

/// Returns the name of the place's database.
pub(crate) fn database(place: &Place) -> &str {
    let address = place.ledger.as_ref().unwrap();
    let mut parts = address.split(['/', '?']);
    parts.find(|part| part.starts_with("test_")).unwrap()
}

pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn the_samples_of_each_system_run_on_a_shared_ledger() {
    let Some(server) = Server::shared() else {
        return;
    };
    for system in ["plume", "adobe", "cloudcockpit"] {
        let place = shared(server, Options::default());
        let samples = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("samples")
            .join(system);
        let file = samples.join("moves.csv");
        let file = file.to_str().unwrap();
        let mut command = place.command(&["apply", file, "--yes", "--sandbox", "--system", system]);
        command
            .env_remove("IDSHIFT_BASE_URL")
            .env_remove("IDSHIFT_SYSTEM");
        if system == "adobe" {
            command.args(["--reseller", "R-1", "--accept-welcome-emails"]);
        }
        let done = finish(command.spawn().unwrap());
        assert!(
            done.code == 0 || done.code == 1,
            "{system}: {}\n{}",
            done.out,
            done.err
        );
        let results = place.rows("results.csv");
        assert!(
            results.iter().any(|row| row["idshift_status"] == "changed"),
            "{system}: {}",
            done.err
        );
        assert!(!place.newest().join("ledger.db").exists());
        assert!(
            !place.path().join("state/idshift/locks").exists(),
            "no lock file"
        );
        let listed = place.run(&["runs", "--json"]).expect(0).json();
        assert_eq!(listed["runs"].as_array().unwrap().len(), 1, "{listed}");
    }
}

#[test]
fn kill_at_any_durable_step_on_a_shared_ledger_loses_and_repeats_nothing() {
    let Some(server) = Server::shared() else {
        return;
    };
    for (crashes, step) in (1..400).enumerate() {
        let place = with_file(server);
        let mut command = place.command(&["apply", "moves.csv", "--yes", "--concurrency", "1"]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        let words = format!("step {step}");
        if done.code == 0 {
            all_as_wished(&place, &words);
            assert!(crashes > 10, "the crash points were not reached: {crashes}");
            return;
        }
        assert_eq!(done.code, -1, "{words}: {}{}", done.out, done.err);
        // Every second resume runs on another machine.
        if step % 2 == 0 {
            place.run(&["resume"]).expect(0);
        } else {
            let elsewhere = Machine::new(&place, "elsewhere");
            elsewhere.run(&["resume"]).expect(0);
            place.run(&["report"]).expect(0);
        }
        all_as_wished(&place, &words);
        for row in place.rows("results.csv") {
            assert_eq!(
                row["idshift_account_id_before"], row["accountId"],
                "{words}: the true before-value"
            );
        }
    }
    panic!("a run never ended by itself");
}

#[test]
fn run_is_reported_verified_and_undone_from_another_machine() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_file(server);
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    let run = place.newest_id();
    let elsewhere = Machine::new(&place, "elsewhere");
    let listed = elsewhere.run(&["runs"]).expect(0);
    assert!(listed.out.contains(&run), "{}", listed.out);
    elsewhere.run(&["status", &run]).expect(0);
    elsewhere.run(&["report", &run]).expect(0);
    let read = |folder: &Path, file: &str| {
        std::fs::read(folder.join("idshift-runs").join(&run).join(file)).unwrap()
    };
    for file in ["input.csv", "results.csv", "failures.csv"] {
        assert_eq!(
            read(place.path(), file),
            read(&elsewhere.folder, file),
            "{file}"
        );
    }
    elsewhere.run(&["verify", &run]).expect(0);
    let story = elsewhere.run(&["log", &run, "--line", "4"]).expect(0);
    assert!(story.out.contains("A-000003"), "{}", story.out);
    elsewhere.run(&["undo", &run, "--yes"]).expect(0);
    for n in 0..10 {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}"));
    }
    let undone = place.run(&["verify", &run]);
    assert_eq!(undone.code, 3, "{}{}", undone.out, undone.err);
}

#[test]
fn a_swap_is_not_made_a_second_time_from_another_machine() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_file(server);
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    let before = place.patches();
    let elsewhere = Machine::new(&place, "elsewhere");
    elsewhere.file("moves.csv", FILE);
    elsewhere.run(&["apply", "moves.csv", "--yes"]).expect(0);
    assert_eq!(place.patches(), before, "nothing is written again");
    elsewhere
        .run(&["reconcile", "moves.csv", "--yes"])
        .expect(0);
    assert_eq!(place.patches(), before);
    for (id, account) in WISHED {
        assert_eq!(place.account_of(id), account);
    }
}

#[test]
fn pruned_run_keeps_a_compact_record_and_no_copy_of_its_file() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_file(server);
    for _ in 0..2 {
        place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    }
    let sql = |sql: &str| {
        server.psql(
            database(&place),
            &format!("SET search_path = idshift; {sql}"),
        )
    };
    assert_eq!(sql("SELECT count(DISTINCT run) FROM piece"), "2");
    // Another machine has no files of these runs.
    let prune = ["runs", "prune", "--older-than", "0s", "--dry-run"];
    let elsewhere = Machine::new(&place, "elsewhere").run(&prune).expect(0);
    let words = "this machine has no files of it";
    assert!(elsewhere.err.contains(words), "{}", elsewhere.err);
    assert!(!elsewhere.err.contains("0 B"), "{}", elsewhere.err);
    place
        .run(&["runs", "prune", "--older-than", "0s", "--yes"])
        .expect(0);
    assert_eq!(sql("SELECT count(DISTINCT run) FROM piece"), "0");
    assert_eq!(
        sql("SELECT count(*) FROM outcomes WHERE message <> ''"),
        "0"
    );
    // The changes of the run are still known.
    let before = place.patches();
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    assert_eq!(place.patches(), before);
}

/// With a ledger in PostgreSQL, runs in files are not read: a swap that one of them made would be made again.
#[test]
fn a_swap_is_refused_where_a_run_in_files_may_have_made_it() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut place = with_file(server);
    let ledger = place.ledger.take();
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    let local = place.newest_id();
    let before = place.patches();
    place.ledger = ledger;
    let refused = place.run(&["apply", "moves.csv", "--yes"]).expect(2);
    for part in [local.as_str(), "it is kept in files", "--without-history"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    assert_eq!(place.patches(), before);
    // What cannot be made twice is not refused.
    place.file("one.csv", "accountId,newAccountId\nA-000006,B-000006\n");
    place.run(&["apply", "one.csv", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-6"), "B-000006");
}

/// The same in the other direction, and between two databases: both know the runs that this machine has registered.
#[test]
fn swap_of_a_run_in_a_database_is_refused_without_that_database() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut place = with_file(server);
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    let run = place.newest_id();
    let before = place.patches();
    let other = server.address(ADMIN, &server.database());
    for ledger in [None, Some(other)] {
        place.ledger = ledger;
        for command in ["apply", "reconcile"] {
            let refused = place.run(&[command, "moves.csv", "--yes"]).expect(2);
            assert!(refused.err.contains(&run), "{}", refused.err);
            assert!(
                refused.err.contains("its ledger cannot be read"),
                "{}",
                refused.err
            );
        }
    }
    assert_eq!(place.patches(), before);
    place.file("one.csv", "accountId,newAccountId\nA-000006,B-000006\n");
    place.run(&["apply", "one.csv", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-6"), "B-000006");
}

/// On one machine, a run in files and a run in a database cannot work on the same target at the same time.
#[test]
fn run_in_files_is_refused_while_a_run_in_a_database_is_active() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (mut place, child) = at_work(server, 200, &[]);
    let ledger = place.ledger.take();
    place.file("one.csv", "accountId,newAccountId\nA-000000,C-000000\n");
    let refused = place.run(&["apply", "one.csv", "--yes"]).expect(5);
    assert!(refused.err.contains("run"), "{}", refused.err);
    place.ledger = ledger;
    finish(child).expect(0);
}

/// `resume` without a name chooses an unfinished run, also on a machine without files of any run.
#[test]
fn resume_on_another_machine_chooses_only_unfinished_runs() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_file(server);
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    let elsewhere = Machine::new(&place, "elsewhere");
    let done = elsewhere.run(&["resume", "--yes"]).expect(2);
    let none = "no unfinished run in database ";
    assert!(done.err.contains(none), "{}", done.err);
    // The folder and files on this machine do not belong to the process that ended the run.
    elsewhere.run(&["verify"]).expect(0);
    let again = elsewhere.run(&["resume", "--yes"]).expect(2);
    assert!(again.err.contains("no unfinished run"), "{}", again.err);
    // On the machine of the process, missing reports show that it did not come to its end.
    std::fs::remove_file(place.newest().join("summary.json")).unwrap();
    place.run(&["resume", "--yes"]).expect(0);
}

/// Starts a run that is slow enough to be observed.
pub(crate) fn at_work(server: &Server, customers: u32, more: &[&str]) -> (Place, Child) {
    let place = shared(
        server,
        Options {
            latency: Duration::from_millis(100),
            ..Options::default()
        },
    );
    let child = apply_slowly(&place, customers, more);
    (place, child)
}

/// Starts an `apply` that is slow enough to be observed, and waits for its first write.
pub(crate) fn apply_slowly(place: &Place, lines: u32, more: &[&str]) -> Child {
    let file = place.moves(lines);
    let apply = [
        "apply",
        &file,
        "--yes",
        "--concurrency",
        "2",
        "--rate",
        "30/s",
    ];
    let child = place.command(&[&apply[..], more].concat()).spawn().unwrap();
    until("some writes", || place.patches() > 2);
    child
}

#[test]
fn printed_command_names_the_config_file_of_its_own_machine() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = shared(server, Options::default());
    place.moves(60);
    place.file("here.toml", "");
    let begin = ["apply", "moves.csv", "--yes", "--config", "here.toml"];
    let slowly = ["--rate", "20/s", "--until", "1s"];
    let stopped = place.run(&[&begin[..], &slowly].concat()).expect(4).out;
    assert!(stopped.contains(" --config here.toml"), "{stopped}");
    let run = place.newest_id();
    let machine = Machine::new(&place, "one");
    machine.file("there.toml", "");
    let told = machine
        .run(&["resume", &run, "--rate", "20/s", "--until", "1s"])
        .expect(4)
        .out;
    assert!(
        told.contains("next: idshift resume") && !told.contains("--config"),
        "{told}"
    );
    let named = machine.run(&["resume", &run, "--config", "there.toml", "--rate", "900/s"]);
    let told = named.expect(0).out;
    let next = format!("next: idshift verify {run} --config there.toml");
    assert!(told.contains(&next), "{told}");
    assert!(!told.contains("--config here.toml"), "{told}");
}

#[test]
fn second_apply_from_another_machine_is_refused_and_names_the_active_run() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, mut child) = at_work(server, 400, &[]);
    let elsewhere = Machine::new(&place, "elsewhere");
    elsewhere.file("moves.csv", "accountId,newAccountId\nA-000399,B-000399\n");
    let second = elsewhere.run(&["apply", "moves.csv", "--yes"]).expect(5);
    let (run, pid) = (place.newest_id(), child.id().to_string());
    for part in [run.as_str(), pid.as_str(), "is at work"] {
        assert!(second.err.contains(part), "{part}: {}", second.err);
    }
    let status = elsewhere.run(&["status", &run, "--json"]).expect(0).json();
    assert_eq!(status["live"], true, "{status}");
    // Orders reach the run from another machine.
    elsewhere.run(&["drain", &run]).expect(0);
    let done = finish(child);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    child = elsewhere.command(&["resume", &run]).spawn().unwrap();
    child.kill().unwrap();
    finish(child);
}

#[test]
fn ledger_errors_are_reported_before_any_call_to_the_system() {
    let Some(server) = Server::shared() else {
        return;
    };
    let place = with_file(server);
    let database = server.database();
    server.psql(&database, "CREATE ROLE clerk LOGIN");
    let clerk = server.address("clerk", &database);
    let stopped = "postgres://u@127.0.0.1:9/d".to_owned();
    let nothing = server.address(ADMIN, "nothing");
    for (ledger, words) in [
        (&clerk, "idshift doctor --ledger-schema"),
        (&stopped, "no server listens there"),
        (&nothing, "CREATE DATABASE \"nothing\""),
        (&"mysql://u@h/d".to_owned(), "postgres://idshift@"),
    ] {
        for command in [
            vec!["apply", "moves.csv", "--yes"],
            vec!["resume"],
            vec!["runs"],
        ] {
            let done = place.run_with(&[("LEDGER", ledger)], &command).expect(2);
            assert!(
                done.err.contains(words),
                "{command:?} {words}: {}",
                done.err
            );
        }
    }
    assert!(place.sandbox.log().is_empty());
    // A command that needs no run needs no ledger.
    for command in [
        vec!["check", "moves.csv"],
        vec!["config"],
        vec!["map", "moves.csv"],
    ] {
        place.run_with(&[("LEDGER", &stopped)], &command).expect(0);
    }
}

#[test]
fn printed_command_includes_the_ledger_option_only_if_it_was_given() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut place = with_file(server);
    let ledger = place.ledger.take().unwrap();
    place.file(
        "idshift.toml",
        &format!("[profiles.p]\nledger = \"{ledger}\"\n"),
    );
    let typed = place
        .run(&["plan", "moves.csv", "--ledger", &ledger])
        .expect(0);
    let named = format!("--ledger '{ledger}'");
    assert!(typed.out.contains(&named), "{}", typed.out);
    let planned = place
        .run(&["plan", "moves.csv", "--profile", "p"])
        .expect(0);
    // The profile contains the other settings of the ledger.
    let next = planned.out.lines().last().unwrap();
    let next = next.strip_prefix("next: idshift ").unwrap();
    assert!(next.ends_with(" --profile p"), "{next}");
    let words: Vec<&str> = next.split(' ').chain(["--yes"]).collect();
    place.run(&words).expect(0);
    // Without --ledger, the run is named, but not shown.
    let without = place.run(&["runs"]).expect(0);
    assert!(
        without.out.contains("kept in PostgreSQL (--ledger)"),
        "{}",
        without.out
    );
}
