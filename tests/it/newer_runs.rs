use crate::support::{Asked, Front, Place, finish};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;

const LINES: u32 = 40;

/// Writes a file that sets the service ID of each customer, named by the system's own ID.
fn services(place: &Place, name: &str, value: &str) -> String {
    let mut text = String::from("customerId,serviceId\n");
    (0..LINES).for_each(|n| writeln!(text, "C-{n},{value}-{n}").unwrap());
    place.file(name, &text)
}

/// Returns the beginning of each customer's service ID.
fn days(place: &Place) -> BTreeMap<String, String> {
    place.with_world(|world| {
        let day = |service: &str| service.split('-').next().unwrap().to_owned();
        let service = |one: &idshift::sandbox::PlumeCustomer| {
            day(one.locations[0].service_id.as_deref().unwrap())
        };
        let customers = world.plume.iter();
        customers
            .map(|(id, one)| (id.to_string(), service(one)))
            .collect()
    })
}

/// Runs a command that is killed at this durable step; returns its run.
fn killed(place: &Place, arguments: &[&str], at: u32) -> String {
    let slowly = [arguments, &["--concurrency", "1"]].concat();
    let mut command = place.command(&slowly);
    command.env("IDSHIFT_CRASH_AT", at.to_string());
    let done = finish(command.spawn().unwrap());
    assert_eq!(done.code, -1, "{}{}", done.out, done.err);
    place.newest_id()
}

/// A run was begun before this one and resumed after it. Its first writes are older, and its writes after the resume
/// are newer, whatever the clock says.
#[test]
fn only_writes_made_after_a_resume_count_as_newer() {
    for clock_is_wrong in [false, true] {
        let place = Place::plume();
        place.moves(LINES);
        let (first, second) = (
            services(&place, "1.csv", "DAY1"),
            services(&place, "2.csv", "DAY2"),
        );
        let older = killed(&place, &["apply", &first, "--yes"], 30);
        let before = days(&place);
        let newer = killed(&place, &["apply", &second, "--yes"], 12);
        if clock_is_wrong {
            // The run looks as if it had begun while the clock was an hour ahead.
            let ledger = place.newest().join("ledger.db");
            let connection = rusqlite::Connection::open(ledger).unwrap();
            let moved = "UPDATE progress SET started_at_ms = started_at_ms + 3600000";
            assert_eq!(connection.execute(moved, ()).unwrap(), 1);
        }
        place.run(&["resume", &older]).expect(0);
        let resumed = days(&place);
        place.run(&["resume", &newer]).expect(1);
        let after = days(&place);
        let mut overwritten = 0;
        for (id, day) in &after {
            if resumed[id] == "DAY1" && before[id] == "old" {
                assert_eq!(day, "DAY1", "{id} was overwritten");
            } else if resumed[id] == "DAY1" {
                overwritten += u32::from(day == "DAY2");
            }
        }
        // If the clock contradicts the order of the runs, all writes of the other run count as newer.
        assert_eq!(overwritten > 2, !clock_is_wrong, "{after:?}");
    }
}

/// The newer run was killed after a write, before it recorded an outcome.
#[test]
fn writes_of_a_killed_newer_run_are_not_overwritten() {
    for step in 8..16 {
        let place = Place::plume();
        place.moves(LINES);
        let (first, second) = (
            services(&place, "1.csv", "DAY1"),
            services(&place, "2.csv", "DAY2"),
        );
        let older = killed(&place, &["apply", &first, "--yes"], 5);
        killed(&place, &["apply", &second, "--yes"], step);
        let before = days(&place);
        place.run(&["resume", &older]).expect(1);
        for (id, day) in days(&place) {
            assert!(before[&id] != "DAY2" || day == "DAY2", "{id} at {step}");
        }
    }
}

/// The newer run could not find out whether its write took effect.
#[test]
fn a_write_in_doubt_of_a_newer_run_is_not_overwritten() {
    let place = Place::plume();
    place.moves(LINES);
    let first = services(&place, "1.csv", "DAY1");
    let older = killed(&place, &["apply", &first, "--yes"], 5);
    let second = place.file("2.csv", "customerId,serviceId\nC-39,DAY2-39\n");
    let honest = place.sandbox.base_url();
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let answer = asked.honestly(&honest);
        let is_write = asked.method == "PATCH";
        // The write takes effect, but neither its answer nor a later read arrives.
        let shown = String::from_utf8_lossy(&answer).contains("DAY2");
        !is_write && !shown && stream.write_all(&answer).is_ok()
    });
    let settings = [("BASE_URL", &*front.base_url())];
    let once = ["apply", &second, "--yes", "--retries", "1"];
    place.run_with(&settings, &once).expect(4);
    assert_eq!(place.verdicts(), ["in_doubt/no_answer"]);
    assert_eq!(days(&place)["C-39"], "DAY2");
    place.run(&["resume", &older]).expect(1);
    assert_eq!(days(&place)["C-39"], "DAY2");
}

