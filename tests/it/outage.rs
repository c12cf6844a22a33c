use crate::support::{
    Asked, Front, Place, clock_library, customer, finish, good_answer, in_a_namespace,
};
use idshift::sandbox::Options;
use std::io::Write as _;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn all_is_as_wished(place: &Place, customers: u32) {
    assert_eq!(place.verdicts().len(), customers as usize);
    assert!(
        place.verdicts().iter().all(|verdict| verdict == "changed/"),
        "{:?}",
        place.verdicts()
    );
    for n in 0..customers {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
    place.judge_writes();
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn run_waits_while_the_server_refuses_connections_then_continues() {
    let place = Place::plume();
    let file = place.moves(200);
    // The server at this port disappears during the run and comes back.
    let (port, behind) = (free_port(), place.sandbox.base_url());
    let up = Relay::start(port, &behind);
    let mut command = place.command(&["apply", &file, "--yes", "--rate", "200/s"]);
    let child = command
        .env("IDSHIFT_BASE_URL", format!("http://127.0.0.1:{port}"))
        .spawn()
        .unwrap();
    wait_for("the first writes", || place.patches() > 30);
    drop(up);
    let stopped = place.sandbox.log().len();
    wait_a(Duration::from_secs(4));
    assert!(
        place.sandbox.log().len() <= stopped + 2,
        "nothing got through"
    );
    let up = Relay::start(port, &behind);
    let done = finish(child);
    drop(up);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(
        done.err.contains("does not answer"),
        "says that it waits: {}",
        done.err
    );
    all_is_as_wished(&place, 200);
}

/// Waits in real time, because the test is about time.
#[expect(
    clippy::disallowed_methods,
    reason = "the test is about time that passes"
)]
pub(crate) fn wait_a(time: Duration) {
    std::thread::sleep(time);
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Forwards bytes to the stand-in. When the relay is dropped, its port and its connections are closed.
struct Relay {
    stop: tokio_util::sync::CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    fn start(port: u16, base_url: &str) -> Self {
        let to = base_url.replace("http://", "");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let stop = tokio_util::sync::CancellationToken::new();
        let until = stop.clone();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(([127, 0, 0, 1], port).into()).unwrap();
            socket.listen(64).unwrap()
        });
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let mut connections = tokio::task::JoinSet::new();
                loop {
                    tokio::select! {
                        () = until.cancelled() => break,
                        Ok((mut outer, _)) = listener.accept() => {
                            let to = to.clone();
                            connections.spawn(async move {
                                let mut inner = tokio::net::TcpStream::connect(to).await.ok()?;
                                tokio::io::copy_bidirectional(&mut outer, &mut inner).await.ok()
                            });
                        }
                        Some(_) = connections.join_next(), if !connections.is_empty() => {}
                    }
                }
            });
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn firewall_block_is_waited_out_with_few_probes() {
    let place = Place::new(Options {
        firewall: Some((150, Duration::from_secs(4))),
        ..Options::default()
    });
    let file = place.moves(150);
    let done = place.run(&[
        "apply",
        &file,
        "--yes",
        "--lookup",
        "each",
        "--concurrency",
        "4",
    ]);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    all_is_as_wished(&place, 150);
    let refused = place
        .sandbox
        .log()
        .iter()
        .filter(|seen| seen.status == 403)
        .count();
    // Calls that were under way when the block began, and then one at a time.
    assert!((1..=20).contains(&refused), "{refused} calls were refused");
    assert!(done.err.contains("firewall"), "{}", done.err);
}

#[test]
fn suspended_process_neither_exceeds_the_rate_nor_fails_lines() {
    let place = Place::new(Options {
        latency: Duration::from_millis(5),
        ..Options::default()
    });
    let file = place.moves(400);
    let child = place
        .command(&[
            "apply",
            &file,
            "--yes",
            "--rate",
            "100/s",
            "--timeout",
            "2s",
        ])
        .spawn()
        .unwrap();
    wait_for("the first writes", || place.patches() > 30);
    signal(&child, "-STOP");
    // This is longer than a call may take.
    wait_a(Duration::from_secs(3));
    signal(&child, "-CONT");
    let done = finish(child);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    all_is_as_wished(&place, 400);
    let mut at: Vec<Duration> = place.sandbox.log().iter().map(|seen| seen.at).collect();
    at.sort();
    let most = at.iter().map(|from| {
        at.iter()
            .filter(|t| *t >= from && **t < *from + Duration::from_secs(1))
            .count()
    });
    assert!(most.max().unwrap() <= 102, "the pause is not caught up");
}

