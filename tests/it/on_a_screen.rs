use crate::question::on_a_terminal;
use crate::support::{Done, OnResize, Place, Screen, begun_by, finish};
use anstream::adapter::strip_str;
use std::time::{Duration, Instant};

/// On a terminal of this width, on which `answer` is typed, if it is anything.
fn at_width(place: &Place, columns: u16, answer: &str, arguments: &[&str]) -> Done {
    at_size(place, (24, columns), answer, arguments)
}

/// The same on a terminal of this number of rows and columns.
fn at_size(place: &Place, (rows, columns): (u16, u16), answer: &str, arguments: &[&str]) -> Done {
    let mut idshift = place.command(arguments);
    idshift.env("TERM", "xterm");
    let typed = match answer {
        "" => ":".to_owned(),
        answer => format!("(sleep 1; echo {answer})"),
    };
    let shown = format!("stty cols {columns} rows {rows}; exec $0 $*");
    let script = format!("{typed} | script -qec \"{shown}\" /dev/null");
    let mut command = begun_by(place, &idshift, &["sh"], &script);
    finish(command.spawn().unwrap())
}

/// What was written, without colours: a row for each line.
fn rows(done: &Done) -> Vec<String> {
    let text = strip_str(&done.out).to_string();
    let rows = text.lines().map(|row| row.trim_end().to_owned());
    rows.filter(|row| !row.is_empty()).collect()
}

/// Four customers, and a file of which a line fails.
fn place() -> (Place, String) {
    let place = Place::plume();
    place.moves(4);
    let rows = "A-000000,B-000000\nA-000001,B-000001\nX-1,Y-1\n";
    let file = place.file("lines.csv", &format!("accountId,newAccountId\n{rows}"));
    (place, file)
}

#[test]
fn terminal_output_wraps_at_words_and_keeps_commands_whole() {
    let (place, file) = place();
    let asked = at_width(&place, 80, "no", &["apply", &file]).expect(2);
    let plan = place.newest_id();
    let shown = [
        asked,
        at_width(&place, 80, "no", &["resume"]).expect(2),
        at_width(&place, 80, "yes", &["apply", "--run", &plan]).expect(1),
        at_width(&place, 80, "", &["config"]).expect(0),
    ];
    for done in &shown {
        for row in rows(done) {
            let width = row.chars().count();
            let is_whole = row.trim_start().starts_with("idshift ") || !row.trim().contains(' ');
            assert!(width <= 80 || is_whole, "{width}: {row}");
        }
    }
    let run = format!("idshift-runs/{plan}");
    let [asked, _, applied, _] = shown.map(|done| rows(&done).join("\n"));
    // The last row of the question is wider than 80 columns.
    assert!(asked.contains("\n    "), "{asked}");
    for whole in [
        format!("idshift apply {run}/failures.csv"),
        format!("idshift undo {plan}"),
        format!("{run}/report.html,"),
    ] {
        assert!(applied.contains(&whole), "{whole}: {applied}");
    }
    // Where there is no terminal, nothing is wrapped; nor where one does not tell its width.
    let piped = place.run(&["report", &plan, "--json"]).expect(0).out;
    let told = at_width(&place, 20, "", &["report", &plan, "--json"]).expect(0);
    let told = told.out.replace("\r\n", "\n").replace("^D\u{8}\u{8}", "");
    assert_eq!(told.trim(), piped.trim());
    let next = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("next: "))
            .map(str::len)
    };
    let redone = place.run(&["apply", &file, "--yes"]).expect(1);
    assert!(next(&redone.out).unwrap() > 80, "{}", redone.out);
    let unknown = on_a_terminal(&place, "no", &["apply", &file, "--yes"]).expect(1);
    let unknown = strip_str(&unknown.out).to_string();
    assert!(next(&unknown).unwrap() > 80, "{unknown}");
}

#[test]
fn runs_shows_short_rows_on_a_terminal_and_full_rows_in_a_pipe() {
    let (place, file) = place();
    place.run(&["plan", &file]).expect(1);
    place.run(&["apply", &file, "--yes"]).expect(1);
    place.run(&["undo", "--yes"]).expect(0);
    let shown = rows(&at_width(&place, 80, "", &["runs"]).expect(0));
    let begins = |row: &&String| row.starts_with("20") && row.contains("  ");
    let runs: Vec<&String> = shown.iter().filter(begins).collect();
    assert_eq!(runs.len(), 3, "{shown:?}");
    assert!(
        runs.iter().all(|row| row.chars().count() <= 80),
        "{shown:?}"
    );
    assert!(
        shown
            .iter()
            .any(|row| row.contains("target: plume at http://"))
    );
    let piped = place.run(&["runs"]).expect(0).out;
    assert_eq!(piped.lines().count(), 3, "{piped}");
    assert!(
        piped.lines().all(|row| row.contains("plume at http://")),
        "{piped}"
    );
}

