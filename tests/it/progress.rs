use crate::support::{Done, OnResize, Place, Screen, begun_by, catches, finish};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The sequence at the beginning and at the end of each frame.
const ERASE: &str = "\r\u{1b}[J";

/// Runs on a terminal that changes its width each second, marks these places in the output, and interrupts the run at
/// the end. The program learns late of a wider terminal, and early of a narrower one, so that no frame is wider than
/// the terminal.
const RESIZING: &str = r#"
stty cols 60 rows 24
{
    was=60
    for now in 40 100 33 60 20 80; do
        sleep 1
        [ $now -gt $was ] || stty cols $now
        printf '\033]2;%s\007' $now
        [ $now -lt $was ] || stty cols $now
        was=$now
    done
    sleep 1
    kill -INT $$
} </dev/tty >/dev/tty 2>/dev/null &
exec "$@"
"#;

/// Returns the output of a run with this many lines on a terminal that is resized repeatedly.
fn resized(lines: u32) -> String {
    let place = Place::plume();
    let file = place.moves(lines);
    let script = place.file("resizing.sh", RESIZING);
    // The rate is low enough that the run continues until it is interrupted.
    let apply = ["apply", &file, "--yes", "--rate", "500/s"];
    let mut idshift = place.command(&apply);
    idshift.env("TERM", "xterm").env("TZ", "Europe/Berlin");
    let script = format!("script -qec \"sh {script} $0 $*\" /dev/null");
    let mut command = begun_by(&place, &idshift, &["sh"], &script);
    finish(command.spawn().unwrap()).expect(130).out
}

/// Returns whether a row shows a part of the display, which no other row may contain.
fn is_fragment(row: &str) -> bool {
    let parts = ["█", "░", " %", "calls/s", "ends ", "changed ", "ended yet"];
    // The end of what is said once when it is interrupted.
    row.trim() != "ends immediately" && parts.iter().any(|part| row.contains(part))
}

/// Plays the output to a terminal and checks the screen after each frame. Returns the number of frames at each width.
fn play(output: &str, on_resize: OnResize) -> Vec<(u16, usize)> {
    let mut screen = Screen::new(on_resize, 60);
    let mut frames = vec![(60, 0)];
    let (display, closing) = output.rsplit_once(ERASE).unwrap();
    for piece in display.split_inclusive(ERASE) {
        // Between two of these sequences there is one frame, and sometimes the mark of a resize.
        let mut rest = piece;
        while let Some((before, mark)) = rest.split_once("\u{1b}]2;") {
            let (columns, after) = mark.split_once('\u{7}').unwrap();
            let columns = columns.parse().unwrap();
            screen.write(before);
            screen.resize(columns);
            frames.push((columns, 0));
            rest = after;
        }
        let (frame, erase) = rest
            .split_once(ERASE)
            .map_or((rest, ""), |(f, _)| (f, ERASE));
        screen.write(frame);
        let is_whole = frame.ends_with("\u{1b}[1A") && piece == rest;
        if is_whole && frame.contains("\u{1b}[?7l") {
            let rows = screen.rows();
            let used = rows.iter().rposition(|row| !row.is_empty()).unwrap();
            for row in &rows[..used - 1] {
                assert!(
                    !is_fragment(row),
                    "{on_resize:?}: {row}\n{}",
                    rows.join("\n")
                );
            }
            assert!(rows[used - 1].starts_with("apply "), "{}", rows.join("\n"));
            frames.last_mut().unwrap().1 += 1;
        }
        screen.write(erase);
    }
    screen.write(ERASE);
    for row in screen.rows() {
        assert!(!is_fragment(&row), "{on_resize:?}: {row}");
    }
    screen.write(closing);
    let rows = screen.rows();
    let title = rows.iter().position(|row| row.contains(": interrupted"));
    for row in &rows[..title.unwrap()] {
        assert!(!is_fragment(row), "{on_resize:?}: {row}");
    }
    frames
}

#[test]
fn progress_leaves_no_fragments_when_the_terminal_is_resized() {
    let output = resized(20_000);
    for on_resize in [OnResize::Cut, OnResize::Reflow] {
        let frames = play(&output, on_resize);
        // There were several frames at each width, except perhaps the first, because the run may not have begun.
        assert_eq!(frames.len(), 7, "{frames:?}");
        let (_, drawn): (Vec<u16>, Vec<usize>) = frames.iter().copied().unzip();
        assert!(drawn[1..].iter().all(|drawn| *drawn >= 2), "{frames:?}");
    }
}

