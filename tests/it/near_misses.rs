use crate::question::on_a_terminal;
use crate::support::{Place, customer, named};
use idshift::sandbox::{Class, Kind, Options};
use std::fmt::Write as _;

/// Makes a provider's customers, and an export that has lost zeros, case, dashes and more: 5 lines of 25 are not found.
fn damaged(bulk: bool) -> (Place, String) {
    let place = Place::new(Options {
        bulk,
        ..Options::default()
    });
    let ids = ["0012345", "0000077", "44444", "AbC-9", "K1234X", "900100"];
    place.with_world(|mut world| {
        for n in 0..20 {
            world.add_plume(named(&format!("G-{n}"), &format!("20000{n:02}"), &[]));
        }
        for (n, id) in ids.into_iter().enumerate() {
            world.add_plume(named(&format!("N-{n}"), id, &[]));
        }
    });
    let mut text = String::from("accountId,newAccountId\n");
    (0..20).for_each(|n| writeln!(text, "20000{n:02},B-{n:04}").unwrap());
    let lost = [
        "12345", "77", "0044444", "ABC-9", "K1234x", "900-1 00", "31337",
    ];
    for (n, id) in lost.into_iter().enumerate() {
        writeln!(text, "{id},C-{n:04}").unwrap();
    }
    let file = place.file("export.csv", &text);
    (place, file)
}

/// Returns the number of searches for spellings that the file does not contain.
fn other_spellings(place: &Place) -> usize {
    let log = place.sandbox.log();
    let others = [
        "0012345", "0000077", "=44444", "900100", "0031337", "abc-9", "k1234x",
    ];
    log.iter()
        .filter(|seen| seen.class == Class::Search)
        .filter(|seen| others.iter().any(|id| seen.path.contains(id)))
        .count()
}

#[test]
fn plan_reports_existing_similar_ids_for_lines_not_found() {
    let (place, file) = damaged(true);
    let done = place.run(&["plan", &file, "--max-failures=100%"]).expect(1);
    let rows = place.rows("results.csv");
    let message = |line: &str| {
        let row = rows.iter().find(|row| row["idshift_line"] == line).unwrap();
        assert_eq!(row["idshift_status"], "failed");
        assert_eq!(row["idshift_reason"], "not_found");
        row["idshift_message"].clone()
    };
    for (line, words) in [
        (
            "22",
            "not_found: 12345; 0012345 exists (with leading zeros)",
        ),
        ("23", "not_found: 77; 0000077 exists (with leading zeros)"),
        (
            "24",
            "not_found: 0044444; 44444 exists (without leading zeros)",
        ),
        ("26", "not_found: K1234x; K1234X exists (in other case)"),
        (
            "27",
            "not_found: 900-1 00; 900100 exists (without blanks and dashes)",
        ),
        ("28", "no customer has the account ID `31337`"),
    ] {
        assert_eq!(message(line), words);
    }
    let words = "not_found 7: 2 would be found with leading zeros (first: line 22), 1 without leading zeros (first: line 24)";
    assert!(done.out.contains(words), "{}", done.out);
    assert_eq!(place.patches(), 0);
    // Bulk look-ups: one or two calls for the file's lines, and a few more for other spellings.
    let bulk = |seen: &&idshift::sandbox::Seen| seen.class == Class::Bulk;
    let calls = place.sandbox.log().iter().filter(bulk).count();
    assert!((2..=1 + 5).contains(&calls), "{calls}");
    let json = place
        .run(&["plan", &file, "--max-failures=100%", "--format", "json"])
        .expect(1)
        .json();
    assert_eq!(json["near_misses"][0]["difference"], "leading_zeros");
    assert_eq!(json["near_misses"][0]["lines"], 2);
    assert_eq!(json["near_misses"][0]["first_line"], 22);
    assert_eq!(json["near_misses"][0]["account_id"], "12345");
    assert_eq!(json["near_misses"][0]["exists"], "0012345");
    assert_eq!(json["reasons"]["not_found"], 7);
}

#[test]
fn similar_id_searches_stay_within_the_budget_without_bulk_lookups() {
    for (bulk, lookup) in [(false, "auto"), (true, "each")] {
        let (place, file) = damaged(bulk);
        let plan = ["plan", &file, "--max-failures=100%", "--lookup", lookup];
        let json = place
            .run(&[&plan[..], &["--format", "json"]].concat())
            .expect(1)
            .json();
        let searched = other_spellings(&place);
        assert!((2..=5).contains(&searched), "{lookup}: {searched}");
        assert_eq!(json["near_misses"][0]["lines"], 2, "{lookup}");
        // The calls for this are counted, but are not part of the forecast.
        let made =
            json["calls"]["find"].as_u64().unwrap() + json["calls"]["read"].as_u64().unwrap();
        assert_eq!(made, place.sandbox.log().len() as u64, "{lookup}");
    }
}

