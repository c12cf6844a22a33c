use crate::support::{Place, customer, finish, named};
use idshift::sandbox::{Kind, Options};

fn accounts(place: &Place, customers: u32) -> Vec<String> {
    (0..customers)
        .map(|n| place.account_of(&format!("C-{n}")))
        .collect()
}

fn people(customers: u32) -> Place {
    let place = Place::plume();
    place.with_world(|mut world| (0..customers).for_each(|n| world.add_plume(customer(n))));
    place
}

const SWAP: &str = "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n";

#[test]
fn plan_recognises_a_swap_that_was_already_made() {
    let place = people(2);
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.run(&["plan", &file, "--exit-code"]).expect(0);
    let plan = place.newest_id();
    place.run(&["apply", "--run", &plan, "--yes"]).expect(0);
    assert_eq!(accounts(&place, 2), ["A-000001", "A-000000"]);
}

#[test]
fn swap_made_from_the_failures_file_is_not_repeated_by_the_input_file() {
    let place = people(3);
    let text = format!("{SWAP}A-000002,B-000002\n");
    let file = place.file("moves.csv", &text);
    place
        .sandbox
        .set_faults(vec!["customer-patch:403:about=C-1".parse().unwrap()]);
    place.run(&["apply", &file, "--yes"]).expect(1);
    place.sandbox.set_faults(Vec::new());
    assert_eq!(accounts(&place, 2), ["A-000000", "A-000001"]);
    let failures = place.newest().join("failures.csv");
    place
        .run(&["apply", failures.to_str().unwrap(), "--yes"])
        .expect(0);
    let swapped = ["A-000001", "A-000000", "B-000002"];
    assert_eq!(accounts(&place, 3), swapped);
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(accounts(&place, 3), swapped);
    // The reverse order: the failures of an older run, after the file itself has made the changes.
    let failures = failures.to_str().unwrap();
    place.run(&["apply", failures, "--yes"]).expect(0);
    assert_eq!(accounts(&place, 3), swapped);
}

/// A chain is carried out, and then its last line is corrected. It is not known which customer that line means now.
#[test]
fn corrected_line_of_a_chain_does_not_rename_another_customer() {
    for command in ["apply", "reconcile"] {
        let place = people(2);
        let text = "accountId,newAccountId\nA-000000,A-000001\nA-000001,B-000001\n";
        let file = place.file("moves.csv", text);
        place.run(&[command, &file, "--yes"]).expect(0);
        let chained = ["A-000001", "B-000001"];
        assert_eq!(accounts(&place, 2), chained);
        place.file("moves.csv", &text.replace("B-000001", "D-000001"));
        place.run(&[command, &file, "--yes"]).expect(1);
        assert_eq!(place.verdicts(), ["unchanged/already", "failed/mismatch"]);
        assert_eq!(accounts(&place, 2), chained, "nobody was moved");
        // The same holds if the other line was removed from the file.
        place.file("moves.csv", "accountId,newAccountId\nA-000001,D-000001\n");
        place.run(&[command, &file, "--yes"]).expect(1);
        assert_eq!(place.verdicts(), ["failed/mismatch"]);
        assert_eq!(accounts(&place, 2), chained);
        // An unaltered line is still known by what it asks for.
        place.file("moves.csv", "accountId,newAccountId\nA-000001,B-000001\n");
        place.run(&[command, &file, "--yes"]).expect(0);
        // A line that names the customer by ID is carried out.
        let named = "accountId,newAccountId,customerId\nA-000001,D-000001,C-0\n";
        place.file("moves.csv", named);
        place.run(&[command, &file, "--yes"]).expect(0);
        assert_eq!(accounts(&place, 2), ["D-000001", "B-000001"]);
    }
}

#[test]
fn corrected_line_of_a_swap_does_not_rename_another_customer() {
    let place = people(2);
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    let mended = "accountId,newAccountId\nA-000000,A-000001\nA-000001,F-000001\n";
    place.file("swap.csv", mended);
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["unchanged/already", "failed/mismatch"]);
    assert_eq!(accounts(&place, 2), ["A-000001", "A-000000"]);
}

