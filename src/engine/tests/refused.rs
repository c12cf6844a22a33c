//! Writes that are not sent: held back because of what they are, or because another process may have their unit.

use super::memory::{Memory, Waves};
use super::world::{Call, Record, World};
use crate::domain::{AccountId, Change, NewAccount, Outcome};
use crate::engine::{
    self, Concurrency, Context, Drain, Ending, Lookup, Mode, Settings, Tally, UnitTask,
};
use crate::ledger::{LineSet, NEVER_SENT, WriteRecord};
use crate::plan::Unit;
use crate::system::{System, SystemKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

fn rename(n: u32) -> UnitTask {
    let account = |id: String| AccountId::new(id).unwrap();
    UnitTask::new(Unit::single(Change {
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

pub(super) fn renames() -> Vec<UnitTask> {
    (0..3).map(rename).collect()
}

pub(super) fn settings() -> Settings {
    Settings {
        drain: Drain::default(),
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

/// Makes a run over three lines, with their customers in the system.
pub(super) fn prepared() -> (World, Memory) {
    let world = World::new(fastrand::Rng::with_seed(1));
    for n in 0..3 {
        let (account, service) = (format!("A-{n}"), "old".to_owned());
        let record = Record { account, service };
        world.lock().customers.insert(format!("C-{n}"), record);
    }
    let notes = Memory::new(fastrand::Rng::with_seed(1));
    notes.reopen(None);
    (world, notes)
}

pub(super) async fn carried_out(world: &World, notes: &Memory, tasks: Vec<UnitTask>) -> Ending {
    carried_out_with(settings(), world, notes, tasks).await
}

pub(super) async fn carried_out_with(
    settings: Settings,
    world: &World,
    notes: &Memory,
    tasks: Vec<UnitTask>,
) -> Ending {
    let system = System::simulated(SystemKind::Plume, Box::new(world.clone()));
    let (events, _) = broadcast::channel(8);
    let tally = Arc::new(Tally::default());
    let context = Context::new(Arc::new(system), notes.clone(), settings, tally, events);
    let waves = Waves {
        notes: notes.clone(),
        units: LineSet::default(),
    };
    let (feed, inbox) = mpsc::channel(8);
    feed.send(tasks).await.unwrap();
    drop(feed);
    engine::run(Arc::new(context), inbox, &waves, CancellationToken::new()).await
}

fn writes_to(world: &World, id: &str) -> usize {
    let log = &world.lock().log;
    let to = |call: &&Call| matches!(call, Call::Write { customer, .. } if customer == id);
    log.iter().filter(to).count()
}

#[tokio::test(start_paused = true)]
async fn write_that_is_always_held_back_fails_and_blocks_no_other_line() {
    let (world, notes) = prepared();
    world.lock().refuses = Some("C-1".to_owned());
    let ending = carried_out(&world, &notes, renames()).await;
    assert!(matches!(ending, Ending::Finished), "{ending:?}");
    let kept = notes.lock();
    let verdicts: Vec<_> = kept.outcomes.values().map(|o| o.status.name()).collect();
    assert_eq!(verdicts, ["changed", "failed", "changed"]);
    let attempts = writes_to(&world, "C-1");
    assert!((10..=31).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn write_is_not_sent_after_its_lease_has_expired() {
    let (world, notes) = prepared();
    notes.lock().late = 4;
    let ending = carried_out(&world, &notes, renames()).await;
    assert!(matches!(ending, Ending::Finished), "{ending:?}");
    let sent: usize = (0..3).map(|n| writes_to(&world, &format!("C-{n}"))).sum();
    let kept = notes.lock();
    let never_sent = |write: &&WriteRecord| write.http_status == Some(NEVER_SENT);
    assert_eq!(kept.writes.iter().filter(never_sent).count(), 4);
    assert_eq!((sent, kept.writes.len()), (3, 7));
    let changed = |outcome: &Outcome| outcome.status.name() == "changed";
    assert!(kept.outcomes.values().all(changed));
}

#[tokio::test(start_paused = true)]
async fn unit_taken_by_another_process_is_not_processed_further() {
    let (world, notes) = prepared();
    notes.lock().taken = Some("C-1".to_owned());
    let ending = carried_out(&world, &notes, renames()).await;
    assert!(matches!(ending, Ending::Finished), "{ending:?}");
    assert_eq!(writes_to(&world, "C-1"), 0);
    let kept = notes.lock();
    assert_eq!(kept.outcomes.len(), 2, "no outcome of its line");
    assert_eq!(kept.writes.len(), 2);
}
