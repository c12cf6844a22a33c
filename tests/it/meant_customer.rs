use crate::support::{Asked, Done, Front, Place, named};
use idshift::sandbox::{Kind, Options};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const RESELLER: &str = "11111111-1111-4111-8111-111111111111";

fn failing(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn of(kind: Kind) -> Place {
    Place::new(Options {
        kind,
        ..Options::default()
    })
}

fn adobe(place: &Place, base: &str, arguments: &[&str]) -> Done {
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "key"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
        ("BASE_URL", base),
    ];
    place.run_with(&settings, arguments)
}

fn references(place: &Place, lines: u32) -> String {
    let mut text = String::from("accountId,newAccountId\n");
    (0..lines).for_each(|n| writeln!(text, "REF-{n},NEW-{n}").unwrap());
    place.file("moves.csv", &text)
}

fn reference(place: &Place, id: &str) -> String {
    place.with_world(|world| {
        let reference = &world.adobe[id].body["externalReferenceId"];
        reference.as_str().unwrap().to_owned()
    })
}

/// A chain was carried out by hand: the customer that now has the second ID got it through the first line.
#[test]
fn customer_already_renamed_by_another_line_is_not_renamed_again() {
    let place = of(Kind::Adobe);
    place.with_world(|mut world| {
        world.add_adobe("P1", "REF-B", "R1", 1);
        world.add_adobe("P2", "REF-C", "R1", 1);
    });
    let base = place.sandbox.base_url();
    for (text, second) in [
        (
            "accountId,newAccountId\nREF-A,REF-B\nREF-B,REF-C\n",
            "failed/invalid",
        ),
        (
            "accountId,newAccountId,customerId\nREF-A,REF-B,P1\nREF-B,REF-C,\n",
            "failed/invalid",
        ),
    ] {
        let file = place.file("moves.csv", text);
        adobe(&place, &base, &["apply", &file, "--yes"]).expect(1);
        assert_eq!(place.verdicts()[1], second);
        assert_eq!(place.patches(), 0, "{text}");
    }
}

/// Two lines name one customer in two ways and contradict each other; the first line was carried out in an earlier night.
#[test]
fn contradiction_is_detected_if_one_line_was_already_applied() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let file = place.file("moves.csv", "accountId,newAccountId,customerId\nA-1,B-1,\n");
    let night = ["reconcile", &file, "--yes"];
    place.run(&night).expect(0);
    place.file(
        "moves.csv",
        "accountId,newAccountId,customerId\nA-1,B-1,\n,X-1,C-1\n",
    );
    for more in [&[][..], &["--incremental"]] {
        place.run(&[&night[..], more].concat()).expect(1);
        assert_eq!(place.verdicts()[1], "failed/invalid");
        assert_eq!(place.account_of("C-1"), "B-1");
    }
}

/// Failures are applied from another folder, after another customer has got the ID in their lines.
#[test]
fn copied_failures_file_uses_the_customers_found_by_its_run() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "A-1", &["L-1"]));
        world.add_plume(named("C-9", "Z-1", &["L-9"]));
    });
    let text = "accountId,newAccountId,locationId,serviceId\nA-1,B-1,,\nA-1,,L-1,S-1\nZ-1,A-1,,\n";
    let file = place.file("moves.csv", text);
    place
        .sandbox
        .set_faults(vec!["location-patch:500".parse().unwrap()]);
    place
        .run(&["apply", &file, "--yes", "--retries", "0"])
        .expect(1);
    place.sandbox.set_faults(Vec::new());
    std::fs::copy(
        place.newest().join("failures.csv"),
        place.path().join("again.csv"),
    )
    .unwrap();
    place.run(&["apply", "again.csv", "--yes"]).expect(0);
    assert_eq!(place.service_of("C-1"), "S-1");
    assert_eq!(place.service_of("C-9"), "old");
}

/// The command that is printed as the next step must work.
#[test]
fn failures_of_a_renamed_customer_can_be_retried() {
    let place = Place::plume();
    place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
    let text = "accountId,newAccountId,locationId,serviceId\nA-1,B-1,,\nA-1,,L-1,S-1\n";
    let file = place.file("moves.csv", text);
    place
        .sandbox
        .set_faults(vec!["location-patch:500".parse().unwrap()]);
    place
        .run(&["apply", &file, "--yes", "--retries", "0"])
        .expect(1);
    place.sandbox.set_faults(Vec::new());
    let failures = place.newest().join("failures.csv");
    place
        .run(&["apply", failures.to_str().unwrap(), "--yes"])
        .expect(0);
    assert_eq!(place.service_of("C-1"), "S-1");
}

