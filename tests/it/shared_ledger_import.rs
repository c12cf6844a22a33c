//! Runs in files that are moved to PostgreSQL: their changes are known there, and from then on they are worked on only there.

use crate::shared_ledger::{FILE, Machine, WISHED, apply_slowly, shared, with_file};
use crate::shared_ledger_outages::{CUT, Proxy, leave_room, make_room, small_database};
use crate::support::postgres::{ADMIN, Server};
use crate::support::{Done, Place, customer, finish};
use idshift::sandbox::Options;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Makes a place with its runs in files, and a database for later.
fn in_files(server: &Server) -> (Place, String) {
    let mut place = with_file(server);
    let ledger = place.ledger.take().unwrap();
    (place, ledger)
}

fn import(place: &Place, ledger: &str, runs: &[&str]) -> Done {
    place.run(&[&["import", "--ledger", ledger][..], runs].concat())
}

fn runs_of(place: &Place) -> Vec<String> {
    let folders = fs::read_dir(place.path().join("idshift-runs")).unwrap();
    let names = folders.map(|one| one.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("20")).collect();
    names.sort();
    names
}

/// Returns the IDs of the runs in the database, as another machine sees them.
fn there(place: &Place, ledger: &str, machine: &str) -> Vec<String> {
    let elsewhere = Machine::new(place, machine);
    let listed = elsewhere.run(&["runs", "--json", "--ledger", ledger]);
    let listed = listed.expect(0).json();
    let all = listed["runs"].as_array().unwrap().iter();
    let mut runs: Vec<String> = all
        .map(|run| run["run"].as_str().unwrap().to_owned())
        .collect();
    runs.sort();
    runs
}

/// Returns the output of all commands that read each run: with `--ledger`, or from files.
fn told(run: &dyn Fn(&[&str]) -> Done, folder: &Path, runs: &[String]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for id in runs {
        let mut add = |what: &str, text: String| {
            all.insert(format!("{id} {what}"), text);
        };
        let mut shown = run(&["runs", "show", id, "--json"]).expect(0).json();
        for of_this_machine in ["path", "folder", "commands", "next"] {
            shown.as_object_mut().unwrap().remove(of_this_machine);
        }
        add("show", shown.to_string());
        run(&["report", id]);
        for file in ["results.csv", "failures.csv"] {
            let path = folder.join("idshift-runs").join(id).join(file);
            add(file, fs::read_to_string(path).unwrap_or_default());
        }
        for line in ["2", "5", "8"] {
            add(line, run(&["log", id, "--line", line]).out);
        }
        let verified = run(&["verify", id, "--json"]);
        let code = verified.code;
        let mut verified = verified.json();
        // The commands in it name the ledger.
        verified.as_object_mut().unwrap().remove("help");
        add("verify", format!("{code} {verified}"));
    }
    all
}

/// Makes runs of each kind, some of them pruned.
fn runs_of_each_kind(place: &Place) {
    place.run(&["plan", "moves.csv"]).expect(0);
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    place.file(
        "more.csv",
        "accountId,newAccountId\nA-000006,B-000006\nA-000077,B-000077\n",
    );
    place.run(&["apply", "more.csv", "--yes"]).expect(1);
    place.run(&["undo", &place.newest_id(), "--yes"]).expect(0);
    for _ in 0..2 {
        place
            .run(&["reconcile", "moves.csv", "--yes", "--incremental"])
            .expect(0);
    }
    place
        .run(&["apply", "more.csv", "--yes", "--skip-invalid"])
        .expect(1);
}

#[test]
fn imported_runs_give_the_same_output_as_before_the_import() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    runs_of_each_kind(&place);
    let runs = runs_of(&place);
    assert_eq!(runs.len(), 7);
    let before = told(&|arguments| place.run(arguments), place.path(), &runs);
    let imported = import(&place, &ledger, &["idshift-runs"]).expect(0);
    assert_eq!(
        imported.out.matches("imported,").count(),
        7,
        "{}",
        imported.out
    );
    let elsewhere = Machine::new(&place, "elsewhere");
    let shared = |arguments: &[&str]| elsewhere.run(&[arguments, &["--ledger", &ledger]].concat());
    let after = told(&shared, &elsewhere.folder, &runs);
    for (what, text) in &before {
        assert_eq!(Some(text), after.get(what), "{what}");
    }
    let again = import(&place, &ledger, &["idshift-runs"]).expect(0);
    assert_eq!(
        again.out.matches("already imported").count(),
        7,
        "{}",
        again.out
    );
    assert_eq!(there(&place, &ledger, "third"), runs, "one copy of each");
    // No command on any machine makes the swap again, and it can be undone.
    let patches = place.patches();
    elsewhere.file("moves.csv", FILE);
    shared(&["apply", "moves.csv", "--yes"]).expect(0);
    shared(&["reconcile", "moves.csv", "--yes"]).expect(0);
    assert_eq!(place.patches(), patches);
    shared(&["undo", &runs[1], "--yes"]).expect(0);
    for (n, (id, _)) in [0, 1, 2, 3, 4, 5, 9].into_iter().zip(WISHED) {
        assert_eq!(place.account_of(id), format!("A-{n:06}"), "{id}");
    }
    place.judge_writes();
}

