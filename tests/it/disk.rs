use crate::support::{Done, Place, begun_by, customer, finish, in_a_namespace};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const CUSTOMERS: u32 = 400;

fn moves(place: &Place) -> String {
    place.with_world(|mut world| (0..CUSTOMERS).for_each(|n| world.add_plume(customer(n))));
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    (0..CUSTOMERS).for_each(|n| writeln!(text, "A-{n:06},B-{n:06},S-{n}").unwrap());
    place.file("moves.csv", &text)
}

fn after(place: &Place, words: &str, arguments: &[&str]) -> Command {
    let script = format!("{words}; exec \"$0\" \"$@\"");
    begun_by(place, &place.command(arguments), &["sh"], &script)
}

fn run_after(place: &Place, words: &str, arguments: &[&str]) -> Done {
    finish(after(place, words, arguments).spawn().unwrap())
}

/// Checks that a resume with enough room finds in the ledger everything that the stand-in changed.
fn resume_finishes(place: &Place, what: &str) {
    let done = place.run(&["resume"]);
    assert_eq!(done.code, 0, "{what}: {}{}", done.out, done.err);
    place.judge_writes();
    assert_eq!(
        place.patches(),
        2 * CUSTOMERS as usize,
        "{what}: each write was sent once"
    );
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
    assert_eq!(place.verdicts().len(), CUSTOMERS as usize);
    for row in place.rows("results.csv") {
        assert_eq!(row["idshift_account_id_before"], row["accountId"], "{what}");
    }
}

#[test]
fn full_disk_at_any_point_stops_the_run_and_resume_finishes_it() {
    let (mut before_any, mut in_the_middle) = (0, 0);
    // Limits in blocks of 512 bytes: from too small for an empty ledger to enough for the whole run.
    for blocks in [
        8, 40, 100, 160, 200, 240, 300, 400, 520, 700, 1000, 1400, 4000, 64_000,
    ] {
        let place = Place::plume();
        let file = moves(&place);
        let words = format!("trap '' XFSZ; ulimit -f {blocks}");
        let done = run_after(
            &place,
            &words,
            &["apply", &file, "--yes", "--concurrency", "4"],
        );
        let said = [done.out.as_str(), &done.err].concat();
        let what = format!("{blocks} blocks: {said}");
        assert!(!said.contains("panicked"), "{what}");
        for line in said.lines().filter_map(|line| line.strip_prefix("error: ")) {
            let sentences: Vec<&str> = line.split("; ").collect();
            let different: BTreeSet<&str> = sentences.iter().copied().collect();
            assert_eq!(sentences.len(), different.len(), "{what}");
        }
        match done.code {
            0 => {
                assert_eq!(place.verdicts().len(), CUSTOMERS as usize, "{what}");
                assert!(
                    before_any > 0 && in_the_middle > 1,
                    "{before_any} {in_the_middle}"
                );
                return;
            }
            // No run was begun, so there is nothing to resume.
            2 => {
                assert_eq!(place.patches(), 0, "{what}");
                before_any += 1;
                place.run(&["apply", &file, "--yes"]).expect(0);
            }
            4 => {
                in_the_middle += usize::from(place.patches() > 0);
                resume_finishes(&place, &what);
            }
            code => panic!("{code}: {what}"),
        }
        // The message names the path, and what to do.
        assert!(
            said.contains("idshift-runs") || said.contains("state/idshift"),
            "{what}"
        );
        assert!(
            said.contains("room") || said.contains("space") || said.contains("large"),
            "{what}"
        );
    }
    panic!("a run never found enough room");
}

/// The file that is written first is another one each time: of the run, or of the state of this user.
#[test]
fn resume_without_disk_space_exits_with_4_whichever_file_fails() {
    let place = Place::plume();
    let file = moves(&place);
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "4"]);
    command.env("IDSHIFT_CRASH_AT", "61");
    assert_eq!(finish(command.spawn().unwrap()).code, -1);
    let id = place.newest_id();
    for blocks in [0, 1, 8, 20, 40, 64, 80, 100, 120, 140, 160, 200] {
        for resume in [&["resume"][..], &["resume", &id]] {
            let words = format!("trap '' XFSZ; ulimit -f {blocks}");
            let done = run_after(&place, &words, resume);
            let said = [done.out.as_str(), &done.err].concat();
            let what = format!("{blocks} blocks: {said}");
            if done.code == 0 {
                assert!(blocks > 64, "{what}");
                return;
            }
            assert_eq!(done.code, 4, "{what}");
            let next = ["idshift resume", "same command"];
            assert!(next.iter().any(|next| said.contains(next)), "{what}");
        }
    }
    resume_finishes(&place, "with room");
}