fn objects(text: &str) -> Vec<serde_json::Value> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn json_progress_prints_one_object_per_second_and_per_event() {
    let place = Place::plume();
    let file = place.moves(40);
    let rest = "A-999999,B-999999\n";
    let text = std::fs::read_to_string(place.path().join(&file)).unwrap();
    place.file(&file, &format!("{text}{rest}"));
    place
        .sandbox
        .set_faults(vec!["patch:429=2:nth=5".parse().unwrap()]);
    let apply = [
        "apply",
        &file,
        "--yes",
        "--progress",
        "json",
        "--rate",
        "20/s",
    ];
    let done = place.run(&apply).expect(1);
    let (objects, run) = (objects(&done.err), place.newest_id());
    for object in &objects {
        assert_eq!(object["format"], 1);
        assert_eq!(object["run"], run);
        assert_eq!(object["pass"], "apply");
    }
    let of = |kind: &str| -> Vec<&serde_json::Value> {
        let of_kind = objects.iter().filter(|object| object["type"] == kind);
        of_kind.collect()
    };
    let events: Vec<_> = of("event").iter().map(|one| one["event"].clone()).collect();
    assert!(events.contains(&"waiting".into()), "{events:?}");
    assert!(events.contains(&"flowing".into()), "{events:?}");
    let progress = of("progress");
    assert!(progress.len() >= 4, "{}", done.err);
    let times: Vec<f64> = progress
        .iter()
        .map(|one| one["elapsed_s"].as_f64().unwrap())
        .collect();
    // The last event comes at the end of the run.
    for two in times[..times.len() - 1].windows(2) {
        assert!(two[1] - two[0] >= 0.9, "{times:?}");
    }
    assert!(
        progress.iter().any(|one| one["waits"]["why"].is_string()),
        "{}",
        done.err
    );
    let last = progress.last().unwrap();
    assert_eq!((&last["done"], &last["lines"]), (&41.into(), &41.into()));
    assert_eq!(
        last["counts"],
        serde_json::json!({"changed": 40, "failed": 1})
    );
    assert_eq!(last["reasons"][0]["reason"], "not_found");
    assert_eq!(last["reasons"][0]["first_line"], 42);
    assert!(last["calls"].as_u64().unwrap() >= 41, "{last}");
    assert_eq!(last["limit_per_s"], 20.0);
    // The lines for a user are not printed as well.
    assert!(!done.err.contains("apply: "), "{}", done.err);
}

/// Sends SIGUSR1 to a run after its first write, and waits for its end.
fn asked_for_its_state(more: &[&str]) -> (Done, String) {
    let place = Place::plume();
    let file = place.moves(60);
    let apply = ["apply", &file, "--yes", "--rate", "20/s"];
    let child = place.command(&[&apply[..], more].concat()).spawn().unwrap();
    let begun = Instant::now();
    while place.patches() < 10 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    let asked = Command::new("kill").args(["-USR1", &pid]).status();
    assert!(asked.unwrap().success());
    (finish(child).expect(0), place.newest_id())
}

#[test]
fn sigusr1_prints_the_state_and_the_run_continues() {
    for more in [&[][..], &["--quiet"], &["--progress", "none"]] {
        let (done, run) = asked_for_its_state(more);
        let state: Vec<&str> = done
            .err
            .lines()
            .skip_while(|line| !line.contains(&run))
            .collect();
        assert_eq!(state[0], format!("apply {run}"), "{}", done.err);
        assert!(state[1].contains(" of 60 lines ("), "{state:?}");
        assert!(state[2].contains("changed "), "{state:?}");
        assert!(state[3].contains(" calls"), "{state:?}");
        assert!(state[4].contains("not waiting"), "{state:?}");
        assert!(state[5].contains("ends "), "{state:?}");
    }
}

