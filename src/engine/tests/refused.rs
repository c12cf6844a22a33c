//! A write that is held back for what it is, whatever the rest of the system does.

use super::memory::{Memory, Waves};
use super::world::{Call, Record, World};
use crate::domain::{AccountId, Change, NewAccount};
use crate::engine::{self, Concurrency, Context, Ending, Job, Lookup, Mode, Settings, Tally};
use crate::ledger::LineSet;
use crate::plan::Unit;
use crate::system::{Kind, System};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

fn rename(n: u32) -> Job {
    let account = |id: String| AccountId::new(id).unwrap();
    Job::new(Unit::single(Change {
        line: n + 2,
        account: Some(account(format!("A-{n}"))),
        customer: None,
        reseller: None,
        new_account: NewAccount::Set(account(format!("B-{n}"))),
        location: None,
        service: None,
        profile: None,
    }))
}

fn settings() -> Settings {
    Settings {
        drain: CancellationToken::new(),
        run: "20261121-223015-k3f9".to_owned(),
        mode: Mode::Apply,
        lookup: Lookup::Each,
        concurrency: Concurrency::Fixed(2),
        max_age: Duration::from_secs(600),
        give_up_after: Duration::from_secs(900),
        retries: 2,
        fence: None,
        max_failures: None,
        known_failures: Arc::default(),
        is_of_failures: false,
        must_find: true,
        waves: Arc::default(),
        wave_count: 0,
        wave_failures: None,
        until: None,
        alias_conflicts: None,
        given: HashMap::new(),
        undoes: None,
        history: Arc::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_always_held_back_fails_in_the_end_and_holds_nobody_up() {
    let world = World::new(fastrand::Rng::with_seed(1));
    {
        let mut state = world.lock();
        for n in 0..3 {
            let (account, service) = (format!("A-{n}"), "old".to_owned());
            state
                .customers
                .insert(format!("C-{n}"), Record { account, service });
        }
        state.refuses = Some("C-1".to_owned());
    }
    let notes = Memory::new(fastrand::Rng::with_seed(1));
    notes.reopen(None);
    let system = System::simulated(Kind::Plume, Box::new(world.clone()));
    let (events, _) = broadcast::channel(8);
    let tally = Arc::new(Tally::default());
    let context = Context::new(Arc::new(system), notes.clone(), settings(), tally, events);
    let waves = Waves {
        notes: notes.clone(),
        units: LineSet::default(),
    };
    let (feed, inbox) = mpsc::channel(8);
    feed.send((0..3).map(rename).collect()).await.unwrap();
    drop(feed);
    let ending = engine::run(Arc::new(context), inbox, &waves, CancellationToken::new()).await;
    assert!(matches!(ending, Ending::Finished), "{ending:?}");
    let kept = notes.lock();
    let verdicts: Vec<_> = kept.outcomes.values().map(|o| o.status.name()).collect();
    assert_eq!(verdicts, ["changed", "failed", "changed"]);
    let refused = |call: &&Call| matches!(call, Call::Write { customer, .. } if customer == "C-1");
    let attempts = world.lock().log.iter().filter(refused).count();
    assert!((10..=31).contains(&attempts), "{attempts}");
}
