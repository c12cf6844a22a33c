//! What a write to Adobe sends back, the check after the first write, and consent to e-mails.

use crate::support::{Asked, Done, Front, Place, finish, good_answer};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn run(place: &Place, base: &str, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "key"),
        ("RESELLER_ID", "R1"),
        ("BASE_URL", base),
    ];
    command.envs(settings.map(|(name, value)| (format!("IDSHIFT_{name}"), value)));
    finish(command.spawn().unwrap())
}

const APPLY: [&str; 4] = ["apply", "moves.csv", "--yes", "--accept-welcome-emails"];

fn change(place: &Place, id: &str, change: impl FnOnce(&mut Value)) {
    place.with_world(|mut world| change(&mut world.adobe.get_mut(id).unwrap().body));
}

fn renamed(place: &Place) -> usize {
    place.with_world(|world| {
        let references = world.adobe.values().map(|c| &c.body["externalReferenceId"]);
        references
            .filter(|reference| reference.as_str().unwrap().starts_with("NEW"))
            .count()
    })
}

/// Customers with and without global sales, and one that the system shows without the field; then an undo of all writes.
#[test]
fn write_sends_back_the_global_sales_flag_unchanged() {
    let place = Place::adobe(5);
    change(&place, "P0", |body| {
        body.as_object_mut().unwrap().remove("globalSalesEnabled");
    });
    change(&place, "P1", |body| {
        body["globalSalesEnabled"] = true.into();
    });
    change(&place, "P2", |body| {
        body["globalSalesEnabled"] = true.into();
    });
    change(&place, "P3", |body| {
        body["globalSalesEnabled"] = Value::Null;
    });
    place.with_world(|mut world| world.adobe.get_mut("P2").unwrap().deployments = true);
    let stored = || place.with_world(|world| world.adobe.clone());
    let before = stored();
    run(&place, &place.sandbox.base_url(), &APPLY).expect(0);
    let bodies: Vec<(String, Value)> = place
        .sandbox
        .log()
        .iter()
        .filter(|seen| seen.method == "PATCH")
        .map(|seen| {
            let body = serde_json::from_str(&seen.body).unwrap();
            (seen.path.rsplit('/').next().unwrap().to_owned(), body)
        })
        .collect();
    let sent = |id: &str| {
        let (_, body) = bodies.iter().find(|(customer, _)| customer == id).unwrap();
        body.get("globalSalesEnabled").cloned()
    };
    assert_eq!(sent("P0"), None);
    assert_eq!(sent("P1"), Some(true.into()));
    assert_eq!(sent("P2"), Some(true.into()));
    assert_eq!(sent("P3"), Some(Value::Null));
    assert_eq!(sent("P4"), Some(false.into()));
    let undo = ["undo", "--yes", "--accept-welcome-emails"];
    run(&place, &place.sandbox.base_url(), &undo).expect(0);
    for (id, customer) in stored() {
        if id != "P3" {
            assert_eq!(customer.body, before[&id].body, "{id}");
        }
    }
}

/// The profile is sent back byte for byte: an installation may distinguish what this program does not.
#[test]
fn write_sends_back_the_profile_byte_for_byte() {
    let place = Place::adobe(1);
    let honest = place.sandbox.base_url();
    let flag = r#"{"on" : 1.50e0, "on2": "\u00e9"}"#;
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let is_one = asked.path.ends_with("/P0");
        let answer = String::from_utf8(asked.honestly(&honest)).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        if asked.method == "PATCH" {
            let sent = String::from_utf8(asked.body().to_vec()).unwrap();
            assert!(sent.contains(flag), "{sent}");
        }
        let shown = format!("\"globalSalesEnabled\":{flag}");
        let body = body.replace("\"globalSalesEnabled\":false", &shown);
        let answer = if is_one {
            good_answer(&body)
        } else {
            answer.into_bytes()
        };
        stream.write_all(&answer).is_ok()
    });
    run(&place, &front.base_url(), &APPLY).expect(0);
    assert_eq!(renamed(&place), 1);
}

