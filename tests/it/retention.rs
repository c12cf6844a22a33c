//! What remains of old runs, and how much disk space a night takes.

use crate::support::{Asked, Done, Front, Place, begun_by, finish, named};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Returns the names of the files in a run's folder.
fn files(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Makes a file that swaps the IDs of two customers and contains personal data.
fn swap(place: &Place) -> String {
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "ONE-01", &["L-1"]));
        world.add_plume(named("C-2", "TWO-02", &["L-2"]));
    });
    place.file(
        "swap.csv",
        "accountId,newAccountId,name\nONE-01,TWO-02,Erika Mustermann\nTWO-02,ONE-01,Max Mustermann\n\
         NONE-9,ELSE-9,Otto Normal\n",
    )
}

#[test]
fn pruned_run_keeps_its_renames_and_no_personal_data() {
    let place = Place::plume();
    let file = swap(&place);
    place.run(&["apply", &file, "--yes"]).expect(1);
    let (run, id) = (place.newest(), place.newest_id());
    std::fs::copy(run.join("failures.csv"), place.path().join("failures.csv")).unwrap();
    let before = place.patches();
    let look = place.run(&["runs", "prune", "--older-than", "0s", "--dry-run"]);
    let look = look.expect(0);
    assert!(look.out.contains("would prune 1 run"), "{}", look.out);
    assert!(look.err.contains(" to be removed"), "{}", look.err);
    place
        .run(&["runs", "prune", "--older-than", "1d", "--yes"])
        .expect(0);
    let refused = place
        .run(&["runs", "prune", "--older-than", "0s"])
        .expect(2);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    assert!(run.join("input.csv").exists());
    let prune = ["runs", "prune", "--older-than", "0s", "--yes", "--json"];
    let done = place.run(&prune).expect(0).json();
    assert_eq!(done["pruned"][0]["run"], id.as_str());
    assert_eq!(files(&run), ["ledger.db", "ledger.seal", "run.lock"]);
    let ledger = std::fs::read(run.join("ledger.db")).unwrap();
    let has = |text: &str| ledger.windows(text.len()).any(|one| one == text.as_bytes());
    assert!(has("TWO-02") && !has("Mustermann") && !has("no customer"));

    // The swap is known: the same file, and another one that asks for the same, change nothing.
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts()[..2], ["unchanged/already"; 2]);
    let other = place.file(
        "other.csv",
        "accountId,newAccountId\nTWO-02,ONE-01\nONE-01,TWO-02\n",
    );
    place.run(&["apply", &other, "--yes"]).expect(0);
    assert_eq!(place.patches(), before);
    assert_eq!(place.account_of("C-1"), "TWO-02");
    // Its failures can be applied again.
    place.run(&["apply", "failures.csv", "--yes"]).expect(1);
}

#[test]
fn commands_on_a_pruned_run_report_that_it_was_pruned() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let id = place.newest_id();
    place
        .run(&["runs", "prune", "--older-than", "0s", "--yes"])
        .expect(0);
    for command in ["undo", "verify", "report", "resume"] {
        let mut words = vec![command, &id];
        words.extend((command == "undo").then_some("--yes"));
        let done = place.run(&words).expect(2);
        assert!(
            done.err.contains("was pruned at"),
            "{command}: {}",
            done.err
        );
    }
    let shown = place.run(&["runs", "show", &id, "--json"]).expect(0).json();
    assert!(shown["pruned_at"].is_string());
    assert_eq!(shown["counts"]["changed"], 3);
    let removed = shown["removed_files"].as_array().unwrap();
    assert!(removed.iter().any(|file| file["name"] == "results.csv"));
    let listed = place.run(&["runs"]).expect(0);
    assert!(listed.out.contains("finished, pruned"), "{}", listed.out);
    assert!(listed.err.is_empty(), "{}", listed.err);
}

