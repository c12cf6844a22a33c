//! Tests of the pace in virtual time.

use super::*;
use tokio::task::JoinSet;
use tokio::time::{advance, sleep};

/// Runs `workers` workers for `seconds`, and returns the departure times in microseconds.
async fn run(pace: Arc<Pace>, workers: usize, seconds: u64) -> Vec<u64> {
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let mut set = JoinSet::new();
    for _ in 0..workers {
        let pace = pace.clone();
        set.spawn(async move {
            let mut seen = Vec::new();
            loop {
                pace.turn().await;
                pace.accepted();
                if Instant::now() >= end {
                    return seen;
                }
                seen.push(u64::try_from(start.elapsed().as_micros()).unwrap());
                sleep(Duration::from_millis(2)).await;
            }
        });
    }
    let mut all: Vec<u64> = set.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    all
}

fn most_in_a_second(calls: &[u64]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (index, at) in calls.iter().enumerate() {
        while calls[first] + 1_000_000 <= *at {
            first += 1;
        }
        most = most.max(index - first + 1);
    }
    most
}

#[tokio::test(start_paused = true)]
async fn every_rate_is_used_to_98_percent_and_no_second_exceeds_it() {
    for (rate, workers, least) in [
        (2.5, 4, 0.99),
        (20.0, 8, 0.99),
        (100.0, 16, 0.99),
        (1000.0, 64, 0.985),
        (5000.0, 128, 0.985),
    ] {
        let pace = Arc::new(Pace::new(Rate::PerSecond(rate)));
        let calls = run(pace, workers, 20).await;
        let count = f64::from(u32::try_from(calls.len()).unwrap());
        let reached = count / 20.0 / rate;
        assert!(reached >= least, "{rate}: {reached}");
        let most = f64::from(u32::try_from(most_in_a_second(&calls)).unwrap());
        assert!(most <= rate.ceil(), "{rate}: {most}");
    }
}

/// The server is delayed by 20 ms now and then, and then sees all calls that arrived meanwhile together.
#[tokio::test(start_paused = true)]
async fn delayed_server_sees_at_most_one_percent_above_the_rate() {
    const EVERY: u64 = 1_370_000;
    const HELD_UP: u64 = 20_000;
    for (rate, workers) in [
        (20.0, 8),
        (100.0, 16),
        (300.0, 32),
        (1000.0, 64),
        (3000.0, 128),
        (5000.0, 128),
    ] {
        let pace = Arc::new(Pace::new(Rate::PerSecond(rate)));
        let departed = run(pace, workers, 20).await;
        let arrived: Vec<u64> = departed
            .iter()
            .map(|at| match at % EVERY {
                since if since < HELD_UP => at - since + HELD_UP,
                _ => *at,
            })
            .collect();
        let most = f64::from(u32::try_from(most_in_a_second(&arrived)).unwrap());
        assert!(most <= rate * 1.01 + 1.0, "{rate}: {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn delayed_process_does_not_catch_up_on_missed_calls() {
    let pace = Arc::new(Pace::new(Rate::PerSecond(100.0)));
    let (calls, ()) = tokio::join!(run(pace, 16, 10), async {
        for _ in 0..20 {
            sleep(Duration::from_millis(301)).await;
            // Jumps past many slots in one step, like a process that had no CPU time or was suspended.
            advance(Duration::from_millis(120)).await;
        }
    });
    assert!(
        most_in_a_second(&calls) <= 100,
        "{}",
        most_in_a_second(&calls)
    );
    assert!(calls.len() > 600);
}

#[tokio::test(start_paused = true)]
async fn idle_time_does_not_allow_a_later_burst() {
    let pace = Arc::new(Pace::new(Rate::PerSecond(20.0)));
    run(pace.clone(), 8, 2).await;
    sleep(Duration::from_secs(60)).await;
    let calls = run(pace, 8, 3).await;
    assert!(most_in_a_second(&calls) <= 20);
}

fn in_second(calls: &[u64], n: u64) -> usize {
    calls
        .iter()
        .filter(|at| (n * 1_000_000..(n + 1) * 1_000_000).contains(*at))
        .count()
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_the_rate_drops_slightly_and_climbs_slowly() {
    let pace = Arc::new(Pace::new(Rate::PerSecond(100.0)));
    run(pace.clone(), 16, 2).await;
    pace.slow();
    let calls = run(pace, 16, 40).await;
    let first = in_second(&calls, 0);
    assert!((78..=90).contains(&first), "{first}");
    let later = in_second(&calls, 5);
    assert!(later > first && later < 94, "{later}");
    let last = in_second(&calls, 35);
    assert!(last >= 99, "{last}");
    assert!(most_in_a_second(&calls) <= 100);
}

#[tokio::test(start_paused = true)]
async fn rate_far_below_the_refused_rate_climbs_quickly() {
    let pace = Arc::new(Pace::new(Rate::PerSecond(100.0)));
    // The system accepted one of many calls within the last second.
    pace.turn().await;
    pace.accepted();
    pace.slow();
    let calls = run(pace, 16, 15).await;
    assert!(in_second(&calls, 0) <= 2, "{calls:?}");
    let later = in_second(&calls, 14);
    assert!((80..=90).contains(&later), "{later}");
}

#[tokio::test(start_paused = true)]
async fn slots_given_out_before_a_refusal_are_void() {
    let pace = Arc::new(Pace::new(Rate::PerSecond(1.0)));
    let (calls, ()) = tokio::join!(run(pace.clone(), 10, 22), async {
        sleep(Duration::from_millis(3100)).await;
        // As far as the pace knows, nothing was accepted within the last second.
        pace.line().accepted = LastSecond::default();
        pace.slow();
    });
    // Four calls have departed; at half the pace the next one departs two seconds after the last, not at its old slot.
    assert!(calls[4] - calls[3] > 1_900_000, "{calls:?}");
    assert!(calls.len() >= 16, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_no_call_waits_before_the_first_refusal() {
    let pace = Arc::new(Pace::new(Rate::Unlimited));
    let before = run(pace.clone(), 4, 2).await.len() / 2;
    assert!(before > 1500);
    pace.slow();
    let calls = run(pace, 4, 20).await;
    assert!(in_second(&calls, 0) < before * 95 / 100);
    let last = in_second(&calls, 19);
    assert!(last > before * 7 / 10, "{last} of {before}");
}

#[tokio::test(start_paused = true)]
async fn slot_too_late_for_one_call_is_left_for_the_next_call() {
    let pace = Pace::new(Rate::PerSecond(1.0));
    pace.turn().await;
    let begun = Instant::now();
    for n in 0..50 {
        let latest = Some(begun + Duration::from_millis(500));
        let TooLate(wait) = pace.approach(Duration::ZERO, latest).await.unwrap_err();
        assert!(wait > Duration::from_millis(900), "{n}: {wait:?}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let latest = Some(begun + Duration::from_millis(1_500));
    pace.approach(Duration::ZERO, latest).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn waiting_call_proceeds_when_a_higher_rate_is_set() {
    let pace = Arc::new(Pace::new(Rate::PerSecond(1.0 / 60.0)));
    let begun = Instant::now();
    let (calls, ()) = tokio::join!(run(pace.clone(), 3, 4), async {
        sleep(Duration::from_secs(2)).await;
        pace.set_rate(10.0);
    });
    assert!(calls[1] < 2_010_000, "{calls:?}");
    assert!(in_second(&calls, 3) >= 9, "{calls:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