/// Returns a front for an installation where a write also does `harm`.
fn also(place: &Place, harm: impl Fn(&mut Value) + Send + Sync + 'static) -> Front {
    let (world, honest) = (place.sandbox.world(), place.sandbox.base_url());
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        if asked.method == "PATCH" {
            let id = asked.path.rsplit('/').next().unwrap();
            harm(&mut world.lock().unwrap().adobe.get_mut(id).unwrap().body);
        }
        stream.write_all(&answer).is_ok()
    })
}

#[test]
fn first_write_that_changes_a_sent_back_field_stops_the_run() {
    type Harm = fn(&mut Value);
    let harms: [(&str, Harm); 4] = [
        ("globalSalesEnabled", |body| {
            body["globalSalesEnabled"] = true.into();
        }),
        ("globalSalesEnabled", |body| {
            body.as_object_mut().unwrap().remove("globalSalesEnabled");
        }),
        ("companyProfile.contacts", |body| {
            let contacts = body["companyProfile"]["contacts"].as_array_mut().unwrap();
            contacts.truncate(1);
        }),
        ("companyProfile.address.city", |body| {
            body["companyProfile"]["address"]["city"] = "Elsewhere".into();
        }),
    ];
    for (name, harm) in harms {
        let place = Place::adobe(20);
        let front = also(&place, harm);
        let arguments = [&APPLY[..], &["--concurrency", "16"]].concat();
        let done = run(&place, &front.base_url(), &arguments).expect(4);
        let said = format!("{}{}", done.out, done.err);
        assert!(said.contains(name) && !said.contains("Elsewhere"), "{said}");
        assert_eq!(place.patches(), 1, "{name}");
        assert_eq!(renamed(&place), 1, "{name}");
    }
}

/// The first write takes longer than the run may, so the run is already being stopped when the change shows.
#[test]
fn harm_of_the_first_write_is_reported_also_if_the_run_was_being_stopped() {
    let place = Place::adobe(20);
    let front = also(&place, |body| {
        std::thread::park_timeout(Duration::from_secs(4));
        body["globalSalesEnabled"] = true.into();
    });
    let until = [&APPLY[..], &["--until", "2s", "--concurrency", "2"]].concat();
    let done = run(&place, &front.base_url(), &until).expect(4);
    assert!(done.err.contains("globalSalesEnabled"), "{}", done.err);
    let summary = std::fs::read_to_string(place.newest().join("summary.json")).unwrap();
    assert!(summary.contains("globalSalesEnabled"), "{summary}");
    assert_eq!(renamed(&place), 1);
}

/// An attempt that was not processed does not show what a write does, so the next attempt is checked as the first.
#[test]
fn first_write_that_is_not_processed_is_checked_on_the_next_attempt() {
    let place = Place::adobe(20);
    let (world, honest) = (place.sandbox.world(), place.sandbox.base_url());
    let refused = AtomicBool::new(false);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let is_patch = asked.method == "PATCH";
        if is_patch && !refused.swap(true, Ordering::SeqCst) {
            let busy = b"HTTP/1.1 429 Slow\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
            return stream.write_all(busy).is_ok();
        }
        let answer = asked.honestly(&honest);
        if is_patch {
            let id = asked.path.rsplit('/').next().unwrap();
            let mut world = world.lock().unwrap();
            world.adobe.get_mut(id).unwrap().body["globalSalesEnabled"] = true.into();
        }
        stream.write_all(&answer).is_ok()
    });
    let arguments = [&APPLY[..], &["--concurrency", "16"]].concat();
    let done = run(&place, &front.base_url(), &arguments).expect(4);
    assert!(done.err.contains("globalSalesEnabled"), "{}", done.err);
    assert_eq!(place.patches(), 1, "those that reached the stand-in");
    assert_eq!(renamed(&place), 1);
}