#[test]
fn pruned_run_is_imported_with_its_compact_record() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    for _ in 0..2 {
        place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    }
    place
        .run(&["runs", "prune", "--older-than", "0s", "--yes"])
        .expect(0);
    let patches = place.patches();
    import(&place, &ledger, &["idshift-runs"]).expect(0);
    place
        .run(&["apply", "moves.csv", "--yes", "--ledger", &ledger])
        .expect(0);
    assert_eq!(place.patches(), patches);
}

/// The message that refuses a swap names a command, and this command solves the problem.
#[test]
fn refused_swap_names_the_import_command_that_makes_it_recognised() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    let patches = place.patches();
    let apply = ["apply", "moves.csv", "--yes", "--ledger", &ledger];
    let refused = place.run(&apply).expect(2);
    let mut quoted = refused.err.split('`');
    let command = quoted
        .find(|part| part.starts_with("idshift import"))
        .unwrap();
    let words = command.replace('\'', "");
    let words: Vec<&str> = words.split_whitespace().skip(1).collect();
    place.run(&words).expect(0);
    place.run(&apply).expect(0);
    assert_eq!(place.patches(), patches);
    // Without the database the swap is refused as before, and the run is not worked on.
    let refused = place.run(&["apply", "moves.csv", "--yes"]).expect(2);
    assert!(
        refused.err.contains("was moved to database"),
        "{}",
        refused.err
    );
    assert_eq!(place.patches(), patches);
}

