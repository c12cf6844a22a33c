use crate::question::{on_a_terminal, on_a_terminal_with};
use crate::support::{Done, Place, begun_by, finish};
use anstream::adapter::strip_str;
use std::time::{Duration, Instant};

/// Makes three customers, and a file with lines that all name unknown customers.
fn of_unknown_customers(lines: u32) -> (Place, String) {
    let place = Place::plume();
    place.moves(3);
    let rows = (0..lines).map(|n| format!("X-{n:06},Y-{n:06}\n"));
    let text = format!("accountId,newAccountId\n{}", rows.collect::<String>());
    let file = place.file("wrong.csv", &text);
    (place, file)
}

fn not_found(place: &Place) -> usize {
    let verdicts = place.verdicts();
    let told = verdicts
        .iter()
        .filter(|verdict| *verdict == "failed/not_found");
    told.count()
}

#[test]
fn run_without_any_customer_found_asks_whether_to_continue() {
    let (place, file) = of_unknown_customers(450);
    let slowly = ["--concurrency", "2"];
    let apply = [&["apply", &file, "--yes"][..], &slowly].concat();
    let stopped = on_a_terminal(&place, "no", &apply).expect(4).out;
    for words in [
        "no customer was found",
        "check that",
        "Type yes to continue",
    ] {
        assert!(stopped.contains(words), "{words}: {stopped}");
    }
    assert!((200..450).contains(&not_found(&place)));
    // A plan asks as well; then it continues to its last line, and asks only once.
    let plan = [&["plan", &file][..], &slowly].concat();
    let (elsewhere, file) = of_unknown_customers(450);
    let planned = on_a_terminal(&elsewhere, "yes", &plan).expect(1).out;
    assert_eq!(planned.matches("Type yes").count(), 1, "{planned}");
    assert_eq!(not_found(&elsewhere), 450);
    assert!(planned.contains("(first: line 2)"), "{planned}");
    // The same for a resume, even with consent given in advance.
    let resume = [&["resume", "--yes"][..], &slowly].concat();
    let resumed = on_a_terminal(&place, "yes", &resume).expect(1).out;
    assert_eq!(resumed.matches("Type yes").count(), 1, "{resumed}");
    assert_eq!(not_found(&place), 450);
    // Without a terminal, or with `--no-input`, the command stops.
    let (third, _) = of_unknown_customers(450);
    third
        .run(&[&["plan", &file][..], &slowly].concat())
        .expect(4);
    let never = [&["apply", &file, "--yes", "--no-input"][..], &slowly].concat();
    let never = on_a_terminal(&third, "yes", &never).expect(4).out;
    assert!(!never.contains("Type yes"), "{never}");
}

#[test]
fn output_after_end_of_input_at_the_question_starts_a_new_line() {
    let place = Place::plume();
    let file = place.moves(3);
    let idshift = place.command(&["apply", &file]);
    let script = "script -qec \"$0 $*\" /dev/null";
    let mut command = begun_by(&place, &idshift, &["sh"], script);
    let asked = finish(command.spawn().unwrap()).expect(2).out;
    let said = asked.replace("^D\u{8}\u{8}", "");
    let after = said.split("Type yes to continue: ").nth(1).unwrap();
    assert!(after.starts_with("\r\n"), "{said:?}");
    assert!(after.trim_start().starts_with("apply "), "{said:?}");
}

