use crate::support::{Asked, Done, Front, Place, customer, finish, good_answer, named};
use idshift::sandbox::{Kind, Options};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const REFUSED: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nForbidden";

fn failing(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn refusing(status: &str) -> Vec<u8> {
    let body = r#"{"error":{"statusCode":0,"name":"Error","message":"no"}}"#;
    let length = body.len();
    format!("HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn run(place: &Place, front: &Front, settings: &[(&str, &str)], arguments: &[&str]) -> Done {
    let base = front.base_url();
    let settings = [settings, &[("BASE_URL", &base)]].concat();
    place.run_with(&settings, arguments)
}

/// Returns a front: a write to the path `written` takes effect without an answer. From then on reads of the path `read`
/// fail while the flag is set.
fn unheard(place: &Place, written: &'static str, read: &'static str) -> (Front, Arc<AtomicBool>) {
    let honest = place.sandbox.base_url();
    let lost = AtomicBool::new(false);
    let hides = Arc::new(AtomicBool::new(true));
    let hidden = Arc::clone(&hides);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let is_hidden = lost.load(Ordering::SeqCst) && hidden.load(Ordering::SeqCst);
        if is_hidden && asked.method == "GET" && asked.path.contains(read) {
            return stream.write_all(&failing("500")).is_ok();
        }
        let answer = asked.honestly(&honest);
        if asked.method == "PATCH" && asked.path.contains(written) {
            lost.store(true, Ordering::SeqCst);
            return false;
        }
        stream.write_all(&answer).is_ok()
    });
    (front, hides)
}

#[test]
fn earlier_listing_does_not_resolve_a_write_in_doubt() {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        ..Options::default()
    });
    place.with_world(|mut world| {
        (0..2).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 1));
    });
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId\nREF-0,NEW-0\nREF-1,NEW-1\n",
    );
    let (front, hides) = unheard(&place, "/P1", "/P1");
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "key"),
        ("RESELLER_ID", "R1"),
    ];
    let apply = [
        "apply",
        &file,
        "--yes",
        "--accept-welcome-emails",
        "--retries",
        "1",
    ];
    run(&place, &front, &settings, &apply).expect(4);
    assert_eq!(place.verdicts(), ["changed/", "in_doubt/no_answer"]);
    hides.store(false, Ordering::SeqCst);
    run(
        &place,
        &front,
        &settings,
        &["resume", "--accept-welcome-emails"],
    )
    .expect(0);
    assert_eq!(place.verdicts(), ["changed/", "changed/"]);
    run(
        &place,
        &front,
        &settings,
        &["undo", "--yes", "--accept-welcome-emails"],
    )
    .expect(0);
    place.with_world(|world| {
        assert_eq!(world.adobe["P1"].body["externalReferenceId"], "REF-1");
    });
}

/// In front of the system: the first write takes effect, and nobody is told. From then on no answer shows its customer, as long
/// as that is set.
fn unheard_first(place: &Place) -> (Front, Arc<AtomicBool>) {
    let honest = place.sandbox.base_url();
    let written: Mutex<Option<String>> = Mutex::default();
    let hides = Arc::new(AtomicBool::new(true));
    let hidden = Arc::clone(&hides);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        let mut written = written.lock().unwrap();
        if asked.method == "PATCH" && written.is_none() {
            let mut names = asked.path.split(['/', '?']);
            let id = names.find(|name| name.starts_with("C-")).unwrap();
            *written = Some(format!("\"{id}\""));
            return false;
        }
        let hidden = written.as_ref().filter(|_| hidden.load(Ordering::SeqCst));
        let shows = |id: &String| answer.windows(id.len()).any(|part| part == id.as_bytes());
        if asked.method == "GET" && hidden.is_some_and(shows) {
            return stream.write_all(&failing("500")).is_ok();
        }
        stream.write_all(&answer).is_ok()
    });
    (front, hides)
}

