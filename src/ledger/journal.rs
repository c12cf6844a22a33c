//! Writes to the ledger, for many tasks at the same time: one thread commits in groups.
//!
//! A commit takes milliseconds for one row as for five hundred, so what arrives during a commit forms the next group.
//! After a failed commit the journal accepts nothing any more: what is not on record must not be written to the system.

use super::chunk::Chunk;
use super::commit::{Commit, Entry, Item};
use super::queue::{Message, Queue};
use super::{Calls, Intent, LedgerError, Noted, Unlooked, WriteId, WriteVerdict, crash_point};
use crate::domain::{Line, Outcome};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use tokio::sync::oneshot;

/// The handle by which tasks note things; its clones write to the same queue.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: Arc<Handle>,
    /// The chunk to which all entries of this handle belong, if the run is divided into chunks.
    chunk: Option<Arc<Chunk>>,
}

/// Closes the queue when the last handle is gone.
#[derive(Debug)]
struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Journal {
    /// Returns a handle for entries that belong to this chunk.
    pub fn of_chunk(&self, chunk: &Arc<Chunk>) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
            chunk: Some(Arc::clone(chunk)),
        }
    }

    fn note(&self, entry: Entry) -> impl Future<Output = Result<(), LedgerError>> + Send {
        let chunk = self.chunk.clone();
        self.queue.0.push(Message::Note(Item { chunk, entry }))
    }

    /// Notes what is about to be written; returns when it is on the disk.
    ///
    /// An error means: it is not on record, so the write must not be sent.
    pub fn intend(
        &self,
        intent: Intent,
    ) -> impl Future<Output = Result<Noted, LedgerError>> + Send {
        let (answer, noted) = oneshot::channel();
        // The message is made here and not inside the future: a future that held the intent would be larger, and moved
        // with its caller.
        let message = Message::Intend(Box::new(intent), self.chunk.clone(), answer);
        let pushed = self.queue.0.push(message);
        async move {
            pushed.await?;
            noted
                .await
                .unwrap_or_else(|_| Err(self.queue.0.why_ended()))
        }
    }

    /// Notes what became of a write. Queued: it is on the disk a moment later, or after [`Journal::flush`].
    pub async fn verdict(&self, write: WriteId, verdict: WriteVerdict) -> Result<(), LedgerError> {
        self.note(Entry::Verdict(write, verdict)).await
    }

    /// Notes what became of a line, in place of what was noted before. Queued.
    pub fn outcome(
        &self,
        outcome: Outcome,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        self.outcomes(vec![outcome])
    }

    /// Notes several outcomes, all or none of which survive a crash. Queued.
    pub fn outcomes(
        &self,
        outcomes: Vec<Outcome>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        self.note(Entry::Outcomes(outcomes))
    }

    /// Removes the outcomes of lines that have failed, and notes others in their place, all or nothing. Queued.
    pub fn reopen(
        &self,
        lines: Vec<Line>,
        instead: Vec<Outcome>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        self.note(Entry::Reopen(lines, instead))
    }

    /// Notes an outcome from a thread outside of the runtime. Queued.
    pub fn blocking_outcome(&self, outcome: Outcome) -> Result<(), LedgerError> {
        block_on(self.outcome(outcome))
    }

    /// Notes lines that are not looked at, from a thread outside of the runtime. They must come after the lines of
    /// earlier calls. Queued.
    pub fn blocking_unlooked(&self, unlooked: Unlooked) -> Result<(), LedgerError> {
        block_on(self.note(Entry::Unlooked(Box::new(unlooked))))
    }

    /// Notes the calls of this session so far. Queued.
    pub async fn calls(&self, calls: Calls) -> Result<(), LedgerError> {
        self.note(Entry::Calls(Box::new(calls))).await
    }

    /// The same as [`Journal::flush`], from a thread outside of the runtime.
    pub fn blocking_flush(&self) -> Result<(), LedgerError> {
        block_on(self.flush())
    }

    /// Returns when everything that was queued before is on the disk.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        let (answer, flushed) = oneshot::channel();
        self.queue.0.push(Message::Flush(answer)).await?;
        flushed
            .await
            .unwrap_or_else(|_| Err(self.queue.0.why_ended()))
    }
}

/// The thread that commits. It ends once all [`Journal`]s are gone and everything queued is on the disk.
#[derive(Debug)]
pub struct JournalThread {
    thread: thread::JoinHandle<Box<dyn Commit>>,
}

impl JournalThread {
    /// Waits for the end of the thread; all journals must be gone. Returns the session, which has noted all that it
    /// notes.
    pub fn join(self) -> OpenSession {
        // Every task that waited and every later sender got the error of a failed commit.
        match self.thread.join() {
            Ok(session) => OpenSession { _session: session },
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// A session that notes nothing more, and still has its run: until it is dropped, no other process takes the run for one
/// that was left in the middle.
pub struct OpenSession {
    _session: Box<dyn Commit>,
}

/// Waits for a future on a thread that has no runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// One process that works on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its epoch, which orders the sessions of all runs on a target.
    pub epoch: u64,
    /// Whether it may write to the system.
    pub writing: bool,
}

/// Starts the thread that commits by this session.
pub(super) fn start(session: Box<dyn Commit>) -> io::Result<(Journal, JournalThread)> {
    let queue = Arc::new(Queue::new());
    let taken = Arc::clone(&queue);
    let thread = thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || work(session, &taken))?;
    let journal = Journal {
        queue: Arc::new(Handle(queue)),
        chunk: None,
    };
    Ok((journal, JournalThread { thread }))
}

/// Ends the queue when the thread ends, also after a panic, so that no task waits for it any longer.
struct Ended<'q>(&'q Queue);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Commits groups until the queue is closed or a commit fails; returns the session.
fn work(mut session: Box<dyn Commit>, queue: &Queue) -> Box<dyn Commit> {
    let _ended = Ended(queue);
    while let Some(group) = queue.take() {
        crash_point();
        match session.commit(&group.entries) {
            Ok(noted) => {
                crash_point();
                group.answer(noted);
            }
            Err(error) => {
                // No retry: after a failed fsync it is unknown what the disk holds.
                let error = Arc::new(error);
                queue.fail(&error);
                group.refuse(&error);
                break;
            }
        }
    }
    session
}
