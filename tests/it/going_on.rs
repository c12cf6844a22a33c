use crate::support::Place;

/// A run of two hundred lines that was stopped after some of them.
fn stopped(more: &[&str]) -> (Place, String) {
    let place = Place::plume();
    let file = place.moves(200);
    let arguments = ["apply", &file, "--yes", "--rate", "50/s", "--until", "1s"];
    place.run(&[&arguments, more].concat()).expect(4);
    let id = place.newest_id();
    let written = place.patches();
    assert!((1..190).contains(&written), "{written} of 200");
    (place, id)
}

fn all_moved(place: &Place) {
    assert_eq!(place.patches(), 200, "each once");
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
}

#[test]
fn a_limit_that_comes_too_late_is_refused_and_no_line_is_lost() {
    let (place, id) = stopped(&[]);
    let written = place.patches();
    let late = place.run(&["resume", &id, "--max-changes", "5%"]).expect(2);
    assert!(late.err.contains("too late to count"), "{}", late.err);
    assert_eq!(place.patches(), written);
    place.run(&["resume", &id]).expect(0);
    all_moved(&place);
}

#[test]
fn a_limit_that_was_kept_to_from_the_beginning_is_kept_on_the_way() {
    let (place, id) = stopped(&["--max-changes", "100%"]);
    place.run(&["resume", &id]).expect(0);
    all_moved(&place);
}

#[test]
fn a_variable_does_not_carry_a_run_to_another_system() {
    let (place, id) = stopped(&[]);
    place.run(&["resume", &id]).expect(0);
    let elsewhere = Place::plume();
    elsewhere.moves(200);
    let (here, there) = (place.sandbox.base_url(), elsewhere.sandbox.base_url());
    for arguments in [
        &["undo", &id, "--yes"][..],
        &["resume", &id],
        &["verify", &id],
    ] {
        let mut command = place.command(arguments);
        let child = command.env("IDSHIFT_BASE_URL", &there).spawn().unwrap();
        let done = crate::support::finish(child).expect(2);
        for word in ["IDSHIFT_BASE_URL", &here, &there] {
            assert!(done.err.contains(word), "{arguments:?}: {}", done.err);
        }
    }
    assert!(elsewhere.sandbox.log().is_empty(), "nothing was sent there");
    // Typed, it is meant.
    place.run(&["verify", &id, "--base-url", &there]).expect(3);
    assert!(!elsewhere.sandbox.log().is_empty());
}