/// Applies the file, or plans it and carries the plan out, where the answer to the first write is lost; `hidden`: the verdicts
/// until its effect is known, also after a resume that does not learn it.
fn carried_out_once_known(lines: &str, hidden: &[&str], now: &[&str]) {
    for is_planned in [false, true] {
        let place = Place::plume();
        place.moves(4);
        let file = place.file("linked.csv", &format!("accountId,newAccountId\n{lines}"));
        let (front, hides) = unheard_first(&place);
        let first = ["--yes", "--retries", "0", "--concurrency", "1"];
        if is_planned {
            run(&place, &front, &[], &["plan", &file]).expect(0);
            let id = place.newest_id();
            let apply = [&["apply", "--run", &id][..], &first].concat();
            run(&place, &front, &[], &apply).expect(4);
        } else {
            run(
                &place,
                &front,
                &[],
                &[&["apply", &file][..], &first].concat(),
            )
            .expect(4);
        }
        assert_eq!(place.verdicts(), hidden, "planned: {is_planned}");
        let resumed = run(&place, &front, &[], &["resume"]).expect(4);
        assert_eq!(place.verdicts(), hidden, "planned: {is_planned}");
        let words = "some writes are in doubt";
        assert!(resumed.out.contains(words), "{}", resumed.out);
        hides.store(false, Ordering::SeqCst);
        run(&place, &front, &[], &["resume"]).expect(0);
        let verdicts = place.verdicts();
        assert!(
            verdicts.iter().all(|one| one == "changed/"),
            "planned: {is_planned}, {verdicts:?}"
        );
        for (n, now) in now.iter().enumerate() {
            assert_eq!(place.account_of(&format!("C-{n}")), *now);
        }
        place.judge_writes();
    }
}

/// The first write of a chain takes effect, but its answer is lost, and reads fail for a while. The lines that depend
/// on it wait, and are carried out later.
#[test]
fn chain_lines_are_applied_once_the_write_in_doubt_is_resolved() {
    carried_out_once_known(
        "A-000000,A-000001\nA-000001,A-000002\nA-000002,B-000002\nA-000003,B-000003\n",
        &[
            "skipped/guard",
            "skipped/guard",
            "in_doubt/no_answer",
            "changed/",
        ],
        &["A-000001", "A-000002", "B-000002", "B-000003"],
    );
}

#[test]
fn swap_lines_are_applied_once_the_write_in_doubt_is_resolved() {
    carried_out_once_known(
        "A-000000,A-000001\nA-000001,A-000000\nA-000003,B-000003\n",
        &["in_doubt/no_answer", "skipped/guard", "changed/"],
        &["A-000001", "A-000000", "A-000002", "B-000003"],
    );
}