/// The former value is restored exactly, even if no file may contain such a value.
#[test]
fn an_undo_restores_the_exact_former_value() {
    let place = Place::plume();
    let odd = [
        "N/A",
        "-",
        "1.23457E+11",
        " two  spaces ",
        "2024-01-02",
        "#N/A",
    ];
    place.with_world(|mut world| {
        for (n, service) in odd.iter().enumerate() {
            let mut customer = named(&format!("C-{n}"), &format!("A-{n}"), &[&format!("L-{n}")]);
            customer.locations[0].service_id = Some((*service).into());
            world.add_plume(customer);
        }
        world.add_plume(named("C-9", "Jan-24", &["L-9"]));
        world.add_plume(named("C-8", "TRAILING ", &["L-8"]));
        world.add_plume(named("C-7", "<clear>", &["L-7"]));
    });
    let mut text = String::from("accountId,customerId,newAccountId,serviceId\n");
    for n in 0..odd.len() {
        writeln!(text, "A-{n},,,NEW-{n}").unwrap();
    }
    text.push_str(",C-9,B-9,\n,C-8,B-8,\n,C-7,B-7,\n");
    let file = place.file("moves.csv", &text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    for (n, before) in odd.iter().enumerate() {
        assert_eq!(place.service_of(&format!("C-{n}")), *before);
    }
    assert_eq!(place.account_of("C-9"), "Jan-24");
    assert_eq!(place.account_of("C-8"), "TRAILING ");
    assert_eq!(place.account_of("C-7"), "<clear>");
    place.run(&["report"]).expect(0);
}

/// Returns a front with lists that always show the caller's own identifiers, for each reseller.
fn listing_its_own(place: &Place) -> Front {
    let honest = place.sandbox.base_url();
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let own = asked.path.replace(&format!("&resellerId={RESELLER}"), "");
        let asked = if asked.path.starts_with("/v1/Customers?") {
            asked.with_path(&own)
        } else {
            asked.clone()
        };
        stream.write_all(&asked.honestly(&honest)).is_ok()
    })
}

/// A list that is restricted to a reseller shows the caller's own identifiers.
#[test]
fn lookup_ignores_identifiers_of_another_relationship() {
    let place = of(Kind::CloudCockpit);
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    place.with_world(|mut world| {
        for n in 0..30 {
            world.add_cockpit(&id(n), "", &format!("SAME-{n}"));
            world.add_cockpit(&id(n), RESELLER, &format!("SAME-{n}"));
        }
        world.add_cockpit(&id(98), "", "A-1");
        world.add_cockpit(&id(98), RESELLER, "R-77");
        world.add_cockpit(&id(99), "", "Z-2");
        world.add_cockpit(&id(99), RESELLER, "A-1");
    });
    let front = listing_its_own(&place);
    let mut text = String::from("accountId,newAccountId,resellerId\n");
    (0..30).for_each(|n| writeln!(text, "SAME-{n},NEW-{n},{RESELLER}").unwrap());
    writeln!(text, "A-1,B-1,{RESELLER}").unwrap();
    let file = place.file("moves.csv", &text);
    let base = front.base_url();
    let settings = [
        ("SYSTEM", "cloudcockpit"),
        ("TENANT", "t.example"),
        ("BASE_URL", &*base),
    ];
    place
        .run_with(&settings, &["apply", &file, "--yes"])
        .expect(1);
    assert_eq!(place.verdicts()[30], "failed/not_found");
    place.with_world(|world| {
        let identifier = |n: u32| world.cockpit[&id(n)].identifiers[RESELLER].clone();
        assert_eq!(identifier(98).as_deref(), Some("R-77"));
        assert_eq!(identifier(99).as_deref(), Some("A-1"));
        assert_eq!(identifier(7).as_deref(), Some("NEW-7"));
        let own = world.cockpit[&id(7)].identifiers[""].clone();
        assert_eq!(own.as_deref(), Some("SAME-7"));
    });
}

