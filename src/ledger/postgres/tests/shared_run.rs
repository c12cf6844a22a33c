//! Several processes on one run: what they keep from others, how many lines may fail in each, and which one closes it.

use super::chunks::{Worker, at_work};
use super::*;
use crate::ledger::coordinator::Ended;
use crate::ledger::{Runs, Session};

#[test]
fn processes_sharing_a_run_exclude_other_runs_from_its_target() {
    let Some((one, first, second)) = at_work(1) else {
        return;
    };
    let other = || one.runs.hold(&[&one.target()], "20261120-223016-aaaa");
    let alone = || {
        let (epoch, writing) = (9, true);
        one.ledger.journal(Session { epoch, writing }).map(drop)
    };
    assert!(matches!(other(), Err(LedgerError::Held { .. })));
    assert!(matches!(alone(), Err(LedgerError::Held { .. })));
    first.leave();
    assert!(matches!(other(), Err(LedgerError::Held { .. })));
    assert!(one.ledger.is_live());
    second.leave();
    assert!(!one.ledger.is_live());
    let hold = other().unwrap();
    let late = Worker::join(&one).err().unwrap();
    assert!(matches!(late, LedgerError::Held { .. }), "{late}");
    drop(hold);
    alone().unwrap();
}

#[test]
fn failure_limit_is_divided_among_the_sessions() {
    let Some((one, first, second)) = at_work(1) else {
        return;
    };
    let tell = |worker: &Worker, failed, most| {
        let ended = Ended {
            lines: failed,
            failed,
        };
        worker.chunks.tell(ended, most).unwrap()
    };
    assert_eq!(tell(&first, 0, Some(30)).may_fail, 15);
    assert_eq!(tell(&second, 0, Some(30)).may_fail, 7);
    assert_eq!(tell(&first, 15, Some(30)).may_fail, 4);
    let heard = tell(&second, 7, Some(30));
    assert_eq!((heard.ended.failed, heard.may_fail), (15, 2));
    // If nothing is left, each session may still find that out.
    assert_eq!(tell(&first, 40, Some(30)).may_fail, 1);
    tell(&first, 40, None);
    assert_eq!(tell(&second, 7, Some(49)).may_fail, 1);
    // The part of a session that is gone is left to the others.
    first.leave();
    assert_eq!(tell(&second, 7, Some(60)).may_fail, 13);
    second.leave();
    drop(one);
}

/// As if the system is away, and all notice it at the same moment: each sees that the other one has not ended yet.
#[test]
fn last_of_several_processes_that_give_up_closes_the_run() {
    let Some((one, first, second)) = at_work(3) else {
        return;
    };
    assert!(!first.chunks.close_or_leave(true).unwrap());
    assert!(second.chunks.close_or_leave(true).unwrap());
    // This is a repetition after a lost answer.
    assert!(!first.chunks.close_or_leave(true).unwrap());
    first.leave();
    second.leave();
    // Any of them may be the first one.
    for _ in 0..5 {
        let lead = Worker::lead(&one);
        lead.open(3, false).unwrap();
        let workers: Vec<Worker> = (0..2).map(|_| Worker::join(&one).unwrap()).collect();
        let all: Vec<&Worker> = workers.iter().chain([&lead]).collect();
        let closing = std::thread::scope(|scope| {
            let leave = |worker: &Worker| worker.chunks.close_or_leave(true).unwrap();
            let each = all.iter().map(|worker| scope.spawn(move || leave(worker)));
            let each: Vec<_> = each.collect();
            let closing = each.into_iter().map(|one| one.join().unwrap());
            closing.filter(|closes| *closes).count()
        });
        assert_eq!(closing, 1);
        workers.into_iter().chain([lead]).for_each(Worker::leave);
    }
}

#[test]
fn run_without_lead_is_closed_by_the_process_that_finishes_it() {
    let Some((one, first, second)) = at_work(1) else {
        return;
    };
    let [third, fourth, fifth] = [(); 3].map(|()| Worker::join(&one).unwrap());
    let chunk = third.claim().unwrap();
    assert!(!second.chunks.close_or_leave(false).unwrap(), "it is led");
    // The lead does not wait for the others.
    assert!(!first.chunks.close_or_leave(false).unwrap());
    assert!(
        !fourth.chunks.close_or_leave(false).unwrap(),
        "lines are left"
    );
    third.done(&chunk);
    assert!(!fifth.chunks.close_or_leave(true).unwrap());
    let sixth = Worker::join(&one).unwrap();
    assert!(third.chunks.close_or_leave(false).unwrap(), "none is left");
    assert!(
        !sixth.chunks.close_or_leave(false).unwrap(),
        "it is led again"
    );
    for worker in [first, second, third, fourth, fifth, sixth] {
        worker.leave();
    }
}

/// As if a guard stops a resumed run during its waves, and the process is killed before that is on record. The chunks are
/// those of an earlier pass.
#[test]
fn run_that_ended_with_a_single_process_cannot_be_joined() {
    let Some((one, first, second)) = at_work(2) else {
        return;
    };
    first.leave();
    second.leave();
    let lead = Worker::lead(&one);
    assert!(lead.chunks.close_or_leave(false).unwrap());
    lead.leave();
    assert!(one.runs.to_join().unwrap().is_empty());
}

/// As with a database that another version has changed. If the word meant that the run is over, this process would end silently.
#[test]
fn unknown_run_status_is_an_error() {
    let Some((one, first, second)) = at_work(1) else {
        return;
    };
    let source = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'tell'";
    let changed = one.sql(source).replace("'goes_on'", "'goes_slowly'");
    one.sql(&changed);
    let told = first.chunks.tell(Ended::default(), None);
    let why = told.unwrap_err().to_string();
    assert!(why.contains("is not known"), "{why}");
    first.leave();
    second.leave();
}
