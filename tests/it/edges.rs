//! What stands between the program and the API: portals, redirects, proxies, gateways that compress, cut or limit.

use crate::support::{Asked, Done, Front, Place, good_answer, named};
use idshift::sandbox::Class;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn at(place: &Place, front: &Front, arguments: &[&str]) -> Done {
    let base_url = front.base_url();
    place.run_with(&[("BASE_URL", &base_url)], arguments)
}

/// Returns an answer with these headers, each with its line end.
pub(crate) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Returns the head and the body of an honest answer.
fn parted(honest: &[u8]) -> (String, Vec<u8>) {
    let end = honest
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(honest[..end].to_vec()).unwrap();
    (head, honest[end + 4..].to_vec())
}

/// Returns an answer with the status of an honest one and a changed body.
fn changed(honest: &[u8], headers: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (head, body) = parted(honest);
    let status = head[9..12].parse().unwrap();
    let headers = format!("content-type: application/json\r\n{headers}");
    answer(status, &headers, &change(&body))
}

pub(crate) const HTML: &str = "content-type: text/html\r\n";

/// Returns answers that show a permanent error of the address, and the words that report it.
fn wrong_addresses() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let moved = |to: &str| answer(301, &format!("location: {to}\r\n"), b"");
    let portal = b"<html>please sign in</html>";
    vec![
        (
            "https",
            moved("https://127.0.0.1:9/api/x"),
            "redirected to https://127.0.0.1:9",
        ),
        (
            "path",
            moved("/elsewhere"),
            "redirected to another path at http://127.0.0.1",
        ),
        ("portal", answer(200, HTML, portal), "a web page"),
        ("page without a type", answer(200, "", portal), "a web page"),
        (
            "web server",
            answer(404, HTML, b"<html>not found"),
            "404: a web page",
        ),
        (
            "other API",
            answer(404, "", b"{\"error\":\"Not Found\"}"),
            "404: a body that the API does not send",
        ),
        ("proxy", answer(407, "", b""), "407: a proxy"),
        (
            "text",
            answer(200, "content-type: text/plain\r\n", b"It works!"),
            "plain text",
        ),
    ]
}

#[test]
fn wrong_address_exits_with_2_and_the_same_message_as_doctor() {
    for (name, bytes, words) in wrong_addresses() {
        let place = Place::plume();
        let file = place.moves(30);
        let asked = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&asked);
        let front = Front::new(move |_: &Asked, stream: &mut TcpStream| {
            counted.fetch_add(1, Ordering::Relaxed);
            stream.write_all(&bytes).is_ok()
        });
        let begun = Instant::now();
        let done = at(&place, &front, &["apply", &file, "--yes"]).expect(2);
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}");
        assert!(asked.load(Ordering::Relaxed) < 20, "{name}: {asked:?}");
        let said = format!("{}{}", done.out, done.err);
        assert!(said.contains(words), "{name}: {said}");
        let doctor = at(&place, &front, &["doctor"]).expect(2);
        assert!(doctor.out.contains(words), "{name}: {}", doctor.out);
        assert_eq!(place.patches(), 0);
    }
}

#[test]
fn redirect_to_a_path_with_trailing_slash_is_explained() {
    let place = Place::plume();
    let file = place.moves(3);
    let front = Front::new(|asked: &Asked, stream: &mut TcpStream| {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let moved = format!("location: {path}/?{query}\r\n");
        stream.write_all(&answer(301, &moved, b"")).is_ok()
    });
    let done = at(&place, &front, &["apply", &file, "--yes"]).expect(2);
    let said = format!("{}{}", done.out, done.err);
    assert!(said.contains("with another slash at its end"), "{said}");
}