fn adobe() -> Place {
    let place = Place::new(Options {
        kind: Kind::Adobe,
        ..Default::default()
    });
    place.with_world(|mut world| {
        (0..4).for_each(|n| world.add_adobe(&format!("P{n}"), &format!("REF-{n}"), "R1", 1));
    });
    place
}

const ADOBE: [(&str, &str); 4] = [
    ("SYSTEM", "adobe"),
    ("API_KEY", "k"),
    ("RESELLER_ID", "R1"),
    ("ACCEPT_WELCOME_EMAILS", "true"),
];

fn references(place: &Place) -> Vec<String> {
    let of = |n: u32| {
        place.with_world(|world| {
            let reference = &world.adobe[&format!("P{n}")].body["externalReferenceId"];
            reference.as_str().unwrap_or("none").to_owned()
        })
    };
    (0..4).map(of).collect()
}

#[test]
fn corrected_or_shortened_adobe_files_rename_no_other_customer() {
    let place = adobe();
    let text = "accountId,newAccountId\nREF-1,REF-2\nREF-2,REF-X\n";
    let file = place.file("moves.csv", text);
    place.run_with(&ADOBE, &["apply", &file, "--yes"]).expect(0);
    let chained = ["REF-0", "REF-2", "REF-X", "REF-3"];
    assert_eq!(references(&place), chained);
    place.file("moves.csv", &text.replace("REF-X", "REF-Y"));
    place.run_with(&ADOBE, &["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["unchanged/already", "failed/mismatch"]);
    assert_eq!(references(&place), chained);
    place.file("moves.csv", "accountId,newAccountId\nREF-2,REF-X\n");
    place.run_with(&ADOBE, &["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already"]);
    place.file("moves.csv", "accountId,newAccountId\nREF-2,REF-Y\n");
    place.run_with(&ADOBE, &["apply", &file, "--yes"]).expect(1);
    assert_eq!(references(&place), chained);
}

#[test]
fn undo_reports_an_id_that_the_system_cannot_remove() {
    let place = adobe();
    place.with_world(|mut world| {
        let customer = world.adobe.get_mut("P0").unwrap();
        customer.body["externalReferenceId"] = serde_json::Value::Null;
    });
    let file = place.file("first.csv", "customerId,newAccountId\nP0,NEW-0\nP1,NEW-1\n");
    place.run_with(&ADOBE, &["apply", &file, "--yes"]).expect(0);
    let done = place.run_with(&ADOBE, &["undo", "--yes"]).expect(1);
    let mut verdicts = place.verdicts();
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["changed/", "failed/rejected"], "{}", done.out);
    assert_eq!(references(&place)[..2], ["NEW-0", "REF-1"]);
    let rows = place.rows("failures.csv");
    let message = &rows[0]["idshift_message"];
    assert!(message.contains("no way to remove"), "{message}");
}

#[test]
fn incremental_reconcile_looks_up_customers_changed_by_other_runs() {
    let place = Place::plume();
    let file = place.moves(3);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let other = place.file("other.csv", "accountId,newAccountId\nB-000002,D-000002\n");
    place.run(&["apply", &other, "--yes"]).expect(0);
    let night = ["reconcile", &file, "--yes", "--incremental"];
    place.run(&night).expect(1);
    assert_eq!(place.verdicts()[2], "failed/not_found");
    // The same holds for changes of a killed night, with a line that was changed back since.
    let killed = (6..20).find_map(|step| {
        let place = Place::plume();
        let file = place.moves(3);
        let text = std::fs::read_to_string(place.path().join(&file)).unwrap();
        place.run(&["reconcile", &file, "--yes"]).expect(0);
        let edited = text.replace("A-000001,B-000001", "B-000001,X-000001");
        place.file("moves.csv", &edited);
        let mut killed = place.command(&["reconcile", &file, "--yes", "--incremental"]);
        killed.env("IDSHIFT_CRASH_AT", step.to_string());
        assert_ne!(finish(killed.spawn().unwrap()).code, 0);
        place.file("moves.csv", &text);
        (place.account_of("C-1") == "X-000001").then_some(place)
    });
    let place = killed.expect("a run that was killed behind its write");
    let night = ["reconcile", &file, "--yes", "--incremental"];
    let done = place.run(&night);
    assert_ne!(place.verdicts()[1], "unchanged/already", "{}", done.out);
}

/// A night that reuses the outcomes of the previous one reuses their customers too.
#[test]
fn swap_is_recognised_when_only_an_incremental_run_recorded_it() {
    let place = people(2);
    let file = place.file("swap.csv", SWAP);
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    let first = place.newest();
    let night = ["reconcile", &file, "--yes", "--incremental"];
    let quiet = [&night[..], &["--audit", "1/1000000"]].concat();
    place.run(&quiet).expect(0);
    std::fs::remove_dir_all(first).unwrap();
    place.run(&["runs", "forget", "--gone"]).expect(0);
    let audit = [&night[..], &["--audit", "1/1"]].concat();
    place.run(&audit).expect(0);
    assert_eq!(accounts(&place, 2), ["A-000001", "A-000000"]);
    assert_eq!(place.verdicts(), ["unchanged/already"; 2]);
}

#[test]
fn planned_line_is_stale_when_its_location_id_has_changed() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-0", "A-000000", &["L-0"]));
        world.add_plume(named("C-1", "A-000001", &["L-1"]));
    });
    let text = "accountId,newAccountId,serviceId,profile\nA-000000,,,smallbusiness\nA-000001,B-000001,NEW,\n";
    let file = place.file("moves.csv", text);
    place.run(&["plan", &file]).expect(0);
    let plan = place.newest_id();
    place.with_world(|mut world| {
        for n in 0..2 {
            let customer = world.plume.get_mut(&*format!("C-{n}")).unwrap();
            customer.locations[0].id = format!("OTHER-{n}").into();
        }
    });
    place.run(&["apply", "--run", &plan, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/stale"; 2]);
    assert_eq!(place.patches(), 0);
}

/// A customer without the location in the line is probably not the customer that the line means.
#[test]
fn line_with_a_location_of_another_customer_renames_nothing() {
    for lookup in ["auto", "each"] {
        let place = Place::plume();
        place.with_world(|mut world| {
            world.add_plume(named("C-0", "A-000000", &["L-0"]));
            world.add_plume(named("C-1", "A-000001", &["L-1"]));
            world.add_plume(named("C-2", "A-000002", &["L-2"]));
        });
        let text = "accountId,newAccountId,locationId,serviceId\n\
                    A-000000,B-000000,L-1,STOLEN\n\
                    A-000001,A-000002,L-0,STOLEN\nA-000002,A-000001,L-2,OWN\n";
        let file = place.file("moves.csv", text);
        let arguments = [&file, "--lookup", lookup];
        place.run(&[&["plan"][..], &arguments].concat()).expect(1);
        let planned = place.verdicts();
        let apply = [&["apply", "--yes"][..], &arguments].concat();
        place.run(&apply).expect(1);
        assert_eq!(
            place.verdicts(),
            ["failed/not_found", "failed/not_found", "failed/blocked"]
        );
        assert_eq!(planned, place.verdicts());
        assert_eq!(place.patches(), 0, "{lookup}");
    }
}

/// An ID belongs to one relationship: what happened to it in another relationship does not matter.
#[test]
fn id_history_is_separate_for_each_reseller_relationship() {
    let place = Place::new(Options {
        kind: Kind::CloudCockpit,
        ..Default::default()
    });
    let reseller = "11111111-1111-4111-8111-111111111111";
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    place.with_world(|mut world| {
        for (n, own, other) in [(0, "A-0", "R-0"), (1, "B-0", "A-0")] {
            world.add_cockpit(&id(n), "", own);
            world.add_cockpit(&id(n), reseller, other);
        }
    });
    let settings = [("SYSTEM", "cloudcockpit"), ("TENANT", "portal.example")];
    let head = "accountId,newAccountId,resellerId\n";
    let apply = |lines: &str, code: i32| {
        let file = place.file("m.csv", &format!("{head}{lines}"));
        place
            .run_with(&settings, &["apply", &file, "--yes"])
            .expect(code);
        place.verdicts()
    };
    let chain = "A-0,Z-0,own\nB-0,A-0,own\n";
    assert_eq!(apply(chain, 0), ["changed/"; 2]);
    // In that relationship, the other customer has always had the ID.
    let there = format!("A-0,Y-0,{reseller}\n");
    assert_eq!(apply(&format!("{chain}{there}"), 0)[2], "changed/");
    // In this relationship, the ID moved from one customer to the other.
    assert_eq!(apply("A-0,Q-0,own\n", 1), ["failed/mismatch"]);
}

#[test]
fn failed_line_of_a_plan_does_not_block_other_lines() {
    let place = people(3);
    let text = "accountId,newAccountId,locationId,serviceId\n\
                A-000000,A-000001,,\nA-000001,A-000000,,\nA-000000,A-000001,gone,S\n";
    let file = place.file("swap.csv", text);
    place.run(&["plan", &file]).expect(1);
    let plan = place.newest_id();
    place.run(&["apply", "--run", &plan, "--yes"]).expect(1);
    assert_eq!(accounts(&place, 2), ["A-000001", "A-000000"]);
    // The same with a chain that is interrupted after its first rename.
    let text = "accountId,newAccountId,locationId,serviceId\n\
                A-000002,B-000002,,\nA-000002,B-000002,gone,S\nA-000000,A-000002,,\n";
    for step in 1..12 {
        let place = people(3);
        let file = place.file("chain.csv", text);
        place.run(&["plan", &file]).expect(1);
        let plan = place.newest_id();
        let mut killed = place.command(&["apply", "--run", &plan, "--yes"]);
        killed.env("IDSHIFT_CRASH_AT", step.to_string());
        if finish(killed.spawn().unwrap()).code != 1 {
            place.run(&["resume", &plan]).expect(1);
        }
        let moved = ["A-000002", "A-000001", "B-000002"];
        assert_eq!(accounts(&place, 3), moved, "{step}");
        assert_eq!(place.verdicts()[2], "changed/", "{step}");
    }
}

/// A customer that already has its ID does not stop the others, even if its location fails.
#[test]
fn chain_continues_after_a_customer_that_already_has_its_new_id() {
    let place = Place::plume();
    place.with_world(|mut world| {
        world.add_plume(named("C-1", "B-000001", &["L-1"]));
        world.add_plume(named("C-2", "X-000002", &["L-2"]));
    });
    let text = "accountId,newAccountId,locationId,serviceId\n\
                A-000001,B-000001,gone,S\nX-000002,A-000001,,\n";
    let file = place.file("chain.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/not_found", "changed/"]);
}

