//! Failures common to all lines stop the run.

use crate::edges::{answer, at};
use crate::support::{Asked, Front, Place};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Refuses writes with this status and body: those for which `refuses` returns `true`.
fn refusing(
    place: &Place,
    status: u16,
    refuses: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> Front {
    let honest = place.sandbox.base_url();
    let count = AtomicUsize::new(0);
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let body = format!(r#"{{"error":{{"statusCode":{status},"message":"tenant is frozen"}}}}"#);
        let is_refused = asked.method == "PATCH" && refuses(count.fetch_add(1, Ordering::Relaxed));
        let bytes = if is_refused {
            answer(
                status,
                "content-type: application/json\r\n",
                body.as_bytes(),
            )
        } else {
            asked.honestly(&honest)
        };
        stream.write_all(&bytes).is_ok()
    })
}

#[test]
fn run_stops_if_all_writes_are_refused_for_the_same_reason() {
    for (status, most, meaning) in [
        (400, 20, "malformed"),
        (402, 20, "asks for a payment"),
        (405, 20, "the method is not allowed at this address"),
        (407, 20, "a proxy"),
        (422, 20, "the system refuses the value"),
        (401, 100, "may not see the customer"),
        (403, 100, "the system forbids it"),
        (404, 100, "does not know it"),
    ] {
        let place = Place::plume();
        let file = place.moves(140);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let front = refusing(&place, status, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            true
        });
        let done = at(&place, &front, &["apply", &file, "--yes", "--format=json"]).expect(4);
        assert_eq!(count.load(Ordering::Relaxed), most, "{status}");
        let cause = done.json()["cause"].as_str().unwrap().to_owned();
        let words = if status == 407 {
            "407"
        } else {
            "tenant is frozen"
        };
        assert!(
            cause.contains(words) && cause.contains("for example line"),
            "{cause}"
        );
        assert!(cause.contains(meaning), "{cause}");
        // No line failed because of its own data, and the count begins again.
        assert!(
            place
                .verdicts()
                .iter()
                .all(|verdict| verdict == "skipped/guard"),
            "{status}"
        );
        let all = ["resume", "--max-failures=100%"];
        at(&place, &front, &all).expect(1);
        assert_eq!(count.load(Ordering::Relaxed), most + 140, "{status}");
    }
}

#[test]
fn failure_message_explains_the_http_status() {
    let place = Place::plume();
    let statuses = [409, 411, 413, 415, 428, 451, 501];
    let mut text = String::from("accountId,newAccountId\n");
    place.moves(u32::try_from(statuses.len()).unwrap());
    for n in 0..statuses.len() {
        text.push_str(&format!("A-{n:06},B-{n:06}\n"));
    }
    let file = place.file("statuses.csv", &text);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let refused = (0..statuses.len()).find(|n| asked.path.ends_with(&format!("C-{n}")));
        let bytes = match refused.filter(|_| asked.method == "PATCH") {
            Some(n) => answer(statuses[n], "content-type: application/json\r\n", b"{}"),
            None => asked.honestly(&honest),
        };
        stream.write_all(&bytes).is_ok()
    });
    at(&place, &front, &["apply", &file, "--yes", "--retries=0"]).expect(1);
    let rows = place.rows("results.csv");
    for (row, meaning) in rows.iter().zip([
        "another customer has this ID",
        "the length of the request",
        "too large",
        "JSON is not accepted",
        "only with a condition (If-Match)",
        "legal reasons",
        "does not support this method",
    ]) {
        let message = &row["idshift_message"];
        assert!(message.contains(meaning), "{meaning}: {message}");
        assert!(!message.contains("refuses the value"), "{message}");
    }
}

#[test]
fn run_stops_before_any_write_if_all_lookups_are_refused() {
    for (fault, most) in [("search:422", 60), ("search:403", 160)] {
        let place = Place::plume();
        let file = place.moves(300);
        place.sandbox.set_faults(vec![fault.parse().unwrap()]);
        let done = place
            .run(&["apply", &file, "--yes", "--lookup=each"])
            .expect(2);
        let said = format!("{}{}", done.out, done.err);
        assert!(
            said.contains("look-ups in a row were refused for the same reason"),
            "{said}"
        );
        assert!(place.sandbox.log().len() <= most, "{fault}");
    }
}

#[test]
fn run_stops_if_more_than_half_of_the_first_writes_are_refused() {
    let place = Place::plume();
    let file = place.moves(400);
    let front = refusing(&place, 422, |n| n % 3 != 0);
    let done = at(&place, &front, &["apply", &file, "--yes"]).expect(4);
    let said = format!("{}{}", done.out, done.err);
    assert!(
        said.contains("of the first 100 lines that sent a write"),
        "{said}"
    );
    let place = Place::plume();
    let file = place.moves(400);
    let front = refusing(&place, 422, |n| n % 2 != 0);
    // Concurrent writes would end in another order than they were sent.
    let one_by_one = ["apply", &file, "--yes", "--concurrency=1"];
    at(&place, &front, &one_by_one).expect(1);
}

#[test]
fn run_stops_if_no_customer_is_found_unless_lines_failed_before() {
    let place = Place::plume();
    place.moves(3);
    let rows = (0..450).map(|n| format!("X-{n:06},Y-{n:06}\n"));
    let text = format!("accountId,newAccountId\n{}", rows.collect::<String>());
    let file = place.file("wrong.csv", &text);
    let done = place
        .run(&["apply", &file, "--yes", "--concurrency=2"])
        .expect(4);
    let said = format!("{}{}", done.out, done.err);
    assert!(said.contains("no customer was found"), "{said}");
    let verdicts = place.verdicts();
    let told = verdicts
        .iter()
        .filter(|verdict| *verdict == "failed/not_found")
        .count();
    assert!((200..450).contains(&told), "{told}");
    place
        .run(&["apply", &file, "--yes", "--concurrency=2"])
        .expect(4);
    place
        .run(&["apply", &file, "--yes", "--max-failures=100%"])
        .expect(1);
    // In the last run, all lines have now failed in the same way.
    place.run(&["apply", &file, "--yes"]).expect(1);
    let failures = place.newest().join("failures.csv");
    place
        .run(&["apply", failures.to_str().unwrap(), "--yes"])
        .expect(1);
}