/// A real file system without room, where the user may mount one.
#[test]
fn full_file_system_stops_the_run_and_resume_finishes_it() {
    let place = Place::plume();
    let file = moves(&place);
    std::fs::create_dir(place.path().join("small")).unwrap();
    let command = place.command(&[
        "apply",
        &file,
        "--yes",
        "--concurrency",
        "4",
        "--runs-dir",
        "small",
    ]);
    // The content disappears with the mount, so the run is copied before it ends.
    let script = "mount -t tmpfs -o size=420k,mode=700 none small; (\"$0\" \"$@\"); code=$?; \
         cp -a small idshift-runs; exit $code; true";
    let Some(mut shell) = in_a_namespace(&place, &command, script) else {
        println!("NOT RUN: no user namespaces here");
        return;
    };
    let done = finish(shell.spawn().unwrap()).expect(4);
    assert!(
        [done.out, done.err].concat().contains("small"),
        "names the path"
    );
    assert!(place.patches() > 0, "it was in the middle");
    resume_finishes(&place, "tmpfs");
}

#[test]
fn unwritable_report_is_an_error_and_is_written_once_space_is_free() {
    let place = Place::plume();
    let file = moves(&place);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let results = std::fs::read(place.newest().join("results.csv")).unwrap();
    std::fs::remove_file(place.newest().join("results.csv")).unwrap();
    let words = "trap '' XFSZ; ulimit -f 80";
    let done = run_after(&place, words, &["report"]);
    assert!(
        matches!(done.code, 2 | 4),
        "{} {}{}",
        done.code,
        done.out,
        done.err
    );
    assert!(done.err.contains("results.csv"), "{}", done.err);
    assert!(
        !place.newest().join("results.csv").exists(),
        "whole or not at all"
    );
    place.run(&["report"]).expect(0);
    assert_eq!(
        std::fs::read(place.newest().join("results.csv")).unwrap(),
        results
    );
}

/// The saved content of a run's folder.
struct Saved(Vec<(PathBuf, Vec<u8>)>);

impl Saved {
    fn of(run: &Path) -> Self {
        let paths = std::fs::read_dir(run)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        Self(
            paths
                .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
                .collect(),
        )
    }

    fn restore(&self, run: &Path) {
        for entry in std::fs::read_dir(run).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, bytes) in &self.0 {
            std::fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn damaged_ledger_is_refused_and_not_modified() {
    let place = Place::plume();
    let file = moves(&place);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let ledger = place.newest().join("ledger.db");
    let whole = std::fs::read(&ledger).unwrap();
    let saved = Saved::of(&place.newest());
    let calls = place.sandbox.log().len();
    let damages: [(&str, Vec<u8>); 5] = [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("not a database", b"accountId,newAccountId\n".repeat(1000)),
        ("one byte of a row", {
            let mut bytes = whole.clone();
            for at in 0..bytes.len() - 8 {
                if &bytes[at..at + 8] == b"B-000123" {
                    bytes[at + 7] = b'4';
                }
            }
            bytes
        }),
        // `undo` reads no such page itself: only the check of the whole ledger finds this.
        ("a page with outcomes", {
            let mut bytes = whole.clone();
            let has_outcomes = |page: &&mut [u8]| page.windows(7).any(|text| text == b"changed");
            bytes
                .chunks_mut(4096)
                .filter(has_outcomes)
                .skip(1)
                .for_each(|page| page.fill(0));
            bytes
        }),
    ];
    for (what, bytes) in damages {
        saved.restore(ledger.parent().unwrap());
        std::fs::write(&ledger, &bytes).unwrap();
        let listed = place.run(&["runs"]).expect(0);
        assert!(
            listed.out.contains(&place.newest_id()),
            "{what}: {}",
            listed.out
        );
        for arguments in [
            vec!["resume", &*place.newest_id()],
            vec!["verify"],
            vec!["undo", "--yes"],
            vec!["report"],
        ] {
            let done = place.run(&arguments);
            assert!(
                matches!(done.code, 2 | 4),
                "{what}, {arguments:?}: {}{}",
                done.out,
                done.err
            );
            let said = [done.out, done.err].concat();
            assert!(said.contains("ledger.db"), "{what}, {arguments:?}: {said}");
            assert!(!said.contains("panicked"), "{what}, {arguments:?}: {said}");
        }
        // A row is checked only when it is read, which is after the run was opened.
        assert!(
            what == "one byte of a row" || std::fs::read(&ledger).unwrap() == bytes,
            "{what}: left as it is"
        );
        assert_eq!(
            place.sandbox.log().len(),
            calls,
            "{what}: nothing was asked"
        );
    }
    saved.restore(ledger.parent().unwrap());
    place.run(&["verify"]).expect(0);
}

#[test]
fn flipped_bit_in_the_ledger_never_causes_a_wrong_write() {
    let place = Place::plume();
    place.with_world(|mut world| (0..30).for_each(|n| world.add_plume(customer(n))));
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    (0..30).for_each(|n| writeln!(text, "A-{n:06},B-{n:06},S-{n}").unwrap());
    let file = place.file("moves.csv", &text);
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "1"]);
    command.env("IDSHIFT_CRASH_AT", "61");
    assert_eq!(finish(command.spawn().unwrap()).code, -1);
    place.run(&["report"]);
    let run = place.newest();
    let saved = Saved::of(&run);
    let ledger = run.join("ledger.db");
    let length = ledger.metadata().unwrap().len();
    let mut random = fastrand::Rng::with_seed(6);
    let (mut refused, mut finished) = (0, 0);
    let world = place.with_world(|world| world.plume.clone());
    for _ in 0..40 {
        saved.restore(&run);
        place.with_world(|mut now| now.plume.clone_from(&world));
        let at = random.u64(..length);
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&ledger)
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << random.u8(..8))], at)
            .unwrap();
        let done = place.run(&["resume", &place.newest_id()]);
        let said = [done.out, done.err].concat();
        assert!(!said.contains("panicked"), "byte {at}: {said}");
        place.with_world(|world| {
            for n in 0..30 {
                let account = &*world.plume[&*format!("C-{n}")].account_id;
                let (old, new) = (format!("A-{n:06}"), format!("B-{n:06}"));
                assert!(account == old || account == new, "byte {at}: {account}");
                // A command that was not refused did the right thing.
                assert!(done.code != 0 || account == new, "byte {at}: {said}");
            }
        });
        match done.code {
            0 => finished += 1,
            _ => refused += 1,
        }
    }
    assert!(refused > 0 && finished > 0, "{refused} {finished}");
}

