use crate::support::{Place, customer};
use idshift::sandbox::{Class, Options};
use std::sync::atomic::{AtomicUsize, Ordering};

const FILE: &str = "accountId,newAccountId,locationId,serviceId\n\
    A-000000,B-000000,,\n\
    A-000001,B-000001,L-1,S-1\n\
    A-000002,,L-2,S-2\n\
    A-000003,A-000004,,\n\
    A-000004,A-000003,,S-4\n\
    A-000005,A-000006,,\n\
    A-000006,A-000007,,\n";

fn calls(place: &Place, call: &str) -> usize {
    let class = match call {
        "search" => Class::Search,
        "bulk" => Class::Bulk,
        "read" => Class::Read,
        "customer-patch" => Class::CustomerPatch,
        _ => Class::LocationPatch,
    };
    let log = place.sandbox.log();
    log.iter().filter(|seen| seen.class == class).count()
}

fn all_is_well_under(fault: &str, bulk: bool) {
    let place = Place::new(Options {
        bulk,
        ..Options::default()
    });
    place.with_world(|mut world| (0..7).for_each(|n| world.add_plume(customer(n))));
    let mut faults = vec![fault.parse().unwrap()];
    if bulk && fault.starts_with("read:") {
        // A customer that was looked up in bulk is read only if a write is in doubt.
        faults.push("patch:500-after:every=3".parse().unwrap());
    }
    place.sandbox.set_faults(faults);
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
    let (call, _) = fault.split_once(':').unwrap();
    let nth = fault
        .rsplit_once("nth=")
        .map_or(1, |(_, nth)| nth.parse().unwrap());
    assert!(
        calls(&place, call) >= nth,
        "{fault}, bulk {bulk}: never struck"
    );
    place.judge_writes();
    let expected = [
        "B-000000", "B-000001", "A-000002", "A-000004", "A-000003", "A-000006", "A-000007",
    ];
    for (n, account) in expected.into_iter().enumerate() {
        assert_eq!(place.account_of(&format!("C-{n}")), account, "{fault}");
    }
}

#[test]
fn bulk_lookup_faults_make_no_line_fail() {
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

/// All faults of the second call of a kind, before and after it took effect.
const TABLE: [&str; 26] = [
    "drip",
    "429=1",
    "429-date",
    "408",
    "500",
    "502",
    "503",
    "504",
    "reset",
    "close",
    "hang=1500",
    "deep",
    "truncated",
    "html",
    "empty",
    "braces",
    "wrong-id",
    "old-value",
    "408-after",
    "500-after",
    "502-after",
    "503-after",
    "504-after",
    "reset-after",
    "close-after",
    "hang-after=1500",
];

/// Most of the time is waiting, so several tests run in parallel.
fn whole_table(call: &str, bulk: bool) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(what) = TABLE.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A read that shows a third account ID means another program's change: `stale`.
                    if *what != "old-value" || call.ends_with("patch") {
                        all_is_well_under(&format!("{call}:{what}:nth=2"), bulk);
                    }
                }
            });
        }
    });
}

#[test]
fn no_line_fails_under_any_fault_of_searches() {
    whole_table("search", false);
}

#[test]
fn no_line_fails_under_any_fault_of_read_backs() {
    whole_table("read", true);
}

#[test]
fn no_line_fails_under_any_fault_of_reads_with_single_lookup() {
    whole_table("read", false);
}

#[test]
fn no_line_fails_under_any_fault_of_customer_writes_with_bulk_lookup() {
    whole_table("customer-patch", true);
}

#[test]
fn no_line_fails_under_any_fault_of_customer_writes_with_single_lookup() {
    whole_table("customer-patch", false);
}

#[test]
fn no_line_fails_under_any_fault_of_location_writes_with_bulk_lookup() {
    whole_table("location-patch", true);
}

#[test]
fn no_line_fails_under_any_fault_of_location_writes_with_single_lookup() {
    whole_table("location-patch", false);
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

#[test]
fn sandbox_fault_that_never_occurs_is_reported() {
    let place = Place::plume();
    let file = place.moves(3);
    let faults = ["patch:500-after:nth=2", "location-patch:reset"];
    let faults = faults.map(|fault| ["--sandbox-fault", fault]).concat();
    let apply = [&["apply", &file, "--yes", "--sandbox"][..], &faults].concat();
    let done = place.run(&apply).expect(0);
    assert_eq!(
        done.err.matches("never occurred").count(),
        1,
        "{}",
        done.err
    );
    assert!(
        done.err.contains("`location-patch:reset` never occurred"),
        "{}",
        done.err
    );
    let help = place.run(&["sandbox", "--help"]).expect(0).out;
    for words in [
        "location-patch:reset:nth=5",
        "first=N",
        "every=3",
        "firewall",
    ] {
        assert!(help.contains(words), "{words}: {help}");
    }
}
