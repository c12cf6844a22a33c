//! Swaps that an earlier process left after it had recorded the outcomes of some of their lines.

use super::memory::Memory;
use super::refused::{carried_out, carried_out_with, prepared, renames, settings};
use super::world::World;
use crate::domain::{
    AccountId, Change, CustomerId, Failed, NewAccount, Outcome, Status, StoredValue, Transition,
};
use crate::engine::{Ending, Settings, UnitTask, Wave};
use crate::ledger::{Intent, StopReason, Verdict, Write, WriteId, WriteRecord};
use crate::plan::group;

fn account(id: &str) -> AccountId {
    AccountId::new(id).unwrap()
}

/// Two customers, C-0 in line 2 and C-1 in line 3, that exchange their account IDs.
fn swap() -> UnitTask {
    let rename = |line, from: &str, to: &str| Change {
        line,
        account: Some(account(from)),
        customer: None,
        reseller: None,
        new_account: NewAccount::Set(account(to)),
        location: None,
        service: None,
        profile: None,
    };
    let lines = vec![rename(2, "A-0", "A-1"), rename(3, "A-1", "A-0")];
    let mut units = group(lines, true).units;
    UnitTask::new(units.remove(0))
}

/// A write of an earlier process to the customer of line 2 or 3.
fn write(task: &mut UnitTask, line: u32, ids: (&str, &str), temporary: bool, verdict: Verdict) {
    let number = i64::try_from(task.recorded.len()).unwrap() + 1;
    task.recorded.push(WriteRecord {
        id: WriteId::numbered(number),
        intent: Intent {
            unit: task.unit.number,
            line,
            attempt: 1,
            customer: CustomerId::new(format!("C-{}", line - 2)).unwrap(),
            reseller: None,
            write: Write::Account {
                before: Some(account(ids.0)),
                after: Some(account(ids.1)),
                temporary,
            },
            correlation: format!("c-{number}"),
            at_ms: 1_795_213_815_123,
        },
        verdict: Some(verdict),
        effect: None,
        http_status: Some(200),
    });
}

fn done(task: &mut UnitTask, line: u32, status: Status, ids: (&str, &str)) {
    let mut outcome = Outcome::bare(line, status);
    outcome.customer = CustomerId::new(format!("C-{}", line - 2)).ok();
    outcome.account = Transition {
        before: Some(account(ids.0)),
        after: Some(account(ids.1)),
    };
    outcome.attempts = 1;
    task.done.push(outcome);
}

async fn in_doubt_after(world: &World, notes: &Memory, task: UnitTask) -> Vec<(u32, String)> {
    notes.lock().writes.clone_from(&task.recorded);
    let ending = carried_out(world, notes, vec![task]).await;
    assert!(matches!(ending, Ending::Finished), "{ending:?}");
    let kept = notes.lock();
    let outcomes = kept.outcomes.values();
    let doubts = outcomes.filter(|one| one.status == Status::InDoubt);
    doubts.map(|one| (one.line, one.message.clone())).collect()
}

const TEMPORARY: &str = "IDS0123456789AB";

#[tokio::test(start_paused = true)]
async fn rolled_back_swap_waits_for_unreadable_customer_and_reports_it() {
    let (world, notes) = prepared();
    let mut task = swap();
    write(&mut task, 2, ("A-0", TEMPORARY), true, Verdict::Applied);
    write(&mut task, 2, (TEMPORARY, "A-0"), false, Verdict::Applied);
    done(
        &mut task,
        2,
        Status::Failed(Failed::Blocked),
        ("A-0", "A-0"),
    );
    world.lock().hidden = Some("C-0".to_owned());
    let doubts = in_doubt_after(&world, &notes, task).await;
    let [(3, words)] = doubts.as_slice() else {
        panic!("{doubts:?}");
    };
    assert!(words.starts_with("waits for line 2 "), "{words}");
}

