use crate::support::Place;
use idshift::sandbox::Options;
use std::time::Duration;

/// Returns the most calls that arrived within any window of this length.
fn most_within(place: &Place, window: Duration) -> usize {
    let mut at: Vec<Duration> = place.sandbox.log().iter().map(|seen| seen.at).collect();
    at.sort();
    let within = |from: &Duration| {
        at.iter()
            .filter(|t| *t >= from && **t < *from + window)
            .count()
    };
    at.iter().map(within).max().unwrap_or(0)
}

#[test]
fn the_rate_is_never_exceeded_and_is_used() {
    let place = Place::plume();
    let file = place.moves(300);
    place
        .run(&[
            "apply",
            &file,
            "--yes",
            "--rate",
            "100/s",
            "--quota",
            "unlimited",
        ])
        .expect(0);
    // One more call is allowed, because the clocks of two processes differ slightly.
    assert!(most_within(&place, Duration::from_secs(1)) <= 102);
    // The calls need three seconds; `benches/compare` measures how much of a rate is used.
    let log = place.sandbox.log();
    let took = log.last().unwrap().at.abs_diff(log[0].at);
    assert!(
        took < Duration::from_secs(6),
        "{} calls in {took:?}",
        log.len()
    );
}

#[test]
fn the_quota_holds_in_every_window_and_across_runs() {
    let place = Place::plume();
    let file = place.moves(60);
    for (arguments, code) in [
        (vec!["plan", &file, "--lookup", "each"], 0),
        (vec!["apply", &file, "--yes", "--lookup", "each"], 0),
        (vec!["verify"], 0),
    ] {
        let arguments = [arguments, vec!["--quota", "70/2s"]].concat();
        place.run(&arguments).expect(code);
    }
    let most = most_within(&place, Duration::from_millis(1990));
    assert!(most <= 70, "{most}");
}

#[test]
fn retry_after_holds_all_calls() {
    for fault in ["customer-patch:429=2:nth=20", "customer-patch:503=2:nth=20"] {
        let place = Place::new(Options {
            latency: Duration::from_millis(5),
            ..Options::default()
        });
        let file = place.moves(60);
        place.sandbox.set_faults(vec![fault.parse().unwrap()]);
        place
            .run(&["apply", &file, "--yes", "--concurrency", "8"])
            .expect(0);
        let log = place.sandbox.log();
        let struck = log
            .iter()
            .find(|seen| matches!(seen.status, 429 | 503))
            .unwrap()
            .at;
        // Calls that were under way when the answer arrived cannot be stopped.
        let early = log
            .iter()
            .filter(|seen| seen.at > struck + Duration::from_millis(60))
            .find(|seen| seen.at < struck + Duration::from_millis(1950));
        assert!(early.is_none(), "{fault} at {struck:?}: {early:?}");
        place.judge_writes();
    }
}

/// Adds a quota that a few dozen lines use up immediately.
fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--quota", "40/2s"]].concat()
}

#[test]
fn verify_shares_the_quota_with_other_runs_and_blocks_none() {
    let place = Place::plume();
    let file = place.moves(30);
    place
        .run(&with(&["apply", &file, "--yes", "--lookup", "each"]))
        .expect(0);
    let run = place.newest_id();
    // Without bulk look-ups `verify` makes many calls, which take a while.
    place
        .sandbox
        .set_faults(vec!["bulk:403:always".parse().unwrap()]);
    let verifying = place.command(&with(&["verify", &run])).spawn().unwrap();
    let back = place.file(
        "back.csv",
        &(0..30).fold(String::from("accountId,newAccountId\n"), |text, n| {
            text + &format!("B-{n:06},B-{n:06}\n")
        }),
    );
    for _ in 0..2 {
        let arguments = with(&["apply", &back, "--yes", "--lookup", "each"]);
        place.run(&arguments).expect(0);
    }
    crate::support::finish(verifying).expect(0);
    let calls = place.sandbox.log().len();
    assert!(calls >= 60 + 60 + 30, "{calls}");
    let most = most_within(&place, Duration::from_millis(1990));
    assert!(most <= 40, "{most}");
}
