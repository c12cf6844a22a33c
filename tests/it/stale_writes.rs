use crate::support::{Asked, Front, Place, finish, good_answer, named};
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

fn failing(status: &str, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} No\r\n{more}content-length: 0\r\n\r\n").into_bytes()
}

fn run(place: &Place, front: &Front, arguments: &[&str]) -> crate::support::Done {
    place.run_with(&[("BASE_URL", &front.base_url())], arguments)
}

/// Returns a front that holds all calls at the first write, and runs `meanwhile`.
fn held_while(place: &Place, meanwhile: impl Fn() + Send + Sync + 'static) -> Front {
    let honest = place.sandbox.base_url();
    let held = AtomicBool::new(false);
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" && !held.swap(true, Ordering::SeqCst) {
            meanwhile();
            let answer = failing("429", "retry-after: 2\r\n");
            return stream.write_all(&answer).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    })
}

#[test]
fn account_id_changed_during_a_hold_is_not_overwritten() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let file = place.file("moves.csv", "accountId,newAccountId\nA-1,B-1\n");
    let world = place.sandbox.world();
    let front = held_while(&place, move || {
        world.lock().unwrap().rename_plume("C-1", "ELSEWHERE");
    });
    run(
        &place,
        &front,
        &["apply", &file, "--yes", "--max-age", "1s"],
    )
    .expect(1);
    assert_eq!(place.verdicts(), ["failed/stale"]);
    assert_eq!(place.account_of("C-1"), "ELSEWHERE");
}

#[test]
fn location_changed_during_a_hold_is_not_overwritten() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let file = place.file("moves.csv", "accountId,serviceId\nA-1,NEW\n");
    let world = place.sandbox.world();
    let front = held_while(&place, move || {
        let mut world = world.lock().unwrap();
        let customer = world.plume.get_mut("C-1").unwrap();
        customer.locations[0].service_id = Some("THEIRS".into());
    });
    run(
        &place,
        &front,
        &["apply", &file, "--yes", "--max-age", "1s"],
    )
    .expect(1);
    assert_eq!(place.verdicts(), ["failed/stale"]);
    assert_eq!(place.service_of("C-1"), "THEIRS");
}

/// If a location is in doubt, a write for each line with the same request would be a repetition without a read.
#[test]
fn equal_lines_for_one_location_share_one_write_in_doubt() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let text = "accountId,locationId,serviceId\nA-1,L-1,NEW\nA-1,L-1,NEW\nA-1,L-1,NEW\n";
    let file = place.file("moves.csv", text);
    let honest = place.sandbox.base_url();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = if asked.method == "PATCH" {
            count.fetch_add(1, Ordering::SeqCst);
            failing("500", "")
        } else if count.load(Ordering::SeqCst) > 0 && asked.path.contains("/locations") {
            failing("500", "")
        } else {
            asked.honestly(&honest)
        };
        stream.write_all(&answer).is_ok()
    });
    let shortly = ["--retries", "0", "--give-up-after", "20s"];
    run(
        &place,
        &front,
        &[&["apply", &file, "--yes"][..], &shortly].concat(),
    )
    .expect(4);
    assert_eq!(place.verdicts(), vec!["in_doubt/no_answer"; 3]);
    assert_eq!(written.load(Ordering::SeqCst), 1);
}

/// The first write of a swap parks a customer under a temporary ID. It has no answer, and takes effect after all other
/// writes.
#[test]
fn a_write_that_parks_a_customer_and_takes_effect_late_is_reversed() {
    let (place, file) = Place::with_a_swap();
    let honest = place.sandbox.base_url();
    let late: Arc<Mutex<Option<Asked>>> = Arc::default();
    let writes = AtomicUsize::new(0);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method != "PATCH" {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        let number = writes.fetch_add(1, Ordering::SeqCst);
        if number == 0 {
            *late.lock().unwrap() = Some(asked.clone());
            return false;
        }
        let answered = stream.write_all(&asked.honestly(&honest)).is_ok();
        // The customer was parked again, the other was renamed, and the first got its new ID: now the first write takes
        // effect.
        if number == 3 {
            late.lock().unwrap().take().unwrap().honestly(&honest);
        }
        answered
    });
    run(&place, &front, &["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["changed/", "changed/"]);
    assert_eq!(place.account_of("C-1"), "A-2");
    assert_eq!(place.account_of("C-2"), "A-1");
}

/// A signal during the check of the canary stops the run before further units.
#[test]
fn signal_during_the_canary_check_prevents_further_units() {
    let place = Place::plume();
    let file = place.moves(40);
    let honest = place.sandbox.base_url();
    let (begun, reading) = mpsc::channel();
    let (let_go, signalled) = mpsc::channel::<()>();
    let signalled = Mutex::new(signalled);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "GET" && asked.path.starts_with("/api/Customers/C-") {
            let _ = begun.send(());
            // Waits until the signal is sent.
            let _ = signalled
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(1));
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let apply = ["apply", &file, "--yes", "--canary", "2", "--lookup", "each"];
    let child = place
        .command(&apply)
        .env("IDSHIFT_BASE_URL", front.base_url())
        .spawn()
        .unwrap();
    reading.recv_timeout(Duration::from_secs(30)).unwrap();
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(signalled.unwrap().success());
    let _ = let_go.send(());
    assert_eq!(finish(child).code, 130);
    assert_eq!(place.patches(), 2);
    run(&place, &front, &["resume"]).expect(0);
    assert_eq!(place.patches(), 40);
}

/// Returns a front with answers that never show the profile, as in the documents.
fn without_profile(
    place: &Place,
    and_then: impl Fn(&Asked) -> bool + Send + Sync + 'static,
) -> Front {
    let honest = place.sandbox.base_url();
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        if and_then(asked) {
            return false;
        }
        let text = String::from_utf8(answer).unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1;
        let answer = if text.starts_with("HTTP/1.1 200") && asked.path.contains("/locations") {
            let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
            let all = body
                .as_array_mut()
                .map_or_else(Vec::new, |all| all.iter_mut().collect());
            for location in all {
                location.as_object_mut().unwrap().remove("profile");
            }
            if let Some(one) = body.as_object_mut() {
                one.remove("profile");
            }
            good_answer(&body.to_string())
        } else {
            text.into_bytes()
        };
        stream.write_all(&answer).is_ok()
    })
}

