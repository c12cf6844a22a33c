//! Where the end of a run is reported: a program, a health check, a webhook, a file of metrics.

use crate::support::{Place, clock_library, finish};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};

/// Starts a server that answers every request with 200, and returns each request's first line and body.
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

/// Writes a profile `night` with these lines.
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
fn on_finish_program_gets_the_summary_and_no_secret() {
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
fn on_finish_failure_is_a_warning_and_runs_that_cannot_begin_are_reported() {
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
fn on_finish_is_refused_when_other_users_may_write_the_config_file() {
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
fn healthcheck_and_webhook_get_reports_without_customer_ids() {
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
    // The URLs are neither kept with the run nor shown.
    let ledger = std::fs::read(place.newest().join("ledger.db")).unwrap();
    assert!(!ledger.windows(9).any(|bytes| bytes == b"ping/uuid"));
    let shown = place.run(&["config", "--profile", "night"]).expect(0);
    assert!(!shown.out.contains("uuid"), "{}", shown.out);
    // Neither URL is called for a plan.
    place.run(&["plan", &file, "--profile", "night"]).expect(1);
    place
        .run(&["reconcile", "nosuch.csv", "--yes", "--profile", "night"])
        .expect(2);
    assert!(next().0.contains("/start"));
    let (_, body) = next();
    assert!(!body.contains("nosuch"), "{body}");
    assert!(next().0.contains("/fail"));
}

/// Checks that the process with the ID in this file ends: it was sent SIGKILL before the command ended, and the kernel
/// may take a moment.
fn assert_ended(place: &Place, name: &str) {
    let pid = std::fs::read_to_string(place.path().join(name)).unwrap();
    let began = std::time::Instant::now();
    // A zombie has ended; only its parent has not noticed it.
    while std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
    {
        assert!(began.elapsed().as_secs() < 10, "{name} lives on");
        std::thread::yield_now();
    }
}

#[test]
fn on_finish_is_called_for_idle_stopped_refused_and_interrupted_runs() {
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
fn on_finish_program_and_its_children_end_within_thirty_seconds() {
    let Some(library) = clock_library() else {
        println!("NOT RUN: libfaketime is not installed");
        return;
    };
    let place = Place::plume();
    let file = place.moves(2);
    let night = ["reconcile", &file, "--yes", "--profile", "night"];
    // The program ends, but leaves a child process behind.
    let ends = script(&place, "sleep 300 & echo $! >behind");
    profile(&place, &format!("on_finish = [\"{ends}\"]"));
    let done = place.run(&night).expect(0);
    assert!(!done.err.contains("on_finish"), "{}", done.err);
    assert_ended(&place, "behind");
    // The program does not end. The clock of the command runs thirty times as fast.
    let waits = script(&place, "sleep 300 & echo $! >child\necho $$ >program\nwait");
    profile(&place, &format!("on_finish = [\"{waits}\"]"));
    let mut command = place.command(&night);
    command.env("LD_PRELOAD", library).env("FAKETIME", "+0 x30");
    let begun = std::time::Instant::now();
    let done = finish(command.spawn().unwrap()).expect(0);
    assert!(done.err.contains("did not end within 30 s"), "{}", done.err);
    assert!(begun.elapsed().as_secs() < 60);
    assert_ended(&place, "child");
    assert_ended(&place, "program");
}

#[test]
fn signal_stops_notifications_and_keeps_the_exit_code_of_the_run() {
    use rustix::process::Signal;
    let place = Place::plume();
    let file = place.moves(60);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret", silent.local_addr().unwrap());
    let waits = script(&place, "sleep 300 & echo $! >child\necho $$ >program\nwait");
    let night = ["reconcile", &file, "--yes", "--profile", "night"];
    let slowly = [&night[..], &["--rate", "20/s", "--concurrency", "1"]].concat();
    // First a signal during the run, or none; then a signal while the command waits for a program or a server.
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
        // Waits until the report has begun.
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
            assert_ended(&place, "child");
            assert_ended(&place, "program");
        }
    }
    place.judge_writes();
}

#[test]
fn unanswered_notification_only_warns_and_takes_bounded_time() {
    let place = Place::plume();
    let file = place.moves(2);
    // One server accepts connections and never answers; at the other address no server listens.
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
    // A URL that must not be called is an error before any request is sent.
    profile(&place, "webhook_url = \"http://monitoring.example.com/x\"");
    let written = place.patches();
    place
        .run(&["apply", &file, "--yes", "--profile", "night"])
        .expect(2);
    assert_eq!(place.patches(), written);
}
