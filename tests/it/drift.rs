//! Why the system differed from a line of a scheduled run.

use crate::support::{Place, finish, named};
use std::collections::HashMap;

/// Returns the cause and the number of nights of each line with a drift, by account ID.
fn drift(place: &Place) -> HashMap<String, (String, String)> {
    let rows = place.rows("results.csv").into_iter();
    let rows = rows.filter(|row| !row["idshift_drift"].is_empty());
    rows.map(|row| {
        let cell = |name: &str| row[name].clone();
        (
            cell("accountId"),
            (cell("idshift_drift"), cell("idshift_drift_nights")),
        )
    })
    .collect()
}

fn is(cause: &str, nights: u32) -> (String, String) {
    (cause.to_owned(), nights.to_string())
}

#[test]
fn reconcile_reports_the_cause_of_drift_for_each_line() {
    let place = Place::plume();
    place.moves(6);
    let write = |lines: &[(&str, &str)]| {
        let lines = lines
            .iter()
            .map(|(account, service)| format!("{account},{service}\n"));
        let text = format!("accountId,serviceId\n{}", lines.collect::<String>());
        place.file("night.csv", &text)
    };
    let file = write(&[
        ("A-000000", "S-0"),
        ("A-000001", "S-1"),
        ("A-000002", "S-2"),
        ("A-000003", "S-3"),
        ("NOBODY", "S-9"),
    ]);
    let night = ["reconcile", &file, "--yes", "--json"];
    let first = place.run(&night).expect(1).json();
    assert_eq!(first["drift"]["new in the file"], 5);
    assert_eq!(
        drift(&place).get("A-000001").cloned(),
        Some(is("new in the file", 1))
    );

    let set = |customer: &str, service: &str| {
        place.with_world(|mut world| {
            let customer = world.plume.get_mut(customer).unwrap();
            customer.locations[0].service_id = Some(service.into());
        });
    };
    // One more night, so that the values were replaced in an older run than the last one.
    place.run(&night).expect(1);
    set("C-1", "old");
    set("C-2", "other");
    write(&[
        ("A-000000", "S-0"),
        ("A-000001", "S-1"),
        ("A-000002", "S-2"),
        ("A-000003", "S-33"),
        ("NOBODY", "S-9"),
        ("A-000004", "S-4"),
    ]);
    let done = place.run(&night).expect(1).json();
    let found = drift(&place);
    let of = |account: &str| found.get(account).cloned();
    assert_eq!(of("A-000000"), None);
    assert_eq!(of("A-000001"), Some(is("reverted", 1)));
    assert_eq!(of("A-000002"), Some(is("changed by others", 1)));
    assert_eq!(of("A-000003"), Some(is("changed in the file", 1)));
    assert_eq!(of("NOBODY"), Some(is("never applied", 3)));
    assert_eq!(of("A-000004"), Some(is("new in the file", 1)));
    for (cause, lines) in [
        ("reverted", 1),
        ("changed by others", 1),
        ("changed in the file", 1),
        ("never applied", 1),
        ("new in the file", 1),
    ] {
        assert_eq!(done["drift"][cause], lines, "{cause}: {}", done["drift"]);
    }
    // A second night in a row.
    set("C-1", "old");
    place.run(&night).expect(1);
    assert_eq!(
        drift(&place).get("A-000001").cloned(),
        Some(is("reverted", 2))
    );
    let page = std::fs::read_to_string(place.newest().join("report.html")).unwrap();
    assert!(page.contains("reverted"), "the page has the causes");
    // Other runs have neither columns nor counts.
    let other = place
        .run(&["apply", &file, "--yes", "--json"])
        .expect(1)
        .json();
    assert!(other.get("drift").is_none());
    assert!(!place.rows("results.csv")[0].contains_key("idshift_drift"));
}

#[test]
fn suppressed_lines_are_skipped_until_their_end_date() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("X-1", "ONE-01", &["L-1"]));
        world.add_plume(named("X-2", "TWO-02", &["L-2"]));
    });
    place.moves(4);
    let file = place.file(
        "night.csv",
        "accountId,newAccountId\nA-000000,B-000000\nA-000001,B-000001\nONE-01,TWO-02\nTWO-02,ONE-01\n",
    );
    place.file(
        "known.csv",
        "accountId,until,reason\nA-000000,2999-12-31,ticket 7\nA-000001,2020-01-01,ticket 8\nONE-01,2999-12-31,ticket 9\n",
    );
    let night = [
        "reconcile",
        &file,
        "--yes",
        "--json",
        "--suppress",
        "known.csv",
    ];
    let done = place.run(&night).expect(0);
    let expired = "known.csv:3: the suppression of A-000001 ended on 2020-01-01";
    assert!(done.err.contains(expired), "{}", done.err);
    let suppressed = "skipped/suppressed";
    let verdicts = [suppressed, "changed/", suppressed, suppressed];
    assert_eq!(place.verdicts(), verdicts);
    let rows = place.rows("results.csv");
    assert_eq!(rows[0]["idshift_message"], "until 2999-12-31: ticket 7");
    assert!(rows[3]["idshift_message"].contains("line 4"));
    assert_eq!(done.json()["counts"]["skipped"], 3);
    assert!(place.rows("failures.csv").is_empty());
    assert_eq!(
        (place.account_of("C-0"), place.patches()),
        ("A-000000".to_owned(), 1)
    );

    place.file(
        "known.csv",
        "accountId,until,reason\nA-000000,soon,ticket 7\n",
    );
    let refused = place.run(&night).expect(2);
    let why = "known.csv:2: column until: `soon`";
    assert!(refused.err.contains(why), "{}", refused.err);
    assert_eq!(place.patches(), 1);
}

