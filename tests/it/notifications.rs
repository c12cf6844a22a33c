//! Where the end of a run is reported: a program, a health check, a webhook, a file of metrics.

use crate::support::{Place, clock_library, finish};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};

/// A server that answers everything with 200; each request as its first line and its body.
fn listener() -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
                    length = number.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            if send
                .send((first.trim().to_owned(), String::from_utf8(body).unwrap()))
                .is_err()
            {
                return;
            }
        }
    });
    (address, heard)
}

/// A profile `night` with these lines.
fn profile(place: &Place, lines: &str) {
    place.file("idshift.toml", &format!("[profiles.night]\n{lines}\n"));
}

fn script(place: &Place, text: &str) -> String {
    let path = place.path().join("told.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_program_gets_the_summary_and_no_secret() {
    let place = Place::plume();
    let file = place.moves(3);
    let script = script(&place, "cat > told.json\nenv > told.env\npwd > told.pwd");
    profile(&place, &format!("on_finish = [\"{script}\"]"));
    let night = ["reconcile", &file, "--yes", "--profile", "night"];
    let mut command = place.command(&night);
    let command = command
        .env("CLIENT_SECRET", "hunter2")
        .env("PGPASSWORD", "hunter2");
    finish(command.spawn().unwrap()).expect(0);
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&read("told.json")).unwrap();
    assert_eq!(summary["counts"]["changed"], 3);
    let environment = read("told.env");
    let id = place.newest_id();
    for wanted in [
        &*format!("IDSHIFT_RUN={id}\n"),
        "IDSHIFT_EXIT_CODE=0\n",
        "IDSHIFT_STATE=finished\n",
    ] {
        assert!(environment.contains(wanted), "{wanted}: {environment}");
    }
    assert!(!environment.contains("canary-token"), "{environment}");
    assert!(!environment.contains("IDSHIFT_TOKEN"), "{environment}");
    assert!(!environment.contains("hunter2"), "{environment}");
    let folder = place.path().canonicalize().unwrap();
    assert_eq!(read("told.pwd").trim(), folder.display().to_string());
}

