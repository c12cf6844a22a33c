use crate::support::{Asked, Done, Front, Place, customer, finish, good_answer, named};
use idshift::sandbox::{Kind, Options};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;

fn adobe_run(place: &Place, base_url: &str, arguments: &[&str]) -> Done {
    let mut command = place.command(arguments);
    let names = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "k"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
    ];
    command.envs(names.map(|(name, value)| (format!("IDSHIFT_{name}"), value)));
    finish(command.env("IDSHIFT_BASE_URL", base_url).spawn().unwrap())
}

/// An installation that accepts the reference alone, which the documents do not mention.
fn takes_references(place: &Place, spoils_the_rest: bool) -> Front {
    let (world, honest) = (place.sandbox.world(), place.sandbox.base_url());
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        if asked.method != "PATCH" {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        let body: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
        assert!(
            body.get("companyProfile").is_none(),
            "the reference alone: {body}"
        );
        let id = asked.path.rsplit('/').next().unwrap();
        let mut world = world.lock().unwrap();
        let customer = world.adobe.get_mut(id).unwrap();
        customer.body["externalReferenceId"] = body["externalReferenceId"].clone();
        if spoils_the_rest {
            customer.body["companyProfile"]["preferredLanguage"] = serde_json::Value::Null;
        }
        stream
            .write_all(&good_answer(&customer.body.to_string()))
            .is_ok()
    })
}

#[test]
fn send_reference_writes_only_the_external_reference_id() {
    let place = Place::adobe(20);
    let front = takes_references(&place, false);
    let done = adobe_run(
        &place,
        &front.base_url(),
        &["apply", "moves.csv", "--yes", "--send", "reference"],
    );
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    place.with_world(|world| {
        (0..20).for_each(|n| {
            assert_eq!(
                world.adobe[&format!("P{n}")].body["externalReferenceId"],
                format!("NEW-{n}")
            );
        });
    });
}

#[test]
fn send_reference_stops_if_other_fields_change_or_the_system_refuses() {
    let place = Place::adobe(20);
    let front = takes_references(&place, true);
    let done = adobe_run(
        &place,
        &front.base_url(),
        &["apply", "moves.csv", "--yes", "--send", "reference"],
    );
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!(
        [&*done.out, &done.err]
            .concat()
            .contains("changed something else"),
        "{}{}",
        done.out,
        done.err
    );
    let changed = place.with_world(|world| {
        world
            .adobe
            .values()
            .filter(|c| {
                c.body["externalReferenceId"]
                    .as_str()
                    .unwrap()
                    .starts_with("NEW")
            })
            .count()
    });
    assert_eq!(changed, 1, "one customer showed it");
    // The stand-in behaves as the documents say: it requires the profile.
    let place = Place::adobe(20);
    let base = place.sandbox.base_url();
    let done = adobe_run(
        &place,
        &base,
        &["apply", "moves.csv", "--yes", "--send", "reference"],
    );
    assert!(
        matches!(done.code, 2 | 4),
        "{} {}{}",
        done.code,
        done.out,
        done.err
    );
    assert!(
        [&*done.out, &done.err].concat().contains("full"),
        "{}{}",
        done.out,
        done.err
    );
    assert_eq!(
        place.with_world(|w| w.adobe.values().filter(|c| !c.emails.is_empty()).count()),
        0
    );
}

#[test]
fn value_that_did_not_persist_is_reported_after_the_run() {
    let place = Place::adobe(10);
    let (world, honest) = (place.sandbox.world(), place.sandbox.base_url());
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        if asked.method == "PATCH" && asked.path.ends_with("P3") {
            // The answer shows the new value, but the value does not persist.
            world.lock().unwrap().adobe.get_mut("P3").unwrap().body["externalReferenceId"] =
                "REF-3".into();
        }
        stream.write_all(&answer).is_ok()
    });
    let done = adobe_run(&place, &front.base_url(), &["apply", "moves.csv", "--yes"]);
    assert_eq!(done.code, 1, "{}{}", done.out, done.err);
    let verdicts = place.verdicts();
    assert_eq!(verdicts[3], "failed/bad_answer");
    assert_eq!(
        verdicts
            .iter()
            .filter(|verdict| *verdict == "changed/")
            .count(),
        9
    );
    assert_eq!(place.rows("failures.csv").len(), 1);
}

#[test]
fn customers_outside_the_tenant_fence_are_not_written() {
    let place = Place::plume();
    place.with_world(|mut world| {
        (0..4).for_each(|n| world.add_plume(customer(n)));
        let mut stranger = customer(4);
        stranger.partner = "another-partner".into();
        world.add_plume(stranger);
        world.add_plume(named("C-5", "A-000005", &["L-5"]));
    });
    let file = place.file(
        "moves.csv",
        "accountId,newAccountId,customerId,serviceId\nA-000000,B-000000,,\nA-000004,B-000004,,S-4\n,B-000004,C-4,\nA-000005,B-000005,,S-5\n",
    );
    // The third line names by its own ID the customer that the second line names by account ID: they are carried out
    // one after the other.
    let file = place.file(
        &file,
        &std::fs::read_to_string(place.path().join(&file))
            .unwrap()
            .replace(",B-000004,C-4,\n", ",B-000009,C-4,\n"),
    );
    for lookup in ["auto", "each"] {
        let done = place.run(&[
            "apply",
            &file,
            "--yes",
            "--tenant-fence",
            "partner",
            "--lookup",
            lookup,
        ]);
        assert_eq!(done.code, 1, "{}{}", done.out, done.err);
        assert_eq!(place.account_of("C-4"), "A-000004");
        assert_eq!(place.service_of("C-4"), "old");
        assert_eq!(place.account_of("C-5"), "B-000005");
        let verdicts = place.verdicts();
        assert_eq!(
            verdicts[1..3],
            ["failed/forbidden", "failed/forbidden"],
            "{verdicts:?}"
        );
    }
    assert!(
        place
            .sandbox
            .log()
            .iter()
            .all(|seen| seen.method != "PATCH" || !seen.path.contains("C-4"))
    );
}

