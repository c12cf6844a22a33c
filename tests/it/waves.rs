use crate::support::{Asked, Done, Front, Place, finish};
use idshift::sandbox::Fault;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

fn fault(place: &Place, text: &str) {
    place
        .sandbox
        .set_faults(vec![text.parse::<Fault>().unwrap()]);
}

#[test]
fn each_wave_is_read_back_before_the_next_begins() {
    let place = Place::plume();
    let file = place.moves(200);
    let waves = ["--waves", "3,5%,25%", "--lookup", "each"];
    let done = place
        .run(&[&["apply", &file, "--yes"][..], &waves].concat())
        .expect(0);
    for words in [
        "wave 1 of 3: 3 lines verified",
        "wave 2 of 3: 10 lines verified",
        "wave 3 of 3: 50 lines verified",
    ] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
    assert_eq!(place.account_of("C-199"), "B-000199");
    // All written customers are read back before the next wave writes.
    let log = place.sandbox.log();
    let mut written = 0;
    let mut read_back = std::collections::HashSet::new();
    for call in &log {
        if call.method == "PATCH" {
            written += 1;
            let before = [3, 13, 63].into_iter().rfind(|end| *end < written);
            assert!(
                read_back.len() >= before.unwrap_or(0),
                "write {written}: {}",
                read_back.len()
            );
        } else if written > 0 && call.path.starts_with("/api/Customers/C-") {
            read_back.insert(call.path.clone());
        }
    }
    assert_eq!(written, 200);
}

#[test]
fn a_wave_with_too_many_wrong_lines_stops_the_run_and_fewer_do_not() {
    let place = Place::plume();
    let file = place.moves(100);
    fault(&place, "customer-patch:422:every=10");
    let apply = [
        "apply",
        &file,
        "--yes",
        "--waves",
        "5,40",
        "--max-failures",
        "100%",
    ];
    let stopped = place.run(&apply).expect(4);
    let words = "wave 2 of 2, 4 lines are wrong: line ";
    assert!(stopped.out.contains(words), "{}", stopped.out);
    assert_eq!(
        place
            .verdicts()
            .iter()
            .filter(|one| *one == "changed/")
            .count(),
        41
    );
    let shown = place
        .run(&["runs", "show", &place.newest_id(), "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["stopped_by"], "canary");
    assert_eq!(shown["guards"]["waves"], "5,40");
    // The rest of the lines, with a budget of failures.
    let budget = ["resume", "--wave-failures", "20%"];
    place.run(&budget).expect(1);
    let open = place
        .verdicts()
        .iter()
        .filter(|one| one.starts_with("skipped"))
        .count();
    assert_eq!(open, 0);
}

#[test]
fn invalid_waves_options_are_refused() {
    let place = Place::plume();
    let file = place.moves(3);
    for (words, refused) in [
        (&["--waves", "5,x"][..], "`x` is neither a number"),
        (&["--waves", "0"], "`0` is not a wave"),
        (&["--waves", "5,0%"], "`0%` is not a wave"),
        (&["--wave-failures", "1%"], "give --waves too"),
    ] {
        let done = place
            .run(&[&["apply", &file, "--yes"][..], words].concat())
            .expect(2);
        assert!(done.err.contains(refused), "{}", done.err);
    }
    place
        .run(&["apply", &file, "--yes", "--waves", "1", "--canary", "1"])
        .expect(2);
    assert_eq!(place.patches(), 0);
}

/// A stand-in that stores another value for one customer than it answers, and delays each read after a write.
struct Lying {
    front: Front,
    /// Receives a message for each such read.
    reading: mpsc::Receiver<()>,
    /// Each message lets one read be answered; all others are answered when this is dropped.
    answers: mpsc::Sender<()>,
}

impl Lying {
    fn about(place: &Arc<Place>, wrong: Option<&'static str>) -> Self {
        let (heard, reading) = mpsc::channel();
        let (answers, waits) = mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        let (its, honest) = (Arc::clone(place), place.sandbox.base_url());
        let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
            let id = asked.path.rsplit('/').next().unwrap();
            if asked.method == "GET" && id.starts_with("C-") && its.patches() > 0 {
                let _ = heard.send(());
                let _ = waits.lock().unwrap().recv_timeout(Duration::from_secs(60));
            }
            let answer = asked.honestly(&honest);
            if asked.method == "PATCH" && Some(id) == wrong {
                its.with_world(|mut world| world.rename_plume(id, "WRONG"));
            }
            stream.write_all(&answer).is_ok()
        });
        Self {
            front,
            reading,
            answers,
        }
    }

    fn begin(&self, place: &Place, arguments: &[&str]) -> Child {
        let mut command = place.command(arguments);
        command.env("IDSHIFT_BASE_URL", self.front.base_url());
        command.spawn().unwrap()
    }

    /// Carries a command out, and answers all its reads.
    fn run(&self, place: &Place, arguments: &[&str]) -> Done {
        let child = self.begin(place, arguments);
        for _ in 0..1000 {
            let _ = self.answers.send(());
        }
        finish(child)
    }
}