#[test]
fn undo_restores_account_ids_when_locations_were_changed_or_removed() {
    let place = Place::plume();
    place.with_world(|mut world| {
        (0..3).for_each(|n| {
            let location = format!("L-{n}");
            world.add_plume(named(&format!("C-{n}"), &format!("A-{n:06}"), &[&location]));
        });
    });
    let text = "accountId,newAccountId,serviceId\n\
                A-000000,A-000001,S-0\nA-000001,A-000000,\nA-000002,B-000002,S-2\n";
    let file = place.file("moves.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| {
        let customer = world.plume.get_mut("C-0").unwrap();
        customer.locations[0].service_id = Some("SOMEBODY".into());
        world.plume.get_mut("C-2").unwrap().locations.clear();
    });
    let undone = place.run(&["undo", "--yes"]).expect(1);
    assert_eq!(accounts(&place, 3), ["A-000000", "A-000001", "A-000002"]);
    // The output does not suggest a command that would overwrite the protected value.
    assert!(!undone.out.contains("idshift apply"), "{}", undone.out);
    assert_eq!(place.service_of("C-0"), "SOMEBODY");
}

#[test]
fn incremental_reconcile_detects_a_plan_that_was_applied_since() {
    let place = Place::plume();
    let file = place.moves(3);
    let hand = place.file("hand.csv", "accountId,newAccountId\nB-000001,Z-000001\n");
    place.run(&["reconcile", &file, "--yes"]).expect(0);
    place.run(&["plan", &hand]).expect(0);
    let plan = place.newest_id();
    let night = ["reconcile", &file, "--yes", "--incremental"];
    place.run(&night).expect(0);
    place.run(&["apply", "--run", &plan, "--yes"]).expect(0);
    place.run(&night).expect(1);
    assert_eq!(place.verdicts()[1], "failed/not_found");
}