#[test]
fn redirect_or_407_during_a_run_stops_it_and_resume_finishes_it() {
    for (bytes, words) in [
        (
            answer(302, "location: https://portal.example/login\r\n", b""),
            "https://portal.example",
        ),
        (answer(407, "", b""), "407"),
    ] {
        let place = Place::plume();
        let file = place.moves(40);
        let honest = place.sandbox.base_url();
        let healed = std::sync::Arc::new(AtomicBool::new(false));
        let over = std::sync::Arc::clone(&healed);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let is_struck = !over.load(Ordering::Relaxed) && asked.path.contains("A-000030");
            let text = if is_struck && asked.method == "GET" {
                bytes.clone()
            } else {
                asked.honestly(&honest)
            };
            stream.write_all(&text).is_ok()
        });
        let how = ["apply", &file, "--yes", "--lookup=each", "--concurrency=1"];
        at(&place, &front, &how).expect(4);
        let text = std::fs::read_to_string(place.newest().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(summary["cause"].as_str().unwrap().contains(words), "{text}");
        healed.store(true, Ordering::Relaxed);
        at(&place, &front, &["resume"]).expect(0);
        assert_eq!(place.verdicts(), vec!["changed/"; 40]);
        place.judge_writes();
    }
}

#[test]
fn the_last_cause_of_an_outage_is_in_the_end_message_and_in_the_summary() {
    let place = Place::plume();
    let file = place.moves(5);
    place.sandbox.set_faults(vec!["any:502".parse().unwrap()]);
    let done = place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--give-up-after=4s",
            "--format=json",
        ])
        .expect(4);
    let cause = done.json()["cause"].as_str().unwrap().to_owned();
    assert!(
        cause.contains("502: a gateway got no valid answer"),
        "{cause}"
    );
    assert!(
        done.err.contains("502: a gateway got no valid answer"),
        "{}",
        done.err
    );
}

#[test]
fn unknown_proxy_host_is_an_error_and_not_an_outage() {
    let place = Place::plume();
    let file = place.moves(2);
    let mut command = place.command(&["apply", &file, "--yes"]);
    command
        .env("IDSHIFT_BASE_URL", "https://api.example.com")
        .env("HTTPS_PROXY", "http://no-such-proxy.invalid:3128");
    let begun = Instant::now();
    let done = crate::support::finish(command.spawn().unwrap()).expect(2);
    assert!(begun.elapsed() < Duration::from_secs(40));
    let said = format!("{}{}", done.out, done.err);
    assert!(said.contains("the host name cannot be resolved"), "{said}");
}

/// Makes twelve customers with IDs of digits, behind a front that changes each answer.
fn behind(change: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> (Place, Front, String) {
    let place = Place::plume();
    let mut text = String::from("accountId,newAccountId,locationId,serviceId\n");
    place.with_world(|mut world| {
        for n in 100..112 {
            let (id, location) = (format!("{n}"), format!("7{n}"));
            world.add_plume(named(&id, &format!("5000{n}"), &[&location]));
            text.push_str(&format!("5000{n},6000{n},7{n},8000{n}\n"));
        }
    });
    let file = place.file("numbers.csv", &text);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        stream.write_all(&change(&asked.honestly(&honest))).is_ok()
    });
    (place, front, file)
}

/// Replaces every text of digits by a whole number.
fn with_numbers(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Ok(number) = text.parse::<u64>() {
                *value = number.into();
            }
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(with_numbers),
        serde_json::Value::Object(map) => map.values_mut().for_each(with_numbers),
        _ => {}
    }
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