#[test]
fn clock_jump_changes_neither_rate_nor_outcome() {
    let Some(library) = clock_library() else {
        println!("NOT RUN: libfaketime is not installed");
        return;
    };
    for jump in ["+3600", "-3600", "-31536000"] {
        let place = Place::new(Options {
            latency: Duration::from_millis(5),
            ..Options::default()
        });
        let file = place.moves(300);
        place.file("clock", "+0");
        let mut command = place.command(&[
            "apply", &file, "--yes", "--rate", "150/s", "--quota", "1000/5m",
        ]);
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", place.path().join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let begun = Instant::now();
        let child = command.spawn().unwrap();
        wait_for("the first writes", || place.patches() > 30);
        place.file("clock", jump);
        let done = finish(child);
        assert_eq!(done.code, 0, "{jump}: {}{}", done.out, done.err);
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "{jump}: {:?}",
            begun.elapsed()
        );
        all_is_as_wished(&place, 300);
        // The time stamps show that the clock jumped.
        let stamps: Vec<String> = place
            .rows("results.csv")
            .iter()
            .map(|row| row["idshift_finished_at"].clone())
            .collect();
        let hours: std::collections::HashSet<&str> =
            stamps.iter().map(|stamp| &stamp[..13]).collect();
        assert!(hours.len() > 1, "{jump}: {hours:?}");
        place.run(&["verify"]).expect(0);
    }
}

#[test]
fn temporary_dns_failure_is_treated_as_an_outage() {
    let place = Place::plume();
    let file = place.moves(200);
    let base = place.sandbox.base_url().replace("127.0.0.1", "crm.test");
    let hosts = place.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 crm.test\n").unwrap();
    let mut command = place.command(&["apply", &file, "--yes", "--rate", "100/s", "--allow-http"]);
    command.env("IDSHIFT_BASE_URL", &base);
    let Some(mut command) = in_a_namespace(&place, &command, "mount --bind hosts /etc/hosts")
    else {
        println!("NOT RUN: no user namespaces here");
        return;
    };
    let child = command.spawn().unwrap();
    wait_for("the first writes", || place.patches() > 20);
    std::fs::write(&hosts, "").unwrap();
    // Open connections would continue to work, so each is closed after its use.
    place
        .sandbox
        .set_faults(vec!["any:close:every=2".parse().unwrap()]);
    wait_a(Duration::from_secs(3));
    std::fs::write(&hosts, "127.0.0.1 crm.test\n").unwrap();
    place.sandbox.set_faults(Vec::new());
    let done = finish(child);
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    assert!(done.err.contains("name"), "says why it waits: {}", done.err);
    all_is_as_wished(&place, 200);
}

const OAUTH: &str = "[profiles.p]\nsystem = \"plume\"\n[profiles.p.oauth2]\nclient_id = \"c\"\nclient_secret_env = \"SECRET\"\ntoken_url = ";

/// Runs with a token endpoint that has this fault and a stand-in with short-lived tokens; also returns how often a
/// token was requested.
fn with_tokens(what: &'static str, lives: u64) -> (i32, Place, usize, String) {
    let place = Place::new(Options {
        token_calls: Some(60),
        token_seconds: lives,
        ..Options::default()
    });
    let file = place.moves(100);
    let (honest, asked) = (place.sandbox.base_url(), Arc::new(AtomicUsize::new(0)));
    let (count, once) = (Arc::clone(&asked), AtomicBool::new(true));
    let front = Front::new(move |request: &Asked, stream: &mut std::net::TcpStream| {
        if request.path != "/oauth2/token" {
            return stream.write_all(&request.honestly(&honest)).is_ok();
        }
        let n = count.fetch_add(1, Ordering::Relaxed);
        let answer = request.honestly(&honest);
        let text = String::from_utf8(answer.clone()).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let mut token: serde_json::Value = serde_json::from_str(body).unwrap();
        let first = once.swap(false, Ordering::Relaxed);
        let good = |token: &serde_json::Value| good_answer(&token.to_string());
        let said = match what {
            "500 twice" if n % 3 < 2 => b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec(),
            "closed once" if first => return false,
            "slow" => {
                for byte in &answer {
                    if stream.write_all(&[*byte]).is_err() {
                        return false;
                    }
                    wait_a(Duration::from_millis(2));
                }
                return true;
            }
            "html once" if n == 1 => {
                b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\n<p>x\n"
                    .to_vec()
            }
            "no lifetime" => {
                token.as_object_mut().unwrap().remove("expires_in");
                good(&token)
            }
            "odd lifetime" => {
                token["expires_in"] = serde_json::json!([-1, 0, "3600", 1e300])[n % 4].clone();
                good(&token)
            }
            _ => answer,
        };
        stream.write_all(&said).is_ok()
    });
    place.file(
        "idshift.toml",
        &format!("{OAUTH}\"{}/oauth2/token\"\n", front.base_url()),
    );
    let mut command = place.command(&[
        "apply",
        &file,
        "--yes",
        "--profile",
        "p",
        "--concurrency",
        "4",
        "--lookup",
        "each",
    ]);
    command
        .env_remove("IDSHIFT_TOKEN")
        .env("SECRET", "s")
        .env("IDSHIFT_BASE_URL", front.base_url());
    let done = finish(command.spawn().unwrap());
    let said = [done.out, done.err].concat();
    assert!(!said.contains("panicked"), "{what}: {said}");
    (done.code, place, asked.load(Ordering::Relaxed), said)
}

