use crate::support::{Place, customer};
use idshift::sandbox::Options;

const FILE: &str = "accountId,newAccountId,locationId,serviceId\n\
    A-000000,B-000000,,\n\
    A-000001,B-000001,L-1,S-1\n\
    A-000002,,L-2,S-2\n\
    A-000003,A-000004,,\n\
    A-000004,A-000003,,S-4\n\
    A-000005,A-000006,,\n\
    A-000006,A-000007,,\n";

fn all_is_well_under(fault: &str, bulk: bool) {
    let place = Place::new(Options {
        bulk,
        ..Options::default()
    });
    place.with_world(|mut world| (0..7).for_each(|n| world.add_plume(customer(n))));
    place.sandbox.set_faults(vec![fault.parse().unwrap()]);
    let file = place.file("moves.csv", FILE);
    let done = place.run(&[
        "apply",
        &file,
        "--yes",
        "--timeout",
        "1s",
        "--concurrency",
        "2",
    ]);
    assert_eq!(
        done.code,
        0,
        "{fault}, bulk {bulk}: {}\n{}\n{:?}",
        done.out,
        done.err,
        place.verdicts()
    );
    assert!(
        place.verdicts().iter().all(|verdict| verdict == "changed/"),
        "{fault}: {:?}",
        place.verdicts()
    );
    place.judge_writes();
    let expected = [
        "B-000000", "B-000001", "A-000002", "A-000004", "A-000003", "A-000006", "A-000007",
    ];
    for (n, account) in expected.into_iter().enumerate() {
        assert_eq!(place.account_of(&format!("C-{n}")), account, "{fault}");
    }
}

fn reads(call: &str) {
    for what in [
        "429=1",
        "408",
        "500",
        "502",
        "503",
        "504",
        "reset",
        "close",
        "truncated",
        "html",
        "empty",
        "redirect",
    ] {
        all_is_well_under(&format!("{call}:{what}:nth=2"), false);
    }
    all_is_well_under(&format!("{call}:hang=1500:nth=1"), false);
}

fn writes(call: &str) {
    for what in [
        "408",
        "500",
        "502",
        "503",
        "504",
        "reset",
        "close",
        "hang=1500",
    ] {
        let (name, number) = what
            .split_once('=')
            .map_or((what, String::new()), |(n, v)| (n, format!("={v}")));
        all_is_well_under(&format!("{call}:{name}{number}:nth=2"), true);
        all_is_well_under(&format!("{call}:{name}-after{number}:nth=2"), true);
    }
    for what in [
        "429=1",
        "429-date",
        "truncated",
        "html",
        "empty",
        "braces",
        "wrong-id",
        "redirect",
        "deep",
    ] {
        all_is_well_under(&format!("{call}:{what}:nth=2"), true);
    }
}

#[test]
fn a_fault_of_a_search_costs_no_line() {
    reads("search");
}

#[test]
fn a_fault_of_a_read_costs_no_line() {
    reads("read");
}

#[test]
fn a_fault_of_a_bulk_look_up_costs_no_line() {
    for what in [
        "429=1",
        "500",
        "reset",
        "html",
        "empty",
        "truncated",
        "braces",
    ] {
        all_is_well_under(&format!("bulk:{what}:nth=1"), true);
    }
    all_is_well_under("bulk:500:always", true);
}

#[test]
fn a_fault_of_a_write_to_a_customer_repeats_nothing_blindly() {
    writes("customer-patch");
}

#[test]
fn a_fault_of_a_write_to_a_location_repeats_nothing_blindly() {
    writes("location-patch");
}

#[test]
fn an_outage_stops_the_run_and_resume_finishes_it() {
    let place = Place::plume();
    place.with_world(|mut world| (0..7).for_each(|n| world.add_plume(customer(n))));
    place
        .sandbox
        .set_faults(vec!["any:close:always".parse().unwrap()]);
    let file = place.file("moves.csv", FILE);
    let done = place
        .run(&["apply", &file, "--yes", "--give-up-after", "3s"])
        .expect(4);
    assert!(
        place.sandbox.log().len() < 40,
        "probes, not a storm: {}",
        place.sandbox.log().len()
    );
    assert!(done.out.contains("idshift resume"), "{}", done.out);
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume"]).expect(0);
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
    place.judge_writes();
}