/// The account ID is in doubt, and the location is still to be written: only over the value that the plan has shown.
#[test]
fn resume_after_doubt_still_expects_the_old_values_of_the_plan() {
    let place = Place::plume();
    place.moves(1);
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId,serviceId\nA-000000,B-000000,NEW\n",
    );
    let (front, hides) = unheard_first(&place);
    run(&place, &front, &[], &["plan", &file]).expect(0);
    let id = place.newest_id();
    let apply = ["apply", "--run", &id, "--yes", "--retries", "0"];
    run(&place, &front, &[], &apply).expect(4);
    assert_eq!(place.verdicts(), ["in_doubt/no_answer"]);
    place.with_world(|mut world| {
        let customer = world.plume.get_mut("C-0").unwrap();
        customer.locations[0].service_id = Some("THEIRS".into());
    });
    hides.store(false, Ordering::SeqCst);
    run(&place, &front, &[], &["resume"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/stale"]);
    assert_eq!(place.service_of("C-0"), "THEIRS");
}

/// Three lines of the first wave wait for the fourth. Without a count of these, a later wave would be written, and they
/// would be carried out outside of any wave.
#[test]
fn lines_waiting_for_a_write_in_doubt_count_as_wave_failures() {
    let place = Place::plume();
    place.moves(6);
    let chain = "A-000000,A-000001\nA-000001,A-000002\nA-000002,A-000003\nA-000003,B-000003\n";
    let text = format!("accountId,newAccountId\n{chain}A-000004,B-000004\nA-000005,B-000005\n");
    let file = place.file("linked.csv", &text);
    let (front, _hides) = unheard_first(&place);
    let waves = ["--waves", "1", "--wave-failures", "50%", "--retries", "0"];
    let apply = [&["apply", &file, "--yes"][..], &waves].concat();
    let stopped = run(&place, &front, &[], &apply).expect(4);
    let words = "canary: line 5 failed: ";
    assert!(stopped.out.contains(words), "{}", stopped.out);
    for n in [4, 5] {
        let now = place.account_of(&format!("C-{n}"));
        assert_eq!(now, format!("A-{n:06}"));
    }
}

/// A customer that had no account ID gets one, and no answer says what became of its location.
#[test]
fn a_rename_that_took_effect_is_shown_while_the_location_is_in_doubt() {
    let place = Place::plume();
    place.moves(1);
    place.with_world(|mut world| world.rename_plume("C-0", ""));
    let text = "customerId,newAccountId,serviceId\nC-0,B-000000,NEW\n";
    let file = place.file("first.csv", text);
    let (front, _hides) = unheard(&place, "/locations/", "/api/");
    run(&place, &front, &[], &["plan", &file]).expect(0);
    let id = place.newest_id();
    let apply = ["apply", "--run", &id, "--yes", "--retries", "0"];
    run(&place, &front, &[], &apply).expect(4);
    assert_eq!(place.verdicts(), ["in_doubt/no_answer"]);
    let row = &place.rows("results.csv")[0];
    let account = ["before", "after"].map(|when| &row[&format!("idshift_account_id_{when}")]);
    assert_eq!(account, ["", "B-000000"]);
}

#[test]
fn write_that_takes_effect_after_its_read_back_is_not_a_failure() {
    for last in ["403", "404", "422"] {
        let place = Place::plume();
        let file = place.moves(3);
        let honest = place.sandbox.base_url();
        let late: Mutex<Option<Asked>> = Mutex::new(None);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            if asked.method == "PATCH" && asked.path.ends_with("C-1") {
                let mut late = late.lock().unwrap();
                return match late.take() {
                    None => {
                        *late = Some(asked.clone());
                        false
                    }
                    Some(first) => {
                        first.honestly(&honest);
                        stream.write_all(&refusing(last)).is_ok()
                    }
                };
            }
            stream.write_all(&asked.honestly(&honest)).is_ok()
        });
        run(&place, &front, &[], &["apply", &file, "--yes"]).expect(0);
        assert_eq!(place.verdicts(), ["changed/"; 3], "{last}");
        run(&place, &front, &[], &["undo", "--yes"]).expect(0);
        assert_eq!(place.account_of("C-1"), "A-000001", "{last}");
    }
}

#[test]
fn write_stays_in_doubt_while_its_customer_cannot_be_read() {
    let place = Place::plume();
    let file = place.moves(3);
    let honest = place.sandbox.base_url();
    let lost = Arc::new(AtomicBool::new(false));
    let hides = Arc::new(AtomicBool::new(true));
    let (gone, hidden) = (Arc::clone(&lost), Arc::clone(&hides));
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let about = ["C-1", "A-000001", "B-000001"];
        let about = about.iter().any(|id| asked.path.contains(id));
        if about && gone.load(Ordering::SeqCst) && hidden.load(Ordering::SeqCst) {
            return stream.write_all(&refusing("401")).is_ok();
        }
        let answer = asked.honestly(&honest);
        if asked.method == "PATCH" && asked.path.ends_with("C-1") {
            gone.store(true, Ordering::SeqCst);
            return false;
        }
        stream.write_all(&answer).is_ok()
    });
    run(
        &place,
        &front,
        &[],
        &["apply", &file, "--yes", "--lookup", "each"],
    )
    .expect(4);
    assert_eq!(place.verdicts()[1], "in_doubt/no_answer");
    run(&place, &front, &[], &["resume"]).expect(4);
    assert_eq!(place.verdicts()[1], "in_doubt/no_answer");
    let row = &place.rows("results.csv")[1];
    assert_eq!(row["idshift_customer_id"], "C-1");
    assert_eq!(row["idshift_attempts"], "1");
    hides.store(false, Ordering::SeqCst);
    run(&place, &front, &[], &["resume"]).expect(0);
    assert_eq!(place.verdicts(), ["changed/"; 3]);
}