#[test]
fn token_endpoint_errors_fail_no_line_and_cause_few_token_requests() {
    for (what, lives) in [
        ("500 twice", 600),
        ("closed once", 600),
        ("slow", 600),
        ("html once", 600),
        ("no lifetime", 600),
        ("odd lifetime", 600),
        ("expired", 0),
        ("short", 1),
    ] {
        let (code, place, asked, said) = with_tokens(what, lives);
        assert_eq!(code, 0, "{what}: {said}");
        all_is_as_wished(&place, 100);
        // Two hundred calls need four tokens; failed requests for tokens are repeated.
        assert!((4..=40).contains(&asked), "{what}: asked {asked} times");
    }
}

#[test]
fn late_effect_of_a_timed_out_write_does_not_break_a_chain() {
    let place = Place::plume();
    place.with_world(|mut world| (0..4).for_each(|n| world.add_plume(customer(n))));
    let file = place.file("chain.csv", "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000002\nA-000002,A-000009\nA-000003,B-000003\n");
    let honest = place.sandbox.base_url();
    let late = Arc::new(std::sync::Mutex::new(Vec::new()));
    let later = Arc::clone(&late);
    let first = AtomicBool::new(true);
    // The first write waits in a queue that the client does not see.
    let front = Front::new(move |asked: &Asked, stream: &mut std::net::TcpStream| {
        if asked.method == "PATCH" && first.swap(false, Ordering::Relaxed) {
            let (copy, honest) = (asked.clone(), honest.clone());
            later.lock().unwrap().push(std::thread::spawn(move || {
                wait_a(Duration::from_millis(2500));
                copy.honestly(&honest)
            }));
            wait_a(Duration::from_millis(1200));
            return false;
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let mut command = place.command(&[
        "apply",
        &file,
        "--yes",
        "--timeout",
        "1s",
        "--concurrency",
        "1",
    ]);
    let done = finish(
        command
            .env("IDSHIFT_BASE_URL", front.base_url())
            .spawn()
            .unwrap(),
    );
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    for thread in late.lock().unwrap().drain(..) {
        assert!(!thread.join().unwrap().is_empty());
    }
    for (n, account) in ["A-000001", "A-000002", "A-000009", "B-000003"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(place.account_of(&format!("C-{n}")), account);
    }
    let base_url = front.base_url();
    place
        .run_with(&[("BASE_URL", &base_url)], &["verify"])
        .expect(0);
}

#[test]
fn target_lock_is_held_until_its_process_is_killed() {
    let place = Place::new(Options {
        latency: Duration::from_millis(20),
        ..Options::default()
    });
    let file = place.moves(100);
    let mut child = place
        .command(&["apply", &file, "--yes", "--rate", "10/s"])
        .spawn()
        .unwrap();
    wait_for("the first writes", || place.patches() > 3);
    // The target is locked as long as the process runs, also for a resume and an undo of the same run.
    for arguments in [
        vec!["resume"],
        vec!["undo", "--yes"],
        vec!["apply", &file, "--yes"],
    ] {
        let done = place.run(&arguments);
        assert_eq!(done.code, 5, "{arguments:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(&child.id().to_string()), "{}", done.err);
    }
    child.kill().unwrap();
    finish(child);
    place.run(&["resume", "--rate", "500/s"]).expect(0);
    all_is_as_wished(&place, 100);
}
