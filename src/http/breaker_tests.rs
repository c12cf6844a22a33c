//! Tests of the gate's decisions, with invented times.

use super::*;

const GIVE_UP: Duration = Duration::from_secs(900);
const GOOD: AnswerHealth = AnswerHealth::Good;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn refused(wait: Option<u64>) -> AnswerHealth {
    AnswerHealth::Refused {
        status: 429,
        wait: wait.map(seconds),
    }
}

fn failed() -> AnswerHealth {
    AnswerHealth::Failed("reset".to_owned())
}

fn held_for(decisions: &BreakerState, now: Instant) -> Option<Duration> {
    match decisions.state {
        State::Held { until, .. } => Some(until - now),
        _ => None,
    }
}

/// Waits until the hold is over, sends the probe, and reports `health` for it.
fn probe(decisions: &mut BreakerState, now: &mut Instant, health: &AnswerHealth) {
    *now += held_for(decisions, *now).expect("it is held");
    assert!(matches!(
        decisions.may_go(*now),
        Permission::Go { probe: Some(_), .. }
    ));
    assert!(
        matches!(decisions.may_go(*now), Permission::Wait(_)),
        "one probe"
    );
    decisions.hear(health, true, true, *now);
}

#[tokio::test(start_paused = true)]
async fn refusal_holds_all_calls_until_one_probe_succeeds() {
    let mut now = Instant::now();
    let mut gate = BreakerState::new(GIVE_UP);
    let effect = gate.hear(&refused(Some(2)), false, true, now);
    let expected = Hold {
        wait: held_for(&gate, now).unwrap(),
        slows: true,
    };
    assert_eq!(effect, Effect::HoldAll(expected));
    let held = held_for(&gate, now).unwrap();
    assert!(held >= seconds(2) && held < seconds(3), "{held:?}");
    assert!(matches!(gate.may_go(now + seconds(1)), Permission::Wait(_)));
    probe(&mut gate, &mut now, &GOOD);
    assert!(matches!(
        gate.may_go(now),
        Permission::Go { probe: None, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn repeated_refusals_form_one_hold_with_the_longest_wait() {
    let now = Instant::now();
    let mut gate = BreakerState::new(GIVE_UP);
    gate.hear(&refused(Some(2)), false, true, now);
    for wait in [None, Some(1), Some(5), Some(3)] {
        let effect = gate.hear(&refused(wait), false, false, now);
        let longer = |wait| Effect::HoldAll(Hold { wait, slows: false });
        let expected = wait.filter(|wait| *wait == 5);
        let expected = expected.map_or(Effect::Nothing, |wait| longer(seconds(wait)));
        assert_eq!(effect, expected);
    }
    assert_eq!(held_for(&gate, now), Some(seconds(5)));
    assert_eq!(gate.level, 0);
}

#[tokio::test(start_paused = true)]
async fn hold_doubles_with_each_refused_probe_until_one_succeeds() {
    let mut now = Instant::now();
    let mut gate = BreakerState::new(seconds(10_000));
    let effect = gate.hear(&refused(None), false, true, now);
    assert!(matches!(effect, Effect::HoldAll(_)), "{effect:?}");
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let held = held_for(&gate, now).unwrap();
        let most = seconds(expected).mul_f64(1.0 + SPREAD);
        assert!(held >= seconds(expected) && held <= most, "{held:?}");
        probe(&mut gate, &mut now, &refused(None));
    }
    probe(&mut gate, &mut now, &GOOD);
    gate.hear(&refused(None), false, true, now);
    assert!(held_for(&gate, now).unwrap() < seconds(2));
}

#[tokio::test(start_paused = true)]
async fn repeated_refusals_with_zero_wait_are_still_backed_off() {
    let mut now = Instant::now();
    let mut gate = BreakerState::new(GIVE_UP);
    gate.hear(&refused(Some(0)), false, true, now);
    let start = now;
    for _ in 0..9 {
        probe(&mut gate, &mut now, &refused(Some(0)));
    }
    assert!(now - start > seconds(30), "{:?}", now - start);
}

#[tokio::test(start_paused = true)]
async fn wait_beyond_the_give_up_limit_gives_up_immediately() {
    let now = Instant::now();
    let mut gate = BreakerState::new(GIVE_UP);
    gate.hear(&refused(Some(901)), false, true, now);
    let Permission::GaveUp(why) = gate.may_go(now) else {
        panic!("it did not give up")
    };
    assert_eq!(why.kind, CallErrorKind::GaveUp);
    assert!(
        why.text.contains("901 s") && why.text.contains("15m"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn firewall_block_is_probed_at_intervals_of_5_to_60_seconds() {
    let mut now = Instant::now();
    let start = now;
    let mut gate = BreakerState::new(GIVE_UP);
    gate.hear(&AnswerHealth::Firewall, false, true, now);
    let mut waits = Vec::new();
    while now - start < seconds(300) {
        waits.push(held_for(&gate, now).unwrap().as_secs());
        probe(&mut gate, &mut now, &AnswerHealth::Firewall);
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60, 60, 60]);
    probe(&mut gate, &mut now, &GOOD);
    assert!(matches!(gate.state, State::Flowing));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_after_ten_failures_in_a_row_and_not_before() {
    let now = Instant::now();
    let mut gate = BreakerState::new(GIVE_UP);
    for _ in 0..100 {
        // A customer for which the system always fails, while others succeed.
        for _ in 0..9 {
            gate.hear(&failed(), false, true, now);
        }
        gate.hear(&GOOD, false, true, now);
    }
    assert!(matches!(gate.state, State::Flowing));
    for _ in 0..10 {
        gate.hear(&failed(), false, true, now);
    }
    assert!(matches!(gate.state, State::Held { .. }));
}

#[tokio::test(start_paused = true)]
async fn unavailable_system_is_probed_less_often_and_then_given_up() {
    let mut now = Instant::now();
    let start = now;
    let mut gate = BreakerState::new(GIVE_UP);
    for _ in 0..10 {
        gate.hear(&failed(), false, true, now);
    }
    let mut waits = Vec::new();
    let why = loop {
        let wait = held_for(&gate, now).unwrap();
        if now + wait - start >= GIVE_UP {
            now = start + GIVE_UP;
            match gate.may_go(now) {
                Permission::GaveUp(why) => break why,
                other => panic!("{other:?}"),
            }
        }
        waits.push(wait.as_secs());
        probe(&mut gate, &mut now, &failed());
    };
    assert_eq!(waits[..7], [1, 2, 4, 8, 16, 30, 30]);
    assert!(waits.len() < 40);
    assert!(why.text.contains("does not answer"), "{why}");
    assert!(why.text.ends_with("the last answer: reset"), "{why}");
    gate.hear(&GOOD, true, true, now);
    assert!(
        matches!(gate.may_go(now), Permission::GaveUp(_)),
        "for good"
    );
}

#[tokio::test(start_paused = true)]
async fn late_success_keeps_the_hold_but_restarts_the_give_up_time() {
    let now = Instant::now();
    let mut gate = BreakerState::new(GIVE_UP);
    gate.hear(&AnswerHealth::Firewall, false, true, now);
    gate.hear(&GOOD, false, false, now + seconds(3));
    assert!(matches!(gate.state, State::Held { .. }));
    assert_eq!(gate.trouble_since, Some(now + seconds(3)));
}
