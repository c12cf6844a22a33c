use crate::support::{Done, Place, finish};
use std::fmt::Write as _;

/// The faults after which the undo of a location fails: a write that is refused, and one that never takes effect.
const FAULTS: [&str; 2] = [
    "location-patch:422:about=L-1",
    "location-patch:500:about=L-1",
];

fn set_service(place: &Place, id: &str, service: &str) {
    place.with_world(|mut world| {
        let customer = world.plume.get_mut(id).unwrap();
        customer.locations[0].service_id = Some(service.into());
    });
}

/// Runs `undo RUN`, with this fault, which fails at the location of customer `C-1` only.
fn undo_with(place: &Place, run: &str, fault: &str) {
    place.sandbox.set_faults(vec![fault.parse().unwrap()]);
    let done = place
        .run(&["undo", run, "--yes", "--retries", "0"])
        .expect(1);
    let next = done.out.lines().last().unwrap();
    let again = format!("; idshift undo {run} tries what has failed again");
    assert!(
        next.starts_with("next: ") && next.ends_with(&again),
        "{next}"
    );
    place.sandbox.set_faults(Vec::new());
    let verdicts = place.verdicts();
    let failed: Vec<_> = verdicts.iter().filter(|one| **one != "changed/").collect();
    assert_eq!(failed.len(), 1, "{verdicts:?}");
}