/// The list contains only the customers of one reseller; the line names a customer of another.
#[test]
fn customer_named_by_id_but_not_listed_is_read_directly() {
    let place = of(Kind::Adobe);
    place.with_world(|mut world| {
        world.add_adobe("P5", "REF-A", "R2", 1);
        world.add_adobe("P6", "REF-A", "R1", 1);
    });
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId,customerId\nREF-A,NEW-A,P5\n",
    );
    let base = place.sandbox.base_url();
    adobe(&place, &base, &["apply", &file, "--yes"]).expect(0);
    assert_eq!(reference(&place, "P5"), "NEW-A");
    assert_eq!(reference(&place, "P6"), "REF-A");
}

/// The write has taken effect, but no read could show that; the new list shows it.
#[test]
fn customer_with_a_rename_in_doubt_is_not_matched_by_another_line() {
    let place = of(Kind::Adobe);
    place.with_world(|mut world| {
        for (id, account) in [("P1", "REF-A"), ("P2", "REF-C"), ("P3", "REF-X")] {
            world.add_adobe(id, account, "R1", 1);
        }
    });
    let text = "accountId,newAccountId\nREF-A,REF-B\nREF-X,REF-Y\nREF-B,REF-C\n";
    let file = place.file("moves.csv", text);
    let honest = place.sandbox.base_url();
    let (cut, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let is_first = asked.path.ends_with("/customers/P1");
        if asked.method == "PATCH" && is_first && !cut.swap(true, Ordering::SeqCst) {
            asked.honestly(&honest);
            return false;
        }
        if is_first && cut.load(Ordering::SeqCst) && reads.fetch_add(1, Ordering::SeqCst) < 2 {
            return stream.write_all(&failing("500")).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let slowly = ["--concurrency", "1", "--max-age", "500ms", "--retries", "1"];
    let arguments = [&["apply", &file, "--yes"][..], &slowly].concat();
    let base = front.base_url();
    adobe(&place, &base, &arguments);
    assert_ne!(reference(&place, "P1"), "REF-C");
    let honest = place.sandbox.base_url();
    adobe(&place, &honest, &["resume", "--base-url", &honest]);
    assert_eq!(reference(&place, "P1"), "REF-B");
    assert_eq!(reference(&place, "P3"), "REF-Y");
}

#[test]
fn error_that_the_token_is_missing_causes_a_token_renewal() {
    let place = of(Kind::Adobe);
    place.with_world(|mut world| {
        (0..10).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 1));
    });
    let file = references(&place, 10);
    place.file("token", "first-token-0123456789");
    let honest = place.sandbox.base_url();
    let folder = place.path().to_owned();
    let writes = AtomicUsize::new(0);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" && writes.fetch_add(1, Ordering::SeqCst) == 3 {
            std::fs::write(folder.join("token"), "second-token-0123456789").unwrap();
            let body = r#"{"code":"4117","message":"Token is missing","additionalDetails":[]}"#;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 403 No\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            return stream.write_all(answer.as_bytes()).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let base = front.base_url();
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "key"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
        ("BASE_URL", &*base),
        ("TOKEN_FILE", "token"),
    ];
    let mut command = place.command(&["apply", &file, "--yes"]);
    command.env_remove("IDSHIFT_TOKEN");
    for (name, value) in settings {
        command.env(format!("IDSHIFT_{name}"), value);
    }
    crate::support::finish(command.spawn().unwrap()).expect(0);
    assert_eq!(place.verdicts(), vec!["changed/"; 10]);
}

/// The first write without the profile is checked even if its answer does not show the result.
#[test]
fn reference_only_write_in_doubt_that_changes_contacts_stops_the_run() {
    let place = of(Kind::Adobe);
    place.with_world(|mut world| {
        (0..6).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 2));
    });
    let file = references(&place, 6);
    let (world, honest) = (place.sandbox.world(), place.sandbox.base_url());
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method != "PATCH" {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        let id = asked.path.rsplit('/').next().unwrap();
        let body: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
        let mut world = world.lock().unwrap();
        let customer = world.adobe.get_mut(id).unwrap();
        customer.body["externalReferenceId"] = body["externalReferenceId"].clone();
        customer.body["companyProfile"]["contacts"] = serde_json::json!([]);
        stream.write_all(&failing("504")).is_ok()
    });
    let base = front.base_url();
    let done = adobe(
        &place,
        &base,
        &["apply", &file, "--yes", "--send", "reference"],
    );
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    let damaged = place.with_world(|world| {
        let contacts = |body: &serde_json::Value| body["companyProfile"]["contacts"].clone();
        let all = world.adobe.values();
        all.filter(|one| contacts(&one.body) == serde_json::json!([]))
            .count()
    });
    assert_eq!(damaged, 1, "one customer showed it");
}