/// The newer run set the account ID, and then its line failed at the location: the location was requested all the same.
#[test]
fn older_run_does_not_write_a_location_where_a_newer_run_failed() {
    for is_pruned in [false, true] {
        let place = Place::plume();
        place.moves(LINES);
        let first = services(&place, "1.csv", "DAY1");
        let older = killed(&place, &["apply", &first, "--yes"], 5);
        let text = "customerId,newAccountId,serviceId\nC-39,DAY2-39,S-39\n";
        let second = place.file("2.csv", text);
        let refused = "location-patch:403".parse().unwrap();
        place.sandbox.set_faults(vec![refused]);
        place.run(&["apply", &second, "--yes"]).expect(1);
        place.sandbox.set_faults(Vec::new());
        if is_pruned {
            let prune = ["runs", "prune", "--older-than", "0s", "--keep-last", "0"];
            let pruned = place.run(&[&prune[..], &["--yes"]].concat()).expect(0);
            assert!(pruned.out.contains("1 run"), "{}", pruned.out);
        }
        place.run(&["resume", &older]).expect(1);
        assert_eq!(days(&place)["C-39"], "old");
    }
}

/// A line of a newer run that changed nothing does not stop an older run.
#[test]
fn older_run_writes_customers_that_a_newer_run_did_not_change() {
    let place = Place::plume();
    place.moves(LINES);
    let first = services(&place, "1.csv", "DAY1");
    let older = killed(&place, &["apply", &first, "--yes"], 5);
    let second = services(&place, "2.csv", "DAY2");
    place.run(&["plan", &second]).expect(0);
    place
        .sandbox
        .set_faults(vec!["location-patch:403".parse().unwrap()]);
    let third = place.file("3.csv", "customerId,serviceId\nC-39,DAY3-39\n");
    place.run(&["apply", &third, "--yes"]).expect(1);
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume", &older]).expect(0);
    assert_eq!(days(&place)["C-39"], "DAY1");
}

/// An older run that cannot be read cannot have written newer values.
#[test]
fn lost_older_run_does_not_prevent_resume() {
    let place = Place::plume();
    place.moves(LINES);
    let (first, second) = (
        services(&place, "1.csv", "DAY1"),
        services(&place, "2.csv", "DAY2"),
    );
    place.run(&["apply", &first, "--yes"]).expect(0);
    let gone = place.newest();
    let run = killed(&place, &["apply", &second, "--yes"], 12);
    std::fs::remove_dir_all(gone).unwrap();
    place.run(&["resume", &run]).expect(0);
    assert!(days(&place).values().all(|day| day == "DAY2"));
}

/// The order counts in which the runs were carried out, and not the order in which they were made.
#[test]
fn lost_run_from_before_a_plan_was_applied_does_not_prevent_resume() {
    let place = Place::plume();
    place.moves(LINES);
    let first = place.file("1.csv", "customerId,serviceId\nC-0,DAY1-0\n");
    let second = services(&place, "2.csv", "DAY2");
    let plan = place.run(&["plan", &second, "--json"]).expect(0).json();
    let plan = plan["run"].as_str().unwrap();
    place.run(&["apply", &first, "--yes"]).expect(0);
    let gone = place.newest();
    killed(&place, &["apply", "--run", plan, "--yes"], 12);
    std::fs::remove_dir_all(gone).unwrap();
    // The plan expects another value at the first customer.
    place.run(&["resume", plan]).expect(1);
    let after = days(&place);
    let is_right = |(id, day): (&String, &String)| day == if id == "C-0" { "DAY1" } else { "DAY2" };
    assert!(after.iter().all(is_right), "{after:?}");
}

/// The rule also holds where the system stored another value than the written one, so that the line of the newer run failed.
#[test]
fn newer_service_id_that_the_system_altered_is_not_overwritten() {
    [false, true]
        .into_iter()
        .for_each(leaves_what_the_system_altered);
}

fn leaves_what_the_system_altered(is_pruned: bool) {
    let place = Place::plume();
    place.moves(3);
    let file = |name: &str, value: &str| {
        let mut text = String::from("customerId,serviceId\n");
        (0..3).for_each(|n| writeln!(text, "C-{n},{value}-{n}").unwrap());
        place.file(name, &text)
    };
    let (first, second) = (file("1.csv", "DAY1"), file("2.csv", "day2"));
    let older = killed(&place, &["apply", &first, "--yes"], 4);
    assert!(days(&place).values().any(|day| day == "old"));
    place.with_world(|mut world| world.stores = Some(|text| text.to_uppercase()));
    place.run(&["apply", &second, "--yes"]).expect(1);
    assert_eq!(place.verdicts(), ["failed/altered"; 3]);
    place.with_world(|mut world| world.stores = None);
    if is_pruned {
        let prune = ["runs", "prune", "--older-than", "0s", "--keep-last", "0"];
        let pruned = place.run(&[&prune[..], &["--yes"]].concat()).expect(0);
        assert!(pruned.out.contains("1 run"), "{}", pruned.out);
    }
    place.run(&["resume", &older]).expect(1);
    let after = days(&place);
    assert!(after.values().all(|day| day == "DAY2"), "{after:?}");
}

/// A lost run that began earlier counts as newer if it was resumed since.
#[test]
fn lost_run_that_was_resumed_later_prevents_resume_of_another_run() {
    let place = Place::plume();
    place.moves(LINES);
    let (first, second) = (
        services(&place, "1.csv", "DAY1"),
        services(&place, "2.csv", "DAY2"),
    );
    let older = killed(&place, &["apply", &first, "--yes"], 30);
    let folder = place.newest();
    let newer = killed(&place, &["apply", &second, "--yes"], 12);
    place.run(&["resume", &older]).expect(0);
    std::fs::remove_dir_all(folder).unwrap();
    let resumed = days(&place);
    let refused = place.run(&["resume", &newer]).expect(2);
    assert!(
        refused.err.contains("cannot tell whether"),
        "{}",
        refused.err
    );
    assert_eq!(days(&place), resumed);
}
