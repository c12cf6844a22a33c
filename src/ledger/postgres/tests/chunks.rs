//! Several sessions on the chunks of a run: a chunk belongs to one session, and what another session notes of it is left
//! out.

use super::super::process_lease::{HeldTokens, Process};
use super::super::shared_connection::SharedConnection;
use super::super::store::PgStore;
use super::store::{One, one};
use super::*;
use crate::domain::{Failed, Line, Status};
use crate::ledger::chunk::Chunk;
use crate::ledger::coordinator::{Coordinator, NewPass, Next};
use crate::ledger::store::{Store, WritesOf};
use crate::ledger::tests::{full_outcome, intent, rename, runtime};
use crate::ledger::{
    Journal, JournalThread, Noted, Session, Verdict, WriteId, WriteRecord, WriteVerdict, journal,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Another machine that works on the run.
pub(super) struct Worker {
    process: Arc<Process>,
    pub(super) chunks: Arc<dyn Coordinator>,
    journal: Journal,
    thread: JournalThread,
    _target: HeldTokens,
}

impl Worker {
    /// The one that begins the passes of the run.
    pub(super) fn lead(one: &One) -> Self {
        Self::of(one, true).unwrap()
    }

    pub(super) fn join(one: &One) -> Result<Self, LedgerError> {
        Self::of(one, false)
    }

    fn of(one: &One, leads: bool) -> Result<Self, LedgerError> {
        let address = one.server.address(ADMIN, &one.database);
        let process = SharedConnection::apart(&settings(&address)).process()?;
        process.allow_calls_of(Duration::from_secs(4));
        let store = PgStore::of(&process, one.dir.run().as_str());
        let (epoch, writing) = (0, true);
        let names = vec![format!("target {}", one.target())];
        let run = one.dir.run().as_str();
        let target = if leads {
            process.take(names, run)?
        } else {
            process.take_with_others(names, run)?
        };
        let joined = store.join_others(Session { epoch, writing }, leads)?;
        let (commit, chunks) = joined.unwrap();
        let (journal, thread) = journal::start(commit).unwrap();
        Ok(Self {
            process,
            chunks,
            journal,
            thread,
            _target: target,
        })
    }

    pub(super) fn claim(&self) -> Option<Arc<Chunk>> {
        match self.chunks.next(&[], 1).unwrap() {
            Next::Chunks(chunks) => chunks.into_iter().next(),
            Next::Wait | Next::Over => None,
        }
    }

    pub(super) fn done(&self, chunk: &Arc<Chunk>) {
        self.chunks.next(std::slice::from_ref(chunk), 0).unwrap();
    }

    fn is_over(&self) -> bool {
        matches!(self.chunks.next(&[], 1).unwrap(), Next::Over)
    }

    pub(super) fn open(&self, chunks: Line, is_alone: bool) -> Result<(), LedgerError> {
        let ranges: Vec<_> = (0..chunks).map(|n| 10 * n + 2..=10 * n + 11).collect();
        self.chunks.open(&NewPass {
            chunks: &ranges,
            is_alone,
            plan_digest: "the units",
        })
    }

    pub(super) fn leave(self) {
        drop(self.journal);
        self.thread.join();
    }

    /// Makes the ledger believe that the process was silent for long.
    fn silence(&self, one: &One) {
        let name = self.process.name();
        one.sql(&format!(
            "UPDATE process SET machine = 'another', held_until = held_until - interval '1 h' WHERE process = '{name}'"
        ));
    }
}

fn intend(journal: &Journal, line: Line) -> Noted {
    let intent = intent(line, line, "c1", rename("a", "b"));
    runtime().block_on(journal.intend(intent)).unwrap()
}

fn lines(one: &One) -> Vec<Line> {
    let writes = one.ledger.writes().map(Result::unwrap);
    writes.map(|write: WriteRecord| write.intent.line).collect()
}

/// Makes a run in progress with a pass of this number of chunks, ten lines each, and its first two workers.
pub(super) fn at_work(chunks: Line) -> Option<(One, Worker, Worker)> {
    let one = one()?;
    one.sql("UPDATE progress SET state = 'running'");
    let first = Worker::lead(&one);
    let early = Worker::join(&one).err().unwrap();
    assert!(matches!(early, LedgerError::Held { .. }), "{early}");
    first.open(chunks, false).unwrap();
    let second = Worker::join(&one).unwrap();
    assert_eq!(second.chunks.plan_digest().unwrap(), "the units");
    Some((one, first, second))
}

#[test]
fn only_entries_of_own_chunks_are_recorded() {
    let Some((one, first, second)) = at_work(3) else {
        return;
    };
    let (lost, kept) = (first.claim().unwrap(), first.claim().unwrap());
    assert_eq!((&lost.lines, &kept.lines), (&(2..=11), &(12..=21)));
    let of_lost = first.journal.of_chunk(&lost);
    let before = intend(&of_lost, 2).granted();
    // The first process renews its lease each second.
    let taken = loop {
        first.silence(&one);
        if let Some(chunk) = second.claim()
            && chunk.number == lost.number
        {
            break chunk;
        }
    };
    assert_eq!((taken.lease, &taken.lines), (2, &lost.lines));
    let verdict = WriteVerdict {
        effect: None,
        verdict: Verdict::Applied,
        http_status: Some(200),
    };
    let of_kept = first.journal.of_chunk(&kept);
    let noted = runtime().block_on(async {
        of_lost.verdict(before, verdict).await.unwrap();
        of_lost.outcome(full_outcome(2)).await.unwrap();
        of_kept.outcome(full_outcome(12)).await.unwrap();
        let lost = of_lost.intend(intent(3, 3, "c1", rename("a", "b")));
        let kept = of_kept.intend(intent(13, 13, "c1", rename("a", "b")));
        let noted = tokio::join!(lost, kept);
        // A group with no entry left to note.
        of_lost.outcome(full_outcome(4)).await.unwrap();
        of_lost.flush().await.unwrap();
        noted
    });
    assert!(matches!(noted, (Ok(Noted::Taken), Ok(Noted::Granted(..)))));
    assert!(lost.is_taken() && !kept.is_taken());
    // The session that has the chunk now uses numbers above those on record.
    let after = intend(&second.journal.of_chunk(&taken), 3).granted();
    assert!(after > before);
    let done: Vec<Line> = one.ledger.done().unwrap().iter().collect();
    assert_eq!(done, [12]);
    let mut all = lines(&one);
    all.sort_unstable();
    assert_eq!(all, [2, 3, 13]);
    let store = PgStore::of(&second.process, one.dir.run().as_str());
    let of_unit = store.writes(WritesOf::Unit(2), WriteId(0), 9).unwrap();
    assert!(of_unit[0].verdict.is_none(), "its effect is to be read");
    // Nor can the first session end the chunk.
    first.done(&lost);
    while let Some(chunk) = first.claim() {
        assert_ne!(chunk.number, lost.number);
    }
    drop((of_lost, of_kept));
    first.leave();
    second.leave();
}

#[test]
fn session_keeps_its_chunk_while_lease_is_renewed_until_it_ends() {
    let Some((one, first, second)) = at_work(2) else {
        return;
    };
    let done = first.claim().unwrap();
    first.done(&done);
    let chunk = first.claim().unwrap();
    assert!(matches!(
        intend(&first.journal.of_chunk(&done), 2),
        Noted::Taken
    ));
    one.sql("UPDATE process SET held_until = clock_timestamp()");
    let until =
        "SELECT count(*) FROM process WHERE held_until > clock_timestamp() + interval '10 s'";
    while one.sql(until) != "2" {
        assert!(second.claim().is_none());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(second.claim().is_none());
    assert!(!second.is_over());
    assert!(matches!(
        intend(&first.journal.of_chunk(&chunk), 12),
        Noted::Granted(..)
    ));
    one.sql("UPDATE orders SET paused = true");
    first.leave();
    assert!(second.claim().is_none(), "no chunk is begun in a pause");
    one.sql("UPDATE orders SET paused = false");
    // The answer to a claim is lost.
    let run = one.dir.run();
    let lost = format!(
        "SELECT n, lease FROM claim('{run}', 1::smallint, 2, '{{}}', '{{}}', '{{}}', '{{}}', 1, 1024)"
    );
    assert_eq!(one.sql(&lost), "1|2");
    let again = second.claim().unwrap();
    assert_eq!((again.number, again.lease), (chunk.number, 3));
    second.done(&again);
    assert!(second.is_over());
    second.leave();
    let next = Worker::lead(&one);
    next.open(2, false).unwrap();
    let third = Worker::join(&one).unwrap();
    assert!(third.claim().is_some() && next.claim().is_some());
    next.leave();
    third.leave();
}

#[test]
fn few_chunks_are_divided_among_all_sessions() {
    let Some((one, first, second)) = at_work(4) else {
        return;
    };
    let third = Worker::join(&one).unwrap();
    let all = |worker: &Worker| std::iter::from_fn(|| worker.claim()).collect::<Vec<_>>();
    let had: Vec<usize> = [&first, &second, &third]
        .iter()
        .map(|worker| all(worker).len())
        .collect();
    assert_eq!(had, [2, 1, 1]);
    [first, second, third].into_iter().for_each(Worker::leave);
}

#[test]
fn session_with_completed_chunk_gets_the_next_chunk() {
    let Some((one, first, second)) = at_work(3) else {
        return;
    };
    let chunk = first.claim().unwrap();
    let other = second.claim().unwrap();
    let done = [chunk];
    let next = first.chunks.next(&done, 1).unwrap();
    assert!(matches!(next, Next::Chunks(given) if given.len() == 1));
    second.done(&other);
    [first, second].into_iter().for_each(Worker::leave);
    drop(one);
}

/// In both orders: the lines are opened again before their chunk is reported as done, or after that.
#[test]
fn reopened_lines_free_their_chunk_for_another_session() {
    for is_done_before in [false, true] {
        let Some((one, first, second)) = at_work(1) else {
            return;
        };
        let chunk = first.claim().unwrap();
        let journal = first.journal.of_chunk(&chunk);
        runtime().block_on(async {
            for line in [2, 3] {
                let mut failed = full_outcome(line);
                failed.status = Status::Failed(Failed::Unavailable);
                journal.outcome(failed).await.unwrap();
            }
            journal.flush().await.unwrap();
        });
        if is_done_before {
            first.done(&chunk);
        }
        runtime().block_on(async {
            // In one group each: the second finds the chunk free.
            for line in [2, 3] {
                journal.reopen(vec![line], Vec::new()).await.unwrap();
                journal.flush().await.unwrap();
            }
        });
        first.done(&chunk);
        assert_eq!(one.ledger.done().unwrap().iter().count(), 0);
        drop(journal);
        first.leave();
        assert_eq!(second.claim().map(|chunk| chunk.lease), Some(2));
        second.leave();
    }
}

/// Sessions that claim, give back and finish chunks at the same time, in an order that is drawn.
fn many_at_the_same_time(alone: bool) {
    const WORKERS: u64 = 5;
    let Some((one, first, second)) = at_work(40) else {
        return;
    };
    one.sql(&format!("UPDATE progress SET alone = {alone}"));
    first.leave();
    second.leave();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let holders: Mutex<HashMap<i32, u64>> = Mutex::default();
    let is_over = || one.sql("SELECT count(*) FROM chunk WHERE state <> 'done'") == "0";
    let work = |number: u64| {
        let mut random = fastrand::Rng::with_seed(seed ^ number);
        let mut worker = Worker::join(&one).unwrap();
        let mut own: Vec<Arc<Chunk>> = Vec::new();
        while !is_over() {
            match random.u32(0..10) {
                0..5 => {
                    if let Some(chunk) = worker.claim() {
                        let mut holders = holders.lock().unwrap();
                        let other = holders.insert(chunk.number, number);
                        assert_eq!(other, None, "chunk {} has two holders", chunk.number);
                        let only = holders.values().all(|one| *one == number);
                        assert!(!alone || only, "one worker works at a time");
                        own.push(chunk);
                    }
                }
                5..9 if !own.is_empty() => {
                    let chunk = own.swap_remove(random.usize(0..own.len()));
                    let line = *chunk.lines.start();
                    let noted = intend(&worker.journal.of_chunk(&chunk), line);
                    assert!(matches!(noted, Noted::Granted(..)));
                    holders.lock().unwrap().remove(&chunk.number);
                    worker.done(&chunk);
                }
                9 if random.u32(0..4) == 0 => {
                    let mut holders = holders.lock().unwrap();
                    holders.retain(|_, holder| *holder != number);
                    own.clear();
                    drop(holders);
                    worker.leave();
                    worker = Worker::join(&one).unwrap();
                }
                _ => {}
            }
        }
        worker.leave();
    };
    std::thread::scope(|scope| {
        for number in 0..WORKERS {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
    let mut all = lines(&one);
    all.sort_unstable();
    let each: Vec<Line> = (0..40).map(|n| 10 * n + 2).collect();
    assert_eq!(all, each, "each chunk was done once");
}

#[test]
fn concurrent_sessions_never_share_a_chunk_and_complete_each_once() {
    many_at_the_same_time(false);
}

#[test]
fn if_one_process_works_at_a_time_no_two_sessions_hold_chunks() {
    many_at_the_same_time(true);
}