#[test]
fn customer_refused_by_a_gateway_does_not_block_other_customers() {
    let place = Place::plume();
    let file = place.moves(30);
    let honest = place.sandbox.base_url();
    let asked_for = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked_for);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" && asked.path.ends_with("C-5") {
            count.fetch_add(1, Ordering::SeqCst);
            return stream.write_all(REFUSED.as_bytes()).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let apply = [
        "apply",
        &file,
        "--yes",
        "--lookup",
        "each",
        "--concurrency",
        "2",
    ];
    run(&place, &front, &[], &apply).expect(1);
    let verdicts = place.verdicts();
    let changed = verdicts.iter().filter(|verdict| *verdict == "changed/");
    assert_eq!(changed.count(), 29);
    assert_eq!(verdicts[5], "failed/forbidden");
    assert!(asked_for.load(Ordering::SeqCst) < 5);
}

#[test]
fn the_location_of_another_customer_is_never_written_to() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "A-1", &["L-1"]));
        world.add_plume(named("C-2", "A-2", &["L-2"]));
    });
    let file = place.file("moves.csv", "accountId,serviceId\nA-1,NEW\n");
    for by_key in [false, true] {
        let honest = place.sandbox.base_url();
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let foreign =
                r#"{"id":"L-2","name":"n","serviceId":"old","profile":"auto","customerId":"C-2"}"#;
            let answer = if asked.path.starts_with("/api/Customers/C-1/locations?")
                || asked.path == "/api/Customers/C-1/locations"
            {
                if by_key {
                    refusing("403")
                } else {
                    good_answer(&format!("[{foreign}]"))
                }
            } else if asked.path.starts_with("/api/Partners/locations/") {
                if by_key {
                    good_answer(
                        r#"{"id":"L-2","serviceId":"old","customer":{"id":"C-2","accountId":"A-2"}}"#,
                    )
                } else {
                    good_answer(r#"{"id":"L-2","serviceId":"old"}"#)
                }
            } else if asked.path.starts_with("/api/Partners/customers/search/") {
                good_answer(r#"[{"id":"C-1","accountId":"A-1","locations":[{"id":"L-2"}]}]"#)
            } else {
                asked.honestly(&honest)
            };
            stream.write_all(&answer).is_ok()
        });
        run(
            &place,
            &front,
            &[],
            &["apply", &file, "--yes", "--lookup", "each"],
        )
        .expect(1);
        assert_eq!(place.verdicts(), ["failed/mismatch"]);
    }
    assert_eq!(place.patches(), 0);
}

#[test]
fn redirected_write_is_not_repeated_and_names_the_redirect_target() {
    let place = Place::plume();
    let file = place.moves(2);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" {
            let answer = "HTTP/1.1 307 Moved\r\nlocation: https://elsewhere.example/x\r\ncontent-length: 0\r\n\r\n";
            return stream.write_all(answer.as_bytes()).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    run(&place, &front, &[], &["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/bad_answer"; 2]);
    for row in place.rows("results.csv") {
        assert_eq!(row["idshift_attempts"], "1");
        assert!(
            row["idshift_message"].contains("elsewhere.example"),
            "{row:?}"
        );
    }
}

#[test]
fn altered_account_id_is_reported_with_the_stored_value() {
    let place = Place::plume();
    let file = place.moves(1);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = String::from_utf8(asked.honestly(&honest)).unwrap();
        let answer = answer.replace("\"B-000000\"", "\"b-000000\"");
        stream.write_all(answer.as_bytes()).is_ok()
    });
    run(
        &place,
        &front,
        &[],
        &["apply", &file, "--yes", "--lookup", "each"],
    )
    .expect(1);
    let row = &place.rows("results.csv")[0];
    assert_eq!(row["idshift_reason"], "altered");
    assert_eq!(row["idshift_account_id_after"], "b-000000");
}

