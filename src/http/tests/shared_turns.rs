//! The client with turns that all processes of a target share; a test grants them.

use super::server::{Server, ok};
use super::*;
use crate::limits::{GrantedTurns, Granting, NoTurns, SharedRate, TurnsAsk, TurnsGrant, TurnsWait};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::{Instant, timeout};

/// Grants a turn if the process is set to more than one call per second; all others must wait for a minute.
#[derive(Debug, Default)]
struct ForTheQuick {
    asked: AtomicU32,
}

impl SharedRate for ForTheQuick {
    fn grant(&self, ask: TurnsAsk) -> Granting<'_> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let is_quick = ask.per_second.is_some_and(|rate| rate > 1.0);
        let turns = if is_quick {
            Ok(GrantedTurns {
                many: 1,
                first_us: 0,
                step_us: 0.0,
                number: None,
            })
        } else {
            Err(NoTurns {
                wait: Duration::from_secs(60),
                cause: TurnsWait::Rate,
                why: String::new(),
            })
        };
        Box::pin(async move {
            Ok(TurnsGrant {
                now_us: 0,
                turns,
                lowest_per_second: ask.per_second,
                ordered: (0, None),
            })
        })
    }

    fn hold_target(&self, _wait: Duration, _slows: bool, _answered: [u32; 2]) {}

    fn hold_address(&self, _from: Option<IpAddr>, _wait: Duration) {}

    fn order(&self, _per_second: f64, _gap: Duration) {}

    fn give_back(&self, _unused: &[(i64, u32)]) {}
}

#[tokio::test]
async fn waiting_call_asks_again_when_a_higher_rate_is_set() {
    let server = Server::start(|_| ok()).await;
    let rate = Arc::new(ForTheQuick::default());
    let client = client(Settings {
        find_rate: Rate::PerSecond(0.02),
        shared_rate: Some(Arc::clone(&rate) as Arc<dyn SharedRate>),
        ..settings(&server)
    });
    let call = get("7");
    let set = async {
        while rate.asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        // The answer has come, and the wait has begun.
        let _ = timeout(Duration::from_millis(50), std::future::pending::<()>()).await;
        client.set_rate(100.0);
        Instant::now()
    };
    let (read, set) = tokio::join!(client.read(&call, parse), set);
    assert_eq!(read.unwrap(), 200);
    let took = set.elapsed();
    assert!(took < Duration::from_millis(500), "{took:?}");
}
