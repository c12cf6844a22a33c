use crate::support::{Asked, Front, Place, customer, finish};
use idshift::sandbox::Options;
use std::fmt::Write;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
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

/// Kills the command at one durable step after another, until it ends by itself. Returns how often it was killed.
fn kill_at_every_step(
    stride: usize,
    place: impl Fn() -> Place,
    arguments: &[&str],
    judge: impl Fn(&Place, &str),
) -> usize {
    for (crashes, step) in (1..2000).step_by(stride).enumerate() {
        let place = place();
        let mut command = place.command(arguments);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        if done.code == 0 {
            return crashes;
        }
        assert_eq!(done.code, -1, "step {step}: {}{}", done.out, done.err);
        judge(&place, &format!("step {step}"));
    }
    panic!("the command never ended by itself");
}

/// Faults that put many writes in doubt, in every way in which this can happen.
const DOUBT: [&str; 4] = [
    "patch:reset-after:every=3",
    "patch:500:every=4",
    "patch:truncated:every=5",
    "patch:close:every=7",
];

#[test]
fn a_kill_while_writes_are_in_doubt_loses_nothing_and_repeats_nothing() {
    let begun = || {
        let place = Place::plume();
        world(&place, 10);
        place.file("moves.csv", FILE);
        let faults = DOUBT.iter().map(|text| text.parse().unwrap());
        place.sandbox.set_faults(faults.collect());
        place
    };
    let arguments = ["apply", "moves.csv", "--yes", "--concurrency", "3"];
    let kills = kill_at_every_step(3, begun, &arguments, |place, step| {
        let resumed = place.run(&["resume"]);
        assert_eq!(resumed.code, 0, "{step}: {}{}", resumed.out, resumed.err);
        all_as_wished(place);
    });
    assert!(kills > 5, "{kills}");
}

#[test]
fn a_kill_while_waves_are_carried_out_loses_nothing_and_repeats_nothing() {
    let begun = || {
        let place = Place::plume();
        world(&place, 10);
        place.file("moves.csv", FILE);
        place
    };
    let arguments = ["apply", "moves.csv", "--yes", "--waves", "1,2,2"];
    let kills = kill_at_every_step(2, begun, &arguments, |place, step| {
        let resumed = place.run(&["resume"]);
        assert_eq!(resumed.code, 0, "{step}: {}{}", resumed.out, resumed.err);
        all_as_wished(place);
    });
    assert!(kills > 5, "{kills}");
}

#[test]
fn a_kill_of_a_resume_loses_nothing_and_repeats_nothing() {
    let begun = || {
        let place = Place::plume();
        world(&place, 10);
        place.file("moves.csv", FILE);
        let mut command = place.command(&["apply", "moves.csv", "--yes", "--concurrency", "2"]);
        command.env("IDSHIFT_CRASH_AT", "12");
        assert_eq!(finish(command.spawn().unwrap()).code, -1);
        place
    };
    let kills = kill_at_every_step(2, begun, &["resume"], |place, step| {
        let resumed = place.run(&["resume"]);
        assert_eq!(resumed.code, 0, "{step}: {}{}", resumed.out, resumed.err);
        all_as_wished(place);
    });
    assert!(kills > 3, "{kills}");
}

#[test]
fn a_kill_of_an_undo_is_resumed_and_all_old_values_are_restored() {
    let begun = || {
        let place = Place::plume();
        world(&place, 10);
        place.file("moves.csv", FILE);
        place.run(&["apply", "moves.csv", "--yes"]).expect(0);
        place.sandbox.clear_log();
        place
    };
    let kills = kill_at_every_step(2, begun, &["undo", "--yes"], |place, step| {
        // Killed before the undo was on the disk, there is nothing to resume.
        let resumed = place.run(&["resume"]);
        if place.patches() == 0 {
            assert_eq!(resumed.code, 2, "{step}: {}{}", resumed.out, resumed.err);
            return;
        }
        assert_eq!(resumed.code, 0, "{step}: {}{}", resumed.out, resumed.err);
        place.judge_writes();
        for n in 0..10 {
            assert_eq!(
                place.account_of(&format!("C-{n}")),
                format!("A-{n:06}"),
                "{step}"
            );
            let id = format!("C-{n}");
            assert_eq!(place.service_of(&id), "old", "{step}: {id}");
        }
    });
    assert!(kills > 5, "{kills}");
}