#[test]
fn killed_import_leaves_the_run_in_one_place_and_can_be_repeated() {
    let Some(server) = Server::shared() else {
        return;
    };
    for step in 1..40 {
        let (place, ledger) = in_files(server);
        // The run is not finished, so that it could be worked on in two places.
        let mut apply = place.command(&["apply", "moves.csv", "--yes", "--concurrency", "1"]);
        apply.env("IDSHIFT_CRASH_AT", "14");
        assert_eq!(finish(apply.spawn().unwrap()).code, -1);
        let run = place.newest_id();
        let words = format!("step {step}");
        let mut command = place.command(&["import", &run, "--ledger", &ledger]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        let is_there = there(&place, &ledger, "before") == [run.clone()];
        let local = place.run(&["resume", &run, "--max-changes", "0"]);
        let may_resume = !local.err.contains("was moved");
        assert!(!(may_resume && is_there), "{words}: in two places");
        if done.code == 0 {
            assert!(is_there, "{words}");
            assert!(step > 3, "the crash points were not reached: {step}");
            return;
        }
        assert_eq!(done.code, -1, "{words}: {}{}", done.out, done.err);
        import(&place, &ledger, &[&run]).expect(0);
        let after = there(&place, &ledger, "after");
        assert_eq!(after, std::slice::from_ref(&run), "{words}");
        let refused = place.run(&["resume", &run]).expect(2);
        assert!(
            refused.err.contains("was moved to database"),
            "{}",
            refused.err
        );
        let elsewhere = Machine::new(&place, "third");
        elsewhere
            .run(&["resume", &run, "--ledger", &ledger])
            .expect(0);
        place.run(&["report", &run, "--ledger", &ledger]).expect(0);
        place_as_wished(&place, &run, &words);
    }
    panic!("an import never ended by itself");
}

/// Checks the same as [`all_as_wished`], for a run with its ledger outside its folder.
fn place_as_wished(place: &Place, run: &str, words: &str) {
    for (id, account) in WISHED {
        assert_eq!(place.account_of(id), account, "{words}");
    }
    let results = place
        .path()
        .join("idshift-runs")
        .join(run)
        .join("results.csv");
    let mut reader = csv::Reader::from_path(results).unwrap();
    let rows = reader
        .deserialize::<BTreeMap<String, String>>()
        .map(Result::unwrap);
    assert!(
        rows.into_iter()
            .all(|row| row["idshift_status"] == "changed"),
        "{words}"
    );
    place.judge_writes();
}

#[test]
fn a_lost_connection_and_a_lost_answer_do_not_make_two_copies() {
    let Some(server) = Server::shared() else {
        return;
    };
    for part in [&b"\"correlation_id\":"[..], b"\"tool_version\":"] {
        let (mut place, ledger) = in_files(server);
        place.run(&["apply", "moves.csv", "--yes"]).expect(0);
        let run = place.newest_id();
        let database = ledger
            .split(['/', '?'])
            .find(|part| part.starts_with("test_"))
            .unwrap();
        let proxy = Proxy::start(server.port, part);
        proxy.mode.store(CUT, Ordering::SeqCst);
        let through = format!("postgres://{ADMIN}@127.0.0.1:{}/{database}", proxy.port);
        import(&place, &through, &[&run]).expect(0);
        assert_eq!(proxy.cuts.load(Ordering::SeqCst), 1, "no answer was lost");
        assert_eq!(there(&place, &ledger, "elsewhere"), [run]);
        place.ledger = Some(ledger.clone());
        place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    }
}

#[test]
fn import_of_an_active_run_is_refused_and_names_its_process() {
    let Some(server) = Server::shared() else {
        return;
    };
    let mut place = shared(
        server,
        Options {
            latency: Duration::from_millis(100),
            ..Options::default()
        },
    );
    let ledger = place.ledger.take().unwrap();
    let child = apply_slowly(&place, 100, &[]);
    let run = runs_of(&place).pop().unwrap();
    let refused = import(&place, &ledger, &[&run]).expect(5);
    for part in [run.as_str(), &child.id().to_string(), "is at work"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    finish(child).expect(0);
    import(&place, &ledger, &[&run]).expect(0);
}

#[test]
fn import_refuses_a_damaged_run_naming_its_file_and_imports_the_rest() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    for _ in 0..4 {
        place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    }
    let runs = runs_of(&place);
    let folder = |n: usize| place.path().join("idshift-runs").join(&runs[n]);
    // One letter of the lines is changed, and one of the header.
    for (n, before, after) in [(0, b"A-000030", b"A-000031"), (1, b"moves.cs", b"mOves.cs")] {
        let path = folder(n).join("ledger.db");
        let mut bytes = fs::read(&path).unwrap();
        let starts: Vec<usize> = (0..bytes.len() - before.len())
            .filter(|at| bytes[*at..].starts_with(before))
            .collect();
        assert!(!starts.is_empty(), "{n}");
        for at in starts {
            bytes[at..at + after.len()].copy_from_slice(after);
        }
        fs::write(&path, bytes).unwrap();
    }
    // Runs with the same input share one file on the disk, so it is removed before the new content is written.
    fs::remove_file(folder(2).join("input.csv")).unwrap();
    fs::write(
        folder(2).join("input.csv"),
        "accountId,newAccountId\nA-1,B-1\n",
    )
    .unwrap();
    let done = place
        .run(&["import", "idshift-runs", "--ledger", &ledger, "--json"])
        .expect(2);
    let document = done.json();
    let all = document["imports"].as_array().unwrap();
    let result = |n: usize| {
        let found = all.iter().find(|one| one["run"] == runs[n].as_str());
        found.unwrap().clone()
    };
    for (n, file) in [(0, "ledger.db"), (1, "ledger.db"), (2, "input.csv")] {
        let found = result(n);
        assert_eq!(found["result"], "refused", "{n}: {found}");
        let error = found["error"].as_str().unwrap();
        assert!(error.contains(file), "{error}");
        assert!(folder(n).join("ledger.db").exists(), "left as it was");
    }
    assert_eq!(result(3)["result"], "imported", "{document}");
    assert_eq!(there(&place, &ledger, "elsewhere"), [runs[3].clone()]);
}

fn copied(folder: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(to, private).unwrap();
}

/// A copy of a run's folder is recognised while it is equal, and refused after the run has continued in the database.
#[test]
fn a_copy_of_a_run_is_recognised_and_one_that_differs_is_refused() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    let mut apply = place.command(&["apply", "moves.csv", "--yes", "--concurrency", "1"]);
    apply.env("IDSHIFT_CRASH_AT", "14");
    finish(apply.spawn().unwrap());
    let run = place.newest_id();
    let folder = place.newest();
    let copies: Vec<PathBuf> = ["first", "second"]
        .map(|name| place.path().join(name).join(&run))
        .to_vec();
    for copy in &copies {
        copied(&folder, copy);
    }
    import(&place, &ledger, &[&run]).expect(0);
    let first = copies[0].to_str().unwrap();
    let known = import(&place, &ledger, &[first]).expect(0);
    assert!(known.out.contains("already imported"), "{}", known.out);
    assert!(
        !copies[0].join("ledger.db").exists(),
        "it is worked on in one place"
    );
    place.run(&["resume", &run, "--ledger", &ledger]).expect(0);
    let second = copies[1].to_str().unwrap();
    let refused = import(&place, &ledger, &[second]).expect(2);
    assert!(
        refused.err.contains("its record there is different"),
        "{}",
        refused.err
    );
    assert!(copies[1].join("ledger.db").exists(), "left as it was");
    // The copy cannot be imported to another database either.
    let other = server.address(ADMIN, &server.database());
    let refused = import(&place, &other, &[&run]).expect(2);
    assert!(refused.err.contains("ledger.moved.db"), "{}", refused.err);
    assert!(there(&place, &other, "elsewhere").is_empty());
}

