//! Waiting at the gate, in virtual time.

use super::*;
use crate::http::Health;
use crate::http::call::CallErrorKind;
use tokio::time::timeout;

fn gate(stop: &CancellationToken) -> (Gate, Arc<HealthBoard>) {
    let board = Arc::new(HealthBoard::new());
    let gate = Gate::new(Duration::from_secs(900), board.clone(), stop.clone());
    (gate, board)
}

const REFUSED: AnswerHealth = AnswerHealth::Refused {
    status: 429,
    wait: Some(Duration::from_secs(7)),
};

#[tokio::test(start_paused = true)]
async fn all_calls_wait_and_continue_after_the_probe() {
    let (gate, board) = gate(&CancellationToken::new());
    let early = gate.enter().await.unwrap();
    gate.enter().await.unwrap().report(&REFUSED);
    assert!(!early.is_valid(), "a call that has not left yet waits too");
    let start = Instant::now();
    let shown = board.watch();
    assert!(matches!(&*shown.borrow(), Health::Held { why, until, .. }
            if why == "429: all calls wait" && *until >= Some(start + Duration::from_secs(7))));
    let worker = || async {
        let admission = gate.enter().await.unwrap();
        let at = start.elapsed().mul_f64(1.0 / 1.1).as_secs();
        tokio::time::sleep(Duration::from_secs(1)).await;
        admission.report(&AnswerHealth::Good);
        at
    };
    let mut at = futures_util::future::join_all((0..5).map(|_| worker())).await;
    at.sort_unstable();
    assert!(at[0] >= 6 && at[1..].iter().all(|at| *at > 6), "{at:?}");
    assert_eq!(*shown.borrow(), Health::Flowing);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_dropped_lets_the_next_one_probe() {
    let (gate, _) = gate(&CancellationToken::new());
    gate.enter().await.unwrap().report(&REFUSED);
    let probe = gate.enter().await.unwrap();
    let waits = timeout(Duration::from_secs(1), gate.enter()).await;
    assert!(waits.is_err());
    drop(probe);
    let next = timeout(Duration::from_secs(1), gate.enter()).await;
    assert!(next.is_ok());
}

#[tokio::test(start_paused = true)]
async fn stop_cancels_waiting_calls_but_not_calls_that_need_no_wait() {
    let stop = CancellationToken::new();
    let (gate, _) = gate(&stop);
    stop.cancel();
    gate.enter().await.unwrap().report(&REFUSED);
    let start = Instant::now();
    let why = gate.enter().await.unwrap_err();
    assert_eq!(why.kind, CallErrorKind::Cancelled);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn all_waiting_calls_fail_when_the_gate_gives_up() {
    let (gate, _) = gate(&CancellationToken::new());
    gate.enter().await.unwrap().report(&REFUSED);
    // A probe that never ends.
    let _probe = gate.enter().await.unwrap();
    let start = Instant::now();
    let (one, two) = tokio::join!(gate.enter(), gate.enter());
    for admission in [one, two] {
        assert_eq!(admission.unwrap_err().kind, CallErrorKind::GaveUp);
    }
    let waited = start.elapsed().as_secs();
    assert!((892..=893).contains(&waited), "{waited}");
}
