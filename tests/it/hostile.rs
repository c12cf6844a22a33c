use crate::support::{Asked, Done, Front, Place, customer, finish, named, watched};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CUSTOMERS: u32 = 12;

/// A limit far above the memory that a short run needs, and far below what these servers try to make it use.
const MEMORY_KIB: u64 = 160 << 10;

/// Writes the same bytes again and again, until the other side closes the connection.
fn for_ever(stream: &mut TcpStream, what: &[u8], pause: Duration) {
    let begun = Instant::now();
    while stream.write_all(what).is_ok() && begun.elapsed() < Duration::from_secs(60) {
        if !pause.is_zero() {
            // The time between two bytes of a slow answer.
            let _ = stream.set_read_timeout(Some(pause));
            let mut byte = [0];
            if let Ok(0) = stream.peek(&mut byte) {
                return;
            }
        }
    }
}

/// Serde would read the items of a list as the fields of a customer.
#[test]
fn json_list_is_not_parsed_as_a_customer_or_location() {
    for (list, more) in [
        (r#"["C-0","A-000000",[["L-0"]],"partner"]"#, "auto"),
        (r#"[["C-0","A-000000",[["L-0"]],"partner"]]"#, "auto"),
        (
            r#"[{"id":"C-0","accountId":"A-000000","locations":[["L-0"]]}]"#,
            "auto",
        ),
        (r#"[["C-0","A-000000"]]"#, "each"),
        (r#"["x","y"]"#, "each"),
    ] {
        let place = Place::plume();
        place.moves(1);
        let text = "accountId,newAccountId,serviceId\nA-000000,B-000000,new\n";
        let file = place.file("both.csv", text);
        let answer = crate::edges::answer(200, "", list.as_bytes());
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&writes);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            counted.fetch_add(usize::from(asked.method == "PATCH"), Ordering::Relaxed);
            stream.write_all(&answer).is_ok()
        });
        let apply = [
            "apply",
            &file,
            "--yes",
            "--give-up-after=2s",
            "--retries=1",
            "--lookup",
        ];
        let done = crate::edges::at(&place, &front, &[&apply[..], &[more]].concat());
        assert_eq!(writes.load(Ordering::Relaxed), 0, "{list}");
        assert!([1, 4].contains(&done.code), "{list}: {}", done.out);
        let verdict = &place.verdicts()[0];
        let is_told = ["failed/bad_answer", "skipped/guard"].contains(&verdict.as_str());
        assert!(is_told, "{list}: {verdict}");
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// What a hostile server does to a client.
const DEEDS: [&str; 9] = [
    "endless headers",
    "one endless header",
    "endless interim answers",
    "endless body",
    "gigabyte",
    "deep",
    "drip",
    "no HTTP",
    "silence",
];

fn be_hostile(deed: &str, stream: &mut TcpStream) {
    let now = Duration::ZERO;
    // The client should close the connection, so an error is ignored.
    let mut say = |what: &[u8]| drop(stream.write_all(what));
    match deed {
        "endless headers" => {
            say(OK);
            for_ever(stream, &b"x-again: and again\r\n".repeat(1000), now);
        }
        "one endless header" => {
            say(b"HTTP/1.1 200 OK\r\nx-long: ");
            for_ever(stream, &[b'a'; 16 << 10], now);
        }
        // The client parses and discards each of them, slowly in an unoptimised build.
        "endless interim answers" => {
            for_ever(
                stream,
                &b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(500),
                Duration::from_millis(1),
            );
        }
        "endless body" => {
            say(&[OK, b"transfer-encoding: chunked\r\n\r\n"].concat());
            for_ever(
                stream,
                &[b"4000\r\n", &[b' '; 0x4000][..], b"\r\n"].concat(),
                now,
            );
        }
        "gigabyte" => {
            say(&[OK, b"content-length: 1073741824\r\n\r\n"].concat());
            for_ever(stream, &vec![b'['; 64 << 10], now);
        }
        "deep" => {
            let body = "[{\"a\":".repeat(100_000);
            say(&[
                OK,
                format!("content-length: {}\r\n\r\n", body.len()).as_bytes(),
                body.as_bytes(),
            ]
            .concat());
        }
        "drip" => {
            say(&[OK, b"content-length: 1000000\r\n\r\n"].concat());
            for_ever(stream, b" ", Duration::from_millis(100));
        }
        "no HTTP" => say(&[0, 255, 13, 10, 13, 10].repeat(100)),
        "silence" => for_ever(stream, b"", Duration::from_millis(200)),
        _ => panic!("{deed}"),
    }
}

fn judge(deed: &str, done: &Done, memory: u64, took: Duration) {
    let said = [done.out.as_str(), &done.err].concat();
    assert!(!said.contains("panicked"), "{deed}: {said}");
    assert!((1..MEMORY_KIB).contains(&memory), "{deed}: {memory} KiB");
    assert!(took < Duration::from_secs(60), "{deed}: {took:?}");
}

#[test]
fn hostile_answers_use_bounded_memory_and_time_and_are_not_trusted() {
    std::thread::scope(|scope| {
        for deed in DEEDS {
            scope.spawn(move || {
                let place = Place::plume();
                let file = place.moves(CUSTOMERS);
                let front = Front::new(move |_: &Asked, stream: &mut TcpStream| {
                    be_hostile(deed, stream);
                    false
                });
                let begun = Instant::now();
                let mut command = place.command(&["apply", &file, "--yes", "--timeout", "1s"]);
                command.args([
                    "--retries",
                    "1",
                    "--give-up-after",
                    "3s",
                    "--base-url",
                    &front.base_url(),
                ]);
                let (done, memory) = watched(command);
                judge(deed, &done, memory, begun.elapsed());
                // Nothing was written. The exit code depends on whether there was any answer.
                assert!(
                    matches!(done.code, 1 | 2 | 4),
                    "{deed}: {} {}{}",
                    done.code,
                    done.out,
                    done.err
                );
                for verdict in place.verdicts() {
                    let (status, reason) = verdict.split_once('/').unwrap();
                    assert!(matches!(status, "failed" | "skipped"), "{deed}: {verdict}");
                    assert_ne!(
                        reason, "not_found",
                        "{deed}: a failed read is not an absence"
                    );
                }
            });
        }
    });
}

#[test]
fn write_with_a_hostile_answer_is_read_back_and_not_repeated() {
    std::thread::scope(|scope| {
        for deed in DEEDS {
            scope.spawn(move || {
                let place = Place::plume();
                let file = place.moves(CUSTOMERS);
                let honest = place.sandbox.base_url();
                let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
                    let answer = asked.honestly(&honest);
                    if asked.method == "PATCH" {
                        be_hostile(deed, stream);
                        return false;
                    }
                    stream.write_all(&answer).is_ok()
                });
                let begun = Instant::now();
                let mut command = place.command(&["apply", &file, "--yes", "--timeout", "1s"]);
                command.args(["--concurrency", "4", "--base-url", &front.base_url()]);
                let (done, memory) = watched(command);
                judge(deed, &done, memory, begun.elapsed());
                assert_eq!(done.code, 0, "{deed}: {}{}", done.out, done.err);
                assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
                assert_eq!(place.patches(), CUSTOMERS as usize, "{deed}");
                place.judge_writes();
            });
        }
    });
}

#[test]
fn unsolicited_answer_is_not_used_for_the_next_request() {
    let place = Place::plume();
    let file = place.moves(CUSTOMERS);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        // The answer is sent twice: the second would be taken for the answer to the next request.
        stream
            .write_all(&[&answer[..], &answer[..]].concat())
            .is_ok()
    });
    let mut command = place.command(&["apply", &file, "--yes", "--lookup", "each"]);
    command.args(["--concurrency", "1", "--base-url", &front.base_url()]);
    let done = finish(command.spawn().unwrap());
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    for n in 0..CUSTOMERS {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
    place.judge_writes();
}