#[test]
fn prune_keeps_what_is_still_needed() {
    let place = Place::plume();
    let file = place.moves(3);
    let second = place.file("second.csv", "accountId,newAccountId\nB-000000,D-000000\n");
    let plan = place.file("plan.csv", "accountId,newAccountId\nB-000001,E-000001\n");
    place.run(&["apply", &file, "--yes"]).expect(0);
    let applied = place.newest_id();
    place.run(&["apply", &second, "--yes"]).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    place.run(&["plan", &plan]).expect(0);
    place.sandbox.set_faults(vec!["any:401".parse().unwrap()]);
    place.run(&["reconcile", &file, "--yes"]);
    let prune = ["runs", "prune", "--older-than", "0s", "--json", "--yes"];
    let done = place.run(&[&prune[..], &["--keep-last", "4"]].concat());
    let done = done.expect(0).json();
    let pruned: Vec<&str> = done["pruned"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["run"].as_str().unwrap())
        .collect();
    assert_eq!(pruned, [applied]);
    let why = done["kept"].to_string();
    for reason in [
        "which undoes it",
        "newest good reconcile",
        "not carried out",
    ] {
        assert!(why.contains(reason), "{reason}: {why}");
    }
}

fn size(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut all = 0;
    for run in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(run.unwrap().path()).unwrap() {
            let meta = file.unwrap().metadata().unwrap();
            // A file with two names counts once.
            if seen.insert(meta.ino()) {
                all += meta.len();
            }
        }
    }
    all
}

