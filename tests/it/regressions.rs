use crate::support::{Asked, Front, Place, customer, finish, good_answer};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn failed_search_is_not_reported_as_not_found() {
    let place = Place::plume();
    let file = place.moves(5);
    place
        .sandbox
        .set_faults(vec!["search:500:about=A-000002".parse().unwrap()]);
    for command in [&["plan"][..], &["apply", "--yes"]] {
        let options = [&file, "--lookup", "each", "--retries", "1"];
        let done = place.run(&[command, &options].concat());
        assert_eq!(done.code, 1, "{}{}", done.out, done.err);
        assert_eq!(place.verdicts()[2], "failed/unavailable", "{command:?}");
    }
    assert_eq!(place.account_of("C-2"), "A-000002");
}

#[test]
fn waiting_for_the_rate_limit_neither_times_out_nor_exceeds_it() {
    let place = Place::plume();
    let file = place.moves(12);
    // Most calls wait much longer for their turn than the time-out of a call.
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--rate",
            "8/s",
            "--timeout",
            "300ms",
            "--lookup",
            "each",
            "--concurrency",
            "12",
        ])
        .expect(0);
    let mut at: Vec<Duration> = place.sandbox.log().iter().map(|seen| seen.at).collect();
    at.sort();
    assert_eq!(at.len(), 24);
    assert!(
        at[23].abs_diff(at[0]) > Duration::from_millis(2700),
        "{:?}",
        at[23].abs_diff(at[0])
    );
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
}

#[test]
fn permanently_refused_write_is_not_retried() {
    for status in ["400", "404", "409", "422"] {
        let place = Place::plume();
        let file = place.moves(3);
        place.sandbox.set_faults(vec![
            format!("customer-patch:{status}:about=C-1")
                .parse()
                .unwrap(),
        ]);
        place.run(&["apply", &file, "--yes"]).expect(1);
        assert_eq!(place.patches(), 3, "{status}: one write each");
        assert_eq!(place.account_of("C-1"), "A-000001");
    }
}

#[test]
fn success_of_one_call_does_not_end_a_retry_after_hold() {
    let place = Place::plume();
    let file = place.moves(40);
    let honest = place.sandbox.base_url();
    let told = std::sync::Mutex::new(None);
    let early = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&early);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let now = std::time::Instant::now();
        if asked.method == "PATCH" {
            let mut told = told.lock().unwrap();
            match *told {
                None => {
                    *told = Some(now);
                    return stream
                        .write_all(
                            b"HTTP/1.1 429 Slow\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n",
                        )
                        .is_ok();
                }
                // Calls that were under way are answered successfully a moment later.
                Some(at)
                    if now - at > Duration::from_millis(300)
                        && now - at < Duration::from_millis(1900) =>
                {
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                Some(_) => {}
            }
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "6"]);
    let done = finish(
        command
            .env("IDSHIFT_BASE_URL", front.base_url())
            .spawn()
            .unwrap(),
    );
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert_eq!(early.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn status_200_with_an_error_body_is_a_failure() {
    let place = Place::plume();
    let file = place.moves(4);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" && asked.path.ends_with("C-2") {
            let body =
                r#"{"error":{"statusCode":500,"name":"Error","message":"could not be saved"}}"#;
            return stream.write_all(&good_answer(body)).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let mut command = place.command(&["apply", &file, "--yes", "--retries", "1"]);
    let done = finish(
        command
            .env("IDSHIFT_BASE_URL", front.base_url())
            .spawn()
            .unwrap(),
    );
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    let verdicts = place.verdicts();
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| *verdict == "changed/")
            .count(),
        3
    );
    assert!(verdicts[2].starts_with("failed/"), "{verdicts:?}");
    assert_eq!(place.account_of("C-2"), "A-000002");
}

#[test]
fn failed_line_stops_no_other_line_and_leaves_no_temporary_id() {
    let place = Place::plume();
    let file = place.moves(60);
    let mut text = std::fs::read_to_string(place.path().join(&file)).unwrap();
    place.with_world(|mut world| (60..64).for_each(|n| world.add_plume(customer(n))));
    text.push_str("A-000060,A-000061\nA-000061,A-000060\nA-000062,A-000063\nA-000063,A-000062\n");
    let file = place.file("more.csv", &text);
    place.sandbox.set_faults(vec![
        "customer-patch:422:about=C-61".parse().unwrap(),
        "customer-patch:422:about=C-7".parse().unwrap(),
    ]);
    place.run(&["apply", &file, "--yes"]).expect(1);
    let accounts: Vec<String> = place.with_world(|world| {
        world
            .plume
            .values()
            .map(|c| c.account_id.to_string())
            .collect()
    });
    assert!(
        accounts.iter().all(|account| !account.contains("idshift")),
        "{accounts:?}"
    );
    let verdicts = place.verdicts();
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| *verdict == "changed/")
            .count(),
        61
    );
    for (id, account) in [
        ("C-60", "A-000060"),
        ("C-61", "A-000061"),
        ("C-62", "A-000063"),
        ("C-63", "A-000062"),
        ("C-7", "A-000007"),
    ] {
        assert_eq!(place.account_of(id), account);
    }
}