/// Makes three customers, renames them to `new`, and sets their service IDs. Returns the run, and its file. The undo has
/// restored everything but the location of customer `C-1`.
fn half_undone(new: [&str; 3], fault: &str) -> (Place, String, String) {
    let place = Place::plume();
    place.moves(3);
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    for (n, new) in new.iter().enumerate() {
        writeln!(text, "A-{n:06},{new},NEW-{n}").unwrap();
    }
    let file = place.file("services.csv", &text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest_id();
    for (n, new) in new.iter().enumerate() {
        assert_eq!(place.account_of(&format!("C-{n}")), *new);
    }
    undo_with(&place, &run, fault);
    assert_eq!(place.service_of("C-1"), "NEW-1");
    is_restored(&place, &["C-0", "C-2"]);
    assert_eq!(place.account_of("C-1"), "A-000001");
    (place, run, file)
}

/// Checks that these customers are as they were before the run.
fn is_restored(place: &Place, customers: &[&str]) {
    for id in customers {
        let number: u32 = id.trim_start_matches("C-").parse().unwrap();
        assert_eq!(place.account_of(id), format!("A-{number:06}"));
        assert_eq!(place.service_of(id), "old", "{id}");
    }
}

/// Undoes the run again, and checks that only the location of customer `C-1` was written.
fn complete(place: &Place, run: &str) {
    let before = place.patches();
    place.run(&["undo", run, "--yes"]).expect(0);
    is_restored(place, &["C-0", "C-1", "C-2"]);
    assert_eq!(place.patches(), before + 1);
    let mut verdicts = place.verdicts();
    verdicts.sort();
    let mut expected = vec!["changed/"];
    expected.extend(["unchanged/already"; 5]);
    assert_eq!(verdicts, expected);
    // Nothing is left for a third one.
    let done = place.run(&["undo", run, "--yes"]).expect(0);
    assert!(done.err.contains("nothing to restore"), "{}", done.err);
    assert_eq!(place.patches(), before + 1);
}

const APART: [&str; 3] = ["B-000000", "B-000001", "B-000002"];
const CHAIN: [&str; 3] = ["A-000001", "A-000002", "B-000002"];
const SWAP: [&str; 3] = ["A-000001", "A-000000", "B-000002"];
const CYCLE: [&str; 3] = ["A-000001", "A-000002", "A-000000"];

#[test]
fn a_second_undo_restores_the_location_at_which_the_first_one_failed() {
    for fault in FAULTS {
        let (place, run, _) = half_undone(APART, fault);
        complete(&place, &run);
    }
}

#[test]
fn second_undo_completes_the_undo_of_a_chain_swap_or_cycle() {
    for new in [CHAIN, SWAP, CYCLE] {
        for fault in FAULTS {
            let (place, run, _) = half_undone(new, fault);
            complete(&place, &run);
        }
    }
}

/// The first undo is resumed before a second one is possible, and the next step says both.
#[test]
fn stopped_undo_with_a_failed_line_must_be_resumed_before_a_second_undo() {
    let place = Place::plume();
    place.moves(40);
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    (0..40).for_each(|n| writeln!(text, "A-{n:06},B-{n:06},NEW-{n}").unwrap());
    let file = place.file("services.csv", &text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let (run, before) = (place.newest_id(), place.patches());
    let fault = "location-patch:422:nth=1".parse().unwrap();
    place.sandbox.set_faults(vec![fault]);
    let slowly = ["undo", &run, "--yes", "--rate", "10/s"];
    let child = place.command(&slowly).spawn().unwrap();
    while place.patches() < before + 5 {
        std::thread::yield_now();
    }
    place.run(&["drain"]).expect(0);
    let done = finish(child).expect(4);
    place.sandbox.set_faults(Vec::new());
    let undo = place.newest_id();
    let next = done.out.lines().last().unwrap();
    let resumes = format!("next: idshift resume {undo}");
    let again = format!("; then idshift undo {run} tries what has failed again");
    assert!(
        next.starts_with(&resumes) && next.ends_with(&again),
        "{next}"
    );
    place.run(&["undo", &run, "--yes"]).expect(2);
    let done = place.run(&["resume", &undo, "--rate", "500/s"]).expect(1);
    assert!(done.out.trim_end().ends_with(&again[7..]), "{}", done.out);
    place.run(&["undo", &run, "--yes"]).expect(0);
    let customers: Vec<String> = (0..40).map(|n| format!("C-{n}")).collect();
    is_restored(
        &place,
        &customers.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn third_undo_completes_two_incomplete_undos() {
    for new in [APART, SWAP] {
        let (place, run, _) = half_undone(new, FAULTS[0]);
        place
            .sandbox
            .set_faults(vec!["location-patch:422".parse().unwrap()]);
        place.run(&["undo", &run, "--yes"]).expect(1);
        place.sandbox.set_faults(Vec::new());
        complete(&place, &run);
    }
}

#[test]
fn a_second_undo_that_was_killed_is_resumed_and_completes_the_first_one() {
    let mut killed = 0;
    for step in 2..20 {
        let (place, run, _) = half_undone(SWAP, FAULTS[0]);
        let mut command = place.command(&["undo", &run, "--yes", "--concurrency", "1"]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        if done.code != -1 {
            break;
        }
        let again = place.newest_id();
        if place.run(&["resume", &again]).code == 2 {
            // It was killed before it had begun.
            place.run(&["undo", &run, "--yes"]).expect(0);
        }
        is_restored(&place, &["C-0", "C-1", "C-2"]);
        killed += 1;
    }
    assert!(killed > 4, "{killed}");
}

/// The first undo was undone: it restored again what the run had set, where the first undo had written.
#[test]
fn undo_restores_everything_after_an_incomplete_undo_was_undone() {
    for new in [APART, SWAP] {
        let (place, run, _) = half_undone(new, FAULTS[0]);
        let first = place.newest_id();
        place.run(&["undo", &first, "--yes"]).expect(0);
        assert_eq!(place.account_of("C-1"), new[1]);
        place.run(&["undo", &run, "--yes"]).expect(0);
        is_restored(&place, &["C-0", "C-1", "C-2"]);
        assert_eq!(place.verdicts(), ["changed/"; 6]);
    }
}

#[test]
fn second_undo_skips_a_location_that_another_client_changed() {
    for new in [APART, CHAIN, SWAP] {
        let (place, run, _) = half_undone(new, FAULTS[0]);
        set_service(&place, "C-1", "THEIRS");
        let before = place.patches();
        place.run(&["undo", &run, "--yes"]).expect(1);
        assert_eq!(place.patches(), before);
        assert_eq!(place.service_of("C-1"), "THEIRS");
        let mut verdicts = place.verdicts();
        verdicts.sort();
        assert_eq!(verdicts[0], "failed/stale");
        assert_eq!(verdicts[1..], ["unchanged/already"; 5]);
    }
}

/// What the first undo has restored is not restored once more, after another client has set the value of the run again.
#[test]
fn second_undo_skips_values_set_again_by_another_client() {
    let (place, run, _) = half_undone(APART, FAULTS[0]);
    place.with_world(|mut world| world.rename_plume("C-0", "B-000000"));
    set_service(&place, "C-2", "NEW-2");
    let before = place.patches();
    place.run(&["undo", &run, "--yes"]).expect(1);
    assert_eq!(place.patches(), before + 1);
    assert_eq!(place.account_of("C-0"), "B-000000");
    assert_eq!(place.service_of("C-2"), "NEW-2");
    is_restored(&place, &["C-1"]);
}

#[test]
fn second_undo_skips_a_customer_that_another_run_renamed() {
    for new in [APART, SWAP] {
        let (place, run, _) = half_undone(new, FAULTS[0]);
        let other = place.file("other.csv", "customerId,newAccountId\nC-1,X-1\n");
        place.run(&["apply", &other, "--yes"]).expect(0);
        let before = place.patches();
        place.run(&["undo", &run, "--yes"]).expect(1);
        assert_eq!(place.patches(), before);
        assert_eq!(place.account_of("C-1"), "X-1");
        assert_eq!(place.service_of("C-1"), "NEW-1");
        is_restored(&place, &["C-0", "C-2"]);
        let stale = place
            .verdicts()
            .iter()
            .filter(|one| *one == "failed/stale")
            .count();
        assert!(stale >= 2, "{:?}", place.verdicts());
    }
}

/// Another run set the values of the run again, in whole or at the location alone.
#[test]
fn second_undo_skips_values_set_again_by_another_run() {
    for new in [APART, SWAP] {
        let (place, run, file) = half_undone(new, FAULTS[0]);
        place.run(&["apply", &file, "--yes"]).expect(0);
        let before = place.patches();
        place.run(&["undo", &run, "--yes"]).expect(1);
        assert!(
            place
                .verdicts()
                .iter()
                .all(|one| one.starts_with("failed/"))
        );
        assert_eq!(place.patches(), before);
    }
    let (place, run, _) = half_undone(APART, FAULTS[0]);
    set_service(&place, "C-1", "THEIRS");
    let other = place.file("other.csv", "customerId,serviceId\nC-1,NEW-1\n");
    place.run(&["apply", &other, "--yes"]).expect(0);
    let before = place.patches();
    place.run(&["undo", &run, "--yes"]).expect(1);
    assert_eq!(place.patches(), before);
    assert_eq!(place.service_of("C-1"), "NEW-1");
}

/// Another run renamed the customer as the undone run had done.
#[test]
fn second_undo_skips_an_account_id_set_again_by_another_run() {
    let (place, run, _) = half_undone(APART, FAULTS[0]);
    let other = place.file("other.csv", "customerId,newAccountId\nC-1,B-000001\n");
    place.run(&["apply", &other, "--yes"]).expect(0);
    place.run(&["undo", &run, "--yes"]).expect(1);
    assert_eq!(place.account_of("C-1"), "B-000001");
    is_restored(&place, &["C-0", "C-2"]);
}

/// Checks the last line of a command, without the path of the file with the failures.
fn is_next(done: &Done, words: &str) {
    let next = done.out.lines().last().unwrap();
    assert!(next.starts_with("next: look at idshift-runs/"), "{next}");
    assert!(next.ends_with(words), "{next}");
}

/// Another client has renamed a customer since. The lines that wait for its account ID fail in each undo, until that customer
/// has an ID again that it had before or after the run.
#[test]
fn next_step_for_waiting_undo_lines_restores_the_other_lines_first() {
    for new in [CHAIN, SWAP, CYCLE] {
        let place = Place::plume();
        place.moves(3);
        let mut text = String::from("accountId,newAccountId\n");
        for (n, new) in new.iter().enumerate() {
            writeln!(text, "A-{n:06},{new}").unwrap();
        }
        let file = place.file("renames.csv", &text);
        place.run(&["apply", &file, "--yes"]).expect(0);
        let run = place.newest_id();
        place.with_world(|mut world| world.rename_plume("C-0", "THEIRS"));
        let waiting = if new == SWAP {
            "1 line waits"
        } else {
            "2 lines wait"
        };
        let words = format!(
            "failures.csv: 1 line was changed since and left unchanged; {waiting} for the account ID of another line; \
             once the lines that they wait for are restored, idshift undo {run} restores the lines that wait"
        );
        for _ in 0..2 {
            is_next(&place.run(&["undo", &run, "--yes"]).expect(1), &words);
        }
        place.with_world(|mut world| world.rename_plume("C-0", new[0]));
        place.run(&["undo", &run, "--yes"]).expect(0);
        is_restored(&place, &["C-0", "C-1", "C-2"]);
    }
}

/// As before, but a newer run has renamed the customer: it is undone first.
#[test]
fn undo_restores_waiting_lines_after_the_newer_run_is_undone() {
    let place = Place::plume();
    let file = place.moves(3);
    let chain = "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000002\nA-000002,B-2\n";
    place.file(&file, chain);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest_id();
    let newer = place.file("newer.csv", "customerId,newAccountId\nC-0,NEWER-0\n");
    place.run(&["apply", &newer, "--yes"]).expect(0);
    let newer = place.newest_id();
    let words = format!("are restored, idshift undo {run} restores the lines that wait");
    is_next(&place.run(&["undo", &run, "--yes"]).expect(1), &words);
    place.run(&["undo", &newer, "--yes"]).expect(0);
    place.run(&["undo", &run, "--yes"]).expect(0);
    is_restored(&place, &["C-0", "C-1", "C-2"]);
}

/// A line that another undo may restore is offered again, with the lines that wait for it.
#[test]
fn next_step_for_refused_undo_lines_is_another_undo() {
    let place = Place::plume();
    let file = place.moves(3);
    let chain = "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000002\nA-000002,B-2\n";
    place.file(&file, chain);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest_id();
    place
        .sandbox
        .set_faults(vec!["customer-patch:422".parse().unwrap()]);
    let words = format!("failures.csv; idshift undo {run} tries what has failed again");
    is_next(&place.run(&["undo", &run, "--yes"]).expect(1), &words);
    place.sandbox.set_faults(Vec::new());
    place.run(&["undo", &run, "--yes"]).expect(0);
    is_restored(&place, &["C-0", "C-1", "C-2"]);
}
