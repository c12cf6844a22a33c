use crate::support::{Asked, Front, Place, finish, good_answer};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn run(place: &Place, front: &Front, arguments: &[&str]) -> crate::support::Done {
    place.run_with(&[("BASE_URL", &front.base_url())], arguments)
}

/// A run that was killed at this step, and the customer of its swap that has a temporary ID then, with that ID.
fn killed_at(step: u32) -> (Place, Option<(&'static str, String)>) {
    let place = Place::plume();
    place.moves(4);
    let swap = "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\nA-000002,B-2\n";
    let file = place.file("swap.csv", swap);
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "1"]);
    let command = command.env("IDSHIFT_CRASH_AT", step.to_string());
    finish(command.spawn().unwrap());
    let ids = ["C-0", "C-1"].map(|id| (id, place.account_of(id)));
    let mut parked = ids.into_iter();
    let parked = parked.find(|(_, account)| account.starts_with("IDS"));
    (place, parked)
}

/// The same at the last of the steps that are wanted.
fn killed_last(wanted: impl Fn(&Place) -> bool) -> (Place, &'static str, String) {
    let mut found = None;
    for step in 1.. {
        let (place, parked) = killed_at(step);
        match parked.filter(|_| wanted(&place)) {
            Some((id, account)) => found = Some((place, id, account)),
            None if found.is_some() => break,
            None => assert!(step < 60, "no step is wanted"),
        }
    }
    found.unwrap()
}

/// The run has finished, and by its record the customer still has the temporary ID. The undo restores the other customers, and
/// this one too if it has that ID.
#[test]
fn parked_customer_renamed_by_another_client_does_not_prevent_undo() {
    for is_back in [false, true] {
        let (place, customer, temporary) = killed_last(|_| true);
        let run = place.newest_id();
        place.with_world(|mut world| world.rename_plume(customer, "OTHER-1"));
        place.run(&["resume", &run]).expect(1);
        if is_back {
            place.with_world(|mut world| world.rename_plume(customer, &temporary));
        }
        let undo = place.run(&["undo", &run, "--yes"]);
        let code = i32::from(!is_back);
        assert_eq!(undo.code, code, "{}{}", undo.out, undo.err);
        for n in 0..4 {
            let id = format!("C-{n}");
            let wished = if id == customer && !is_back {
                "OTHER-1".to_owned()
            } else {
                format!("A-{n:06}")
            };
            assert_eq!(place.account_of(&id), wished, "{}", undo.out);
        }
    }
}

/// If such a write takes effect after the run, the customer keeps the temporary ID. `undo` restores its ID.
#[test]
fn a_customer_parked_after_the_run_gets_its_id_back_by_undo() {
    let (place, file) = Place::with_a_swap();
    place.run(&["apply", &file, "--yes"]).expect(0);
    let aside = place
        .sandbox
        .log()
        .iter()
        .find_map(|seen| {
            let at = seen.body.find("IDS")?;
            Some(seen.body[at..].split('"').next().unwrap().to_owned())
        })
        .unwrap();
    let parked = if place.account_of("C-1") == "A-2" {
        "C-1"
    } else {
        "C-2"
    };
    place.with_world(|mut world| world.rename_plume(parked, &aside));
    let done = place.run(&["apply", &file, "--yes"]);
    assert!(done.code == 1, "{}{}", done.out, done.err);
    let told = place.rows("results.csv");
    let told = told.iter().map(|row| &row["idshift_message"]);
    assert!(
        told.clone().any(|words| words.contains("temporary ID")),
        "{:?}",
        told.collect::<Vec<_>>()
    );
    let first = std::fs::read_dir(place.path().join("idshift-runs")).unwrap();
    let mut runs: Vec<_> = first
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("20"))
        .collect();
    runs.sort();
    place.run(&["undo", &runs[0], "--yes"]).expect(0);
    assert_eq!(place.account_of("C-1"), "A-1");
    assert_eq!(place.account_of("C-2"), "A-2");
}