/// A spreadsheet has removed the zeros from the whole column: no line of the file shows how many there were.
#[test]
fn stopped_plan_reports_a_column_that_lost_its_leading_zeros() {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..300 {
            world.add_plume(named(
                &format!("C-{n}"),
                &format!("000{:05}", 10_000 + n),
                &[],
            ));
        }
    });
    let mut text = String::from("accountId,newAccountId\n");
    (0..300).for_each(|n| writeln!(text, "{:05},B-{n:04}", 10_000 + n).unwrap());
    let file = place.file("export.csv", &text);
    let done = place.run(&["plan", &file]).expect(4);
    assert!(
        done.out
            .contains("would be found with leading zeros (first: line 2)"),
        "{}",
        done.out
    );
    let rows = place.rows("results.csv");
    let told = rows
        .iter()
        .filter(|row| row["idshift_message"].contains("000"))
        .count();
    assert!(told >= 200, "{told}");
    assert!(rows[0]["idshift_message"].contains("10000; 00010000 exists"));
    // The user sees this before the question whether to continue.
    let other = place.file("other.csv", text.trim_end_matches("10299,B-0299\n"));
    let asked = on_a_terminal(&place, "no", &["plan", &other]).expect(4).out;
    let order = ["would be found with leading zeros", "Type yes"].map(|words| asked.find(words));
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{asked}"
    );
}

#[test]
fn interactive_apply_shows_similar_ids_first_and_does_not_write_them() {
    let (place, file) = damaged(true);
    let done = on_a_terminal(&place, "yes", &["apply", &file, "--max-failures=100%"]).expect(1);
    let order =
        ["2 would be found with leading zeros", "Type yes"].map(|words| done.out.find(words));
    assert!(
        order.iter().all(Option::is_some) && order.is_sorted(),
        "{}",
        done.out
    );
    assert_eq!(place.account_of("N-0"), "0012345");
    assert_eq!(place.account_of("G-7"), "B-0007");
    assert_eq!(place.patches(), 20);
    let rows = place.rows("failures.csv");
    assert_eq!(rows.len(), 7);
    assert!(rows[0]["idshift_message"].contains("12345; 0012345 exists"));
    // Without a plan first, no other spellings are looked up.
    let (place, file) = damaged(true);
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--lookup",
            "each",
            "--max-failures=100%",
        ])
        .expect(1);
    assert_eq!(other_spellings(&place), 0);
}

/// The line names its customer, so another customer with a similar ID is not suggested.
#[test]
fn similar_id_of_a_customer_other_than_the_named_one_is_not_suggested() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "0012345", &[]));
        world.add_plume(named("C-2", "0077777", &[]));
        (3..9).for_each(|n| world.add_plume(customer(n)));
    });
    let file = place.file(
        "lines.csv",
        "accountId,newAccountId,customerId\n12345,B-00001,C-3\n77777,B-00002,C-2\n",
    );
    place.run(&["plan", &file]).expect(1);
    let rows = place.rows("results.csv");
    for row in &rows {
        assert_eq!(row["idshift_reason"], "not_found");
    }
    assert!(!rows[0]["idshift_message"].contains("exists"), "{rows:?}");
    assert!(
        rows[1]["idshift_message"].contains("77777; 0077777 exists"),
        "{rows:?}"
    );
}

/// Systems that list have already returned all customers, so no further call is needed.
#[test]
fn similar_ids_need_no_calls_when_the_system_lists_customers() {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        ..Options::default()
    });
    place.with_world(|mut world| {
        world.add_adobe("P1", "0012345", "R1", 1);
        world.add_adobe("P2", "0054321", "R1", 1);
    });
    let settings = [
        ("SYSTEM", "adobe"),
        ("API_KEY", "k"),
        ("RESELLER_ID", "R1"),
        ("ACCEPT_WELCOME_EMAILS", "true"),
    ];
    let right = place.file(
        "right.csv",
        "accountId,newAccountId\n0054321,B-2\n0012345,B-1\n",
    );
    place.run_with(&settings, &["plan", &right]).expect(0);
    let calls = place.sandbox.log().len();
    place.sandbox.clear_log();
    let file = place.file(
        "lines.csv",
        "accountId,newAccountId\n0054321,B-2\n12345,B-1\n",
    );
    let done = place.run_with(&settings, &["plan", &file]).expect(1);
    assert!(
        done.out
            .contains("not_found 1: 1 would be found with leading zeros (first: line 3)"),
        "{}",
        done.out
    );
    let made = place.sandbox.log().len();
    assert!(made <= calls, "{made} calls, not {calls}");
}