#[test]
fn stored_service_id_confirms_a_profile_that_the_system_never_shows() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let file = place.file(
        "moves.csv",
        "accountId,serviceId,profile\nA-1,NEW,smallbusiness\n",
    );
    // The write takes effect, but is not answered.
    let cut = AtomicBool::new(false);
    let front = without_profile(&place, move |asked| {
        asked.method == "PATCH" && !cut.swap(true, Ordering::SeqCst)
    });
    let apply = ["apply", &file, "--yes", "--lookup", "each"];
    run(&place, &front, &apply).expect(0);
    assert_eq!(place.verdicts(), ["changed/"]);
    assert_eq!(place.patches(), 1);
    run(&place, &front, &["undo", "--yes"]).expect(0);
    assert_eq!(place.service_of("C-1"), "old");
}

#[test]
fn unanswered_write_of_a_never_shown_profile_is_in_doubt_not_failed() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let file = place.file("moves.csv", "accountId,profile\nA-1,smallbusiness\n");
    let answers = Arc::new(AtomicBool::new(false));
    let does = Arc::clone(&answers);
    let front = without_profile(&place, move |asked| {
        asked.method == "PATCH" && !does.load(Ordering::SeqCst)
    });
    let apply = [
        "apply",
        &file,
        "--yes",
        "--lookup",
        "each",
        "--retries",
        "1",
    ];
    run(&place, &front, &apply).expect(4);
    assert_eq!(place.verdicts(), ["in_doubt/no_answer"]);
    // A write with an answer is accepted.
    answers.store(true, Ordering::SeqCst);
    run(&place, &front, &["resume"]).expect(0);
}

/// Before a profile is restored, the customer is read again, and this answer shows no profile either.
#[test]
fn undo_restores_a_never_shown_profile_with_max_age_zero() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let file = place.file("moves.csv", "accountId,profile\nA-1,smallbusiness\n");
    let front = without_profile(&place, |_| false);
    let apply = ["apply", &file, "--yes", "--lookup", "each"];
    run(&place, &front, &apply).expect(0);
    run(&place, &front, &["undo", "--yes", "--max-age", "0s"]).expect(0);
    place.with_world(|world| {
        assert_eq!(&*world.plume["C-1"].locations[0].profile, "auto");
    });
}

/// Even if a turn takes longer than the maximum age of a look-up, writes continue: only holds make a look-up too old.
#[test]
fn run_finishes_with_a_low_rate_and_a_short_max_age() {
    let place = Place::plume();
    let file = place.moves(6);
    let slowly = ["--rate", "4/s", "--max-age", "100ms", "--concurrency", "4"];
    let begun = std::time::Instant::now();
    place
        .run(&[&["apply", &file, "--yes"][..], &slowly].concat())
        .expect(0);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    place.judge_writes();
}

/// A customer had no account ID, so its undo cannot clear the one that the run gave it; another client has changed it since.
#[test]
fn undo_skips_locations_of_a_customer_whose_account_id_changed_since() {
    let place = Place::plume();
    place.moves(1);
    place.with_world(|mut world| world.rename_plume("C-0", ""));
    let text = "customerId,newAccountId,serviceId\nC-0,B-000000,NEW\n";
    let file = place.file("first.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| world.rename_plume("C-0", "THEIRS"));
    place.run(&["undo", "--yes"]).expect(1);
    let verdicts = place.verdicts();
    let is_stale = verdicts.iter().any(|one| one == "failed/stale");
    assert!(is_stale, "{verdicts:?}");
    assert_eq!(place.service_of("C-0"), "NEW");
}
