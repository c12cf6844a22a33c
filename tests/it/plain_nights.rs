//! Later nights reuse two results of the first one: that there was nothing to report about the file, and that no
//! account ID went from one customer to another. They reuse them only as long as both are still true.

use crate::support::{Place, customer};

const NIGHT: [&str; 4] = ["reconcile", "moves.csv", "--yes", "--incremental"];

/// Makes twenty customers that two nights have renamed.
fn after_two_nights() -> Place {
    let place = Place::plume();
    place.moves(20);
    for _ in 0..2 {
        place.run(&NIGHT).expect(0);
    }
    place
}

/// Carries out a night that must send nothing.
fn refused(place: &Place, more: &[&str], words: &str) {
    let (calls, runs) = (place.sandbox.log().len(), place.newest());
    let done = place.run(&[&NIGHT[..], more].concat()).expect(2);
    assert!(done.err.contains(words), "{}", done.err);
    assert_eq!((place.sandbox.log().len(), place.newest()), (calls, runs));
}

#[test]
fn edited_line_is_checked_against_all_other_lines() {
    let place = after_two_nights();
    let path = place.path().join("moves.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    for (edited, words) in [
        ("A-000009,B-000010", "duplicate_target"),
        ("A-000010,B-000009", "two_new_ids"),
        ("A-000009,#REF!", "1 of 20 lines cannot be carried out"),
    ] {
        place.file("moves.csv", &text.replace("A-000009,B-000009", edited));
        refused(&place, &[], words);
    }
    place.file("moves.csv", &text);
    place.run(&NIGHT).expect(0);
}

#[test]
fn file_is_planned_again_when_the_column_mapping_changes() {
    let place = Place::plume();
    place.with_world(|mut world| (0..3).for_each(|n| world.add_plume(customer(n))));
    place.file(
        "moves.csv",
        "accountId,newAccountId,other\nA-000000,B-0,X-0\nA-000001,B-1,X-1\nA-000002,B-2,X-1\n",
    );
    for _ in 0..2 {
        place.run(&NIGHT).expect(0);
    }
    let read_otherwise = ["--map", "newAccountId=other"];
    refused(&place, &read_otherwise, "duplicate_target");
    place.file(
        "idshift.toml",
        "[profiles.otherwise.map]\nnewAccountId = \"other\"\n",
    );
    let of_profile = ["--profile", "otherwise"];
    refused(&place, &of_profile, "duplicate_target");
    place.run(&NIGHT).expect(0);
}

/// Between the nights, an ID moves from one customer to another.
#[test]
fn id_moved_to_another_customer_since_the_last_run_is_a_mismatch() {
    let place = Place::plume();
    place.with_world(|mut world| (0..2).for_each(|n| world.add_plume(customer(n))));
    let file = |lines: &str| {
        place.file("moves.csv", &format!("accountId,newAccountId\n{lines}"));
    };
    let accounts = || [place.account_of("C-0"), place.account_of("C-1")];
    file("A-000000,B-000000\n");
    for _ in 0..3 {
        place.run(&NIGHT).expect(0);
    }
    file("A-000001,A-000000\n");
    place.run(&NIGHT).expect(0);
    assert_eq!(accounts(), ["B-000000", "A-000000"]);
    // The previous night compared fewer runs.
    file("A-000000,D-000000\n");
    place.run(&NIGHT).expect(1);
    assert_eq!(place.verdicts(), ["failed/mismatch"]);
    assert_eq!(accounts(), ["B-000000", "A-000000"]);
}