/// The values that a night has set are known even if only its compact record remains. A night that was stopped counts
/// as well.
#[test]
fn drift_cause_survives_prune_and_stopped_runs_count_as_nights() {
    let place = Place::plume();
    place.moves(6);
    let file = place.file(
        "night.csv",
        "accountId,serviceId,newAccountId\nA-000000,S-0,\nA-000001,S-1,\nA-000002,,B-000002\n",
    );
    let night = ["reconcile", &file, "--yes", "--json"];
    place.run(&night).expect(0);
    let first = place.newest_id();
    place.run(&night).expect(0);
    let prune = ["runs", "prune", "--older-than", "0s", "--yes"];
    place.run(&prune).expect(0);
    let shown = place.run(&["runs", "show", &first, "--json"]).expect(0);
    assert!(!shown.json()["removed_files"].as_array().unwrap().is_empty());
    place.with_world(|mut world| {
        for (customer, service) in [("C-0", "old"), ("C-1", "other")] {
            let customer = world.plume.get_mut(customer).unwrap();
            customer.locations[0].service_id = Some(service.into());
        }
        world.rename_plume("C-2", "A-000002");
    });
    let found = [
        ("A-000000", "reverted"),
        ("A-000001", "changed by others"),
        ("A-000002", "reverted"),
    ];
    for nights in 1..=3 {
        let stopped = [&night[..], &["--max-changes", "1"]].concat();
        place.run(&stopped).expect(4);
        let drift = drift(&place);
        for (account, cause) in found {
            assert_eq!(drift.get(account), Some(&is(cause, nights)), "{account}");
        }
    }
    place.run(&night).expect(0);
    assert_eq!(drift(&place)["A-000000"], is("reverted", 4));
    place.run(&night).expect(0);
    assert!(drift(&place).is_empty());
}

#[test]
fn suppression_applies_to_lines_that_name_the_customer_by_its_id() {
    let place = Place::plume();
    place.moves(4);
    let file = place.file(
        "night.csv",
        "accountId,customerId,newAccountId\nA-000000,,B-000000\n,C-1,B-000001\n,C-2,B-000002\n",
    );
    let known = "accountId,until,reason\nA-000001,2999-12-31,ticket 7\n";
    place.file("known.csv", known);
    let night = ["reconcile", &file, "--yes", "--suppress", "known.csv"];
    place.run(&night).expect(0);
    let verdicts = ["changed/", "skipped/suppressed", "changed/"];
    assert_eq!(place.verdicts(), verdicts);
    let rows = place.rows("results.csv");
    assert_eq!(rows[1]["idshift_message"], "until 2999-12-31: ticket 7");
    assert_eq!(rows[1]["idshift_account_id_after"], "A-000001");
    assert_eq!(place.account_of("C-1"), "A-000001");
    // The same after the process was killed while it looked the customers up.
    let place = Place::plume();
    place.moves(4);
    let file = place.file("night.csv", "customerId,newAccountId\nC-1,B-000001\n");
    place.file("known.csv", known);
    let mut command = place.command(&["reconcile", &file, "--yes", "--suppress", "known.csv"]);
    finish(command.env("IDSHIFT_CRASH_AT", "3").spawn().unwrap());
    std::fs::remove_file(place.path().join("known.csv")).unwrap();
    place.run(&["resume", "--yes"]).expect(0);
    assert_eq!(place.account_of("C-1"), "A-000001");
}

#[test]
fn suppression_without_a_line_is_named_and_a_duplicate_is_refused() {
    let place = Place::plume();
    let file = place.moves(2);
    let night = ["reconcile", &file, "--yes", "--suppress", "known.csv"];
    let known = |rows: &str| place.file("known.csv", &format!("accountId,until,reason\n{rows}"));
    known("A-000001,2999-12-31,ticket 7\nA-00001,2999-12-31,mistyped\n");
    let done = place.run(&night).expect(0);
    let words = "line 3: the file has no line with the account ID A-00001";
    assert!(done.err.contains(words), "{}", done.err);
    assert!(!done.out.contains("nothing to do"), "{}", done.out);
    // A night with only suppressed lines left is not reported as complete, and need not be resumed.
    let idle = place.run(&night).expect(0);
    assert!(!idle.out.contains("as wished"), "{}", idle.out);
    assert!(!idle.out.contains("resume"), "{}", idle.out);
    known("A-000001,2999-12-31,ticket 7\nA-000001,2030-12-31,ticket 8\n");
    let refused = place.run(&night).expect(2);
    let words = "known.csv:3: column accountId: `A-000001`: line 2";
    assert!(refused.err.contains(words), "{}", refused.err);
}

/// Nothing tells which lines that cannot be parsed are the same line on another night.
#[test]
fn unparsable_line_counts_as_new_in_every_scheduled_run() {
    let place = Place::plume();
    place.moves(1);
    let file = place.file(
        "night.csv",
        "accountId,serviceId\nA-000000,S-0\nINVALID,\"S 1\u{1}\"\n",
    );
    let night = ["reconcile", &file, "--yes", "--skip-invalid"];
    for _ in 0..2 {
        place.run(&night).expect(1);
        let drift = drift(&place);
        assert_eq!(drift.get("INVALID"), Some(&is("new in the file", 1)));
    }
}