#[test]
fn reconciles_without_changes_use_little_disk_space() {
    let place = Place::plume();
    let file = place.moves(400);
    let night = ["reconcile", &file, "--incremental", "--yes"];
    place.run(&night).expect(0);
    let runs = place.path().join("idshift-runs");
    let first = size(&runs);
    let changed = place.newest_id();
    for _ in 0..8 {
        place.run(&night).expect(0);
    }
    let now = size(&runs);
    assert!(
        now < 3 * first,
        "{now} after eight nights, {first} after the first"
    );
    assert_eq!(place.rows("results.csv").len(), 400);
    // An earlier run keeps its summary, and the digests of its files.
    let listed = place.run(&["runs", "--json"]).expect(0).json();
    let idle = &listed["runs"][1];
    assert!(idle["pruned_at"].is_string(), "{listed:#}");
    let folder = Path::new(idle["run_dir"].as_str().unwrap());
    let folder = place.path().join(folder);
    assert_eq!(
        files(&folder),
        ["ledger.db", "ledger.seal", "run.lock", "summary.json"]
    );
    // The changes can still be undone.
    place.run(&["undo", &changed, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-7"), "A-000007");
}

/// A plan is carried out with its own results, whatever an earlier night found. So nothing of that night is kept for
/// the plan, even if the newest night does not have its lines.
#[test]
fn reconciles_during_a_pending_plan_use_little_disk_space() {
    let place = Place::plume();
    let file = place.moves(1_000);
    place.run(&["plan", &file]).expect(0);
    let night = ["reconcile", &file, "--yes"];
    for _ in 0..2 {
        place.run(&night).expect(0);
    }
    place.moves(1);
    place.run(&night).expect(0);
    let listed = place.run(&["runs", "--json"]).expect(0).json();
    let runs = listed["runs"].as_array().unwrap().iter();
    let reduced: Vec<_> = runs.filter(|run| run["pruned_at"].is_string()).collect();
    assert_eq!(reduced.len(), 1, "{listed:#}");
    let folder = place.path().join(reduced[0]["run_dir"].as_str().unwrap());
    let ledger = folder.join("ledger.db").metadata().unwrap().len();
    assert!(ledger < 40_000, "{ledger} bytes of 1,000 lines are left");
}

#[test]
fn a_prune_that_is_killed_at_any_moment_is_completed_by_the_next() {
    let place = Place::plume();
    let moves = std::fs::read_to_string(place.path().join(place.moves(2000))).unwrap();
    place.with_world(|mut world| {
        world.add_plume(named("S-1", "ONE-01", &["L-1"]));
        world.add_plume(named("S-2", "TWO-02", &["L-2"]));
    });
    let file = place.file("all.csv", &format!("{moves}ONE-01,TWO-02\nTWO-02,ONE-01\n"));
    place.run(&["apply", &file, "--yes"]).expect(0);
    let (run, id, written) = (place.newest(), place.newest_id(), place.patches());
    let prune = ["runs", "prune", "--older-than", "0s", "--yes"];
    let mut killed = 0;
    for wait in (0..).map(|step| Duration::from_millis(4 * step)) {
        let mut child = place.command(&prune).spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < wait && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        // The run can be read and shows its counts, however far the pruning came.
        let shown = place.run(&["runs", "show", &id, "--json"]).expect(0).json();
        assert_eq!(
            shown["counts"]["changed"], 2002,
            "after {wait:?}: {shown:#}"
        );
    }
    assert!(killed > 2, "{killed}");
    assert_eq!(files(&run), ["ledger.db", "ledger.seal", "run.lock"]);
    // The swap is known, and is not made again.
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.patches(), written);
    assert_eq!(place.account_of("S-1"), "TWO-02");
}

/// An older run that is resumed must not overwrite values that a newer run found in place, pruned or not.
#[test]
fn values_found_by_a_pruned_run_are_protected_from_older_resumed_runs() {
    let place = Place::plume();
    place.moves(30);
    let rows = (0..30).fold(String::new(), |rows, n| format!("{rows}C-{n},B-{n:06}\n"));
    let file = place.file("older.csv", &format!("customerId,newAccountId\n{rows}"));
    let slowly = ["--rate", "5/s", "--concurrency", "1", "--until", "1s"];
    place
        .run(&[&["apply", &file, "--yes"][..], &slowly].concat())
        .expect(4);
    let older = place.newest_id();
    place.with_world(|mut world| {
        world.plume.get_mut("C-29").unwrap().account_id = "X-000029".into();
    });
    let newer = place.file("newer.csv", "customerId,newAccountId\nC-29,X-000029\n");
    place.run(&["apply", &newer, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"]);
    let prune = ["runs", "prune", "--older-than", "0s", "--yes", "--json"];
    let pruned = place.run(&prune).expect(0).json();
    assert_eq!(pruned["pruned"].as_array().unwrap().len(), 1, "{pruned:#}");
    let resumed = place.run(&["resume", &older, "--rate", "500/s"]).expect(1);
    assert_eq!(place.account_of("C-29"), "X-000029", "{}", resumed.out);
    assert_eq!(place.account_of("C-28"), "B-000028");
}

/// The same if the run that found them was begun first, and resumed last.
#[test]
fn values_found_after_a_resume_are_protected_when_the_run_is_pruned() {
    let place = Place::plume();
    place.moves(30);
    let rename = |of: std::ops::Range<u32>| {
        of.fold("customerId,newAccountId\n".to_owned(), |rows, n| {
            format!("{rows}C-{n},B-{n:06}\n")
        })
    };
    let finder = place.file("finder.csv", &(rename(0..9) + "C-29,A-000029\n"));
    let other = place.file("other.csv", &rename(10..30));
    let slowly = ["--rate", "3/s", "--concurrency", "1", "--until", "1s"];
    let begun = |file: &str| {
        let apply = [&["apply", file, "--yes"][..], &slowly].concat();
        place.run(&apply).expect(4);
        place.newest_id()
    };
    let (finder, other) = (begun(&finder), begun(&other));
    place.run(&["resume", &finder, "--rate", "500/s"]).expect(0);
    let prune = ["runs", "prune", "--older-than", "0s", "--yes", "--json"];
    let pruned = place.run(&prune).expect(0).json();
    assert_eq!(pruned["pruned"][0]["run"], *finder, "{pruned:#}");
    let resumed = place.run(&["resume", &other, "--rate", "500/s"]).expect(1);
    assert_eq!(place.account_of("C-29"), "A-000029", "{}", resumed.out);
    assert_eq!(place.account_of("C-28"), "B-000028");
}

/// The same if the system had another address when the run found them.
#[test]
fn values_found_at_another_address_are_protected_when_the_run_is_pruned() {
    let place = Place::plume();
    place.moves(30);
    let rows = (0..30).fold(String::new(), |rows, n| format!("{rows}C-{n},B-{n:06}\n"));
    let file = place.file("older.csv", &format!("customerId,newAccountId\n{rows}"));
    let slowly = ["--rate", "5/s", "--concurrency", "1", "--until", "1s"];
    place
        .run(&[&["apply", &file, "--yes"][..], &slowly].concat())
        .expect(4);
    let older = place.newest_id();
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let address = front.base_url();
    let elsewhere = ["--base-url", &address];
    let newer = place.file("newer.csv", "customerId,newAccountId\nC-29,A-000029\n");
    place
        .run(&[&["apply", &newer, "--yes"], &elsewhere[..]].concat())
        .expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"]);
    let prune = ["runs", "prune", "--older-than", "0s", "--yes", "--json"];
    let pruned = place.run(&prune).expect(0).json();
    assert_eq!(pruned["pruned"].as_array().unwrap().len(), 1, "{pruned:#}");
    let resume = ["resume", &older, "--rate", "500/s"];
    let resumed = place.run(&[&resume[..], &elsewhere].concat()).expect(1);
    assert_eq!(place.account_of("C-29"), "A-000029", "{}", resumed.out);
    assert_eq!(place.account_of("C-28"), "B-000028");
}

#[test]
fn keep_setting_of_a_profile_prunes_old_runs_after_each_run() {
    let place = Place::plume();
    let file = place.moves(3);
    place.file("idshift.toml", "[profiles.night]\nkeep = \"0s\"\n");
    place.run(&["apply", &file, "--yes"]).expect(0);
    let (first, id) = (place.newest(), place.newest_id());
    place
        .run(&["reconcile", &file, "--yes", "--profile", "night"])
        .expect(0);
    assert_eq!(files(&first), ["ledger.db", "ledger.seal", "run.lock"]);
    // The newest successful reconcile is not pruned.
    assert!(place.newest().join("results.csv").exists());
    place.run(&["resume"]).expect(2);
    assert_eq!(place.run(&["runs", "show", &id]).expect(0).err, "");
}

fn pruned(place: &Place) -> serde_json::Value {
    let prune = ["runs", "prune", "--older-than", "0s", "--dry-run", "--json"];
    place.run(&prune).expect(0).json()
}

/// Its first night would change most lines, which `--max-changes` does not allow.
#[test]
fn reconcile_stopped_before_its_first_write_is_replaced_by_the_next() {
    let place = Place::plume();
    let file = place.moves(20);
    let guarded = ["reconcile", &file, "--yes", "--max-changes", "5%"];
    place.run(&guarded).expect(4);
    let (stopped, id) = (place.newest(), place.newest_id());
    let shown = pruned(&place);
    assert!(shown.to_string().contains(&id), "{shown}");
    assert!(!shown.to_string().contains("unfinished"), "{shown}");
    let night = place.run(&["reconcile", &file, "--yes"]).expect(0);
    let told = format!("run {id}, an earlier reconcile of this file, was stopped");
    assert!(night.err.contains(&told), "{}", night.err);
    assert!(!files(&stopped).contains(&"input.csv".to_owned()));
    let next = place.run(&["reconcile", &file, "--yes"]).expect(0);
    assert!(!next.err.contains(&id), "{}", next.err);
    let none = place.run(&["resume"]).expect(2);
    assert!(none.err.contains("no unfinished run"), "{}", none.err);
}

#[test]
fn reconcile_stopped_after_a_write_is_reported_until_the_next_finishes() {
    let (place, file, id) = stopped_after_a_write();
    let commands = [
        format!("`idshift resume {id}` finishes it"),
        format!("`idshift undo {id}` restores"),
    ];
    let night = place
        .run(&["reconcile", &file, "--yes", "--quiet"])
        .expect(0);
    for command in &commands {
        assert!(night.err.contains(command), "{}", night.err);
        let shown = pruned(&place);
        assert!(shown.to_string().contains(command), "{shown}");
    }
    for _ in 0..2 {
        let next = place.run(&["reconcile", &file, "--yes"]).expect(0);
        assert!(!next.err.contains(&id), "{}", next.err);
        // `prune` keeps it.
        assert!(pruned(&place).to_string().contains(&commands[0]));
    }
    place.judge_writes();
}

/// Begins a reconcile of 60 lines, and stops it when it has written.
fn stopped_after_a_write() -> (Place, String, String) {
    let place = Place::plume();
    let file = place.moves(60);
    let slowly = ["reconcile", &file, "--yes", "--rate", "40/s"];
    let child = place.command(&slowly).spawn().unwrap();
    let begun = Instant::now();
    while place.patches() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never wrote");
        std::thread::yield_now();
    }
    place.run(&["drain"]).expect(0);
    finish(child).expect(4);
    let id = place.newest_id();
    (place, file, id)
}

#[test]
fn reconcile_stopped_after_a_write_is_reported_while_later_ones_stop_too() {
    let (place, file, first) = stopped_after_a_write();
    for _ in 0..2 {
        let guarded = ["reconcile", &file, "--yes", "--max-changes", "0"];
        let night = place.run(&guarded).expect(4);
        assert!(night.err.contains(&first), "{}", night.err);
    }
    for is_named in [true, false] {
        let night = place.run(&["reconcile", &file, "--yes"]).expect(0);
        assert_eq!(night.err.contains(&first), is_named, "{}", night.err);
    }
}

/// Runs a command on a terminal. While the command waits at its question, runs `deed`; then answers yes.
fn while_it_asks(place: &Place, arguments: &[&str], deed: impl FnOnce()) -> Done {
    let idshift = place.command(arguments);
    let script = "(until [ -e answer ]; do sleep 0.1; done; echo yes) | script -qec \"$0 $*\" /dev/null > shown";
    let child = begun_by(place, &idshift, &["sh"], script).spawn().unwrap();
    let shown = || std::fs::read_to_string(place.path().join("shown")).unwrap_or_default();
    let begun = Instant::now();
    while !shown().contains("Type yes") {
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(60), "no question: {}", shown());
        std::thread::yield_now();
    }
    deed();
    place.file("answer", "");
    let mut done = finish(child);
    done.out = shown();
    done
}

/// A night that was stopped before its first write can be pruned, and can be resumed.
fn stopped_night(place: &Place) -> String {
    let file = place.moves(30);
    let guarded = ["reconcile", &file, "--yes", "--max-changes", "5%"];
    place.run(&guarded).expect(4);
    place.newest_id()
}

#[test]
fn a_run_that_is_resumed_while_prune_asks_is_not_pruned() {
    let place = Place::plume();
    let run = stopped_night(&place);
    let prune = ["runs", "prune", "--older-than", "0s"];
    let refused = while_it_asks(&place, &prune, || {
        let resume = ["resume", &run, "--max-changes", "30", "--rate", "10/s"];
        let mut slowly = place.command(&resume).spawn().unwrap();
        let begun = Instant::now();
        while place.patches() < 3 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never wrote");
            std::thread::yield_now();
        }
        slowly.kill().unwrap();
        finish(slowly);
    })
    .expect(2);
    let told = format!("run {run} was resumed by another process meanwhile");
    assert!(refused.out.contains(&told), "{}", refused.out);
    assert!(place.newest().join("input.csv").exists());
    place.run(&["resume", &run]).expect(0);
    assert_eq!(place.account_of("C-29"), "B-000029");
    place.judge_writes();
}

#[test]
fn a_run_that_is_pruned_while_resume_asks_is_not_resumed() {
    let place = Place::plume();
    let run = stopped_night(&place);
    let resume = ["resume", &run, "--max-changes", "30"];
    let refused = while_it_asks(&place, &resume, || {
        let prune = ["runs", "prune", "--older-than", "0s", "--yes"];
        let pruned = place.run(&prune).expect(0);
        assert!(pruned.out.contains("pruned 1 run"), "{}", pruned.out);
    })
    .expect(2);
    assert!(refused.out.contains("was pruned at"), "{}", refused.out);
    assert!(!refused.out.contains("idshift resume"), "{}", refused.out);
    assert_eq!(place.patches(), 0);
    let shown = place
        .run(&["runs", "show", &run, "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["state"], "stopped", "{shown}");
}