/// A system stores references in another spelling. The first write is found by that spelling: so other writes do not
/// wait for one another, and only the first write is checked.
#[test]
fn first_write_that_is_stored_in_another_spelling_is_checked_once() {
    // Fewer customers than the altered values that stop a run.
    let customers = 4;
    let place = Place::adobe(customers);
    place.with_world(|mut world| world.stores = Some(str::to_lowercase));
    run(&place, &place.sandbox.base_url(), &APPLY).expect(1);
    let (mut reads, mut writes) = (0, 0);
    for seen in place.sandbox.log() {
        let is_customer = seen.path.starts_with("/v3/customers/");
        reads += usize::from(is_customer && seen.method == "GET");
        writes += usize::from(is_customer && seen.method == "PATCH");
    }
    assert_eq!(writes, customers);
    // Each customer is read before the write, and after it because the answer showed another value; one more read is
    // the check of the first write.
    assert_eq!(reads, 2 * customers + 1);
}

#[test]
fn first_write_that_changes_another_field_causes_a_warning() {
    let place = Place::adobe(20);
    let front = also(&place, |body| {
        body["linkedMembership"] = json!({"id": "secret-value"});
    });
    let done = run(&place, &front.base_url(), &APPLY).expect(0);
    assert!(
        done.err.contains("warning: ") && done.err.contains("linkedMembership"),
        "{}",
        done.err
    );
    assert_eq!(done.err.matches("linkedMembership").count(), 1);
    assert!(!done.err.contains("secret-value"), "{}", done.err);
    assert_eq!(renamed(&place), 20);
}

/// A write without contacts sends no e-mails, so no command needs the consent.
#[test]
fn sending_only_the_reference_needs_no_consent_to_emails() {
    let place = Place::adobe(5);
    let (world, honest) = (place.sandbox.world(), place.sandbox.base_url());
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method != "PATCH" {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        let body: Value = serde_json::from_slice(asked.body()).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        let id = asked.path.rsplit('/').next().unwrap();
        let mut world = world.lock().unwrap();
        let customer = &mut world.adobe.get_mut(id).unwrap().body;
        customer["externalReferenceId"] = body["externalReferenceId"].clone();
        stream
            .write_all(&good_answer(&customer.to_string()))
            .is_ok()
    });
    let base = front.base_url();
    let with = |arguments: &[&str]| {
        let arguments = [arguments, &["--send", "reference"]].concat();
        run(&place, &base, &arguments).expect(0)
    };
    let plan = with(&["plan", "moves.csv", "--json"]).json();
    assert_eq!(plan["forecast"]["emails"], 0, "{plan}");
    let shown = with(&["plan", "moves.csv"]);
    let said = format!("{}{}", shown.out, shown.err);
    assert!(!said.contains("e-mail"), "{said}");
    assert!(!said.contains("--accept-welcome-emails"), "{said}");
    with(&["apply", "moves.csv", "--yes"]);
    assert_eq!(renamed(&place), 5);
    with(&["undo", "--yes"]);
    assert_eq!(renamed(&place), 0);
    // The whole profile contains contacts.
    let refused = run(&place, &base, &["apply", "moves.csv", "--yes"]).expect(2);
    assert!(refused.err.contains("--accept-welcome-emails"));
}

#[test]
fn resume_does_not_report_values_of_a_newer_run_as_not_persisted() {
    let place = Place::adobe(5);
    let base = place.sandbox.base_url();
    let mut command = place.command(&[&APPLY[..], &["--concurrency", "1"]].concat());
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "key"),
        ("RESELLER_ID", "R1"),
        ("CRASH_AT", "7"),
    ];
    command.envs(settings.map(|(name, value)| (format!("IDSHIFT_{name}"), value)));
    finish(command.spawn().unwrap());
    let killed = place.newest_id();
    let changed = renamed(&place);
    assert!((1..5).contains(&changed), "{changed}");
    place.file("back.csv", "accountId,newAccountId\nNEW-0,REF-0\n");
    let consent = ["--yes", "--accept-welcome-emails"];
    run(
        &place,
        &base,
        &[&["apply", "back.csv"][..], &consent].concat(),
    )
    .expect(0);
    run(
        &place,
        &base,
        &[&["resume", &killed][..], &consent].concat(),
    )
    .expect(0);
    let folder = place.path().join("idshift-runs").join(&killed);
    let results = std::fs::read_to_string(folder.join("results.csv")).unwrap();
    assert!(!results.contains("bad_answer"), "{results}");
    assert_eq!(renamed(&place), 4, "the newer run's value is kept");
}