/// Returns every state of the progress line, as a terminal of this width shows it.
fn states(out: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = out.chars();
    while let Some(c) = rest.next() {
        match c {
            // A control sequence ends with a letter.
            '\u{1b}' => {
                rest.find(|c| c.is_ascii_alphabetic());
            }
            '\r' => plain.push('\n'),
            _ => plain.push(c),
        }
    }
    let lines = plain.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

fn in_an_outage(place: &Place, more: &[&str]) -> Done {
    let file = place.moves(300);
    let apply = [
        "apply",
        &file,
        "--yes",
        "--rate",
        "100/s",
        "--give-up-after",
        "9s",
    ];
    let mut idshift = place.command(&[&apply[..], more].concat());
    idshift.env("TERM", "xterm");
    let script = "script -qec \"stty cols 80 rows 24; $0 $*\" /dev/null";
    let mut command = begun_by(place, &idshift, &["sh"], script);
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while place.patches() < 60 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    place.sandbox.set_faults(vec!["any:close".parse().unwrap()]);
    finish(child).expect(4)
}

#[test]
fn progress_line_in_an_outage_shows_cause_and_countdown_to_next_call() {
    let place = Place::plume();
    let done = in_an_outage(&place, &[]);
    let states = states(&done.out);
    let waiting: Vec<&String> = states
        .iter()
        .filter(|line| line.contains("next call in "))
        .collect();
    let seconds = |line: &str| -> u64 {
        let (_, after) = line.split_once("next call in ").unwrap();
        after.split(' ').next().unwrap().parse().unwrap()
    };
    let shown: Vec<u64> = waiting.iter().map(|line| seconds(line)).collect();
    // The holds take 1, 2 and 4 seconds; the display counts each of them down by seconds.
    let mut steps = shown.clone();
    steps.dedup();
    for wanted in [[2, 1].as_slice(), &[4, 3, 2, 1]] {
        let found = steps.windows(wanted.len()).any(|some| some == wanted);
        assert!(found, "{wanted:?}: {steps:?}");
    }
    for line in &waiting {
        assert!(line.contains("does not answer ("), "{line}");
        assert!(
            !line.contains("left ") && !line.contains("lines/s"),
            "{line}"
        );
    }
    // After the stop the display does not show the next call or the time left.
    let stopping = states.iter().position(|line| line.contains("stopping: "));
    for line in &states[stopping.unwrap()..] {
        assert!(
            !line.contains("next call") && !line.contains("left "),
            "{line}"
        );
    }
    let summary = std::fs::read_to_string(place.newest().join("summary.json")).unwrap();
    let cause = "the last answer: the connection";
    // The terminal shows it in several rows.
    let words: Vec<&str> = done.out.split_whitespace().collect();
    assert!(
        summary.contains(cause) && words.join(" ").contains(cause),
        "{summary}"
    );
}

#[test]
fn plain_progress_reports_an_outage_once_when_it_begins() {
    let place = Place::plume();
    let done = in_an_outage(&place, &["--progress", "plain"]);
    let said = done
        .out
        .matches("apply: the system does not answer (")
        .count();
    assert_eq!(said, 1, "{}", done.out);
    assert!(!done.out.contains("for about"), "{}", done.out);
}

#[test]
fn verbose_plan_shows_all_changes_in_a_pager_on_a_terminal() {
    let place = Place::plume();
    let file = place.moves(30);
    let plan = ["plan", "-v", &file];
    let shown = |pager: &str| {
        let variables = [("PAGER", pager)];
        on_a_terminal_with(&place, &variables, "", &plan)
            .expect(0)
            .out
    };
    let changes = |text: &str, mark: &str| {
        let lines = text
            .lines()
            .map(|line| strip_str(line.trim_end()).to_string());
        lines
            .filter(|line| line.starts_with(mark) && line.contains("→"))
            .count()
    };
    let paged = shown("sed s/^/paged/");
    assert_eq!(changes(&paged, "paged  line "), 30, "{paged}");
    assert!(paged.contains("A-000029"), "{paged}");
    assert!(paged.find("A-000029") < paged.find("would_change 30").or(paged.find("would_change")));
    // If there is no such program, everything is shown without it.
    assert_eq!(changes(&shown("no-such-pager"), "  line "), 30);
    assert_eq!(changes(&shown(""), "  line "), 30);
    // A pager that ends early does not end the command with an error.
    let left = shown("head -n 2");
    assert_eq!(changes(&left, "  line "), 2, "{left}");
    // The pager does not get secrets in its environment.
    let seen = shown("env; cat");
    assert!(!seen.contains("canary-token"), "{seen}");
    let elsewhere = place.run_with(&[], &plan).expect(0).out;
    assert_eq!(changes(&elsewhere, "  line "), 30, "{elsewhere}");
}
