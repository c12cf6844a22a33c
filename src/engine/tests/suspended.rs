//! The machine is suspended in the middle of a run.

use super::refused::{carried_out_with, prepared, renames, settings};
use crate::domain::{Failed, Status};
use crate::engine::{Concurrency, Ending, Settings};
use crate::ledger::StopReason;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn customer_changed_while_the_machine_was_suspended_is_not_overwritten() {
    let (world, notes) = prepared();
    let settings = settings();
    let time = settings.max_age + Duration::from_secs(1);
    world.lock().suspended = Some(("C-1".to_owned(), time));
    let ending = carried_out_with(settings, &world, &notes, renames()).await;
    assert!(matches!(ending, Ending::Finished), "{ending:?}");
    let account = world.lock().customers["C-1"].account.clone();
    assert_eq!(account, "X-C-1");
    let kept = notes.lock();
    let outcomes: Vec<_> = kept.outcomes.values().map(|o| o.status).collect();
    let stale = Status::Failed(Failed::Stale);
    assert_eq!(outcomes, [Status::Changed, stale, Status::Changed]);
}

#[tokio::test(start_paused = true)]
async fn no_unit_is_begun_if_the_end_of_the_run_passed_while_the_machine_was_suspended() {
    let (world, notes) = prepared();
    let settings = Settings {
        until: Some(Duration::from_secs(10)),
        concurrency: Concurrency::Fixed(1),
        ..settings()
    };
    world.lock().suspended = Some(("C-0".to_owned(), Duration::from_secs(20)));
    let ending = carried_out_with(settings, &world, &notes, renames()).await;
    assert!(
        matches!(ending, Ending::Stopped(StopReason::Until, _)),
        "{ending:?}"
    );
    assert_eq!(notes.lock().outcomes.len(), 1);
}