/// While the run reads its file, it has nothing to print; without a handler the signal would end the process.
#[test]
fn sigusr1_before_a_run_has_begun_does_not_end_it() {
    let place = Place::plume();
    let file = place.moves(3);
    let file = fs::read(place.path().join(file)).unwrap();
    let mut command = place.command(&["apply", "-", "--yes"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !catches(child.id(), 10) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no handler");
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    let asked = Command::new("kill").args(["-USR1", &pid]).status();
    assert!(asked.unwrap().success());
    child.stdin.take().unwrap().write_all(&file).unwrap();
    finish(child).expect(0);
    assert_eq!(place.patches(), 3);
}

fn with(place: &Place, variables: &[(&str, &str)], arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command.envs(variables.iter().copied());
    finish(command.spawn().unwrap())
}

#[test]
fn colours_are_shown_only_when_requested() {
    let place = Place::plume();
    place.moves(3);
    let file = place.file(
        "two.csv",
        "accountId,newAccountId\nA-000001,B-1\nA-9,B-000009\n",
    );
    let bad = place.file("bad.csv", "accountId,newAccountId\nA-000001,NULL\n");
    place.run(&["plan", &file]).expect(1);
    let commands: [&[&str]; 8] = [
        &["check", &bad],
        &["plan", &file],
        &["plan", &bad],
        &["runs"],
        &["doctor"],
        &["verify", "no-such-run"],
        &["report", "no-such-run"],
        &["no-such-command"],
    ];
    let force = [("CLICOLOR_FORCE", "1")];
    let never = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
    let has_colour = |done: &Done| done.out.contains('\u{1b}') || done.err.contains('\u{1b}');
    for command in commands {
        assert!(!has_colour(&with(&place, &[], command)), "{command:?}");
        let forced = with(&place, &force, command);
        assert!(
            has_colour(&forced),
            "{command:?}: {}{}",
            forced.out,
            forced.err
        );
        assert!(!has_colour(&with(&place, &never, command)), "{command:?}");
        if command[0] != "no-such-command" {
            let always = [command, &["--color", "always"]].concat();
            assert!(
                has_colour(&with(&place, &[("NO_COLOR", "1")], &always)),
                "{command:?}"
            );
            let plain = [command, &["--color", "never"]].concat();
            assert!(!has_colour(&with(&place, &force, &plain)), "{command:?}");
            let json = [command, &["--format", "json", "--color", "always"]].concat();
            let json = with(&place, &[], &json);
            assert!(!json.out.contains('\u{1b}'), "{command:?}: {}", json.out);
        }
        // Without colours the text is the same.
        let words = |done: &Done| anstream::adapter::strip_str(&done.err).to_string();
        let without = with(&place, &[], command);
        let first = |text: String| text.lines().next().map(str::to_owned);
        assert_eq!(first(words(&forced)), first(without.err), "{command:?}");
    }
}

#[test]
fn quiet_plan_prints_only_its_run_id() {
    let place = Place::plume();
    let file = place.moves(3);
    let planned = place.run(&["plan", &file, "--quiet"]).expect(0);
    assert_eq!(planned.out, format!("{}\n", place.newest_id()));
    let run = planned.out.trim().to_owned();
    place
        .run(&["apply", "--run", &run, "--yes", "-q"])
        .expect(0);
    assert_eq!(place.patches(), 3);
    // A plan with failed lines prints one document, too; the reasons are only in the text for the user.
    let file = place.file(
        "two.csv",
        "accountId,newAccountId\nB-000001,C-000001\nX-000002,C-000002\n",
    );
    let planned = place.run(&["plan", &file, "-q"]).expect(1);
    assert_eq!(planned.out, format!("{}\n", place.newest_id()));
    assert!(
        planned.err.contains("not_found (first: line 3)"),
        "{}",
        planned.err
    );
}

#[test]
fn quota_notice_is_printed_only_by_commands_with_the_rate_option() {
    let place = Place::plume();
    let file = place.moves(3);
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env_remove("IDSHIFT_RATE");
        finish(command.spawn().unwrap()).expect(0).err
    };
    let apply = run(&["apply", &file, "--yes", "--rate", "100/s"]);
    assert!(apply.contains("no quota applies"), "{apply}");
    for command in [&["verify"][..], &["undo", "--yes"]] {
        let later = run(command);
        assert!(!later.contains("no quota applies"), "{later}");
    }
    let again = run(&["verify", "--rate", "200/s"]);
    assert!(again.contains("no quota applies"), "{again}");
}

#[test]
fn final_summary_shows_kinds_reasons_time_and_non_empty_files() {
    let place = Place::plume();
    place.moves(4);
    let text = "accountId,newAccountId,serviceId,profile\n\
        A-000000,B-000000,,\n\
        A-000001,B-000001,,\n\
        A-000001,,new-1,\n\
        A-000002,,new-2,smallbusiness\n\
        X-000001,Y-000001,,\n\
        X-000002,Y-000002,,\n";
    let file = place.file("kinds.csv", text);
    let done = place
        .run(&["apply", &file, "--yes", "--rate", "20/s"])
        .expect(1);
    for words in [
        "4  changed: 2 account IDs, 2 service IDs, 1 profile\n",
        "2  failed\n",
        "2    not_found (first: line 6): no customer has the account ID",
        "  time    ",
        " of 20 calls/s\n",
        "report.html, results.csv, failures.csv\n",
    ] {
        assert!(done.out.contains(words), "{words}: {}", done.out);
    }
    let file = place.file("rest.csv", "accountId,newAccountId\nA-000003,B-000003\n");
    let done = place.run(&["apply", &file, "--yes"]).expect(0);
    assert!(
        done.out.contains("1  changed: 1 account ID\n"),
        "{}",
        done.out
    );
    assert!(
        done.out.contains("report.html, results.csv\n"),
        "{}",
        done.out
    );
    assert!(!done.out.contains("failures.csv"), "{}", done.out);
    assert!(!done.out.contains(" 0.0 "), "{}", done.out);
}
