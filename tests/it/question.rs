use crate::claims::without_services;
use crate::support::{Done, Place, begun_by, finish};

/// Runs a command in Tokyo's time zone on a terminal, and types `answer`.
pub(crate) fn on_a_terminal(place: &Place, answer: &str, arguments: &[&str]) -> Done {
    on_a_terminal_with(place, &[], answer, arguments)
}

/// Does the same with more variables in the environment.
pub(crate) fn on_a_terminal_with(
    place: &Place,
    variables: &[(&str, &str)],
    answer: &str,
    arguments: &[&str],
) -> Done {
    let mut idshift = place.command(arguments);
    idshift.env("TZ", "Asia/Tokyo");
    idshift.envs(variables.iter().copied());
    let script = format!("(sleep 1; echo {answer}) | script -qec \"$0 $*\" /dev/null");
    let mut command = begun_by(place, &idshift, &["sh"], &script);
    finish(command.spawn().unwrap())
}

#[test]
fn resume_asks_for_consent_only_on_a_terminal() {
    let (place, file) = without_services(30);
    let apply = ["apply", &file, "--yes", "--rate", "5/s", "--until", "3s"];
    let more = ["--concurrency", "1", "--max-failures", "90%"];
    place.run(&[&apply[..], &more].concat()).expect(4);
    let (run, written) = (place.newest_id(), place.patches());
    assert!(written > 0);
    let asked = on_a_terminal(&place, "no", &["resume", "--until", "06:00"]).expect(2);
    let open = place.rows("failures.csv").len();
    let counts = format!("{open} of 30 lines still to be done");
    let first = format!("resume run {run} (apply of services.csv): Plume at http://127.0.0.1:");
    for words in [
        &first[..],
        &counts,
        "more than 90% of the lines fail",
        "begins no unit after 06:00 JST (+09:00)",
        "cannot be undone",
        "not confirmed",
    ] {
        assert!(asked.out.contains(words), "{words}: {}", asked.out);
    }
    assert_eq!(place.patches(), written);
    // With consent in the command, or with `--no-input`, no question is asked.
    for words in [&["--yes"][..], &["--no-input"]] {
        let resume = [&["resume", "--until", "1s"], words].concat();
        let done = on_a_terminal(&place, "no", &resume).expect(4);
        assert!(!done.out.contains("Type yes"), "{}", done.out);
    }
    place.run(&["resume", "--until", "1s"]).expect(4);
    on_a_terminal(&place, "yes", &["resume", "--rate", "50/s"]).expect(0);
    assert_eq!(place.account_of("C-29"), "B-000029");
    // No lines are left, so no question is asked.
    let done = on_a_terminal(&place, "no", &["resume", &run]).expect(0);
    assert!(!done.out.contains("Type yes"), "{}", done.out);
}

#[test]
fn resume_question_includes_plan_findings_and_is_not_asked_for_a_plan() {
    let (place, file) = without_services(12);
    let mut killed = place.command(&["plan", &file]);
    killed.env("IDSHIFT_CRASH_AT", "2");
    assert_eq!(finish(killed.spawn().unwrap()).code, -1);
    let plan = on_a_terminal(&place, "no", &["resume"]).expect(0);
    assert!(!plan.out.contains("Type yes"), "{}", plan.out);
    let run = place.newest_id();
    let apply = [
        "apply",
        "--run",
        &run,
        "--yes",
        "--rate",
        "3/s",
        "--concurrency",
        "1",
        "--until",
        "2s",
    ];
    place.run(&apply).expect(4);
    let left = place.with_world(|world| {
        let customers = world.plume.values();
        customers
            .filter(|one| one.locations[0].service_id.is_none())
            .count()
    });
    assert!((1..12).contains(&left), "{left}");
    let asked = on_a_terminal(&place, "no", &["resume"]).expect(2).out;
    let words = format!("{left} service IDs cannot be undone");
    assert!(asked.contains(&words), "{words}: {asked}");
    assert!(asked.contains("plan digest"), "{asked}");
}

/// The question already contains what the announcement of an unnamed run would say.
#[test]
fn run_header_is_printed_only_once() {
    let (place, file) = without_services(12);
    let run = place
        .run(&["plan", &file, "--format", "json"])
        .expect(0)
        .json();
    let run = run["run"].as_str().unwrap();
    let slowly = [
        "--yes",
        "--rate",
        "5/s",
        "--concurrency",
        "1",
        "--until",
        "1s",
    ];
    place
        .run(&[&["apply", "--run", run][..], &slowly].concat())
        .expect(4);
    let header = format!("run {run} (apply of services.csv, ");
    for command in ["resume", "undo"] {
        let asked = on_a_terminal(&place, "no", &[command]).expect(2).out;
        assert_eq!(asked.matches(run).count(), 1, "{asked}");
        assert!(
            asked.contains(&format!("run {run} (apply of services.csv")),
            "{asked}"
        );
    }
    let done = place.run(&["resume", "--until", "1s"]).expect(4);
    assert_eq!(done.err.matches(&header).count(), 1, "{}", done.err);
}

#[test]
fn question_shows_all_guards_and_the_end_time_with_its_zone() {
    let (place, file) = without_services(3);
    let plan = place
        .run(&["plan", &file, "--format", "json"])
        .expect(0)
        .json();
    let run = plan["run"].as_str().unwrap();
    let guards = [
        "--until",
        "06:00",
        "--max-failures",
        "5%",
        "--max-changes",
        "50",
        "--canary",
        "2",
    ];
    let asked = |words: &[&str]| {
        on_a_terminal(&place, "no", &[words, &guards].concat())
            .expect(2)
            .out
    };
    let blind = asked(&["apply", &file]);
    let planned = asked(&["apply", "--run", run]);
    for question in [&blind, &planned] {
        for words in [
            "begins no unit after 06:00 JST (+09:00)",
            "more than 5% of the lines fail",
            "more than 50 of the lines change",
            "verifies the first 2 units",
            "cannot be undone",
        ] {
            assert!(question.contains(words), "{words}: {question}");
        }
    }
    assert!(
        planned.contains("3 service IDs cannot be undone"),
        "{planned}"
    );
    assert!(planned.contains(plan["plan_digest"].as_str().unwrap()));
    assert_eq!(place.patches(), 0);
}