#[test]
fn status_watch_redraws_in_place() {
    let (run, watched) = watched_at((24, 60));
    let told = watched.out.matches(&format!("run {run} ")).count();
    assert!(told > 2, "{}", watched.out);
    let mut screen = Screen::new(OnResize::Cut, 60);
    screen.write(&watched.out);
    let rows = screen.rows();
    let begins = rows
        .iter()
        .filter(|row| row.contains(&format!("run {run} ")));
    assert_eq!(begins.count(), 1, "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("finished")), "{rows:?}");
}

/// Watches a run until its end on a terminal of this number of rows and columns.
fn watched_at(size: (u16, u16)) -> (String, Done) {
    let place = Place::plume();
    let file = place.moves(400);
    let apply = ["apply", &file, "--yes", "--rate", "60/s"];
    let applying = place.command(&apply).spawn().unwrap();
    let begun = Instant::now();
    while place.patches() < 20 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    let run = place.newest_id();
    let watched = at_size(&place, size, "", &["status", &run, "--watch"]).expect(0);
    finish(applying).expect(0);
    (run, watched)
}

#[test]
fn status_watch_taller_than_the_terminal_counts_the_hidden_rows() {
    let (run, watched) = watched_at((3, 34));
    let told = watched.out.matches(&format!("run {run} ")).count();
    assert!(told > 2, "{}", watched.out);
    let mut screen = Screen::of_size(OnResize::Cut, (3, 34));
    screen.write(&watched.out);
    // Each state has replaced the one before.
    assert_eq!(screen.rows_above(), 0, "{}", watched.out);
    let rows = screen.rows();
    assert!(rows[0].contains(&run[..8]), "{rows:?}");
    assert!(
        rows[1].starts_with("… ") && rows[1].ends_with(" more rows"),
        "{rows:?}"
    );
}

#[test]
fn error_for_missing_file_argument_or_setting_says_what_to_give() {
    let place = Place::plume();
    let missing = place.run(&["apply", "missing.csv", "--yes"]).expect(2).err;
    assert!(missing.contains("missing.csv does not exist"), "{missing}");
    assert!(!missing.contains("disk"), "{missing}");
    let file = place.moves(1);
    let other = [("BASE_URL", "plume.example.com:8443/api")];
    let url = place.run_with(&other, &["plan", &file]).expect(2).err;
    assert!(url.contains("`https://` is missing"), "{url}");
    let system = [
        ("SYSTEM", "cloudcockpit"),
        ("BASE_URL", "https://127.0.0.1:1"),
    ];
    let names = place.file("cc.csv", "accountId,newAccountId,resellerId\nA-1,B-1,own\n");
    let tenant = place.run_with(&system, &["plan", &names]).expect(2).err;
    for words in ["--tenant", "IDSHIFT_TENANT", "`tenant` in the profile"] {
        assert!(tenant.contains(words), "{words}: {tenant}");
    }
    for (command, wanted) in [
        (&["runs", "show"][..], "`idshift runs show` needs <RUN>"),
        (&["evidence"], "`idshift evidence` needs <RUN>"),
        (&["runs", "forget"], "`idshift runs forget` needs <PATH>"),
        (
            &["runs", "prune"],
            "`idshift runs prune` needs --older-than",
        ),
        (&["plan"], "`idshift plan` needs <FILE>"),
    ] {
        let refused = place.run(command).expect(2);
        assert!(refused.err.contains(wanted), "{}", refused.err);
        let example = format!("for example `idshift {}", command.join(" "));
        assert!(refused.err.contains(&example), "{}", refused.err);
        let told = place.run(&[command, &["--json"]].concat()).expect(2).json();
        assert!(told["error"].as_str().unwrap().contains(wanted), "{told}");
        assert!(told["help"].as_str().unwrap().contains(&example), "{told}");
    }
}

#[test]
fn config_does_not_show_the_arguments_of_a_token_command() {
    let place = Place::plume();
    let config = "token_command = [\"/usr/bin/vault\", \"read\", \"hunter2\"]\n";
    let file = place.file("secret.toml", config);
    for more in [&[][..], &["--json"]] {
        let arguments = [&["config", "--config", &file], more].concat();
        let shown = place.run(&arguments).expect(0);
        assert!(
            shown.out.contains("/usr/bin/vault (and 2 arguments)"),
            "{}",
            shown.out
        );
        assert!(!shown.out.contains("hunter2"), "{}", shown.out);
    }
}

#[test]
fn report_prefers_the_newest_applied_run_and_labels_a_plan() {
    let (place, file) = place();
    place.run(&["plan", &file]).expect(1);
    let plan = place.newest_id();
    let told = place.run(&["report"]).expect(0).err;
    assert!(
        told.contains(&plan) && told.contains("this run is a plan"),
        "{told}"
    );
    place.run(&["apply", &file, "--yes"]).expect(1);
    let applied = place.newest_id();
    place.run(&["plan", &file]).expect(1);
    let told = place.run(&["report"]).expect(0).err;
    assert!(told.contains(&format!("report: run {applied} ")), "{told}");
    assert!(!told.contains("this run is a plan"), "{told}");
}

#[test]
fn undo_of_an_undone_run_reports_nothing_to_restore() {
    let (place, file) = place();
    place.run(&["apply", &file, "--yes"]).expect(1);
    let run = place.newest_id();
    let first = place.run(&["undo", &run, "--yes"]).expect(0).out;
    let undo = place.newest_id();
    assert!(
        first.contains(&format!("to undo: idshift undo {undo}")),
        "{first}"
    );
    let words = format!("nothing to restore; run {undo} has restored what the run changed");
    let again = place.run(&["undo", &run, "--yes"]).expect(0);
    assert!(again.err.contains(&words), "{}", again.err);
    let asked = on_a_terminal(&place, "no", &["undo", &run]).expect(0).out;
    assert!(
        asked.contains(&words) && !asked.contains("Type yes"),
        "{asked}"
    );
    assert_eq!(place.newest_id(), undo);
    // The undo is undone: what the run changed is there again, and can be restored again.
    place.run(&["undo", &undo, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "B-000000");
    place.run(&["undo", &run, "--yes"]).expect(0);
    assert_eq!(place.account_of("C-0"), "A-000000");
    // A run that changes nothing has nothing to be undone.
    let same = place.file("same.csv", "accountId,newAccountId\nA-000003,B-000003\n");
    place.run(&["apply", &same, "--yes"]).expect(0);
    let none = place.run(&["apply", &same, "--yes"]).expect(0).out;
    assert!(!none.contains("to undo"), "{none}");
}

#[test]
fn not_found_message_names_the_run_that_changed_the_id_and_the_new_id() {
    let (place, file) = place();
    place.run(&["apply", &file, "--yes"]).expect(1);
    let run = place.newest_id();
    let night = "accountId,newAccountId\nA-000000,D-000000\nA-999999,D-000001\n";
    let night = place.file("night.csv", night);
    place.run(&["reconcile", &night, "--yes"]).expect(1);
    let rows = place.rows("results.csv");
    let message = |line: usize| &rows[line - 2]["idshift_message"];
    assert_eq!(rows[0]["idshift_reason"], "not_found");
    for words in [
        &run[..],
        "changed it to `B-000000`",
        "customer `C-0`",
        "write `B-000000` in `accountId`",
    ] {
        assert!(message(2).contains(words), "{words}: {}", message(2));
    }
    assert_eq!(message(3), "no customer has the account ID `A-999999`");
}

#[test]
fn final_rate_is_of_the_last_process_and_omitted_if_the_limit_changed() {
    let place = Place::plume();
    let file = place.moves(120);
    let calls = |done: &Done| {
        let out = strip_str(&done.out).to_string();
        let line = out.lines().find(|line| line.contains(" to write"));
        line.unwrap().to_owned()
    };
    let apply = ["apply", &file, "--yes", "--rate", "40/s", "--until", "1s"];
    let first = place.run(&apply).expect(4);
    assert!(calls(&first).contains(" of 40 calls/s"), "{}", first.out);
    let resumed = place
        .command(&["resume", "--rate", "50/s"])
        .spawn()
        .unwrap();
    let written = place.patches();
    let begun = Instant::now();
    while place.patches() < written + 5 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    place.run(&["rate", &place.newest_id(), "500/s"]).expect(0);
    let done = finish(resumed).expect(0);
    assert!(!calls(&done).contains("calls/s"), "{}", done.out);
    let file = place.file(
        "more.csv",
        "accountId,newAccountId\nA-000119,X-000119\nB-000001,X-000001\nB-000002,X-000002\n",
    );
    let plan = place.run(&["plan", &file, "--json"]).expect(1).json();
    let run = plan["run"].as_str().unwrap();
    let done = place
        .run(&["apply", "--run", run, "--yes", "--rate", "70/s"])
        .expect(1);
    let told = calls(&done);
    assert!(
        told.contains(" of 70 calls/s since it was continued"),
        "{told}"
    );
}

#[test]
fn open_lines_of_a_drained_run_are_reported_as_drained() {
    let place = Place::plume();
    let file = place.moves(200);
    let applying = place
        .command(&["apply", &file, "--yes", "--rate", "60/s"])
        .spawn()
        .unwrap();
    while place.patches() < 10 {
        std::thread::yield_now();
    }
    place.run(&["drain"]).expect(0);
    let done = finish(applying).expect(4);
    assert!(done.out.contains("not begun: drained"), "{}", done.out);
    let open = place.verdicts();
    let open = open.iter().filter(|one| one.starts_with("skipped"));
    assert!(open.clone().count() > 0 && open.clone().all(|one| one == "skipped/guard"));
}