#[test]
fn a_kill_during_a_swap_rollback_leaves_no_temporary_id() {
    let begun = || {
        let place = Place::plume();
        world(&place, 2);
        place.file(
            "swap.csv",
            "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\n",
        );
        let faults = [
            "customer-patch:422:nth=2",
            "customer-patch:reset-after:nth=3",
        ];
        let faults = faults.iter().map(|text| text.parse().unwrap());
        place.sandbox.set_faults(faults.collect());
        place
    };
    for step in 1..200 {
        let place = begun();
        let mut command = place.command(&["apply", "swap.csv", "--yes"]);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        let resumed = (done.code != 1).then(|| place.run(&["resume"]));
        let accounts = [place.account_of("C-0"), place.account_of("C-1")];
        let (code, verdicts) = (resumed.map_or(1, |done| done.code), place.verdicts());
        match code {
            // The process was killed before the refusal or in the middle of it: the swap is completed or rolled back as
            // a whole.
            0 => assert_eq!(accounts, ["A-000001", "A-000000"], "step {step}"),
            1 => assert_eq!(
                accounts,
                ["A-000000", "A-000001"],
                "step {step}: {verdicts:?}"
            ),
            _ => panic!("step {step}: {code} {verdicts:?}"),
        }
        place.judge_writes();
        if done.code == 1 {
            assert!(step > 5, "{step}");
            return;
        }
        assert_eq!(done.code, -1, "{}{}", done.out, done.err);
    }
    panic!("the command never ended by itself");
}

