use crate::support::{Place, customer, finish};
use idshift::sandbox::Options;
use std::fmt::Write;
use std::time::Duration;

const FILE: &str = "accountId,newAccountId,locationId,serviceId\n\
    A-000000,B-000000,,\n\
    A-000000,B-000000,,\n\
    A-000001,A-000002,,\n\
    A-000002,A-000003,,\n\
    A-000003,A-000030,,S-3\n\
    A-000004,A-000005,,\n\
    A-000005,A-000004,,\n\
    A-000006,A-000007,,\n\
    A-000007,A-000008,,\n\
    A-000008,A-000006,,\n\
    A-000009,,L-9,S-9\n";

fn world(place: &Place, customers: u32) {
    place.with_world(|mut world| (0..customers).for_each(|n| world.add_plume(customer(n))));
}

fn all_as_wished(place: &Place) {
    let expected = [
        "B-000000", "A-000002", "A-000003", "A-000030", "A-000005", "A-000004", "A-000007",
        "A-000008", "A-000006", "A-000009",
    ];
    for (n, account) in expected.into_iter().enumerate() {
        assert_eq!(place.account_of(&format!("C-{n}")), account);
    }
    assert!(
        place.verdicts().iter().all(|verdict| verdict == "changed/"),
        "{:?}",
        place.verdicts()
    );
    assert_eq!(place.verdicts().len(), 11);
    place.judge_writes();
}

#[test]
fn a_kill_at_any_durable_step_loses_nothing_and_repeats_nothing() {
    for (crashes, step) in (1..400).enumerate() {
        let place = Place::plume();
        world(&place, 10);
        let file = place.file("moves.csv", FILE);
        let mut command = place.command(&["apply", &file, "--yes", "--concurrency", "1"]);
        let done = finish(
            command
                .env("IDSHIFT_CRASH_AT", step.to_string())
                .spawn()
                .unwrap(),
        );
        if done.code == 0 {
            all_as_wished(&place);
            assert!(crashes > 10, "the crash points were not reached: {crashes}");
            return;
        }
        let resumed = place.run(&["resume"]);
        assert_eq!(
            resumed.code,
            0,
            "step {step}: {}\n{}\n{:?}",
            resumed.out,
            resumed.err,
            place.verdicts()
        );
        all_as_wished(&place);
        for row in place.rows("results.csv") {
            assert_eq!(
                row["idshift_account_id_before"], row["accountId"],
                "step {step}: the true before-value"
            );
        }
    }
    panic!("a run never ended by itself");
}

#[test]
fn six_kills_at_random_moments_of_three_thousand_lines() {
    let place = Place::new(Options {
        latency: Duration::from_millis(3),
        ..Options::default()
    });
    world(&place, 3000);
    let mut text = String::from("accountId,newAccountId,serviceId\n");
    (0..3000).for_each(|n| writeln!(text, "A-{n:06},B-{n:06},S-{n}").unwrap());
    let file = place.file("moves.csv", &text);
    let mut arguments = vec!["apply", &file, "--yes", "--concurrency", "8"];
    for kill in 0..6_usize {
        let mut child = place.command(&arguments).spawn().unwrap();
        // The moment is one of the run, not of the clock: after so many more writes.
        let target = place.patches() + 150 + 97 * kill;
        let begun = std::time::Instant::now();
        while place.patches() < target && begun.elapsed() < Duration::from_secs(30) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::yield_now();
        }
        child.kill().unwrap();
        finish(child);
        arguments = vec!["resume", "--concurrency", "8"];
    }
    place.run(&["resume"]).expect(0);
    assert_eq!(place.patches(), 6000, "every write was sent once");
    place.judge_writes();
    assert!(place.verdicts().iter().all(|verdict| verdict == "changed/"));
    place.run(&["verify"]).expect(0);
    let calls = place.sandbox.log().len();
    let again = place.run(&["resume", &place.newest_id()]);
    assert_eq!(
        (again.code, place.sandbox.log().len()),
        (0, calls),
        "{}{}",
        again.out,
        again.err
    );
}

#[test]
fn the_first_signal_stops_in_order_and_resume_finishes() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let place = Place::new(Options {
            latency: Duration::from_millis(5),
            ..Options::default()
        });
        world(&place, 500);
        let mut text = String::from("accountId,newAccountId\n");
        (0..500).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
        let file = place.file("moves.csv", &text);
        let child = place
            .command(&["apply", &file, "--yes", "--rate", "200/s"])
            .spawn()
            .unwrap();
        while place.patches() < 20 {
            std::thread::yield_now();
        }
        std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        let done = finish(child);
        assert_eq!(done.code, code, "{}", done.err);
        assert!(done.out.contains("idshift resume"), "{}", done.out);
        assert!(place.verdicts().contains(&"skipped/cancelled".to_owned()));
        place.run(&["resume"]).expect(0);
        assert_eq!(place.patches(), 500);
    }
}

#[test]
fn a_second_run_on_the_same_target_is_refused() {
    let place = Place::new(Options {
        latency: Duration::from_millis(20),
        ..Options::default()
    });
    world(&place, 200);
    let mut text = String::from("accountId,newAccountId\n");
    (0..200).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("moves.csv", &text);
    let mut child = place
        .command(&["apply", &file, "--yes", "--rate", "50/s"])
        .spawn()
        .unwrap();
    while place.patches() < 2 {
        std::thread::yield_now();
    }
    let second = place
        .run(&["apply", &file, "--yes", "--runs-dir", "elsewhere"])
        .expect(5);
    assert!(
        second.err.contains(&child.id().to_string()),
        "names the process: {}",
        second.err
    );
    child.kill().unwrap();
    finish(child);
    place.run(&["resume"]).expect(0);
}
