//! The client with a replacement for its own turns: which calls it makes to [`Turns`], and that it follows the answers.

use super::super::bearer::Bearer;
use super::super::breaker::Hold;
use super::super::call::CallError;
use super::super::turns::{Ask, Blocked, Departs, Scope, Taken, Taking, Turn, Turns, refuse_late};
use super::server::{Server, ok, with};
use super::*;
use crate::moment::{Moment, suspend};
use reqwest::header::HeaderValue;
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// Grants turns as the test says, and records the calls to it.
#[derive(Debug, Default, Clone)]
struct Scripted {
    /// The result of each departure, the last one first.
    script: Arc<Mutex<Vec<Said>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, Clone, Copy)]
enum Said {
    In(Duration),
    Missed,
}

impl Scripted {
    fn hear(&self, what: String) {
        self.heard.lock().unwrap().push(what);
    }
}

impl Turns for Scripted {
    fn take<'t: 'w, 'w>(&'t self, ask: Ask<'w>) -> Taking<'t, 'w> {
        self.hear(format!("take {:?}", ask.kind));
        Box::pin(async move {
            Ok::<_, CallError>(Taken {
                turn: Box::new(ScriptedTurn(self)),
                from: 0,
                queued_at: Instant::now(),
            })
        })
    }

    fn accepted(&self, kind: CallKind) {
        self.hear(format!("accepted {kind:?}"));
    }

    fn reached(&self, from: usize, _departed: Instant) {
        self.hear(format!("reached {from}"));
    }

    fn hold_address(&self, from: usize, _departed: Instant, _why: Blocked) -> bool {
        self.hear(format!("hold address {from}"));
        true
    }

    fn hold_all(&self, hold: Hold, scope: Scope) {
        self.hear(format!("hold {scope:?} for {} s", hold.wait.as_secs()));
    }

    fn set_rate(&self, _per_second: f64) {}

    fn rate(&self) -> Option<f64> {
        None
    }
}

#[derive(Debug)]
struct ScriptedTurn<'t>(&'t Scripted);

impl Turn for ScriptedTurn<'_> {
    fn is_open(&self) -> bool {
        true
    }

    fn depart(&mut self) -> Departs {
        match self.0.script.lock().unwrap().pop() {
            None => Departs::Now,
            Some(Said::In(wait)) => Departs::At(Instant::now() + wait),
            Some(Said::Missed) => Departs::Missed,
        }
    }
}

#[tokio::test]
async fn calls_depart_at_their_turn_and_refusals_reach_the_turn_source() {
    let server = Server::start(|seen| match seen.number {
        0 => with(429, "Retry-After: 1\r\n", ""),
        _ => ok(),
    })
    .await;
    let turns = Scripted::default();
    let wait = Duration::from_millis(300);
    turns
        .script
        .lock()
        .unwrap()
        .extend([Said::In(wait), Said::Missed]);
    let mut client = client(settings(&server));
    client.turns = Box::new(turns.clone());
    let begun = std::time::Instant::now();
    assert_eq!(client.read(&get("7"), parse).await.unwrap(), 200);
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].at - begun >= wait, "{seen:?}");
    assert_eq!(
        *turns.heard.lock().unwrap(),
        [
            "take Read",
            "take Read",
            "hold Target for 1 s",
            "take Read",
            "accepted Read",
            "reached 0"
        ]
    );
}

#[tokio::test]
async fn only_calls_that_the_system_accepted_count_for_the_rate() {
    let server = Server::start(|seen| match seen.number {
        0 => with(500, "", ""),
        1 => with(503, "Retry-After: 0\r\n", ""),
        2 => with(422, "", "{}"),
        _ => ok(),
    })
    .await;
    let turns = Scripted::default();
    let mut client = client(settings(&server));
    client.turns = Box::new(turns.clone());
    assert_eq!(client.read(&get("7"), parse).await.unwrap(), 422);
    assert_eq!(client.read(&get("8"), parse).await.unwrap(), 200);
    let heard = turns.heard.lock().unwrap();
    let accepted = heard.iter().filter(|one| *one == "accepted Read").count();
    assert_eq!((server.count(), accepted), (4, 2), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn deadline_of_a_write_and_end_of_a_token_pass_while_the_machine_is_suspended() {
    let minute = Duration::from_secs(60);
    let now = Moment::now();
    let bearer = Bearer::new(HeaderValue::from_static("x"), 1, now, Some(minute));
    assert!(refuse_late(Some(now + minute), Duration::ZERO).is_ok());
    assert!(!bearer.has_ended());
    suspend(minute * 2);
    assert!(refuse_late(Some(now + minute), Duration::ZERO).is_err());
    assert!(bearer.has_ended());
}

#[tokio::test]
async fn write_that_may_no_longer_be_sent_after_its_last_wait_is_not_sent() {
    let server = Server::start(|_| ok()).await;
    let turns = Scripted::default();
    let wait = Duration::from_millis(300);
    turns.script.lock().unwrap().push(Said::In(wait));
    let mut client = client(settings(&server));
    client.turns = Box::new(turns);
    let mut write = client.pending_write(patch("7"));
    assert!(write.turn(Duration::ZERO).await.is_ok());
    let until = Instant::now() + wait / 2;
    let sent = write.send("intent-1", &|| Instant::now() < until).await;
    assert!(matches!(sent, Sent::Again(_)), "{sent:?}");
    assert_eq!(server.count(), 0);
    assert!(matches!(attempt(&mut write).await, Sent::Reply(_)));
}