/// A run with a lost ledger may have made the swap of these customers.
#[test]
fn swap_is_refused_if_the_ledger_of_an_earlier_run_is_missing() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "A-1", &[]));
        world.add_plume(named("C-2", "A-2", &[]));
    });
    let file = place.file("swap.csv", "accountId,newAccountId\nA-1,A-2\nA-2,A-1\n");
    place.run(&["apply", &file, "--yes"]).expect(0);
    let run = place.newest();
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(run.join(name));
    }
    let done = place.run(&["apply", &file, "--yes"]).expect(2);
    assert!(
        done.err.contains("its ledger cannot be read"),
        "{}",
        done.err
    );
    assert_eq!(place.account_of("C-1"), "A-2");
}

/// Lines that repeat a part of other lines' values for a location are all carried out.
#[test]
fn lines_with_overlapping_values_for_a_location_are_both_applied() {
    for lookup in ["bulk", "each"] {
        let place = Place::plume();
        place.with_world(|mut world| world.add_plume(named("C-1", "A-1", &["L-1"])));
        let text = "accountId,serviceId,profile\nA-1,S-1,\nA-1,S-1,smallbusiness\n";
        let file = place.file("moves.csv", text);
        place
            .run(&["apply", &file, "--yes", "--lookup", lookup])
            .expect(0);
        place.with_world(|world| {
            let location = &world.plume["C-1"].locations[0];
            assert_eq!(location.service_id.as_deref(), Some("S-1"));
            assert_eq!(&*location.profile, "smallbusiness");
        });
    }
}