/// The same if the swap was given up: then no other record mentions the write. The system may store the temporary ID in
/// another spelling.
#[test]
fn resume_restores_the_id_of_a_customer_parked_by_a_late_write() {
    for (given_up, is_respelled) in [(false, false), (true, false), (false, true), (true, true)] {
        let (place, file) = Place::with_a_swap();
        let honest = place.sandbox.base_url();
        let late: Arc<Mutex<Option<Asked>>> = Arc::default();
        let kept = Arc::clone(&late);
        let writes = AtomicUsize::new(0);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            if asked.method == "PATCH" {
                match writes.fetch_add(1, Ordering::SeqCst) {
                    0 => {
                        *kept.lock().unwrap() = Some(asked.clone());
                        return false;
                    }
                    2 if given_up => {
                        let body = r#"{"error":{"statusCode":422,"name":"Error","message":"no"}}"#;
                        let answer = good_answer(body);
                        let answer = String::from_utf8(answer).unwrap();
                        let answer = answer.replacen("200 OK", "422 No", 1);
                        return stream.write_all(answer.as_bytes()).is_ok();
                    }
                    _ => {}
                }
            }
            stream.write_all(&asked.honestly(&honest)).is_ok()
        });
        let code = i32::from(given_up);
        run(&place, &front, &["apply", &file, "--yes"]).expect(code);
        let asked = late.lock().unwrap().take().unwrap();
        asked.honestly(&place.sandbox.base_url());
        let accounts = || [place.account_of("C-1"), place.account_of("C-2")];
        let ids = ["C-1", "C-2"].into_iter().zip(accounts());
        let (parked, temporary) = ids
            .into_iter()
            .find(|(_, id)| id.starts_with("IDS"))
            .unwrap();
        if is_respelled {
            let stored = temporary.to_lowercase();
            place.with_world(|mut world| world.rename_plume(parked, &stored));
        }
        let verified = run(&place, &front, &["verify"]).expect(3);
        assert!(
            verified
                .out
                .contains("1 customer has a temporary ID of this run"),
            "{}",
            verified.out
        );
        // `verify` expects the customer to have the value that the line left.
        let resume = format!("resume {}", place.newest_id());
        assert!(verified.out.contains(&resume), "{}", verified.out);
        let expected = ["the run left A-1", "the run left A-2"];
        assert!(expected.iter().any(|words| verified.out.contains(words)));
        // The customers get the IDs that their lines report.
        let told = place.verdicts();
        run(&place, &front, &["resume", &place.newest_id()]).expect(code);
        let home = if given_up {
            ["A-1", "A-2"]
        } else {
            ["A-2", "A-1"]
        };
        assert_eq!(accounts(), home);
        assert_eq!(place.verdicts(), told);
    }
}

/// A swap is under way: its first or its second write was carried out, and has no answer yet.
#[test]
fn verify_of_a_run_in_progress_shows_no_difference_for_a_swap_under_way() {
    for withheld in [0, 1] {
        let (place, file) = Place::with_a_swap();
        let honest = place.sandbox.base_url();
        let (writes, goes_on) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
        let released = Arc::clone(&goes_on);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let answer = asked.honestly(&honest);
            let is_withheld =
                asked.method == "PATCH" && writes.fetch_add(1, Ordering::SeqCst) == withheld;
            while is_withheld && !released.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            stream.write_all(&answer).is_ok()
        });
        let mut apply = place.command(&["apply", &file, "--yes"]);
        let apply = apply.env("IDSHIFT_BASE_URL", front.base_url());
        let apply = apply.spawn().unwrap();
        let begun = Instant::now();
        while place.patches() <= withheld {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        let verified = run(&place, &front, &["verify", &place.newest_id()]);
        goes_on.store(true, Ordering::SeqCst);
        assert_eq!(
            verified.code, 4,
            "{withheld}: {}{}",
            verified.out, verified.err
        );
        for words in ["the run left", "temporary ID"] {
            assert!(
                !verified.out.contains(words),
                "{withheld}: {}",
                verified.out
            );
        }
        finish(apply).expect(0);
        run(&place, &front, &["verify"]).expect(0);
    }
}