#[test]
fn hostile_ids_are_encoded_in_paths_or_refused() {
    let place = Place::plume();
    let ids = ["../../admin", "a?b#c", "a b%2f", "..", ".", "ü/\u{202e}x"];
    place.with_world(|mut world| {
        for (n, id) in ids.iter().enumerate() {
            world.add_plume(named(id, &format!("A-{n}"), &["../L"]));
        }
    });
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    (0..ids.len()).for_each(|n| writeln!(text, "A-{n},B-{n},S-{n}").unwrap());
    let file = place.file("moves.csv", &text);
    let done = place.run(&["apply", &file, "--yes", "--retries", "1"]);
    assert!(!done.err.contains("panicked"), "{}", done.err);
    for seen in place.sandbox.log() {
        let segments: Vec<&str> = seen.path.split('/').collect();
        assert!(
            seen.path.starts_with("/api/") && segments.len() <= 6,
            "{segments:?}"
        );
        assert!(
            segments
                .iter()
                .all(|segment| !matches!(*segment, "." | ".." | "admin")),
            "{segments:?}"
        );
    }
    // IDs that a path cannot contain are not sent.
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    assert_eq!(place.account_of(".."), "A-3");
    assert_eq!(place.account_of("."), "A-4");
    assert_eq!(place.account_of("../../admin"), "B-0");
}