#[test]
fn run_stops_if_its_folder_is_deleted() {
    let place = Place::plume();
    let file = moves(&place);
    let child = place
        .command(&["apply", &file, "--yes", "--rate", "200/s"])
        .spawn()
        .unwrap();
    while place.patches() < 20 {
        std::thread::yield_now();
    }
    std::fs::remove_dir_all(place.path().join("idshift-runs")).unwrap();
    let done = finish(child);
    let said = [done.out, done.err].concat();
    assert_eq!(done.code, 4, "{said}");
    assert!(
        !said.contains("panicked") && said.contains("idshift-runs"),
        "{said}"
    );
    assert!(
        place.patches() < 2 * CUSTOMERS as usize,
        "it went on writing without a ledger"
    );
}

#[test]
fn closed_output_pipe_causes_no_panic_and_the_run_finishes() {
    let place = Place::plume();
    let file = moves(&place);
    let mut shell = after(&place, "", &[]);
    let idshift = env!("CARGO_BIN_EXE_idshift");
    for command in [
        "man apply",
        "runs",
        "apply --help",
        "config",
        "check moves.csv",
    ] {
        let script = format!("{idshift} {command} | head -n 1; echo over");
        shell = after(&place, &script, &["--version"]);
        let done = finish(shell.spawn().unwrap());
        assert!(!done.err.contains("panicked"), "{command}: {}", done.err);
    }
    drop(shell);
    // A run continues without a reader of its output: its results are in files.
    let script = format!("{idshift} apply {file} --yes 2>&1 | true; sleep 0");
    finish(after(&place, &script, &["--version"]).spawn().unwrap());
    let full = format!("{idshift} verify > /dev/full");
    finish(after(&place, &full, &["--version"]).spawn().unwrap());
    assert_eq!(place.verdicts().len(), CUSTOMERS as usize);
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
}

#[test]
fn run_is_refused_if_its_lock_or_state_database_cannot_be_opened() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["plan", &file]).expect(0);
    let targets = place.path().join("state/idshift/locks");
    let lock = std::fs::read_dir(&targets)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "lock"))
        .unwrap();
    std::fs::remove_file(&lock).unwrap();
    // A folder cannot be opened as a lock, like another user's file, but root cannot open it either.
    std::fs::create_dir(&lock).unwrap();
    let done = place.run(&["apply", &file, "--yes"]).expect(2);
    assert!(done.err.contains(lock.to_str().unwrap()), "{}", done.err);
    assert!(done.err.contains("XDG_STATE_HOME"), "{}", done.err);
    assert_eq!(place.patches(), 0);
    // Without a state database other runs are unknown, so nothing is written. A sandbox in the process needs no state
    // database.
    for (arguments, code) in [
        (vec!["apply", &file, "--yes"], 2),
        (vec!["apply", &file, "--yes", "--sandbox"], 0),
    ] {
        let mut command = place.command(&arguments);
        command.env("XDG_STATE_HOME", "/proc/none");
        let done = finish(command.spawn().unwrap()).expect(code);
        assert_eq!(
            done.err.contains("state database"),
            code == 2,
            "{}",
            done.err
        );
    }
    assert_eq!(place.patches(), 0);
}