const WARNING: &str = "customers still have temporary IDs";

/// Returns whether a run beside this one is warned of customers with temporary IDs, and whether `runs prune` keeps the run for
/// that reason.
fn counts_as_parked(place: &Place, run: &str) -> (bool, bool) {
    let other = place.file("other.csv", "accountId,newAccountId\nA-000003,B-000003\n");
    let done = place.run(&["apply", &other, "--yes"]).expect(0);
    let prune = ["runs", "prune", "--older-than", "0s", "--keep-last", "0"];
    let pruned = place.run(&[&prune[..], &["--dry-run", "--json"]].concat());
    let kept = pruned.expect(0).json()["kept"].clone();
    let kept = kept.as_array().unwrap().iter();
    let why = kept
        .filter(|one| one["run"] == run)
        .map(ToString::to_string);
    (
        done.err.contains(WARNING),
        why.collect::<String>().contains("temporary ID"),
    )
}

/// The same at the last step at which other runs are warned: the temporary ID is the last write on record.
fn killed_with_a_warning() -> (Place, &'static str, String) {
    killed_last(|place| counts_as_parked(place, &killed_run(place)).0)
}

/// Returns the run that was killed: the first one.
fn killed_run(place: &Place) -> String {
    let runs = place.run(&["runs", "--json"]).expect(0).json();
    runs["runs"][0]["run"].as_str().unwrap().to_owned()
}

/// Another client has renamed the parked customer, and `resume` has found that.
#[test]
fn parked_customer_renamed_by_another_client_no_longer_counts_as_parked() {
    let (place, customer, _) = killed_with_a_warning();
    let run = killed_run(&place);
    place.with_world(|mut world| world.rename_plume(customer, "OTHER-1"));
    place.run(&["resume", &run]).expect(1);
    assert_eq!(counts_as_parked(&place, &run), (false, false));
}

/// Another run has named the parked customer by its temporary ID.
#[test]
fn parked_customer_renamed_by_another_run_no_longer_counts_as_parked() {
    let (place, customer, temporary) = killed_with_a_warning();
    let run = killed_run(&place);
    let text = format!("accountId,newAccountId\n{temporary},OTHER-1\n");
    let by_hand = place.file("by-hand.csv", &text);
    place.run(&["apply", &by_hand, "--yes"]).expect(0);
    assert_eq!(place.account_of(customer), "OTHER-1");
    let by_hand = place.newest_id();
    assert_eq!(counts_as_parked(&place, &run), (false, false));
    // Its undo gives the temporary ID back.
    place.run(&["undo", &by_hand, "--yes"]).expect(0);
    assert_eq!(place.account_of(customer), temporary);
    assert!(counts_as_parked(&place, &run).0);
}

/// Another run that was to rename the parked customer was killed before its write was sent, or before that was on record.
#[test]
fn customer_stays_parked_when_another_run_is_killed_before_renaming_it() {
    let (place, customer, temporary) = killed_with_a_warning();
    let run = killed_run(&place);
    let text = format!("accountId,newAccountId\n{temporary},OTHER-1\n");
    let by_hand = place.file("by-hand.csv", &text);
    for step in 1.. {
        let mut command = place.command(&["apply", &by_hand, "--yes"]);
        let command = command.env("IDSHIFT_CRASH_AT", step.to_string());
        finish(command.spawn().unwrap());
        if place.account_of(customer) == "OTHER-1" {
            break;
        }
        let (is_told, _) = counts_as_parked(&place, &run);
        assert!(is_told, "killed at step {step}");
        assert!(step < 60, "it is never renamed");
    }
}