/// Returns why a run stopped, as it prints it.
fn why(done: &Done) -> &str {
    let mut lines = done.out.lines().map(str::trim);
    lines
        .find(|line| line.starts_with("stopped"))
        .unwrap_or_default()
}

const APPLY: [&str; 7] = [
    "apply",
    "moves.csv",
    "--yes",
    "--waves",
    "3,50%",
    "--lookup",
    "each",
];

#[test]
fn resume_reads_back_an_unverified_wave_before_any_other_write() {
    let place = || {
        let place = Arc::new(Place::plume());
        place.moves(12);
        place
    };
    let uninterrupted = place();
    let lying = Lying::about(&uninterrupted, Some("C-1"));
    let told = lying.run(&uninterrupted, &APPLY).expect(4);
    let words = "wave 1 of 2, 1 line is wrong: line 3: customer C-1: account ID is WRONG";
    assert!(why(&told).contains(words), "{}", told.out);
    for signal in ["-KILL", "-INT", "-TERM"] {
        let place = place();
        let lying = Lying::about(&place, Some("C-1"));
        let child = lying.begin(&place, &APPLY);
        lying.reading.recv_timeout(Duration::from_secs(60)).unwrap();
        send(signal, &child);
        let _ = lying.answers.send(());
        let code = finish(child).code;
        assert_eq!(
            code,
            match signal {
                "-INT" => 130,
                "-TERM" => 143,
                _ => -1,
            }
        );
        assert_eq!(place.patches(), 3, "{signal}");
        let resumed = lying.run(&place, &["resume"]).expect(4);
        assert_eq!(why(&resumed), why(&told), "{signal}");
        assert_eq!(place.patches(), 3, "{signal}");
        assert_eq!(place.verdicts()[1], "failed/bad_answer", "{signal}");
        // After this message, the resume begins with a wave of that size again.
        let rest = lying.run(&place, &["resume"]).expect(1);
        assert!(
            rest.err.contains("wave 1 of 2: 3 lines verified"),
            "{}",
            rest.err
        );
        assert_eq!(
            (place.patches(), &place.account_of("C-11")[..]),
            (12, "B-000011")
        );
    }
}

#[test]
fn drained_wave_is_read_back_before_its_remaining_lines_are_written() {
    let place = Arc::new(Place::plume());
    place.moves(12);
    let lying = Lying::about(&place, Some("C-1"));
    let slowly = ["--rate", "4/s", "--concurrency", "1"];
    let child = lying.begin(&place, &[&APPLY[..3], &["--waves", "8"], &slowly].concat());
    while place.patches() < 2 {
        std::thread::yield_now();
    }
    place.run(&["drain", &place.newest_id()]).expect(0);
    for _ in 0..1000 {
        let _ = lying.answers.send(());
    }
    let drained = finish(child).expect(4);
    assert!(why(&drained).contains("drained"), "{}", drained.out);
    let written = place.patches();
    assert!(written < 8, "{written}");
    let resumed = lying.run(&place, &["resume"]).expect(4);
    assert!(
        why(&resumed).contains("canary: line 3: "),
        "{}",
        resumed.out
    );
    assert_eq!(place.patches(), written);
}

