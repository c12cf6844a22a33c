use crate::support::{Asked, Done, Front, Place, finish};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// What is written: an account ID, or a service ID.
#[derive(Clone, Copy)]
struct Thing {
    file: &'static str,
    path: &'static str,
}

const THINGS: [Thing; 2] = [
    Thing {
        file: "accountId,newAccountId\nA-000000,B-000000\n",
        path: "/C-0",
    },
    Thing {
        file: "accountId,serviceId\nA-000000,NEW\n",
        path: "/L-0",
    },
];

impl Thing {
    fn set(&self, place: &Place, value: &str) {
        place.with_world(|mut world| {
            if self.path == "/C-0" {
                return world.rename_plume("C-0", value);
            }
            let customer = world.plume.get_mut("C-0").unwrap();
            customer.locations[0].service_id = Some(value.into());
        });
    }

    fn value(&self, place: &Place) -> String {
        if self.path == "/C-0" {
            return place.account_of("C-0");
        }
        place.service_of("C-0")
    }

    /// Returns a front that forwards all calls except writes to this; `about` returns the answer to such a write;
    /// `None`: no answer.
    fn front(
        &self,
        place: &Place,
        about: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Front {
        let (honest, path) = (place.sandbox.base_url(), self.path);
        let writes = AtomicUsize::new(0);
        Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            if asked.method != "PATCH" || !asked.path.ends_with(path) {
                return stream.write_all(&asked.honestly(&honest)).is_ok();
            }
            let answer = about(writes.fetch_add(1, Ordering::SeqCst));
            answer.is_some_and(|answer| stream.write_all(answer.as_bytes()).is_ok())
        })
    }
}

fn begun(thing: &Thing) -> Arc<Place> {
    let place = Arc::new(Place::plume());
    place.moves(2);
    place.file("one.csv", thing.file);
    place
}

fn run(place: &Place, front: &Front, arguments: &[&str]) -> Done {
    place.run_with(&[("BASE_URL", &front.base_url())], arguments)
}

/// Checks that the only line is `stale`, that the report mentions a sent write, and that `undo` leaves the value and says so.
fn is_left(place: &Place, front: &Front, thing: &Thing) {
    assert_eq!(place.verdicts(), ["failed/stale"]);
    let message = place.rows("results.csv")[0]["idshift_message"].clone();
    assert!(message.contains("a write was sent"), "{message}");
    assert!(message.contains("its effect is not certain"), "{message}");
    assert!(!message.contains("nothing was written"), "{message}");
    let written = place.patches();
    let undone = run(place, front, &["undo", "--yes"]).expect(1);
    assert!(
        undone.out.contains("left untouched: after run"),
        "{}",
        undone.out
    );
    assert_eq!(place.verdicts(), ["failed/stale"]);
    assert_eq!(
        (place.patches(), &thing.value(place)[..]),
        (written, "OTHER")
    );
}

#[test]
fn unanswered_write_stored_with_another_value_is_reported_as_uncertain() {
    for thing in THINGS {
        let place = begun(&thing);
        let its = Arc::clone(&place);
        let front = thing.front(&place, move |_| {
            thing.set(&its, "OTHER");
            None
        });
        run(&place, &front, &["apply", "one.csv", "--yes"]).expect(1);
        is_left(&place, &front, &thing);
    }
}

/// The first attempt had no answer, and a read did not show it. The second is refused, and then there is another value.
#[test]
fn unanswered_attempt_before_a_refusal_is_reported_as_uncertain() {
    const REFUSED: &str = "HTTP/1.1 422 No\r\ncontent-type: application/json\r\ncontent-length: 55\r\n\r\n\
        {\"error\":{\"statusCode\":422,\"name\":\"Error\",\"message\":\"n\"}}";
    for thing in THINGS {
        let place = begun(&thing);
        let its = Arc::clone(&place);
        let front = thing.front(&place, move |write| {
            (write > 0).then(|| {
                thing.set(&its, "OTHER");
                REFUSED
            })
        });
        run(&place, &front, &["apply", "one.csv", "--yes"]).expect(1);
        is_left(&place, &front, &thing);
    }
}

/// The first attempt had no answer, and a read did not show it. Before the second is sent, there is another value.
#[test]
fn unanswered_attempt_before_a_later_lookup_is_reported_as_uncertain() {
    const LATER: &str =
        "HTTP/1.1 429 Slow\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for thing in THINGS {
        let place = begun(&thing);
        let its = Arc::clone(&place);
        let front = thing.front(&place, move |write| {
            (write > 0).then(|| {
                thing.set(&its, "OTHER");
                LATER
            })
        });
        let apply = ["apply", "one.csv", "--yes", "--max-age", "1s"];
        run(&place, &front, &apply).expect(1);
        is_left(&place, &front, &thing);
    }
}

#[test]
fn unanswered_write_of_a_killed_process_is_reported_as_uncertain() {
    for thing in THINGS {
        let place = begun(&thing);
        let (heard, sent) = mpsc::channel();
        let (is_killed, waits) = mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        let front = thing.front(&place, move |_| {
            let _ = heard.send(());
            let _ = waits.lock().unwrap().recv_timeout(Duration::from_secs(60));
            None
        });
        let mut command = place.command(&["apply", "one.csv", "--yes"]);
        command.env("IDSHIFT_BASE_URL", front.base_url());
        let mut child = command.spawn().unwrap();
        sent.recv_timeout(Duration::from_secs(60)).unwrap();
        child.kill().unwrap();
        finish(child);
        drop(is_killed);
        thing.set(&place, "OTHER");
        run(&place, &front, &["resume"]).expect(1);
        is_left(&place, &front, &thing);
    }
}

/// The answer showed the new value, but it did not persist: the former value needs no undo, and another value is left.
#[test]
fn undo_skips_a_value_that_did_not_persist_and_reports_it() {
    for (now, code, verdict) in [
        ("OTHER", 1, "failed/stale"),
        ("A-000000", 0, "unchanged/already"),
    ] {
        let place = begun(&THINGS[0]);
        let (its, honest) = (Arc::clone(&place), place.sandbox.base_url());
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let answer = asked.honestly(&honest);
            if asked.method == "PATCH" {
                its.with_world(|mut world| world.rename_plume("C-0", now));
            }
            stream.write_all(&answer).is_ok()
        });
        let apply = ["apply", "one.csv", "--yes", "--canary", "1"];
        run(&place, &front, &apply).expect(4);
        let undone = run(&place, &front, &["undo", "--yes"]).expect(code);
        assert_eq!(place.verdicts(), [verdict], "{}", undone.out);
        assert_eq!(undone.out.contains("left untouched: after run"), code == 1);
        assert_eq!(place.account_of("C-0"), now);
    }
}