#[test]
fn lines_with_customer_ids_need_no_reseller_listing() {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        ..Options::default()
    });
    place.with_world(|mut world| {
        (0..2).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 1));
    });
    let text = "customerId,accountId,newAccountId\nP0,REF-0,NEW-0\nP1,REF-9,NEW-1\n";
    let file = place.file("moves.csv", text);
    let settings = [("SYSTEM", "adobe"), ("API_KEY", "key")];
    let apply = ["apply", &file, "--yes", "--accept-welcome-emails"];
    place.run_with(&settings, &apply).expect(1);
    assert_eq!(place.verdicts(), ["changed/", "failed/mismatch"]);
    assert_eq!(place.patches(), 1);
}

#[test]
fn customer_returned_twice_by_a_search_is_not_ambiguous() {
    let place = Place::plume();
    let file = place.moves(2);
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        if asked.path.starts_with("/api/Partners/customers/search/") {
            let text = String::from_utf8(answer).unwrap();
            let body = text.split_once("\r\n\r\n").unwrap().1;
            let one = body.trim_start_matches('[').trim_end_matches(']');
            let twice = if one.is_empty() {
                body.to_owned()
            } else {
                format!("[{one},{one}]")
            };
            return stream.write_all(&good_answer(&twice)).is_ok();
        }
        stream.write_all(&answer).is_ok()
    });
    run(
        &place,
        &front,
        &[],
        &["apply", &file, "--yes", "--lookup", "each"],
    )
    .expect(0);
}

#[test]
fn system_that_answers_reads_but_fails_all_writes_is_an_outage() {
    let place = Place::plume();
    let file = place.moves(300);
    place
        .sandbox
        .set_faults(vec!["customer-patch:500".parse().unwrap()]);
    let slowly = ["--rate", "150/s", "--concurrency", "2"];
    let options = ["--give-up-after", "1s", "--retries", "0"];
    let done = place
        .run(&[&["apply", &file, "--yes"][..], &options, &slowly].concat())
        .expect(4);
    assert!(
        done.err.contains("no write has taken effect"),
        "{}",
        done.err
    );
    // No line failed because of its own data.
    assert_eq!(place.verdicts(), vec!["skipped/guard"; 300]);
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume"]).expect(0);
    assert_eq!(place.verdicts(), vec!["changed/"; 300]);
    place.judge_writes();
}

#[test]
fn token_without_write_permission_stops_run_and_no_line_fails() {
    for planned in [false, true] {
        let place = Place::plume();
        let file = place.moves(120);
        if planned {
            place.run(&["plan", &file, "--lookup", "each"]).expect(0);
        }
        place
            .sandbox
            .set_faults(vec!["customer-patch:401".parse().unwrap()]);
        let id = planned.then(|| place.newest_id());
        let apply = match &id {
            Some(id) => ["apply", "--run", id],
            None => ["apply", &file, "--lookup=each"],
        };
        let slowly = ["--yes", "--concurrency", "1"];
        let done = place.run(&[&apply[..], &slowly].concat()).expect(4);
        assert!(
            done.err
                .contains("100 writes of account IDs in a row were refused for the same reason")
                && done.err.contains("that the token has this permission"),
            "{}",
            done.err
        );
        assert_eq!(place.patches(), 100);
        assert_eq!(place.verdicts(), vec!["skipped/guard"; 120]);
        // A repeated resume ends in the same way.
        place.run(&["resume"]).expect(4);
        assert_eq!(place.verdicts(), vec!["skipped/guard"; 120]);
        // A customer that another program renames before the resume is no longer as planned.
        place.with_world(|mut world| world.rename_plume("C-3", "ELSEWHERE"));
        place.sandbox.set_faults(Vec::new());
        place.run(&["resume"]).expect(1);
        let verdicts = place.verdicts();
        let changed = verdicts.iter().filter(|verdict| *verdict == "changed/");
        assert_eq!(changed.count(), 119);
        assert_eq!(verdicts[3], "failed/stale");
        assert_eq!(place.account_of("C-3"), "ELSEWHERE");
        place.judge_writes();
    }
}