#[test]
fn six_kills_at_random_moments_lose_no_line_and_repeat_no_write() {
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
        // The moment of the kill is a number of further writes, not a time.
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
fn first_signal_stops_the_run_gracefully_and_resume_finishes_it() {
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

/// The swap is also completed among the first writes of a run, when only few may be in flight.
#[test]
fn a_swap_in_progress_is_completed_after_a_signal() {
    for first_writes in [1, 2] {
        let place = Place::plume();
        world(&place, 3);
        let text =
            "accountId,newAccountId\nA-000000,A-000001\nA-000001,A-000000\nA-000002,B-000002\n";
        let file = place.file("moves.csv", text);
        let apply = [
            "apply",
            &file,
            "--yes",
            "--concurrency",
            "1",
            "--rate",
            "3/s",
        ];
        let child = place.command(&apply).spawn().unwrap();
        while place.patches() < first_writes {
            std::thread::yield_now();
        }
        let id = child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &id])
            .status();
        assert!(sent.unwrap().success());
        let done = finish(child);
        assert_eq!(done.code, 130, "{}", done.err);
        assert_eq!(place.patches(), 3, "{}", done.out);
        let verdicts = place.verdicts();
        assert_eq!(verdicts, ["changed/", "changed/", "skipped/cancelled"]);
        assert_eq!(place.account_of("C-0"), "A-000001");
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

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "two signals at once may arrive as one, and nothing shows that the first was heard"
)]
fn second_signal_ends_the_run_immediately_and_resume_finishes_it() {
    let place = Place::new(Options {
        latency: Duration::from_millis(200),
        ..Options::default()
    });
    world(&place, 60);
    let mut text = String::from("accountId,newAccountId\n");
    (0..60).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("moves.csv", &text);
    let apply = ["apply", &file, "--yes", "--timeout", "60s"];
    let child = place
        .command(&[&apply[..], &["--concurrency", "4"]].concat())
        .spawn()
        .unwrap();
    while place.patches() < 1 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let hang = "patch:hang-after=30000".parse().unwrap();
    place.sandbox.set_faults(vec![hang]);
    let id = child.id().to_string();
    let interrupt = || {
        let status = std::process::Command::new("kill")
            .args(["-INT", &id])
            .status();
        assert!(status.unwrap().success());
    };
    // The first few are answered, and the next ones are under way for half a minute.
    std::thread::sleep(Duration::from_millis(500));
    interrupt();
    std::thread::sleep(Duration::from_millis(200));
    interrupt();
    let begun = std::time::Instant::now();
    let done = finish(child);
    assert_eq!(done.code, 130, "{}{}", done.out, done.err);
    assert!(begun.elapsed() < Duration::from_secs(10), "at once");
    place.sandbox.set_faults(Vec::new());
    let resume = format!("idshift resume {}", place.newest_id());
    assert!(done.err.contains(&resume), "{}", done.err);
    place
        .run(&["resume", "--timeout", "9s", "--concurrency", "60"])
        .expect(0);
    place.judge_writes();
    for n in 0..60 {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
}

#[test]
fn token_refused_during_a_run_stops_it_and_resume_finishes_it() {
    let place = Place::new(Options {
        latency: Duration::from_millis(5),
        ..Options::default()
    });
    world(&place, 400);
    let mut text = String::from("accountId,newAccountId\n");
    (0..400).for_each(|n| writeln!(text, "A-{n:06},B-{n:06}").unwrap());
    let file = place.file("moves.csv", &text);
    let child = place
        .command(&["apply", &file, "--yes", "--rate", "200/s"])
        .spawn()
        .unwrap();
    while place.patches() < 50 {
        std::thread::yield_now();
    }
    place
        .sandbox
        .set_faults(vec!["any:401:always".parse().unwrap()]);
    let dead = place.patches();
    let done = finish(child);
    let tried = place.patches() - dead;
    assert_eq!(done.code, 4, "{}{}", done.out, done.err);
    assert!(done.out.contains("refuses the credentials"), "{}", done.out);
    // No line failed because of its own data.
    let verdicts = place.verdicts();
    let blamed = verdicts.iter().filter(|one| one.starts_with("failed"));
    assert_eq!(blamed.count(), 0, "{verdicts:?}");
    assert!(tried < 100, "{tried}");
    place.sandbox.set_faults(Vec::new());
    place.run(&["resume"]).expect(0);
    for n in 0..400 {
        assert_eq!(place.account_of(&format!("C-{n}")), format!("B-{n:06}"));
    }
}

/// If the token expires at the very end, no later call shows it.
#[test]
fn token_refused_at_the_end_of_a_run_makes_no_line_fail() {
    for first_refused in [28, 29, 30] {
        let place = Place::plume();
        let file = place.moves(30);
        let honest = place.sandbox.base_url();
        let writes = AtomicU32::new(0);
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let is_write = u32::from(asked.method == "PATCH");
            let number = writes.fetch_add(is_write, Ordering::SeqCst) + is_write;
            let answer = if number < first_refused {
                asked.honestly(&honest)
            } else {
                b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n".to_vec()
            };
            stream.write_all(&answer).is_ok()
        });
        let base_url = [("BASE_URL", &front.base_url()[..])];
        let done = place.run_with(&base_url, &["apply", &file, "--yes"]);
        assert_eq!(done.code, 4, "{first_refused}: {}{}", done.out, done.err);
        let blamed = |verdict: &String| verdict.starts_with("failed");
        assert!(!place.verdicts().iter().any(blamed), "{first_refused}");
        let (run, there) = (place.newest_id(), place.sandbox.base_url());
        place.run(&["resume", &run, "--base-url", &there]).expect(0);
        assert_eq!(place.verdicts(), vec!["changed/"; 30]);
    }
}