#[test]
fn resume_continues_with_the_next_wave_and_repeats_none() {
    let place = Arc::new(Place::plume());
    place.moves(20);
    let lying = Lying::about(&place, None);
    let child = lying.begin(&place, &[&APPLY[..], &["--rate", "50/s"]].concat());
    lying.reading.recv_timeout(Duration::from_secs(60)).unwrap();
    send("-KILL", &child);
    finish(child);
    for _ in 0..1000 {
        let _ = lying.answers.send(());
    }
    let resumed = lying.begin(&place, &["resume", "--rate", "20/s"]);
    while place.patches() < 14 {
        std::thread::yield_now();
    }
    send("-KILL", &resumed);
    let resumed = finish(resumed);
    for words in [
        "a wave of 3 lines was not verified; it is read back first",
        "wave 1 of 2: 3 lines verified",
        "wave 2 of 2: 10 lines verified",
    ] {
        assert!(resumed.err.contains(words), "{words}: {}", resumed.err);
    }
    let rest = lying.run(&place, &["resume", "--rate", "500/s"]).expect(0);
    assert!(!rest.err.contains("wave"), "{}", rest.err);
    assert_eq!(place.patches(), 20);
    place.judge_writes();
}

#[test]
fn changed_waves_apply_from_the_first_wave() {
    let place = Arc::new(Place::plume());
    place.moves(20);
    let lying = Lying::about(&place, None);
    let child = lying.begin(&place, &APPLY);
    lying.reading.recv_timeout(Duration::from_secs(60)).unwrap();
    send("-KILL", &child);
    finish(child);
    let resumed = lying.run(&place, &["resume", "--waves", "2,4"]).expect(0);
    for words in [
        "read back first",
        "wave 1 of 2: 2 lines",
        "wave 2 of 2: 4 lines",
    ] {
        assert!(resumed.err.contains(words), "{words}: {}", resumed.err);
    }
    assert_eq!(place.patches(), 20);
}

/// The second of two renames of one customer may have taken effect although it is not recorded.
#[test]
fn value_changed_by_a_later_write_does_not_fail_the_canary() {
    let text =
        "accountId,newAccountId,serviceId\nA-000000,B-000000,\nA-000001,A-000002,\nA-000002,B-2,\n";
    for step in (1..).take(400) {
        let place = Place::plume();
        place.moves(3);
        place.file("chain.csv", text);
        let apply = ["apply", "chain.csv", "--yes", "--canary", "2"];
        let mut command = place.command(&apply);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        if finish(command.spawn().unwrap()).code == 0 {
            assert!(step > 10, "{step}");
            return;
        }
        place.run(&["resume"]).expect(0);
        let accounts = [0, 1, 2].map(|n| place.account_of(&format!("C-{n}")));
        assert_eq!(accounts, ["B-000000", "A-000002", "B-2"], "{step}");
        place.judge_writes();
    }
    panic!("the command never ended by itself");
}