/// Holds the first write to a customer without an answer. It takes effect when `lands` is called.
fn held_back(place: &Place, about: &'static str) -> (Front, impl Fn() + use<>) {
    let honest = place.sandbox.base_url();
    let late: Arc<Mutex<Option<Asked>>> = Arc::new(Mutex::new(None));
    let (seen, kept, address) = (AtomicBool::new(false), Arc::clone(&late), honest.clone());
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" && asked.path.ends_with(about) {
            if !seen.swap(true, Ordering::SeqCst) {
                *kept.lock().unwrap() = Some(asked.clone());
                return false;
            }
            if kept.lock().unwrap().is_some() {
                let wait = "HTTP/1.1 429 Slow\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n";
                return stream.write_all(wait.as_bytes()).is_ok();
            }
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let lands = move || {
        late.lock().unwrap().take().unwrap().honestly(&address);
    };
    (front, lands)
}

/// Carries a file out: its first write to this customer or location takes effect only after the run has given up. Then
/// resumes the run.
fn landed_late(place: &Place, file: &str, about: &'static str) -> Front {
    let (front, lands) = held_back(place, about);
    let apply = ["apply", file, "--yes", "--give-up-after", "2s"];
    run(place, &front, &[], &apply).expect(4);
    lands();
    run(place, &front, &[], &["resume"]).expect(0);
    front
}