fn no_control_characters(text: &str) {
    let bad = text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(*c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    assert!(bad.is_none(), "{bad:?} in {text:?}");
}

#[test]
fn output_contains_no_control_characters_from_input_or_answers() {
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}]52;c;ZXZpbA==\u{7}\r\u{9b}31m\u{202e}live";
    let place = Place::plume();
    place.with_world(|mut world| {
        let mut spoilt = customer(0);
        spoilt.locations[0].service_id = Some(evil.into());
        spoilt.partner = evil.into();
        world.add_plume(spoilt);
        world.add_plume(named(
            &format!("C{evil}"),
            "A-000001",
            &[&format!("L{evil}")],
        ));
        world.add_plume(customer(2));
    });
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" && asked.path.contains("C-2") {
            let words = serde_json::json!({"error": {"statusCode": 422, "name": evil, "message": evil, "code": evil}});
            let body = words.to_string();
            let head = format!(
                "HTTP/1.1 422 {}\r\ncontent-length: {}\r\nx-evil: \u{9}a\r\n\r\n",
                "Sorry",
                body.len()
            );
            return stream.write_all([head, body].concat().as_bytes()).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let name = "moves\u{1b}[2J\u{7}.csv";
    place.file(name, "accountId,newAccountId,locationId,serviceId\nA-000000,B-0,,S-0\nA-000001,B-1,,\nA-000002,B-2,,\n");
    let damaged = format!("accountId,newAccountId,{evil}\nA-000000,B-0\u{1b}[2J,x\nA-1,{evil},x\n")
        .replace('\r', "");
    place.file("damaged.csv", &damaged);
    let base = front.base_url();
    let mut said = 0;
    for arguments in [
        vec!["plan", name],
        vec!["apply", name, "--yes", "-v"],
        vec!["verify"],
        vec!["report"],
        vec!["runs"],
        vec!["undo", "--yes", "-v"],
        vec!["check", "damaged.csv"],
        vec!["check", evil],
        vec!["apply", evil, "--yes"],
        vec!["apply", name, "--yes", "--profile", evil],
        vec!["apply", name, "--yes", "--map", evil],
    ] {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|text| text.replace('\0', ""))
            .collect();
        let mut command = place.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        command
            .env("IDSHIFT_BASE_URL", &base)
            .env("IDSHIFT_RETRIES", "1");
        let done = finish(command.spawn().unwrap());
        no_control_characters(&done.out);
        no_control_characters(&done.err);
        said += done.out.len() + done.err.len();
    }
    assert!(said > 1000, "nothing was said, so nothing was shown");
    for row in place.rows("results.csv") {
        for cell in row.values() {
            no_control_characters(cell);
        }
    }
}
