//! `X-Request-Id` is new for every call. `X-Correlation-Id` is repeated only while there was no response: a system that
//! recognises it returns the earlier response without doing anything.

use crate::support::{Asked, Done, Front, Place, finish, good_answer};
use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The IDs that a front has seen.
#[derive(Default)]
struct Judge {
    /// For each correlation ID of a write: whether a byte of a response was sent.
    responded: HashMap<String, bool>,
    requests: HashSet<String>,
    /// The correlation IDs of each customer's writes, in order.
    of_customer: HashMap<String, Vec<String>>,
    wrong: Vec<String>,
}

impl Judge {
    /// Records a request. Returns how many writes this customer had before.
    fn sees(&mut self, asked: &Asked) -> usize {
        let request = asked.header("x-request-id").unwrap();
        if !self.requests.insert(request.clone()) {
            self.wrong.push(format!("request ID {request} used again"));
        }
        let correlation = asked.header("x-correlation-id").unwrap();
        if self.responded.get(&correlation) == Some(&true) {
            let path = &asked.path;
            self.wrong
                .push(format!("{correlation} used after its response: {path}"));
        }
        self.responded.entry(correlation.clone()).or_insert(false);
        if asked.method != "PATCH" {
            return 0;
        }
        let writes = self.of_customer.entry(customer_of(asked)).or_default();
        writes.push(correlation);
        writes.len() - 1
    }

    fn responds(&mut self, asked: &Asked) {
        let correlation = asked.header("x-correlation-id").unwrap();
        self.responded.insert(correlation, true);
    }
}

fn customer_of(asked: &Asked) -> String {
    asked.path.rsplit('/').next().unwrap().to_owned()
}

fn answer(status: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{more}\r\n{body}").into_bytes()
}

fn run(place: &Place, base: &str, crash_at: Option<usize>, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "key"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
        ("BASE_URL", base),
    ];
    command.envs(settings.map(|(name, value)| (format!("IDSHIFT_{name}"), value)));
    command.envs(crash_at.map(|step| ("IDSHIFT_CRASH_AT", step.to_string())));
    finish(command.spawn().unwrap())
}

fn all_renamed(place: &Place, customers: usize) {
    place.with_world(|world| {
        for n in 0..customers {
            let reference = &world.adobe[&format!("P{n}")].body["externalReferenceId"];
            assert_eq!(*reference, format!("NEW-{n}"));
        }
    });
}

/// The number of customers that are written first and without a fault, so that many writes may be in flight.
const GOOD: usize = 8;

/// Returns how the first write of a customer fails, and whether the client got a response.
fn unfortunate(way: usize) -> Option<(Option<Vec<u8>>, bool)> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"cu";
    let json = "content-type: application/json\r\n";
    let body = "{\"code\":\"1124\",\"message\":\"try later\"}";
    Some(match way {
        0 => (None, false),
        1 => (Some(answer("429 Slow", "retry-after: 0\r\n", "")), true),
        2 => (Some(answer("500 Failed", json, body)), true),
        3 => (Some(answer("503 Busy", "retry-after: 0\r\n", "")), true),
        4 => (Some(answer("408 Late", "", "")), true),
        5 => (Some(head.as_bytes().to_vec()), true),
        6 => (Some(b"HTTP/1.1 twohundred OK\r\n\r\n".to_vec()), true),
        7 => (Some(answer("200 OK", json, "{}")), true),
        8 => (
            Some(answer("200 OK", "content-type: text/html\r\n", "<p>")),
            true,
        ),
        9 => (Some(answer("425 Early", "", "")), true),
        10 => (Some(answer("200 OK", json, "")), true),
        11 => (Some(answer("504 Gateway", "", "")), true),
        _ => return None,
    })
}

const WAYS: usize = 12;
/// The customer whose write gets no response, and then the response to another request under the same ID, without an effect.
const REPLAYED: usize = GOOD + WAYS;
/// The customer whose write gets no response in time.
const HANGING: usize = REPLAYED + 1;

