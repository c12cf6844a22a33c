//! Limits that the system does not announce, tokens with a short lifetime, secret files in different forms, and the
//! first writes.

use crate::edges::{HTML, answer, at};
use crate::support::{Asked, Done, Front, Place};
use idshift::sandbox::{Class, Kind, Options};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Accepts this many calls per second, as nginx does: it accepts a few more at a time, and does not count those that it
/// refuses.
struct Limit {
    per_second: f64,
    room: f64,
    taken: Mutex<(Instant, f64)>,
}

impl Limit {
    fn new(per_second: f64, room: f64) -> Self {
        Self {
            per_second,
            room,
            taken: Mutex::new((Instant::now(), 0.0)),
        }
    }

    fn takes(&self) -> bool {
        let mut taken = self.taken.lock().unwrap();
        let left = taken.1 - taken.0.elapsed().as_secs_f64() * self.per_second;
        let more = left.max(0.0) + 1.0;
        if more > self.room + 1.0 {
            return false;
        }
        *taken = (Instant::now(), more);
        true
    }
}

#[test]
fn unannounced_rate_limit_is_detected_and_used() {
    for (status, rate) in [(429, "100/s"), (503, "100/s"), (429, "unlimited")] {
        let place = Place::plume();
        let file = place.moves(90);
        let honest = place.sandbox.base_url();
        let limit = Limit::new(10.0, 3.0);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let bytes = if limit.takes() {
                asked.honestly(&honest)
            } else {
                answer(status, HTML, b"<html>limited</html>")
            };
            stream.write_all(&bytes).is_ok()
        });
        let begun = Instant::now();
        at(&place, &front, &["apply", &file, "--yes", "--rate", rate]).expect(0);
        // The work takes nine seconds; a busy machine does not add this much.
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(40),
            "{status} at {rate}: {took:?}"
        );
        place.judge_writes();
    }
}

#[test]
fn limit_of_two_writes_per_second_with_retry_after_is_used() {
    let place = Place::plume();
    let file = place.moves(14);
    let honest = place.sandbox.base_url();
    let limit = Limit::new(2.0, 0.0);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let bytes = if asked.method == "GET" || limit.takes() {
            asked.honestly(&honest)
        } else {
            answer(
                429,
                "retry-after: 1\r\n",
                b"{\"error\":{\"message\":\"slow down\"}}",
            )
        };
        stream.write_all(&bytes).is_ok()
    });
    let begun = Instant::now();
    at(&place, &front, &["apply", &file, "--yes", "--rate=6/s"]).expect(0);
    // The work takes about ten seconds; a busy machine does not add this much.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(40), "{took:?}");
}

const OAUTH: &str = "[profiles.p]\nsystem = \"SYSTEM\"\n[profiles.p.oauth2]\nclient_id = \"c\"\nclient_secret_file = \"secret\"\ntoken_url = ";

fn profile(place: &Place, system: &str, secret: &[u8]) {
    std::fs::write(place.path().join("secret"), secret).unwrap();
    let url = format!("\"{}/oauth2/token\"\n", place.sandbox.base_url());
    place.file(
        "idshift.toml",
        &format!("{}{url}", OAUTH.replace("SYSTEM", system)),
    );
}

fn with_profile(place: &Place, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    command
        .env_remove("IDSHIFT_TOKEN")
        .env_remove("IDSHIFT_SYSTEM")
        .env("IDSHIFT_PROFILE", "p");
    command
        .env("IDSHIFT_API_KEY", "k")
        .env("IDSHIFT_RESELLER_ID", "R1");
    command.env("IDSHIFT_ACCEPT_WELCOME_EMAILS", "true");
    crate::support::finish(command.spawn().unwrap())
}

#[test]
fn five_second_token_is_never_used_after_it_expires() {
    let place = Place::new(Options {
        token_seconds: 5,
        ..Options::default()
    });
    let file = place.moves(120);
    profile(&place, "plume", b"s");
    let how = ["apply", &file, "--yes", "--rate=10/s", "--lookup=auto"];
    with_profile(&place, &how).expect(0);
    let log = place.sandbox.log();
    assert!(log.iter().all(|seen| seen.status != 401));
    let tokens = log.iter().filter(|seen| seen.class == Class::Token).count();
    assert!((3..=8).contains(&tokens), "{tokens}");
}