#[test]
fn a_program_that_fails_only_warns_and_hears_of_runs_that_could_not_begin() {
    let place = Place::plume();
    let file = place.moves(3);
    let script = script(&place, "cat > told.json; echo on-standard-output; exit 9");
    profile(&place, &format!("on_finish = [\"{script}\"]"));
    let night = ["reconcile", &file, "--yes", "--profile", "night", "--json"];
    let done = place.run(&night).expect(0);
    assert!(done.err.contains("warning: on_finish"), "{}", done.err);
    assert_eq!(done.json()["counts"]["changed"], 3);
    let lost = ["reconcile", "nosuch.csv", "--yes", "--profile", "night"];
    place.run(&lost).expect(2);
    let told = std::fs::read_to_string(place.path().join("told.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["exit_code"], &told["state"]),
        (&2.into(), &"failed".into())
    );
    assert!(told["error"].as_str().unwrap().contains("nosuch.csv"));
}

#[test]
fn a_program_that_others_could_have_named_is_not_run() {
    let place = Place::plume();
    let file = place.moves(1);
    let script = script(&place, "touch told");
    profile(&place, &format!("on_finish = [\"{script}\"]"));
    let config = place.path().join("idshift.toml");
    std::fs::set_permissions(config, std::fs::Permissions::from_mode(0o666)).unwrap();
    let done = place
        .run(&["apply", &file, "--yes", "--profile", "night"])
        .expect(2);
    assert!(done.err.contains("on_finish"), "{}", done.err);
    assert!(!place.path().join("told").exists());
    assert_eq!(place.patches(), 0);
}

#[test]
fn a_health_check_and_a_webhook_are_told_without_ids() {
    let place = Place::plume();
    place.moves(3);
    let file = place.file(
        "f.csv",
        "accountId,newAccountId\nA-000001,B-000001\nNOBODY,ELSE-01\n",
    );
    let (address, heard) = listener();
    profile(
        &place,
        &format!("healthcheck_url = \"{address}/ping/uuid?x=1\"\nwebhook_url = \"{address}/hook\""),
    );
    let night = ["reconcile", &file, "--yes", "--profile", "night"];
    place.run(&night).expect(1);
    let next = || heard.recv().unwrap();
    assert_eq!(next().0, "GET /ping/uuid/start?x=1 HTTP/1.1");
    let (first, body) = next();
    assert_eq!(first, "POST /hook HTTP/1.1");
    let summary: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(summary["counts"]["failed"], 1);
    assert_eq!(summary["exit_code"], 1);
    for id in ["NOBODY", "ELSE-01", "A-000001", "C-1"] {
        assert!(!body.contains(id), "{body}");
    }
    assert_eq!(next().0, "GET /ping/uuid/fail?x=1 HTTP/1.1");
    // Neither address is kept with the run, nor shown.
    let ledger = std::fs::read(place.newest().join("ledger.db")).unwrap();
    assert!(!ledger.windows(9).any(|bytes| bytes == b"ping/uuid"));
    let shown = place.run(&["config", "--profile", "night"]).expect(0);
    assert!(!shown.out.contains("uuid"), "{}", shown.out);
    // A plan is no night.
    place.run(&["plan", &file, "--profile", "night"]).expect(1);
    place
        .run(&["reconcile", "nosuch.csv", "--yes", "--profile", "night"])
        .expect(2);
    assert!(next().0.contains("/start"));
    let (_, body) = next();
    assert!(!body.contains("nosuch"), "{body}");
    assert!(next().0.contains("/fail"));
}

/// Whether the process whose ID is in this file is still at work.
fn lives(place: &Place, name: &str) -> bool {
    let pid = std::fs::read_to_string(place.path().join(name)).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // A zombie waits for nothing but its parent.
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Name, labels and value of each sample, as a parser of the format reads them.
fn samples(text: &str) -> Vec<(String, String, f64)> {
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let read = prometheus_parse::Scrape::parse(lines).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(read.samples.len(), series.count(), "{text}");
    let sample = |sample: prometheus_parse::Sample| {
        let mut labels: Vec<String> = sample
            .labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        labels.sort();
        let prometheus_parse::Value::Gauge(value) = sample.value else {
            panic!("{} is no gauge", sample.metric);
        };
        assert!(read.docs.contains_key(&sample.metric), "{}", sample.metric);
        (sample.metric, labels.join(","), value)
    };
    read.samples.into_iter().map(sample).collect()
}

#[test]
fn metrics_are_written_for_good_and_for_failed_runs() {
    let place = Place::plume();
    let file = place.moves(3);
    let metrics = place.path().join("idshift.prom");
    let night = [
        "reconcile",
        &file,
        "--yes",
        "--metrics-file",
        "idshift.prom",
    ];
    place.run(&night).expect(0);
    let read = || samples(&std::fs::read_to_string(&metrics).unwrap());
    let of = |samples: &[(String, String, f64)], name: &str, labels: &str| {
        let mut found = samples
            .iter()
            .filter(|one| one.0 == name && one.1 == labels);
        found.next().map(|one| one.2)
    };
    let good = read();
    assert_eq!(of(&good, "idshift_lines", "status=\"changed\""), Some(3.0));
    assert_eq!(of(&good, "idshift_calls", "kind=\"write\""), Some(3.0));
    assert_eq!(of(&good, "idshift_calls_throttled", ""), Some(0.0));
    assert_eq!(of(&good, "idshift_exit_code", ""), Some(0.0));
    assert!(of(&good, "idshift_duration_seconds", "").unwrap() > 0.0);
    let success = of(&good, "idshift_last_success_timestamp_seconds", "");
    assert!(success.unwrap() > 1e9);
    let mode = std::fs::metadata(&metrics).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    place
        .run(&[
            "reconcile",
            "nosuch.csv",
            "--yes",
            "--metrics-file",
            "idshift.prom",
        ])
        .expect(2);
    let bad = read();
    assert_eq!(of(&bad, "idshift_exit_code", ""), Some(2.0));
    assert_eq!(
        of(&bad, "idshift_last_success_timestamp_seconds", ""),
        success
    );
    // Where it cannot be written, the run's result stands.
    let done = place.run(&[
        "reconcile",
        &file,
        "--yes",
        "--metrics-file",
        "no/such/folder.prom",
    ]);
    assert!(done.expect(0).err.contains("warning: metrics_file"));
}

/// They are written by renaming, which would replace whatever is there.
#[test]
fn metrics_replace_nothing_but_metrics_and_never_end_a_run() {
    let place = Place::plume();
    let file = place.moves(3);
    let binary: &[u8] = b"\xff\x00";
    std::fs::write(place.path().join("binary"), binary).unwrap();
    place.file("empty.prom", "");
    std::os::unix::fs::symlink("moves.csv", place.path().join("link.prom")).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(place.path().join("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    let before = std::fs::read(place.path().join(&file)).unwrap();
    // A device without an end, one that takes anything, a pipe without a reader, a folder, and files of other kinds.
    for (path, words) in [
        ("/dev/full", "it is no file"),
        ("/dev/null", "it is no file"),
        ("pipe", "it is no file"),
        (".", "it is no file"),
        ("moves.csv", "not one with metrics of idshift"),
        ("link.prom", "not one with metrics of idshift"),
        ("binary", "not one with metrics of idshift"),
    ] {
        let night = ["reconcile", &file, "--yes", "--metrics-file", path];
        let done = place.run(&night).expect(0);
        let warning = format!("warning: metrics_file {path}: ");
        assert!(done.err.contains(&warning), "{path}: {}", done.err);
        assert!(done.err.contains(words), "{path}: {}", done.err);
    }
    assert_eq!(std::fs::read(place.path().join(&file)).unwrap(), before);
    assert_eq!(std::fs::read(place.path().join("binary")).unwrap(), binary);
    let night = ["reconcile", &file, "--yes", "--metrics-file", "empty.prom"];
    let done = place.run(&night).expect(0);
    assert!(!done.err.contains("metrics_file"), "{}", done.err);
    let suppress = ["reconcile", &file, "--yes", "--suppress", "/dev/zero"];
    let done = place.run(&suppress).expect(2);
    assert!(done.err.contains("longer than 64 MiB"), "{}", done.err);
}

/// An exporter may read the file at any moment.
#[test]
fn metrics_can_be_read_whole_while_a_run_writes_them() {
    let place = Place::plume();
    let file = place.moves(3);
    let night = [
        "reconcile",
        &file,
        "--yes",
        "--metrics-file",
        "idshift.prom",
    ];
    place.run(&night).expect(0);
    let path = place.path().join("idshift.prom");
    let whole = samples(&std::fs::read_to_string(&path).unwrap()).len();
    let mut child = place.command(&night).spawn().unwrap();
    let mut reads = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(samples(&text).len(), whole, "{text}");
        reads += 1;
    }
    finish(child).expect(0);
    assert!(reads > 10, "{reads}");
    let names = std::fs::read_dir(place.path()).unwrap();
    let left = names.filter(|name| {
        let name = name.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".tmp")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn a_program_hears_of_idle_stopped_refused_and_interrupted_runs() {
    let place = Place::plume();
    let file = place.moves(60);
    let text = "cat >/dev/null; echo \"$IDSHIFT_EXIT_CODE $IDSHIFT_STATE ${IDSHIFT_RUN:-none}\" >>told.log";
    let script = script(&place, text);
    profile(&place, &format!("on_finish = [\"{script}\"]"));
    let told = || {
        let log = std::fs::read_to_string(place.path().join("told.log")).unwrap();
        log.lines().last().unwrap().to_owned()
    };
    let night = ["reconcile", &file, "--yes", "--profile", "night"];
    let stopped = [&night[..], &["--max-changes", "1"]].concat();
    place.run(&stopped).expect(4);
    assert_eq!(told(), format!("4 stopped {}", place.newest_id()));

    let slowly = [&night[..], &["--rate", "20/s", "--concurrency", "1"]].concat();
    let child = place.command(&slowly).spawn().unwrap();
    while place.patches() < 3 {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    finish(child).expect(143);
    assert_eq!(told(), format!("143 interrupted {}", place.newest_id()));

    place.run(&night).expect(0);
    place.run(&night).expect(0);
    assert_eq!(told(), format!("0 finished {}", place.newest_id()));

    std::fs::remove_file(place.path().join("told.log")).unwrap();
    let mut command = place.command(&night);
    finish(command.env_remove("IDSHIFT_TOKEN").spawn().unwrap()).expect(2);
    assert_eq!(told(), "2 failed none");
}

#[test]
fn a_program_and_what_it_has_started_end_after_thirty_seconds() {
    let Some(library) = clock_library() else {
        println!("NOT RUN: libfaketime is not installed");
        return;
    };
    let place = Place::plume();
    let file = place.moves(2);
    let night = ["reconcile", &file, "--yes", "--profile", "night"];
    // It ends, and leaves something behind.
    let ends = script(&place, "sleep 300 & echo $! >behind");
    profile(&place, &format!("on_finish = [\"{ends}\"]"));
    let done = place.run(&night).expect(0);
    assert!(!done.err.contains("on_finish"), "{}", done.err);
    assert!(!lives(&place, "behind"));
    // It does not end. The clock of the command runs thirty times as fast.
    let waits = script(&place, "sleep 300 & echo $! >child\necho $$ >program\nwait");
    profile(&place, &format!("on_finish = [\"{waits}\"]"));
    let mut command = place.command(&night);
    command.env("LD_PRELOAD", library).env("FAKETIME", "+0 x30");
    let begun = std::time::Instant::now();
    let done = finish(command.spawn().unwrap()).expect(0);
    assert!(done.err.contains("did not end within 30 s"), "{}", done.err);
    assert!(begun.elapsed().as_secs() < 60);
    assert!(!lives(&place, "child") && !lives(&place, "program"));
}

#[test]
fn a_signal_ends_what_is_still_reported_and_leaves_the_result_of_the_run() {
    use rustix::process::Signal;
    let place = Place::plume();
    let file = place.moves(60);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret", silent.local_addr().unwrap());
    let waits = script(&place, "sleep 300 & echo $! >child\necho $$ >program\nwait");
    let night = ["reconcile", &file, "--yes", "--profile", "night"];
    let slowly = [&night[..], &["--rate", "20/s", "--concurrency", "1"]].concat();
    // With a signal during the run or without one; then one while a program or a server is waited for.
    for (during, then, code, reporter) in [
        (Some(Signal::INT), Signal::INT, 130, "on_finish"),
        (Some(Signal::TERM), Signal::INT, 143, "on_finish"),
        (None, Signal::TERM, 0, "on_finish"),
        (None, Signal::INT, 0, "webhook_url"),
        (None, Signal::HUP, 0, "webhook_url"),
    ] {
        let program = (reporter == "on_finish").then(|| format!("on_finish = [\"{waits}\"]\n"));
        let program = program.unwrap_or_default();
        profile(&place, &format!("{program}webhook_url = \"{url}\""));
        for name in ["program", "child"] {
            let _ = std::fs::remove_file(place.path().join(name));
        }
        silent.set_nonblocking(reporter == "on_finish").unwrap();
        let begun = std::time::Instant::now();
        let written = place.patches();
        let arguments = if during.is_some() {
            &slowly[..]
        } else {
            &night
        };
        let child = place.command(arguments).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        if let Some(signal) = during {
            while place.patches() < written + 3 {
                std::thread::yield_now();
            }
            rustix::process::kill_process(pid, signal).unwrap();
        }
        // The report has begun.
        let connection = match reporter {
            "on_finish" => {
                while !place.path().join("program").exists() {
                    std::thread::yield_now();
                }
                None
            }
            _ => Some(silent.accept().unwrap()),
        };
        rustix::process::kill_process(pid, then).unwrap();
        let done = finish(child).expect(code);
        let words = format!("warning: {reporter}: not reported: a signal");
        assert!(done.err.contains(&words), "{}", done.err);
        assert!(done.err.contains("warning: webhook_url"), "{}", done.err);
        assert!(begun.elapsed().as_secs() < 9, "{:?}", begun.elapsed());
        drop(connection);
        if reporter == "on_finish" {
            assert!(!lives(&place, "child") && !lives(&place, "program"));
        }
    }
    place.judge_writes();
}

#[test]
fn a_service_that_does_not_answer_only_warns_and_takes_a_bounded_time() {
    let place = Place::plume();
    let file = place.moves(2);
    // It takes connections and answers nothing; nothing listens at the other.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let address = silent.local_addr().unwrap();
    profile(
        &place,
        &format!(
            "healthcheck_url = \"http://{closed}/ping\"\nwebhook_url = \"http://{address}/secret\""
        ),
    );
    let begun = std::time::Instant::now();
    let done = place
        .run(&["apply", &file, "--yes", "--profile", "night"])
        .expect(0);
    assert!(begun.elapsed().as_secs() < 50, "{:?}", begun.elapsed());
    for name in ["healthcheck_url", "webhook_url"] {
        assert!(
            done.err.contains(&format!("warning: {name}")),
            "{}",
            done.err
        );
    }
    assert!(!done.err.contains("secret"), "{}", done.err);
    // An address that cannot be called is an error before anything is sent.
    profile(&place, "webhook_url = \"http://monitoring.example.com/x\"");
    let written = place.patches();
    place
        .run(&["apply", &file, "--yes", "--profile", "night"])
        .expect(2);
    assert_eq!(place.patches(), written);
}