/// Failures belong to the file that they come from, and to no other.
#[test]
fn failures_file_is_retried_even_if_other_files_moved_the_ids() {
    let place = people(3);
    let apply = |name: &str, line: &str, code: i32| {
        let file = place.file(name, &format!("accountId,newAccountId\n{line}\n"));
        place.run(&["apply", &file, "--yes"]).expect(code);
    };
    apply("monday.csv", "A-000001,B-000001", 0);
    apply("tuesday.csv", "A-000002,A-000001", 0);
    let fault = "customer-patch:403:nth=1".parse().unwrap();
    place.sandbox.set_faults(vec![fault]);
    apply("wednesday.csv", "A-000001,C-000001", 1);
    let failures = place.newest().join("failures.csv");
    place
        .run(&["apply", failures.to_str().unwrap(), "--yes"])
        .expect(0);
    assert_eq!(accounts(&place, 3), ["A-000000", "B-000001", "C-000001"]);
}

/// The line names the former owner of the ID by the system's own ID, beside lines that an earlier run has carried out.
#[test]
fn corrected_line_can_name_its_customer_by_customer_id() {
    let place = people(3);
    let text = "accountId,newAccountId,customerId\nA-000000,A-000001,\nA-000001,A-000002,\nA-000002,B-000002,\n";
    let file = place.file("moves.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.file(
        "moves.csv",
        &text.replace("A-000001,A-000002,\n", ",D-000001,C-1\n"),
    );
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(accounts(&place, 3), ["A-000001", "D-000001", "B-000002"]);
}