#[test]
fn no_write_follows_a_wrong_wave_after_a_kill_at_any_durable_step() {
    for step in 1..400 {
        let place = Arc::new(Place::plume());
        place.moves(8);
        let lying = Lying::about(&place, Some("C-1"));
        for _ in 0..1000 {
            let _ = lying.answers.send(());
        }
        let mut command = place.command(&APPLY);
        command.env("IDSHIFT_BASE_URL", lying.front.base_url());
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        if done.code == 4 {
            assert!(step > 8, "{step}");
            return;
        }
        assert_eq!(done.code, -1, "{step}: {}{}", done.out, done.err);
        if why(&done).is_empty() {
            let resumed = lying.run(&place, &["resume", "--yes"]);
            assert_eq!(resumed.code, 4, "{step}: {}{}", resumed.out, resumed.err);
            assert!(
                why(&resumed).contains("wave 1 of 2, 1 line is wrong"),
                "{step}"
            );
        }
        for n in 3..8 {
            assert_eq!(
                place.account_of(&format!("C-{n}")),
                format!("A-{n:06}"),
                "{step}"
            );
        }
    }
    panic!("the command never ended by itself");
}

/// The answer showed another value, or a read would have shown it, and the process was killed before this was recorded
/// as the line's outcome.
#[test]
fn no_write_follows_a_kill_in_a_wave_stored_with_other_values() {
    let mut wrong = 0;
    for step in 1..400 {
        let place = Place::plume();
        place.moves(8);
        place.with_world(|mut world| world.stores = Some(|text| text.to_lowercase()));
        let apply = ["apply", "moves.csv", "--yes", "--canary", "6"];
        let mut command = place.command(&apply);
        command.env("IDSHIFT_CRASH_AT", step.to_string());
        let done = finish(command.spawn().unwrap());
        let (written, is_wrong) = (place.patches(), place.account_of("C-0") == "b-000000");
        if done.code == 4 {
            assert!(wrong > 2, "{wrong} of {step}");
            return;
        }
        assert_eq!(done.code, -1, "{step}: {}{}", done.out, done.err);
        if is_wrong && why(&done).is_empty() {
            wrong += 1;
            let resumed = place.run(&["resume"]);
            assert_eq!(resumed.code, 4, "{step}: {}{}", resumed.out, resumed.err);
            assert!(
                why(&resumed).contains("canary: line 2 failed"),
                "{step}: {}",
                resumed.out
            );
            assert_eq!(place.patches(), written, "{step}: {}", resumed.out);
        }
    }
    panic!("the command never ended by itself");
}

/// Two writes had no answer: for one the system stored another value, the other was never carried out.
#[test]
fn a_write_in_doubt_is_not_repeated_before_the_wave_was_read_back() {
    let place = Arc::new(Place::plume());
    place.moves(5);
    let (heard, sent) = mpsc::channel();
    let (is_killed, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let (its, honest) = (Arc::clone(&place), place.sandbox.base_url());
    let front = Front::new(move |asked: &Asked, stream: &mut TcpStream| {
        let id = asked.path.rsplit('/').next().unwrap();
        let is_held = asked.method == "PATCH" && ["C-1", "C-2"].contains(&id);
        if !is_held {
            return stream.write_all(&asked.honestly(&honest)).is_ok();
        }
        if id == "C-1" {
            asked.honestly(&honest);
            its.with_world(|mut world| world.rename_plume(id, "b-000001"));
        }
        let _ = heard.send(());
        let _ = waits.lock().unwrap().recv_timeout(Duration::from_secs(60));
        false
    });
    let apply = ["apply", "moves.csv", "--yes", "--canary", "4"];
    let mut command = place.command(&[&apply[..], &["--concurrency", "2"]].concat());
    command.env("IDSHIFT_BASE_URL", front.base_url());
    let child = command.spawn().unwrap();
    for _ in 0..2 {
        sent.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    send("-KILL", &child);
    finish(child);
    drop(is_killed);
    let mut command = place.command(&["resume"]);
    command.env("IDSHIFT_BASE_URL", front.base_url());
    let resumed = finish(command.spawn().unwrap()).expect(4);
    let words = "canary: line 3 failed: the system stored another value";
    assert!(why(&resumed).contains(words), "{}", resumed.out);
    assert!(sent.try_recv().is_err(), "the write was sent again");
    assert_eq!(place.account_of("C-3"), "A-000003");
}

fn send(signal: &str, child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status();
    assert!(sent.unwrap().success());
}