#[tokio::test(start_paused = true)]
async fn completed_swap_waits_for_late_parked_customer_and_reports_it() {
    let (world, notes) = prepared();
    let mut task = swap();
    write(&mut task, 2, ("A-0", TEMPORARY), true, Verdict::Unknown);
    write(&mut task, 3, ("A-1", "A-0"), false, Verdict::Applied);
    write(&mut task, 2, (TEMPORARY, "A-1"), false, Verdict::Applied);
    done(&mut task, 2, Status::Changed, ("A-0", "A-1"));
    {
        let mut state = world.lock();
        for (id, now) in [("C-0", TEMPORARY), ("C-1", "A-0")] {
            state.customers.get_mut(id).unwrap().account = now.to_owned();
        }
        state.loses = Some("C-0".to_owned());
    }
    let doubts = in_doubt_after(&world, &notes, task).await;
    let [(3, words)] = doubts.as_slice() else {
        panic!("{doubts:?}");
    };
    assert!(words.starts_with("waits for line 2 "), "{words}");
}

/// A system that stores all IDs in lower case, where another client renames one customer of a swap directly after this
/// run has.
async fn contested(id: &str) -> [(String, String); 2] {
    let (world, notes) = prepared();
    {
        let mut state = world.lock();
        state.stores = Some(str::to_lowercase);
        state.contested = Some(id.to_owned());
    }
    let ending = carried_out(&world, &notes, vec![swap()]).await;
    assert!(matches!(ending, Ending::Finished), "{ending:?}");
    let (state, kept) = (world.lock(), notes.lock());
    assert_eq!(state.broken, None);
    [(2, "C-0"), (3, "C-1")].map(|(line, id)| {
        let status = kept.outcomes[&line].status;
        (
            status.reason().to_owned(),
            state.customers[id].account.clone(),
        )
    })
}

#[tokio::test(start_paused = true)]
async fn parked_customer_renamed_by_another_client_keeps_the_new_id() {
    let [(_, parked), (_, other)] = contested("C-0").await;
    assert_eq!((parked.as_str(), other.as_str()), ("X-C-0", "A-1"));
}

#[tokio::test(start_paused = true)]
async fn swap_rollback_does_not_overwrite_rename_by_another_client() {
    let [(_, parked), (why, other)] = contested("C-1").await;
    assert_eq!((parked.as_str(), other.as_str()), ("a-0", "X-C-1"));
    assert_eq!(why, "altered");
}

/// Continues a wave of three lines, for the first of which a killed process has recorded a write. Returns why the run stopped.
async fn continued(world: World, notes: Memory, tasks: Vec<UnitTask>) -> String {
    {
        let mut kept = notes.lock();
        kept.writes.clone_from(&tasks[0].recorded);
        let lines = || (2..5).collect();
        kept.wave = Some((lines(), lines()));
    }
    notes.reopen(None);
    let resumed = Settings {
        waves: [Wave {
            number: 1,
            lines: (2..5).collect(),
            is_resumed: true,
        }]
        .into(),
        wave_count: 1,
        ..settings()
    };
    let ending = carried_out_with(resumed, &world, &notes, tasks).await;
    let Ending::Stopped(StopReason::Canary, why) = ending else {
        panic!("{ending:?}");
    };
    assert_eq!(notes.lock().writes.len(), 1, "another write");
    why
}

#[tokio::test(start_paused = true)]
async fn wave_stops_writing_while_an_earlier_write_cannot_be_read_back() {
    let (world, notes) = prepared();
    let mut tasks = renames();
    write(&mut tasks[0], 2, ("A-0", "B-0"), false, Verdict::Unknown);
    world.lock().hidden = Some("C-0".to_owned());
    let why = continued(world, notes, tasks).await;
    assert!(why.contains("line 2 has a write in doubt"), "{why}");
}

/// The process before was killed before it had recorded an outcome.
#[tokio::test(start_paused = true)]
async fn wave_stops_writing_after_the_system_stored_a_different_value() {
    let (world, notes) = prepared();
    let mut tasks = renames();
    write(&mut tasks[0], 2, ("A-0", "B-0"), false, Verdict::Applied);
    let stored = account("b-0");
    tasks[0].recorded[0].effect = Some(StoredValue::Account(Some(stored)));
    let why = continued(world, notes, tasks).await;
    assert!(
        why.contains("line 2 is not completed, and the system stored another"),
        "{why}"
    );
}