#[test]
fn unreadable_ledger_stops_swaps_but_not_single_renames() {
    let place = people(3);
    let apply = |name: &str, lines: &str, code: i32| {
        let file = place.file(name, &format!("accountId,newAccountId\n{lines}"));
        place.run(&["apply", &file, "--yes"]).expect(code)
    };
    apply("other.csv", "A-000002,B-000002\n", 0);
    std::fs::write(place.newest().join("ledger.db"), "no ledger").unwrap();
    apply("single.csv", "B-000002,C-000002\n", 0);
    let refused = apply("swap.csv", "A-000000,A-000001\nA-000001,A-000000\n", 2);
    assert!(
        refused.err.contains("its ledger cannot be read"),
        "{}",
        refused.err
    );
}

/// The swap is recognised whatever path the file has, and whatever name a corrected copy has.
#[test]
fn swap_is_recognised_in_a_file_with_another_path_or_name() {
    let place = people(4);
    let file = place.file("swap.csv", SWAP);
    place.run(&["apply", &file, "--yes"]).expect(0);
    std::os::unix::fs::symlink("swap.csv", place.path().join("current.csv")).unwrap();
    place.file("swap.csv", &format!("{SWAP}A-000002,B-000002\n"));
    place.run(&["apply", "current.csv", "--yes"]).expect(0);
    let copy = place.file("copy.csv", &format!("{SWAP}A-000003,B-000003\n"));
    place.run(&["apply", &copy, "--yes"]).expect(0);
    let moved = ["A-000001", "A-000000", "B-000002", "B-000003"];
    assert_eq!(accounts(&place, 4), moved);
}

/// The CRM has given an old ID to another customer: the line still means the customer that it was applied to.
#[test]
fn repeated_line_does_not_rename_the_new_owner_of_the_old_id() {
    let place = people(2);
    let text = "accountId,newAccountId\nA-000000,A-000001\nA-000001,B-000001\n";
    let file = place.file("chain.csv", text);
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| world.add_plume(named("C-9", "A-000000", &["L-9"])));
    place.run(&["apply", &file, "--yes"]).expect(0);
    assert_eq!(place.verdicts(), ["unchanged/already", "unchanged/already"]);
    assert_eq!(place.patches(), 2);
}

#[test]
fn failures_file_of_an_undo_cannot_be_applied() {
    let place = people(1);
    let file = place.file("one.csv", "accountId,newAccountId\nA-000000,B-000000\n");
    place.run(&["apply", &file, "--yes"]).expect(0);
    place.with_world(|mut world| world.rename_plume("C-0", "SOMEBODY"));
    place.run(&["undo", "--yes"]).expect(1);
    let failures = place.newest().join("failures.csv");
    let refused = place
        .run(&["apply", failures.to_str().unwrap(), "--yes"])
        .expect(2);
    assert!(refused.err.contains("overwrite"), "{}", refused.err);
    assert_eq!(accounts(&place, 1), ["SOMEBODY"]);
}
