use crate::support::{Place, customer, named};
use idshift::sandbox::Options;
use std::fmt::Write;

/// Writes renames, service IDs and profiles in turn; the last column is not one of idshift's.
fn thousand() -> String {
    let mut text = String::from("Account ID;new_account_id;locationId;serviceId;profile;note\n");
    for n in 0..1000 {
        let (new, service, profile) = match n % 3 {
            0 => (format!("B-{n:06}"), String::new(), ""),
            1 => (String::new(), format!("S-{n}"), "smallbusiness"),
            _ => (format!("B-{n:06}"), format!("S-{n}"), ""),
        };
        writeln!(text, "A-{n:06};{new};;{service};{profile};=note {n}").unwrap();
    }
    text
}

fn world(place: &Place) {
    place.with_world(|mut world| (0..1000).for_each(|n| world.add_plume(customer(n))));
}

#[test]
fn thousand_lines_are_applied_and_a_second_apply_writes_nothing() {
    let place = Place::plume();
    world(&place);
    let file = place.file("moves.csv", &thousand());
    let summary = place
        .run(&["apply", &file, "--yes", "--json"])
        .expect(0)
        .json();
    assert_eq!(summary["counts"]["changed"], 1000);
    assert!(
        summary["calls"]["per_write"].as_f64().unwrap() <= 1.03,
        "{summary}"
    );
    let patches = place.patches();
    assert_eq!(patches, 1333, "one write for each wish");
    let calls = place.sandbox.log().len();
    assert!(calls * 100 <= patches * 103, "{calls} calls for {patches}");
    place.with_world(|world| {
        for n in 0..1000 {
            let customer = &world.plume[format!("C-{n}").as_str()];
            let account = if n % 3 == 1 {
                format!("A-{n:06}")
            } else {
                format!("B-{n:06}")
            };
            assert_eq!(*customer.account_id, *account);
            let location = &customer.locations[0];
            let service = if n % 3 == 0 {
                "old".to_owned()
            } else {
                format!("S-{n}")
            };
            assert_eq!(location.service_id.as_deref(), Some(service.as_str()));
            assert_eq!(
                &*location.profile,
                if n % 3 == 1 { "smallbusiness" } else { "auto" }
            );
        }
    });
    let rows = place.rows("results.csv");
    assert_eq!(rows.len(), 1000);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row["idshift_line"], (n + 2).to_string());
        assert_eq!(
            row["note"],
            format!("'=note {n}"),
            "carried through, and defused"
        );
        assert_eq!(row["idshift_account_id_before"], format!("A-{n:06}"));
    }
    place.judge_writes();
    let before = place.patches();
    let again = place
        .run(&["apply", &file, "--yes", "--json"])
        .expect(0)
        .json();
    assert_eq!(again["counts"]["unchanged"], 1000);
    assert_eq!(place.patches(), before, "a second apply writes nothing");
}

#[test]
fn renames_cost_two_calls_where_customers_are_searched_one_by_one() {
    let place = Place::new(Options {
        bulk: false,
        ..Options::default()
    });
    world(&place);
    let mut text = String::from("accountId,newAccountId\n");
    (0..1000).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("moves.csv", &text);
    let summary = place
        .run(&["apply", &file, "--yes", "--json"])
        .expect(0)
        .json();
    assert_eq!(summary["counts"]["changed"], 1000);
    assert!(
        summary["calls"]["per_write"].as_f64().unwrap() <= 2.01,
        "{summary}"
    );
    let calls = place.sandbox.log().len();
    assert!(calls <= 2010, "the summary counts what was sent: {calls}");
    assert_eq!(
        calls as u64,
        ["find", "read", "write"]
            .iter()
            .map(|kind| summary["calls"][kind].as_u64().unwrap())
            .sum::<u64>()
    );
}