#[test]
fn token_that_is_valid_for_few_calls_makes_no_line_fail() {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        token_calls: Some(100),
        ..Options::default()
    });
    let mut text = String::from("accountId,newAccountId\n");
    place.with_world(|mut world| {
        for n in 0..1500 {
            world.add_adobe(&format!("P-{n}"), &format!("A-{n:06}"), "R1", 1);
            text.push_str(&format!("A-{n:06},B-{n:06}\n"));
        }
    });
    let file = place.file("moves.csv", &text);
    profile(&place, "adobe", b"{\"client_secret\": \"s\"}");
    with_profile(&place, &["apply", &file, "--yes", "--rate=2000/s"]).expect(0);
    assert_eq!(place.verdicts(), vec!["changed/"; 1500]);
}

#[test]
fn secret_file_is_read_in_all_supported_formats() {
    let utf16: Vec<u8> = "\u{feff}\"s\"\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for secret in [
        &utf16[..],
        b"\xef\xbb\xbfs\n",
        b"'s'",
        b"{\"client_secret\":\"s\"}",
    ] {
        let place = Place::plume();
        profile(&place, "plume", secret);
        with_profile(&place, &["doctor"]).expect(0);
    }
    let place = Place::plume();
    profile(&place, "plume", b"Bearer s");
    let done = with_profile(&place, &["doctor"]).expect(2);
    assert!(
        format!("{}{}", done.out, done.err).contains("which is a token"),
        "{}",
        done.err
    );
}

#[test]
fn first_write_is_sent_alone_and_successes_double_writes_in_flight() {
    let place = Place::plume();
    let file = place.moves(60);
    let honest = place.sandbox.base_url();
    // Writes in flight, writes answered successfully; and for each write the number of successes and of writes in flight.
    let state = std::sync::Arc::new(Mutex::new((0_u32, 0_u32, Vec::<(u32, u32)>::new())));
    let seen = std::sync::Arc::clone(&state);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let writes = asked.method == "PATCH";
        if writes {
            let mut state = seen.lock().unwrap();
            state.0 += 1;
            let now = (state.1, state.0);
            state.2.push(now);
        }
        let bytes = asked.honestly(&honest);
        if writes {
            wait(Duration::from_millis(40));
            let mut state = seen.lock().unwrap();
            state.0 -= 1;
            state.1 += 1;
        }
        stream.write_all(&bytes).is_ok()
    });
    at(
        &place,
        &front,
        &["apply", &file, "--yes", "--concurrency=32"],
    )
    .expect(0);
    let state = state.lock().unwrap();
    let mut most = 0;
    for (good, in_flight) in &state.2 {
        assert!(*in_flight <= 1 << (*good).min(10), "{:?}", state.2);
        most = most.max(*in_flight);
    }
    assert!(most > 8, "{most}");
}

/// A wave is read back customer by customer, and so does `verify` where the system refuses bulk look-ups: as many reads
/// run at the same time as units would.
#[test]
fn read_backs_of_waves_and_verify_run_in_parallel() {
    let place = Place::new(Options {
        bulk: false,
        ..Options::default()
    });
    let file = place.moves(60);
    let honest = place.sandbox.base_url();
    // Reads in flight after the last write of the wave or of the run, the maximum of them, and the number of writes.
    let state = std::sync::Arc::new(Mutex::new((0_u32, 0_u32, 0_u32)));
    let seen = std::sync::Arc::clone(&state);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let mut reads = asked.method == "GET" && asked.path.starts_with("/api/Customers/C-");
        {
            let mut state = seen.lock().unwrap();
            state.2 += u32::from(asked.method == "PATCH");
            reads &= state.2 == 40 || state.2 == 60;
        }
        if reads {
            let mut state = seen.lock().unwrap();
            state.0 += 1;
            state.1 = state.1.max(state.0);
        }
        let bytes = asked.honestly(&honest);
        if reads {
            wait(Duration::from_millis(40));
            seen.lock().unwrap().0 -= 1;
        }
        stream.write_all(&bytes).is_ok()
    });
    let most = || std::mem::take(&mut state.lock().unwrap().1);
    let apply = ["apply", &file, "--yes", "--waves", "40", "--concurrency=16"];
    at(&place, &front, &apply).expect(0);
    let of_wave = most();
    assert!((8..=16).contains(&of_wave), "{of_wave}");
    at(&place, &front, &["verify", "--concurrency=16"]).expect(0);
    let of_verify = most();
    assert!((8..=16).contains(&of_verify), "{of_verify}");
}

/// Waits in real time, because the test is about time.
#[expect(clippy::disallowed_methods, reason = "an answer that takes a while")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