/// A line of a report with a changed account ID names the customer that has this ID, or none.
#[test]
fn edited_report_line_is_not_applied_to_its_former_customer() {
    for lookup in ["bulk", "each"] {
        let place = Place::plume();
        place.with_world(|mut world| {
            world.add_plume(named("C-2", "A-2", &["L-2"]));
            world.add_plume(named("C-4", "A-4", &["L-4"]));
        });
        let text = "accountId,newAccountId,serviceId\nA-2,B-2,S-2\n";
        let file = place.file("moves.csv", text);
        place
            .sandbox
            .set_faults(vec!["location-patch:500".parse().unwrap()]);
        let shortly = ["--retries", "0", "--lookup", lookup];
        place
            .run(&[&["apply", &file, "--yes"][..], &shortly].concat())
            .expect(1);
        place.sandbox.set_faults(Vec::new());
        let failures = std::fs::read_to_string(place.newest().join("failures.csv")).unwrap();
        place.file(
            "altered.csv",
            &failures.replacen(r#""A-2","B-2""#, r#""A-4","B-2""#, 1),
        );
        place
            .run(&["apply", "altered.csv", "--yes", "--lookup", lookup])
            .expect(1);
        assert_eq!(place.service_of("C-2"), "old");
        assert_eq!(place.service_of("C-4"), "old");
    }
}

/// Several customers have one reference, and each line names its customer by ID, so each line concerns another customer.
#[test]
fn customer_id_distinguishes_customers_with_the_same_reference() {
    let place = of(Kind::Adobe);
    place.with_world(|mut world| {
        world.add_adobe("P1", "DUP", "R1", 1);
        world.add_adobe("P2", "DUP", "R1", 1);
        world.add_adobe("P3", "REF-B", "R1", 1);
    });
    let text = "accountId,newAccountId,customerId\nDUP,N-1,P1\nDUP,N-2,P2\nREF-B,DUP,P3\n";
    let file = place.file("moves.csv", text);
    let base = place.sandbox.base_url();
    for _ in 0..2 {
        adobe(&place, &base, &["apply", &file, "--yes"]).expect(0);
        assert_eq!(reference(&place, "P1"), "N-1");
        assert_eq!(reference(&place, "P2"), "N-2");
        assert_eq!(reference(&place, "P3"), "DUP");
    }
}

/// No customer has an identifier in the caller's own relationship, and the list does not show those of the reseller's.
#[test]
fn list_without_identifiers_does_not_mean_that_none_exist() {
    let place = of(Kind::CloudCockpit);
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    place.with_world(|mut world| {
        (0..20).for_each(|n| world.add_cockpit(&id(n), RESELLER, &format!("X-{n}")));
    });
    let front = listing_its_own(&place);
    let mut text = String::from("customerId,newAccountId,resellerId\n");
    (0..20).for_each(|n| writeln!(text, "{},B-{n},{RESELLER}", id(n)).unwrap());
    let file = place.file("moves.csv", &text);
    let base = front.base_url();
    let settings = [
        ("SYSTEM", "cloudcockpit"),
        ("TENANT", "t.example"),
        ("BASE_URL", &*base),
    ];
    place
        .run_with(&settings, &["apply", &file, "--yes"])
        .expect(0);
    assert_eq!(
        place.rows("results.csv")[3]["idshift_account_id_before"],
        "X-3"
    );
    place.run_with(&settings, &["undo", "--yes"]).expect(0);
    place.with_world(|world| {
        let identifier = world.cockpit[&id(3)].identifiers[RESELLER].clone();
        assert_eq!(identifier.as_deref(), Some("X-3"));
    });
}

/// Between a read and a write to Adobe all calls are held, and another program adds a contact.
#[test]
fn profile_changed_during_a_hold_is_not_overwritten() {
    let place = of(Kind::Adobe);
    place.with_world(|mut world| world.add_adobe("P1", "REF-1", "R1", 1));
    let file = place.file("moves.csv", "accountId,newAccountId\nREF-1,NEW-1\n");
    let (world, honest) = (place.sandbox.world(), place.sandbox.base_url());
    let held = AtomicBool::new(false);
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method == "PATCH" && !held.swap(true, Ordering::SeqCst) {
            let mut world = world.lock().unwrap();
            let body = &mut world.adobe.get_mut("P1").unwrap().body;
            let contacts = body["companyProfile"]["contacts"].as_array_mut().unwrap();
            let mut another = contacts[0].clone();
            another["email"] = "another@example.com".into();
            contacts.push(another);
            drop(world);
            let wait = "HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
            return stream.write_all(wait.as_bytes()).is_ok();
        }
        stream.write_all(&asked.honestly(&honest)).is_ok()
    });
    let base = front.base_url();
    adobe(&place, &base, &["apply", &file, "--yes"]).expect(0);
    assert_eq!(reference(&place, "P1"), "NEW-1");
    place.with_world(|world| {
        let contacts = &world.adobe["P1"].body["companyProfile"]["contacts"];
        assert_eq!(contacts.as_array().unwrap().len(), 2);
    });
}

/// The system may have any text as a service ID, even one that a line must not contain.
#[test]
fn unusual_service_id_does_not_hide_the_other_location() {
    for lookup in ["bulk", "each"] {
        let place = Place::plume();
        place.with_world(|mut world| {
            let mut customer = named("C-1", "A-1", &["L-1", "L-2"]);
            customer.locations[0].service_id = Some("two\nlines".into());
            world.add_plume(customer);
        });
        let text =
            "accountId,newAccountId,customerId,locationId,serviceId\n,B-1,C-1,,\n,,C-1,L-2,S-2\n";
        let file = place.file("moves.csv", text);
        place
            .run(&["apply", &file, "--yes", "--lookup", lookup])
            .expect(0);
        assert_eq!(place.account_of("C-1"), "B-1");
        place.with_world(|world| {
            let services = &world.plume["C-1"].locations;
            assert_eq!(services[0].service_id.as_deref(), Some("two\nlines"));
            assert_eq!(services[1].service_id.as_deref(), Some("S-2"));
        });
    }
}

/// The ledger alone says what a run has written.
#[test]
fn run_can_be_undone_if_its_input_file_is_lost_or_changed() {
    for lost in [true, false] {
        let place = Place::plume();
        let file = place.moves(20);
        place.run(&["apply", &file, "--yes"]).expect(0);
        let input = place.newest().join("input.csv");
        if lost {
            fs::remove_file(&input).unwrap();
        } else {
            fs::write(&input, "accountId,newAccountId\nX,Y\n").unwrap();
        }
        place.run(&["undo", "--yes"]).expect(0);
        (0..20).for_each(|n| assert_eq!(place.account_of(&format!("C-{n}")), format!("A-{n:06}")));
    }
}
