use crate::question::on_a_terminal;
use crate::support::{Done, Place, begun_by, finish};
use std::time::{Duration, Instant};

/// Runs a command on a terminal. When the question appears, runs `meanwhile`, then types `yes`.
fn answered_after(place: &Place, arguments: &[&str], meanwhile: impl FnOnce()) -> Done {
    let asked = place.path().join("asked");
    let answer = place.path().join("answer");
    let idshift = place.command(arguments);
    let script = format!(
        "(while [ ! -e {answer} ]; do sleep 0.1; done; echo yes; sleep 1) | script -qefc \"$0 $*\" /dev/null > {asked}; \
         code=$?; cat {asked}; exit $code",
        answer = answer.display(),
        asked = asked.display(),
    );
    let mut command = begun_by(place, &idshift, &["bash"], &script);
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while !std::fs::read_to_string(&asked).is_ok_and(|text| text.contains("Type yes")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no question");
        std::thread::yield_now();
    }
    meanwhile();
    std::fs::write(answer, "").unwrap();
    finish(child)
}

#[test]
fn terminal_shows_planned_changes_before_the_question() {
    let place = Place::plume();
    let text = std::fs::read_to_string(place.path().join(place.moves(12))).unwrap();
    let file = place.file("more.csv", &format!("{text}X-1,Y-1\nX-2,Y-2\n"));
    let refused = on_a_terminal(&place, "no", &["apply", &file]).expect(2).out;
    for words in [
        "12  would_change",
        "2  failed/not_found (first: line 14)",
        "A-000000 → B-000000",
        "A-000009 → B-000009",
        "… and 2 more",
        "12 of 14 lines change",
        "plan digest ",
        "guards: ",
        "Type yes to continue: ",
        "not confirmed; nothing was written",
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert!(!refused.contains("A-000010 →"), "ten are enough: {refused}");
    let order = ["A-000000 →", "plan digest", "Type yes"].map(|words| refused.find(words));
    assert!(order.is_sorted(), "{refused}");
    assert_eq!(place.patches(), 0);
    // The result of the look-ups is now a plan.
    let run = place.newest_id();
    let carry_out = format!("idshift apply --run {run}");
    assert!(refused.contains(&carry_out), "{refused}");
    place.run(&["apply", "--run", &run, "--yes"]).expect(1);
    assert_eq!(place.account_of("C-11"), "B-000011");
}

#[test]
fn customer_changed_during_the_question_is_not_written() {
    let place = Place::plume();
    let file = place.moves(3);
    let done = answered_after(&place, &["apply", &file], || {
        place.with_world(|mut world| {
            world.plume.get_mut("C-1").unwrap().account_id = "OTHER-1".into();
        });
    });
    done.expect(1);
    let verdicts = place.verdicts();
    assert_eq!(verdicts, ["changed/", "failed/stale", "changed/"]);
    assert_eq!(place.account_of("C-1"), "OTHER-1");
}

#[test]
fn plan_first_without_terminal_requires_yes_and_shows_changes() {
    let place = Place::plume();
    let file = place.moves(3);
    let without = place.run(&["apply", &file, "--plan-first"]).expect(2);
    assert!(without.err.contains("needs --yes"), "{}", without.err);
    assert!(place.sandbox.log().is_empty());
    let done = place
        .run(&["apply", &file, "--plan-first", "--yes"])
        .expect(0);
    for words in [
        "3  would_change",
        "A-000002 → B-000002",
        "3 of 3 lines change",
    ] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
    assert_eq!(place.account_of("C-2"), "B-000002");
}

#[test]
fn question_comes_before_lookups_if_lookups_take_long() {
    let place = Place::plume();
    let file = place.moves(12);
    let slowly = ["--rate", "3/m", "--lookup", "each"];
    let apply = [&["apply", &file][..], &slowly].concat();
    let asked = on_a_terminal(&place, "no", &apply).expect(2).out;
    assert!(
        asked.contains("looked up and written in one pass"),
        "{asked}"
    );
    assert!(!asked.contains("would_change"), "{asked}");
    assert!(place.sandbox.log().is_empty());
}

/// Runs a command on a terminal, and types Ctrl-C when the question appears.
fn interrupted_at_the_question(place: &Place, arguments: &[&str]) -> Done {
    let asked = place.path().join("asked");
    let idshift = place.command(arguments);
    // Text before Ctrl-C is no answer, because the line is not ended.
    let script = format!(
        "(while ! grep -q 'Type yes' {asked} 2>/dev/null; do sleep 0.1; done; printf '\\003'; sleep 5) \
         | script -qefc \"$0 $*\" /dev/null > {asked}; code=$?; cat {asked}; exit $code",
        asked = asked.display(),
    );
    let mut command = begun_by(place, &idshift, &["bash"], &script);
    finish(command.spawn().unwrap())
}

#[test]
fn ctrl_c_at_the_question_ends_the_command_without_a_write() {
    let place = Place::plume();
    let file = place.moves(3);
    let begun = Instant::now();
    let ended = interrupted_at_the_question(&place, &["apply", &file]).expect(130);
    assert!(begun.elapsed() < Duration::from_secs(30), "{}", ended.out);
    assert!(ended.out.contains("next: idshift resume"), "{}", ended.out);
    assert_eq!(place.patches(), 0);
    place.run(&["resume"]).expect(2);
    place.run(&["resume", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-2"), "B-000002");
}

/// The question was never answered, so there is no consent to what `resume` would do.
#[test]
fn resume_of_a_run_killed_before_consent_requires_consent() {
    let place = Place::plume();
    let file = place.moves(30);
    let script = "echo | IDSHIFT_CRASH_AT=2 script -qec \"$0 $*\" /dev/null";
    let apply = place.command(&["apply", &file, "--concurrency", "1", "--lookup", "each"]);
    let mut command = begun_by(&place, &apply, &["sh"], script);
    finish(command.spawn().unwrap());
    let refused = place.run(&["resume"]).expect(2);
    assert!(
        refused.err.contains("resume needs --yes"),
        "{}",
        refused.err
    );
    assert_eq!(place.patches(), 0);
    let asked = on_a_terminal(&place, "no", &["resume"]).expect(2).out;
    assert!(asked.contains("30 of 30 lines change"), "{asked}");
    assert_eq!(place.patches(), 0);
    let run = place.newest_id();
    place.run(&["apply", "--run", &run, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-29"), "B-000029");
}