#[test]
fn responses_with_byte_order_mark_numeric_ids_or_gzip_are_read() {
    type Change = fn(&[u8]) -> Vec<u8>;
    let mark: Change = |honest| changed(honest, "", |body| [b"\xef\xbb\xbf", body].concat());
    let numbers: Change = |honest| {
        changed(honest, "", |body| {
            let mut value = serde_json::from_slice(body).unwrap_or_default();
            with_numbers(&mut value);
            value.to_string().into_bytes()
        })
    };
    let gzip: Change = |honest| changed(honest, "content-encoding: gzip\r\n", gzipped);
    for (name, change) in [("mark", mark), ("numbers", numbers), ("gzip", gzip)] {
        for lookup in ["--lookup=auto", "--lookup=each"] {
            let (place, front, file) = behind(change);
            at(&place, &front, &["apply", &file, "--yes", lookup]).expect(0);
            assert_eq!(place.verdicts(), vec!["changed/"; 12], "{name} {lookup}");
            assert_eq!(place.account_of("105"), "6000105", "{name}");
            assert_eq!(place.patches(), 24, "{name}: nothing was in doubt");
        }
    }
}

#[test]
fn gzip_response_over_the_size_limit_is_refused() {
    let bomb = gzipped(&vec![b' '; 300 << 20]);
    let (place, front, file) =
        behind(move |honest| changed(honest, "content-encoding: gzip\r\n", |_| bomb.clone()));
    let done = at(
        &place,
        &front,
        &["apply", &file, "--yes", "--give-up-after=3s"],
    )
    .expect(4);
    let said = format!("{}{}", done.out, done.err);
    assert!(said.contains("longer than 4096 KiB"), "{said}");
}

#[test]
fn error_in_a_200_response_is_shown_and_its_lookup_is_not_repeated() {
    let place = Place::plume();
    let file = place.moves(4);
    let honest = place.sandbox.base_url();
    let asked_for = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&asked_for);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let bytes = if asked.path.contains("A-000002") {
            counted.fetch_add(1, Ordering::Relaxed);
            good_answer(r#"{"error":{"statusCode":500,"message":"shard 7 is read-only"}}"#)
        } else if asked.method == "PATCH" && asked.path.ends_with("C-3") {
            good_answer(r#"{"error":{"statusCode":500,"message":"shard 8 is read-only"}}"#)
        } else {
            asked.honestly(&honest)
        };
        stream.write_all(&bytes).is_ok()
    });
    at(&place, &front, &["apply", &file, "--yes", "--lookup=each"]).expect(1);
    assert_eq!(asked_for.load(Ordering::Relaxed), 1);
    let rows = place.rows("results.csv");
    for (row, words) in [(&rows[2], "shard 7"), (&rows[3], "shard 8")] {
        assert_eq!(row["idshift_reason"], "bad_answer");
        assert!(row["idshift_message"].contains(words), "{row:?}");
    }
    assert_eq!(rows[3]["idshift_attempts"], "2");
}

#[test]
fn a_filter_that_is_too_long_for_a_gateway_is_halved() {
    let place = Place::plume();
    let file = place.moves(300);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let bytes = if asked.path.len() > 1500 {
            answer(414, HTML, b"<html>414 Request-URI Too Large</html>")
        } else {
            asked.honestly(&honest)
        };
        stream.write_all(&bytes).is_ok()
    });
    at(&place, &front, &["apply", &file, "--yes"]).expect(0);
    let log = place.sandbox.log();
    let single = log
        .iter()
        .filter(|seen| seen.class == Class::Search)
        .count();
    let bulk = log.iter().filter(|seen| seen.class == Class::Bulk).count();
    assert_eq!(single, 0);
    assert!((6..60).contains(&bulk), "{bulk}");
}

#[test]
fn id_found_only_in_another_case_is_named_and_bulk_lookup_continues() {
    let place = Place::plume();
    place.with_world(|mut world| {
        (0..40).for_each(|n| {
            world.add_plume(named(&format!("C-{n}"), &format!("acc-{n:03}"), &["L"]));
        });
    });
    let mut text = String::from("accountId,newAccountId\n");
    for n in 0..40 {
        let account = if n == 7 {
            "ACC-007".to_owned()
        } else {
            format!("acc-{n:03}")
        };
        text.push_str(&format!("{account},new-{n:03}\n"));
    }
    let file = place.file("case.csv", &text);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let folded = asked.with_path(&asked.path.replace("ACC-", "acc-"));
        stream.write_all(&folded.honestly(&honest)).is_ok()
    });
    at(&place, &front, &["apply", &file, "--yes"]).expect(1);
    let row = &place.rows("results.csv")[7];
    assert_eq!(row["idshift_reason"], "not_found");
    assert!(row["idshift_message"].contains("`acc-007`"), "{row:?}");
    assert_eq!(place.account_of("C-7"), "acc-007");
    let log = place.sandbox.log();
    let single = log
        .iter()
        .filter(|seen| seen.class == Class::Search)
        .count();
    assert!(single <= 2, "{single}");
}