#[test]
fn undo_reverts_a_late_account_id_write_found_by_resume() {
    let place = Place::plume();
    let file = place.moves(3);
    let front = landed_late(&place, &file, "C-1");
    assert_eq!(place.verdicts(), ["changed/"; 3]);
    run(&place, &front, &[], &["undo", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-1"), "A-000001");
}

#[test]
fn undo_reverts_a_late_location_write_found_by_resume() {
    let place = Place::plume();
    place.moves(2);
    let file = place.file("services.csv", "accountId,serviceId\nA-000001,NEW\n");
    let front = landed_late(&place, &file, "/L-1");
    assert_eq!(place.service_of("C-1"), "NEW");
    run(&place, &front, &[], &["undo", "--yes"]).expect(0);
    assert_eq!(place.service_of("C-1"), "old");
}

#[test]
fn undo_after_a_late_parking_write_restores_no_temporary_id() {
    let place = Place::plume();
    place.moves(2);
    let file = place.file(
        "swap.csv",
        "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n",
    );
    // Either of the two may have been parked.
    for about in ["C-0", "C-1"] {
        let front = landed_late(&place, &file, about);
        assert_eq!(place.account_of("C-0"), "A-000001", "{about}");
        run(&place, &front, &[], &["undo", "--yes"]).expect(0);
        assert_eq!(place.account_of("C-0"), "A-000000", "{about}");
        assert_eq!(place.account_of("C-1"), "A-000001", "{about}");
    }
}

#[test]
fn line_by_customer_id_is_a_mismatch_while_its_customer_is_parked() {
    for step in 4..20 {
        let place = Place::plume();
        place.moves(2);
        let file = place.file(
            "swap.csv",
            "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n",
        );
        let mut command = place.command(&["apply", &file, "--yes"]);
        let killed = command.env("IDSHIFT_CRASH_AT", step.to_string());
        assert_eq!(
            finish(killed.spawn().unwrap()).code,
            -1,
            "no kill left a temporary ID"
        );
        let parked = (0..2).find(|n| place.account_of(&format!("C-{n}")).starts_with("IDS"));
        let Some(parked) = parked else { continue };
        let writes = place.patches();
        let text = format!("customerId,newAccountId\nC-{parked},NEW-0001\n");
        let file = place.file("moves.csv", &text);
        place.run(&["apply", &file, "--yes"]).expect(1);
        assert_eq!(place.verdicts(), ["failed/mismatch"]);
        assert_eq!(place.patches(), writes);
        // A line that contains the temporary ID names this customer.
        let temporary = place.account_of(&format!("C-{parked}"));
        let text = format!("accountId,newAccountId\n{temporary},NEW-0001\n");
        let file = place.file("by-hand.csv", &text);
        place.run(&["apply", &file, "--yes"]).expect(0);
        return;
    }
    panic!("no kill left a temporary ID");
}

/// The location is written while it is not known whether the account ID was restored. The read-back must not expect the old
/// account ID.
#[test]
fn a_wave_does_not_fail_a_location_whose_customer_has_a_write_in_doubt() {
    let place = Place::plume();
    place.moves(3);
    let text = "accountId,newAccountId,serviceId\nA-000000,B-0,NEW\nA-000001,B-1,\nA-000002,B-2,\n";
    let file = place.file("moves.csv", text);
    let honest = place.sandbox.base_url();
    let [undoes, lost, located] = [const { AtomicBool::new(false) }; 3];
    let state = Arc::new((undoes, lost, located));
    let of_front = Arc::clone(&state);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let (undoes, lost, located) = &*of_front;
        let is = |one: &AtomicBool| one.load(Ordering::SeqCst);
        if asked.method == "GET" && is(lost) && !is(located) {
            return stream.write_all(&failing("500")).is_ok();
        }
        let answer = asked.honestly(&honest);
        if asked.method == "PATCH" && is(undoes) && asked.path.contains("C-0") {
            if asked.path.contains("/locations/") {
                located.store(true, Ordering::SeqCst);
            } else if !lost.swap(true, Ordering::SeqCst) {
                return false;
            }
        }
        stream.write_all(&answer).is_ok()
    });
    run(&place, &front, &[], &["apply", &file, "--yes"]).expect(0);
    state.0.store(true, Ordering::SeqCst);
    let undo = ["undo", "--yes", "--canary", "6", "--retries", "1"];
    let undo = run(&place, &front, &[], &undo);
    let verdicts = place.verdicts();
    assert!(
        !verdicts.contains(&"failed/bad_answer".to_owned()),
        "{verdicts:?} {}",
        undo.out
    );
    assert!(
        verdicts.contains(&"in_doubt/no_answer".to_owned()),
        "{verdicts:?} {}",
        undo.out
    );
    // `verify` cannot know either which account ID the run has left.
    let back = place.newest_id();
    let verified = run(&place, &front, &[], &["verify", &back]).expect(4);
    let words = "is in doubt";
    assert!(verified.out.contains(words), "{}", verified.out);
    run(&place, &front, &[], &["resume", &back]).expect(0);
    (0..3).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
}

#[test]
fn where_the_system_offers_no_read_by_id_the_search_does_it() {
    let place = Place::new(Options {
        bulk: false,
        ..Options::default()
    });
    place.with_world(|mut world| (0..6).for_each(|n| world.add_plume(customer(n))));
    let honest = place.sandbox.base_url();
    let (reads, writes) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "GET" && asked.path.contains("/api/Customers/") {
            counted.fetch_add(1, Ordering::SeqCst);
            return stream.write_all(&failing("404")).is_ok();
        }
        let answer = asked.honestly(&honest);
        let is_lost = asked.method == "PATCH" && writes.fetch_add(1, Ordering::SeqCst) == 1;
        !is_lost && stream.write_all(&answer).is_ok()
    });
    let file = place.moves(6);
    run(&place, &front, &[], &["apply", &file, "--yes"]).expect(0);
    run(&place, &front, &[], &["verify"]).expect(0);
    run(&place, &front, &[], &["undo", "--yes"]).expect(0);
    place.with_world(|world| {
        for n in 0..6 {
            let customer = &world.plume[format!("C-{n}").as_str()];
            assert_eq!(*customer.account_id, format!("A-{n:06}"));
        }
    });
    // Each of the three processes may try it with all customers at first, and then does not try it again.
    let reads = reads.load(Ordering::SeqCst);
    assert!(reads <= 2 * (1 + 6 + 6), "{reads}");
    place.judge_writes();
}