/// Each machine numbers its own runs. If two have changed the same customer, it is not known which run was the last.
#[test]
fn import_is_refused_if_two_machines_changed_the_same_customer() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    import(&place, &ledger, &["idshift-runs"]).expect(0);
    let other = Machine::new(&place, "other");
    other.file("apart.csv", "accountId,newAccountId\nA-000006,B-000006\n");
    other.run(&["apply", "apart.csv", "--yes"]).expect(0);
    other
        .run(&["import", "idshift-runs", "--ledger", &ledger])
        .expect(0);
    let third = Machine::new(&place, "third");
    third.file("same.csv", "accountId,newAccountId\nB-000000,D-000000\n");
    third.run(&["apply", "same.csv", "--yes"]).expect(0);
    let refused = third
        .run(&["import", "idshift-runs", "--ledger", &ledger])
        .expect(2);
    for part in [
        "customer C-0",
        "which of them did it last is not known",
        "customerId",
    ] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    // A machine that has imported its runs can import later ones, also after it has worked there.
    place.file("later.csv", "accountId,newAccountId\nD-000000,E-000000\n");
    place
        .run(&["apply", "later.csv", "--yes", "--ledger", &ledger])
        .expect(0);
    place.file("latest.csv", "accountId,newAccountId\nE-000000,F-000000\n");
    place.run(&["apply", "latest.csv", "--yes"]).expect(0);
    let latest = place.newest_id();
    import(&place, &ledger, &[&latest]).expect(0);
    assert_eq!(place.account_of("C-0"), "F-000000");
}

/// Makes consecutive runs, each with a write to the same customer.
fn nights(place: &Place, from: usize, to: usize) {
    for n in from..to {
        let file = format!("night-{n}.csv");
        let (before, after) = (format!("N-{n:06}"), format!("N-{:06}", n + 1));
        let before = if n == 0 {
            "A-000006".to_owned()
        } else {
            before
        };
        place.file(
            &file,
            &format!("accountId,newAccountId\n{before},{after}\n"),
        );
        place.run(&["apply", &file, "--yes"]).expect(0);
    }
}

/// The import of many runs takes time in proportion to their number, not to its square.
#[test]
fn number_of_import_statements_is_linear_in_the_number_of_runs() {
    const NIGHTS: usize = 6;
    let Some(server) = Server::start() else {
        return;
    };
    let (place, ledger) = in_files(&server);
    nights(&place, 0, NIGHTS);
    let database = ledger
        .split(['/', '?'])
        .find(|part| part.starts_with("test_"))
        .unwrap();
    server.psql(
        "postgres",
        &format!("ALTER DATABASE {database} SET log_statement = 'all'"),
    );
    let log = server.folder().join("log");
    let import = || {
        let before = fs::read_to_string(&log).unwrap().len();
        let done = import(&place, &ledger, &["idshift-runs"]).expect(0);
        assert_eq!(
            done.out.matches(" imported,").count(),
            NIGHTS,
            "{}",
            done.out
        );
        let log = fs::read_to_string(&log).unwrap();
        log[before..].matches("LOG:  execute").count()
    };
    let first = import();
    nights(&place, NIGHTS, 2 * NIGHTS);
    let second = import();
    println!("{first} statements, then {second}");
    // Each existing run is read once. Once for each new run would be more than a hundred statements more.
    assert!(second < first + 8 * NIGHTS, "{first} {second}");
}