#[test]
fn id_taken_in_another_case_is_a_conflict_if_system_ignores_case() {
    let place = Place::plume();
    place.with_world(|mut world| {
        for account in ["acc-001", "acc-002", "taken-1"] {
            world.add_plume(named(&format!("C-{account}"), account, &["L"]));
        }
    });
    // The second one only changes the case of its own ID, and is refused for another reason.
    let file = place.file(
        "case.csv",
        "accountId,newAccountId\nacc-001,TAKEN-1\nacc-002,ACC-002\n",
    );
    let honest = place.sandbox.base_url();
    let refusal = r#"{"error":{"statusCode":422,"message":"Duplicate key"}}"#;
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let bytes = if asked.method == "PATCH" {
            answer(422, "", refusal.as_bytes())
        } else {
            let folded = asked.path.replace("TAKEN-", "taken-");
            let folded = folded.replace("ACC-", "acc-");
            asked.with_path(&folded).honestly(&honest)
        };
        stream.write_all(&bytes).is_ok()
    });
    at(&place, &front, &["apply", &file, "--yes"]).expect(1);
    let rows = place.rows("results.csv");
    assert_eq!(rows[0]["idshift_reason"], "conflict", "{:?}", rows[0]);
    let message = &rows[0]["idshift_message"];
    assert!(
        message.contains("`taken-1`") && message.contains("Duplicate key"),
        "{message}"
    );
    assert_eq!(rows[1]["idshift_reason"], "rejected", "{:?}", rows[1]);
}

#[test]
fn reason_for_ineffective_writes_is_shown_during_run_and_in_results() {
    let place = Place::plume();
    let file = place.moves(1);
    let honest = place.sandbox.base_url();
    // The front answers look-ups. Every write takes longer than the time-out and is not processed.
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" {
            crate::outage::wait_a(Duration::from_millis(700));
            return false;
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let options = [
        "apply",
        &file,
        "--yes",
        "--timeout",
        "500ms",
        "--retries",
        "2",
    ];
    let done = at(&place, &front, &options).expect(1);
    let shown = "3 writes in a row did not take effect and are sent again; the last one: no complete answer within the timeout";
    assert!(done.err.contains(shown), "{}", done.err);
    let message = &place.rows("results.csv")[0]["idshift_message"];
    assert_eq!(
        message,
        "3 attempts did not take effect (the last one: no complete answer within the timeout)"
    );
    assert_eq!(place.account_of("C-0"), "A-000000");
}

#[test]
fn message_for_a_403_quotes_the_system_and_adds_no_guess() {
    for words in ["rate limit exceeded", "Access Denied"] {
        let place = Place::plume();
        let file = place.moves(1);
        let honest = place.sandbox.base_url();
        let body = format!(r#"{{"error":{{"statusCode":403,"message":"{words}"}}}}"#);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let bytes = if asked.method == "PATCH" {
                answer(403, "", body.as_bytes())
            } else {
                asked.honestly(&honest)
            };
            stream.write_all(&bytes).is_ok()
        });
        at(&place, &front, &["apply", &file, "--yes"]).expect(1);
        let message = &place.rows("results.csv")[0]["idshift_message"];
        assert!(
            message.contains(words) && !message.contains("partner"),
            "{message}"
        );
    }
}