#[test]
fn correlation_id_is_reused_only_if_there_was_no_response() {
    let customers = HANGING + 1;
    let place = Place::adobe(customers);
    let judge = Arc::new(Mutex::new(Judge::default()));
    let (noted, honest, world) = (
        Arc::clone(&judge),
        place.sandbox.base_url(),
        place.sandbox.world(),
    );
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let before = noted.lock().unwrap().sees(asked);
        let id = customer_of(asked);
        let number: Option<usize> = id.strip_prefix('P').and_then(|n| n.parse().ok());
        let number = number.filter(|n| asked.method == "PATCH" && *n >= GOOD);
        let sent = match (number, before) {
            (Some(REPLAYED), 0) => return false,
            (Some(REPLAYED), 1) => {
                let mut body = world.lock().unwrap().adobe[&id].body.clone();
                body["externalReferenceId"] = format!("NEW-{REPLAYED}").into();
                good_answer(&body.to_string())
            }
            (Some(HANGING), 0) => {
                // Until the client gives up and closes the connection.
                let _ = stream.read(&mut [0]);
                return false;
            }
            (Some(n), 0) => match unfortunate(n - GOOD).unwrap().0 {
                None => return false,
                Some(bytes) => {
                    noted.lock().unwrap().responds(asked);
                    // The client may have closed the connection already.
                    let _ = stream.write_all(&bytes);
                    return false;
                }
            },
            _ => asked.honestly(&honest),
        };
        noted.lock().unwrap().responds(asked);
        stream.write_all(&sent).is_ok()
    });
    let arguments = ["apply", "moves.csv", "--yes", "--concurrency", "32"];
    run(&place, &front.base_url(), None, &arguments).expect(0);
    all_renamed(&place, customers);
    let judge = judge.lock().unwrap();
    assert_eq!(judge.wrong, Vec::<String>::new());
    let of = |n: usize| &judge.of_customer[&format!("P{n}")];
    for way in 0..WAYS {
        let ids = of(GOOD + way);
        let responded = unfortunate(way).unwrap().1;
        assert_eq!(ids[0] != ids[1], responded, "way {way}: {ids:?}");
    }
    assert_eq!(of(HANGING)[0], of(HANGING)[1]);
    let replayed = of(REPLAYED);
    assert_eq!(replayed[0], replayed[1]);
    assert_eq!(replayed.len(), 3, "the replay was not believed");
}

/// The first write is checked by reading the customer. Even if that read fails, the write has had its response.
#[test]
fn correlation_id_changes_after_a_response_even_if_its_check_fails() {
    let place = Place::adobe(1);
    let judge = Arc::new(Mutex::new(Judge::default()));
    let (noted, honest) = (Arc::clone(&judge), place.sandbox.base_url());
    let fails_next = AtomicBool::new(false);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let before = noted.lock().unwrap().sees(asked);
        let bytes = if asked.method == "PATCH" && before == 0 {
            fails_next.store(true, Ordering::SeqCst);
            b"HTTP/1.1 twohundred OK\r\n\r\n".to_vec()
        } else if asked.path.ends_with("/P0") && fails_next.swap(false, Ordering::SeqCst) {
            answer("400 Bad", "", "{\"code\":\"1117\"}")
        } else {
            asked.honestly(&honest)
        };
        noted.lock().unwrap().responds(asked);
        stream.write_all(&bytes).is_ok()
    });
    run(
        &place,
        &front.base_url(),
        None,
        &["apply", "moves.csv", "--yes"],
    )
    .expect(0);
    all_renamed(&place, 1);
    let judge = judge.lock().unwrap();
    assert_eq!(judge.wrong, Vec::<String>::new());
    assert_eq!(judge.of_customer["P0"].len(), 2);
}

/// One write is first refused: it has a response, but no effect. Another takes effect and is answered with a failure.
/// The process is killed at each step.
#[test]
fn correlation_id_is_not_reused_after_a_response_and_a_kill() {
    let (mut kills, customers) = (0, 2);
    for step in 1..500 {
        let place = Place::adobe(customers);
        let judge = Arc::new(Mutex::new(Judge::default()));
        let (noted, honest) = (Arc::clone(&judge), place.sandbox.base_url());
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let before = noted.lock().unwrap().sees(asked);
            let is_refused = asked.method == "PATCH" && before == 0;
            let bytes = match customer_of(asked).as_str() {
                "P0" if is_refused => answer("429 Slow", "retry-after: 0\r\n", ""),
                "P1" if is_refused => {
                    asked.honestly(&honest);
                    answer("500 Failed", "", "")
                }
                _ => asked.honestly(&honest),
            };
            noted.lock().unwrap().responds(asked);
            stream.write_all(&bytes).is_ok()
        });
        let base = front.base_url();
        let done = run(&place, &base, Some(step), &["apply", "moves.csv", "--yes"]);
        if done.code != 0 && place.path().join("idshift-runs").exists() {
            kills += 1;
            let resumed = run(&place, &base, None, &["resume"]);
            // If there was no run yet, nothing was sent.
            let writes = judge.lock().unwrap().of_customer.len();
            assert!(
                resumed.code == 0 || writes == 0,
                "step {step}: {}{}",
                resumed.out,
                resumed.err
            );
        }
        assert_eq!(
            judge.lock().unwrap().wrong,
            Vec::<String>::new(),
            "step {step}"
        );
        if done.code == 0 {
            assert!(kills >= 8, "the crash points were not reached: {kills}");
            all_renamed(&place, customers);
            return;
        }
    }
    panic!("a run never ended by itself");
}