#[test]
fn no_unit_begins_after_the_until_time() {
    let place = Place::plume();
    place.with_world(|mut world| (0..300).for_each(|n| world.add_plume(customer(n))));
    let mut text = String::from("accountId,newAccountId\n");
    (0..300).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("moves.csv", &text);
    let done = place.run(&["apply", &file, "--yes", "--rate", "100/s", "--until", "1s"]);
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!(done.out.contains("--until"), "{}", done.out);
    let (written, skipped) = (
        place.patches(),
        place
            .verdicts()
            .iter()
            .filter(|v| *v == "skipped/guard")
            .count(),
    );
    assert!((30..200).contains(&written), "{written}");
    assert_eq!(written + skipped, 300);
    // A time of day means its next occurrence, today or tomorrow: here in three minutes.
    let soon = std::process::Command::new("date")
        .args(["-d", "+3 minutes", "+%H:%M"])
        .output()
        .unwrap();
    let soon = String::from_utf8(soon.stdout).unwrap();
    place.run(&["resume", "--until", soon.trim()]).expect(0);
    for wrong in ["25:00", "6", "soon", "-1s", "06:60"] {
        place
            .run(&["apply", &file, "--yes", &format!("--until={wrong}")])
            .expect(2);
    }
}

/// Returns a front with a clock that differs from this machine's by this many seconds.
fn clock_off_by(place: &Place, seconds: i64) -> Front {
    let honest = place.sandbox.base_url();
    Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        let text = String::from_utf8(answer).unwrap();
        let now = std::time::SystemTime::now();
        let off = std::time::Duration::from_secs(seconds.unsigned_abs());
        let then = if seconds < 0 { now - off } else { now + off };
        let date = format!("date: {}\r\n", httpdate::fmt_http_date(then));
        let lines = text.split_inclusive("\r\n").map(|line| {
            if line.to_lowercase().starts_with("date:") {
                date.as_str()
            } else {
                line
            }
        });
        let answer: String = lines.collect();
        assert!(answer.contains(&date), "{answer}");
        stream.write_all(answer.as_bytes()).is_ok()
    })
}

#[test]
fn the_doctor_compares_the_clocks_and_names_the_tenant() {
    let place = Place::plume();
    let clock = |arguments: &[&str]| {
        let done = place.run(&[&["doctor", "--json"][..], arguments].concat());
        let document = done.expect(0).json();
        let findings = document["findings"].as_array().unwrap().clone();
        let clock = findings.iter().find(|f| f["what"] == "clock").unwrap();
        (
            clock["warning"].as_bool().unwrap(),
            clock["words"].as_str().unwrap().to_owned(),
        )
    };
    assert!(!clock(&[]).0, "{}", clock(&[]).1);
    for (seconds, warning, words) in [
        (10, false, "behind the system's"),
        (-300, true, "ahead of the system's"),
        (7200, true, "1 h 59 min behind the system's"),
    ] {
        let front = clock_off_by(&place, seconds);
        let (warned, said) = clock(&["--base-url", &front.base_url()]);
        assert_eq!(warned, warning, "{seconds}: {said}");
        // An inaccuracy of half a second may show 7,200 seconds or slightly less.
        let said = said.replace("2 h behind", "1 h 59 min behind");
        assert!(said.contains(words), "{seconds}: {said}");
        assert_eq!(said.contains("--until"), warning, "{said}");
    }
    let place = Place::new(Options {
        kind: Kind::CloudCockpit,
        ..Options::default()
    });
    let done = place
        .run(&[
            "doctor",
            "--system",
            "cloudcockpit",
            "--tenant",
            "portal.example",
        ])
        .expect(0);
    assert!(
        done.out.contains("ok    tenant   portal.example"),
        "{}",
        done.out
    );
    assert!(done.out.contains("ok    clock "), "{}", done.out);
}

/// Without `mandoc` this test checks nothing; the script that runs all tests installs it.
#[test]
fn manual_pages_pass_mandoc_lint() {
    let place = Place::plume();
    place.run(&["man", "--dir", "pages"]).expect(0);
    for page in std::fs::read_dir(place.path().join("pages")).unwrap() {
        let page = page.unwrap().path();
        let Ok(checked) = std::process::Command::new("mandoc")
            .arg("-Tlint")
            .arg(&page)
            .output()
        else {
            eprintln!("NOT RUN: mandoc is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(said, "", "{}", page.display());
    }
    let refused = place.run(&["man", "aply"]).expect(2);
    assert!(refused.err.contains("is `apply` meant?"), "{}", refused.err);
    let help = place.run(&["help", "apply"]).expect(0);
    assert!(help.out.contains("--plan-first"), "{}", help.out);
}