#[test]
fn a_dry_run_says_what_would_be_moved_in_which_order_and_moves_nothing() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    nights(&place, 0, 3);
    let runs = runs_of(&place);
    let folder = |n: usize| place.path().join("idshift-runs").join(&runs[n]);
    fs::write(folder(1).join("input.csv"), "accountId,newAccountId\nX,Y\n").unwrap();
    import(&place, &ledger, &[&runs[0]]).expect(0);
    let arguments = ["import", "--dry-run", "idshift-runs", "--ledger", &ledger];
    let asked = place.run(&arguments).expect(2);
    let told: Vec<&str> = asked.out.lines().collect();
    let [before, possible, end] = told[..] else {
        panic!("{}", asked.out);
    };
    assert_eq!(before, format!("{}  already imported", runs[0]));
    assert_eq!(possible, format!("{}  would be imported, 1 line", runs[2]));
    assert!(end.starts_with("nothing was moved"), "{end}");
    assert!(asked.err.contains("input.csv"), "{}", asked.err);
    let document = place.run(&[&arguments[..], &["--json"]].concat()).json();
    assert_eq!(document["dry_run"], true);
    assert_eq!(document["imports"][2]["result"], "possible", "{document}");
    assert_eq!(there(&place, &ledger, "elsewhere"), [runs[0].clone()]);
    assert!(folder(2).join("ledger.db").exists());
    import(&place, &ledger, &[&runs[2]]).expect(0);
}

/// Checks the same as [`killed_import_leaves_the_run_in_one_place_and_can_be_repeated`], for
/// several runs and random moments.
#[test]
fn import_killed_at_random_times_is_finished_by_the_next_import() {
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    nights(&place, 0, 5);
    let runs = runs_of(&place);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for n in 0..6 {
        let arguments = ["import", "idshift-runs", "--ledger", &ledger];
        let mut import = place.command(&arguments).spawn().unwrap();
        std::thread::park_timeout(Duration::from_millis(random.u64(20..900)));
        import.kill().unwrap();
        finish(import);
        let is_there = there(&place, &ledger, &format!("machine-{n}"));
        in_one_place(&place, &runs, &is_there);
    }
    import(&place, &ledger, &["idshift-runs"]).expect(0);
    assert_eq!(there(&place, &ledger, "third"), runs);
    let elsewhere = Machine::new(&place, "fourth");
    for run in &runs {
        elsewhere
            .run(&["report", run, "--ledger", &ledger])
            .expect(0);
    }
}

/// The database becomes full in the middle of an import.
#[test]
fn import_into_a_full_database_keeps_each_run_in_one_place_then_finishes() {
    const LINES: u32 = 400;
    let Some(server) = Server::with_little_room("48m") else {
        return;
    };
    small_database(&server);
    let place = Place::plume();
    place.with_world(|mut world| (0..LINES).for_each(|n| world.add_plume(customer(n))));
    for (before, after) in [("A", "B"), ("B", "C"), ("C", "D")] {
        let rows = (0..LINES).map(|n| format!("{before}-{n:06},{after}-{n:06}\n"));
        let rows: String = rows.collect();
        place.file("moves.csv", &format!("accountId,newAccountId\n{rows}"));
        place.run(&["apply", "moves.csv", "--yes"]).expect(0);
    }
    let ledger = server.tcp_address(ADMIN, "test_small");
    let runs = runs_of(&place);
    there(&place, &ledger, "first");
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut refused = 0;
    for n in 0..4 {
        leave_room(&server, if n == 0 { 0 } else { random.u64(0..1_000) });
        let done = import(&place, &ledger, &["idshift-runs", "--give-up-after", "1s"]);
        if done.code != 0 {
            refused += 1;
            assert!(done.err.contains("SQLSTATE 53100"), "{}", done.err);
        }
        make_room(&server);
        let is_there = there(&place, &ledger, &format!("machine-{n}"));
        in_one_place(&place, &runs, &is_there);
    }
    assert!(refused > 0, "there was room enough");
    import(&place, &ledger, &["idshift-runs"]).expect(0);
    assert_eq!(there(&place, &ledger, "third"), runs);
}

fn in_one_place(place: &Place, runs: &[String], in_database: &[String]) {
    for run in runs {
        let folder = place.path().join("idshift-runs").join(run);
        let in_files = folder.join("ledger.db").exists();
        assert!(!(in_files && in_database.contains(run)), "{run}");
    }
}

#[test]
fn import_reports_a_missing_database_or_run() {
    let place = Place::plume();
    let refused = place.run(&["import", "20261120"]).expect(2);
    assert!(
        refused.err.contains("--ledger postgres://"),
        "{}",
        refused.err
    );
    let Some(server) = Server::shared() else {
        return;
    };
    let (place, ledger) = in_files(server);
    fs::create_dir(place.path().join("empty")).unwrap();
    for (runs, words) in [
        ("empty", "there are no runs in empty"),
        ("20261120", "20261120"),
    ] {
        let refused = import(&place, &ledger, &[runs]).expect(2);
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
}