#[test]
fn every_failed_or_stopped_run_writes_reports_and_exits_nonzero() {
    type Ending = (&'static str, &'static [&'static str], i32);
    let endings: [Ending; 6] = [
        ("any:close:always", &["--give-up-after", "2s"], 4),
        ("any:401:always", &[], 2),
        ("patch:422:always", &["--max-failures", "20"], 4),
        ("patch:422:always", &["--max-failures", "100%"], 1),
        ("patch:422:always", &[], 4),
        ("patch:422:always", &["--canary", "2"], 4),
    ];
    for (fault, options, code) in endings {
        let place = Place::plume();
        let file = place.moves(150);
        place.sandbox.set_faults(vec![fault.parse().unwrap()]);
        let done = place.run(
            &[
                &["apply", file.as_str(), "--yes", "--retries", "1"],
                options,
            ]
            .concat(),
        );
        assert_eq!(
            done.code, code,
            "{fault} {options:?}: {}{}",
            done.out, done.err
        );
        assert_eq!(place.rows("results.csv").len(), 150, "{fault}: every line");
        assert_eq!(place.rows("failures.csv").len(), 150, "{fault}");
        for report in ["summary.json", "report.html"] {
            assert!(place.newest().join(report).exists(), "{fault}: {report}");
        }
        let summary = std::fs::read_to_string(place.newest().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["exit_code"], code, "{fault}");
    }
}

#[test]
fn plan_and_verify_exit_with_3_only_if_there_are_differences() {
    let place = Place::plume();
    let file = place.moves(10);
    place.run(&["plan", &file, "--exit-code"]).expect(3);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["plan", &file, "--exit-code"]).expect(0);
    place.run(&["verify"]).expect(0);
    place.with_world(|mut world| world.rename_plume("C-4", "X-1"));
    place.run(&["verify", &runs(&place)[0]]).expect(3);
}

fn runs(place: &Place) -> Vec<String> {
    let all = place.run(&["runs", "--json"]).expect(0).json();
    let mut applied: Vec<String> = all["runs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| run["command"] == "apply")
        .map(|run| run["run"].as_str().unwrap().to_owned())
        .collect();
    applied.sort();
    applied
}

#[test]
fn results_match_their_lines_and_failures_csv_has_only_failed_lines() {
    let place = Place::plume();
    place.with_world(|mut world| (0..300).for_each(|n| world.add_plume(customer(n))));
    let mut random = fastrand::Rng::with_seed(8);
    let mut order: Vec<u32> = (0..300).collect();
    random.shuffle(&mut order);
    let mut text = String::from("note,accountId,newAccountId,row\n");
    for (row, n) in order.iter().enumerate() {
        // Blank lines and line breaks in cells change the line numbers.
        let note = if n % 7 == 0 { "\"two\nlines\"" } else { "x" };
        writeln!(
            text,
            "{note},A-{n:06},B-{n:06},{row}{}",
            if n % 11 == 0 { "\n" } else { "" }
        )
        .unwrap();
    }
    let file = place.file("shuffled.csv", &text);
    let faults = (0..300).filter(|n| n % 5 == 0).map(|n| {
        format!("customer-patch:422:about=B-{n:06}")
            .parse()
            .unwrap()
    });
    place.sandbox.set_faults(faults.collect());
    place.run(&["apply", &file, "--yes"]).expect(1);
    let by_row: HashMap<String, HashMap<String, String>> = place
        .rows("results.csv")
        .into_iter()
        .map(|row| (row["row"].clone(), row))
        .collect();
    for (row, n) in order.iter().enumerate() {
        let told = &by_row[&row.to_string()];
        assert_eq!(told["accountId"], format!("A-{n:06}"));
        let (status, after) = if n % 5 == 0 {
            ("failed", "A")
        } else {
            ("changed", "B")
        };
        assert_eq!(told["idshift_status"], status, "row {row}");
        assert_eq!(
            place.account_of(&format!("C-{n}")),
            format!("{after}-{n:06}")
        );
    }
    place.sandbox.set_faults(Vec::new());
    place.sandbox.clear_log();
    let failures = format!("{}/failures.csv", place.newest().display());
    place.run(&["apply", &failures, "--yes"]).expect(0);
    assert_eq!(place.patches(), 60, "only those that had failed");
    assert!((0..300).all(|n| place.account_of(&format!("C-{n}")) == format!("B-{n:06}")));
}

#[test]
fn plan_writes_nothing_and_predicts_the_outcomes_of_apply() {
    let place = Place::plume();
    let file = place.moves(30);
    let mut text = std::fs::read_to_string(place.path().join(&file)).unwrap();
    text.push_str("A-000030,A-000031\nnobody-1,B-1\nA-000032,B-000032\n");
    place.with_world(|mut world| {
        (30..32).for_each(|n| world.add_plume(customer(n)));
        world.rename_plume("C-3", "B-000003");
    });
    let file = place.file("more.csv", &text);
    place.run(&["plan", &file]);
    assert_eq!(place.patches(), 0);
    let planned = place.verdicts();
    place.run(&["apply", &file, "--dry-run"]);
    assert_eq!((place.patches(), &place.verdicts()), (0, &planned));
    place.run(&["apply", &file, "--yes"]);
    let applied: Vec<String> = place.verdicts();
    let expected: Vec<String> = planned
        .iter()
        .map(|verdict| verdict.replace("would_change/", "changed/"))
        .collect();
    assert_eq!(applied, expected);
}

#[test]
fn plan_runs_and_report_do_not_disturb_an_interrupted_run() {
    let place = Place::plume();
    let file = place.moves(100);
    let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "2"]);
    assert_eq!(
        finish(command.env("IDSHIFT_CRASH_AT", "40").spawn().unwrap()).code,
        -1
    );
    let run = place.newest_id();
    let (before, ledger) = (place.patches(), place.newest().join("ledger.db"));
    place.run(&["plan", &file]);
    place.run(&["runs"]).expect(0);
    place.run(&["report", &run]);
    assert_eq!(place.patches(), before);
    assert!(ledger.exists());
    place.run(&["resume", &run]).expect(0);
    assert_eq!(place.patches(), 100, "nothing was done twice");
    place.judge_writes();
}