#[test]
fn file_with_edge_cases_gets_the_expected_statuses() {
    for bulk in [true, false] {
        let place = Place::new(Options {
            bulk,
            ..Options::default()
        });
        place.with_world(|mut world| {
            world.add_plume(named("P1", "PRE", &["P1-L"]));
            world.add_plume(named("P2", "PREFIX-1", &["P2-L"]));
            world.add_plume(named("M", "MANY-LOCATIONS", &["M-1", "M-2"]));
            world.add_plume(named("a/../b?c#d", "odd / ?#%ü id", &["x/y"]));
            world.add_plume(named("T", "TAKEN-1", &["T-L"]));
            world.add_plume(named("W", "WANTS-IT", &["W-L"]));
            world.add_plume(named("G", "GUARDED", &["G-L"]));
            let mut hidden = named("H", "HIDDEN-1", &["H-L"]);
            hidden.hidden = true;
            world.add_plume(hidden);
        });
        let file = place.file(
            "awkward.csv",
            "accountId,newAccountId,customerId,locationId,serviceId\n\
             PRE,NEW-PRE-1,,,\n\
             MANY-LOCATIONS,,,,SVC\n\
             MANY-LOCATIONS,,,M-2,SVC-2\n\
             odd / ?#%ü id,new / ?#%ü id,,x/y,SVC-3\n\
             ,NEW-HIDDEN,H,,\n\
             WANTS-IT,TAKEN-1,,,\n\
             GUARDED,NEW-GUARDED,SOMEBODY,,\n\
             UNKNOWN-1,NEW-UNKNOWN,,,\n\
             GUARDED-2,,G,NOT-THERE,SVC-4\n",
        );
        place.run(&["apply", &file, "--yes"]).expect(1);
        let verdicts = place.verdicts();
        assert_eq!(
            verdicts,
            [
                "changed/",
                "failed/ambiguous",
                "changed/",
                "changed/",
                "failed/unauthorized",
                "failed/conflict",
                "failed/mismatch",
                "failed/not_found",
                "failed/not_found",
            ],
            "bulk {bulk}"
        );
        assert_eq!(place.account_of("P1"), "NEW-PRE-1");
        assert_eq!(place.account_of("P2"), "PREFIX-1");
        assert_eq!(place.account_of("a/../b?c#d"), "new / ?#%ü id");
        assert_eq!(place.account_of("W"), "WANTS-IT");
        assert_eq!(place.account_of("G"), "GUARDED");
        assert_eq!(place.account_of("H"), "HIDDEN-1");
        place.with_world(|world| {
            let service = |id: &str, at: usize| world.plume[id].locations[at].service_id.clone();
            assert_eq!(service("M", 0).as_deref(), Some("old"));
            assert_eq!(service("M", 1).as_deref(), Some("SVC-2"));
            assert_eq!(service("a/../b?c#d", 0).as_deref(), Some("SVC-3"));
            for id in ["P1", "P2", "T", "W", "G", "H"] {
                assert_eq!(service(id, 0).as_deref(), Some("old"), "{id}");
            }
            assert_eq!(world.plume.len(), 8, "nobody came to be");
        });
        let unauthorized = &place.rows("results.csv")[4];
        assert_eq!(unauthorized["idshift_http_status"], "401");
        place.judge_writes();
        // Another program has solved the conflict; the failures are applied unchanged.
        place.with_world(|mut world| world.rename_plume("T", "TAKEN-2"));
        let failures = format!("{}/failures.csv", place.newest().display());
        place.run(&["apply", &failures, "--yes"]).expect(1);
        assert_eq!(place.account_of("W"), "TAKEN-1");
        assert_eq!(place.verdicts().len(), 6);
    }
}

#[test]
fn duplicate_account_id_is_a_conflict_for_each_error_status() {
    for status in [409, 422, 500] {
        let place = Place::new(Options {
            duplicate_status: status,
            bulk: false,
            ..Options::default()
        });
        place.with_world(|mut world| {
            world.add_plume(customer(1));
            world.add_plume(customer(2));
        });
        let file = place.file("moves.csv", "accountId,newAccountId\nA-000001,A-000002\n");
        place.run(&["apply", &file, "--yes"]).expect(1);
        assert_eq!(
            place.verdicts(),
            ["failed/conflict"],
            "answered with {status}"
        );
        assert_eq!(place.account_of("C-1"), "A-000001");
    }
}

#[test]
fn unknown_profile_is_changed_and_cannot_be_restored() {
    let place = Place::plume();
    place.with_world(|mut world| {
        for n in 0..2 {
            let mut customer = customer(n);
            customer.locations[0].profile = "property".into();
            world.add_plume(customer);
        }
    });
    let file = place.file(
        "profiles.csv",
        "accountId,locationId,serviceId,profile\nA-000000,L-0,,auto\nA-000001,L-1,S-1,smallbusiness\n",
    );
    let plan = place.run(&["plan", &file]).expect(0);
    assert!(plan.out.contains("profile property → auto"), "{}", plan.out);
    assert_eq!(place.verdicts(), ["would_change/"; 2]);
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["changed/"; 2]);
    assert_eq!(
        place.rows("results.csv")[0]["idshift_profile_before"],
        "property"
    );
    let shown = |n: u32| {
        place.with_world(|world| {
            let location = &world.plume[format!("C-{n}").as_str()].locations[0];
            (
                location.service_id.as_deref().unwrap().to_owned(),
                location.profile.to_string(),
            )
        })
    };
    let pair = |service: &str, profile: &str| (service.to_owned(), profile.to_owned());
    assert_eq!(shown(0), pair("old", "auto"));
    place.run(&["verify"]).expect(0);
    place.run(&["undo", "--yes"]).expect(1);
    assert_eq!(shown(0), pair("old", "auto"));
    assert_eq!(
        shown(1),
        pair("old", "smallbusiness"),
        "what can be put back is"
    );
    let verdicts = place.verdicts();
    assert_eq!(verdicts, ["failed/rejected", "changed/", "failed/rejected"]);
    for row in [0, 2] {
        let message = &place.rows("results.csv")[row]["idshift_message"];
        assert!(message.contains("`property`"), "{message}");
    }
}

#[test]
fn where_customers_cannot_be_read_by_their_ids_the_search_shows_what_became_of_them() {
    let place = Place::new(Options {
        bulk: false,
        ..Options::default()
    });
    place.with_world(|mut world| (0..4).for_each(|n| world.add_plume(customer(n))));
    // Such a system has no such path: the answer is the same for each customer.
    let faults = ["read:404", "customer-patch:close-after:nth=2"];
    place
        .sandbox
        .set_faults(faults.map(|fault| fault.parse().unwrap()).into());
    let file = place.moves(4);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["verify"]).expect(0);
    place.run(&["undo", "--yes"]).expect(0);
    place.with_world(|world| {
        for n in 0..4 {
            let customer = &world.plume[format!("C-{n}").as_str()];
            assert_eq!(*customer.account_id, format!("A-{n:06}"));
        }
    });
    place.judge_writes();
}
