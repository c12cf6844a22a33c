//! Writes to the ledger, for many tasks at the same time: one thread commits in groups.
//!
//! A commit costs milliseconds, whether it holds one row or five hundred; so while one is under way, the
//! next group gathers. After a failed commit the journal accepts nothing any more: what is not on record
//! must not be written to the system.

use super::holder;
use super::queue::{self, Message, Queue};
use super::sqlite::commit_counter::CommitCounter;
use super::sqlite::lock::RunLock;
use super::sqlite::schema;
use super::{
    Calls, Intent, LedgerError, WriteId, WriteVerdict, crash_point, outcome_row, write_row,
};
use crate::domain::{Line, Outcome};
use rusqlite::{Connection, Statement, params};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use tokio::sync::oneshot;

/// The handle by which tasks note things; clones are the same way in.
#[derive(Debug, Clone)]
pub struct Journal(Arc<WayIn>);

/// Closes the queue when the last handle is gone.
#[derive(Debug)]
struct WayIn(Arc<Queue>);

impl Drop for WayIn {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Journal {
    /// Notes what is about to be written; returns when it is on the disk.
    ///
    /// An error means: it is not on record, so the write must not be sent.
    pub fn intend(
        &self,
        intent: Intent,
    ) -> impl Future<Output = Result<WriteId, LedgerError>> + Send {
        let (answer, noted) = oneshot::channel();
        // Put into its message here and not in the future, where it would be carried along, and moved, with the caller.
        let pushed = self.0.0.push(Message::Intend(Box::new(intent), answer));
        async move {
            pushed.await?;
            noted.await.unwrap_or_else(|_| Err(self.0.0.why_ended()))
        }
    }

    /// Notes what became of a write. Queued: it is on the disk a moment later, or after [`Journal::flush`].
    pub async fn settle(&self, write: WriteId, settled: WriteVerdict) -> Result<(), LedgerError> {
        self.0.0.push(Message::Settle(write, settled)).await
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
        self.0.0.push(Message::Outcomes(outcomes))
    }

    /// Takes the outcomes of lines that have failed back, and notes others in their place, all or nothing of it. Queued.
    pub fn reopen(
        &self,
        lines: Vec<Line>,
        instead: Vec<Outcome>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        self.0.0.push(Message::Reopen(lines, instead))
    }

    /// Notes an outcome from a thread outside of the runtime. Queued.
    pub fn blocking_outcome(&self, outcome: Outcome) -> Result<(), LedgerError> {
        block_on(self.outcome(outcome))
    }

    /// Notes the calls of this session so far. Queued.
    pub async fn calls(&self, calls: Calls) -> Result<(), LedgerError> {
        self.0.0.push(Message::Calls(Box::new(calls))).await
    }

    /// Returns when everything that was queued before is on the disk.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        let (answer, flushed) = oneshot::channel();
        self.0.0.push(Message::Flush(answer)).await?;
        flushed.await.unwrap_or_else(|_| Err(self.0.0.why_ended()))
    }
}

/// The thread that commits. It ends once all [`Journal`]s are gone and everything queued is on the disk.
#[derive(Debug)]
pub struct JournalThread {
    thread: thread::JoinHandle<()>,
}

impl JournalThread {
    /// Waits for the end of the thread; all journals must be gone.
    pub fn join(self) {
        // Every task that waited and every later sender got the error of a failed commit.
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
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

/// Takes the run's lock, begins a session and starts the thread.
pub(super) fn start(
    run: &str,
    ledger: &Path,
    session: Session,
) -> Result<(Journal, JournalThread), LedgerError> {
    let lock = RunLock::acquire(&ledger.with_file_name("run.lock"), run)?;
    let connection = schema::connect(ledger)?;
    schema::trust(&connection, ledger)?;
    let begin = || {
        connection.execute(
            "INSERT INTO sessions (started_at_ms, pid, host, epoch, writing) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                jiff::Timestamp::now().as_millisecond(),
                std::process::id(),
                holder::host(),
                session.epoch.cast_signed(),
                session.writing
            ],
        )?;
        let session = connection.last_insert_rowid();
        let commits = connection.query_row("SELECT commits FROM seal", (), |row| row.get(0))?;
        Ok((session, commits))
    };
    let (session, commits) = begin().map_err(|source| LedgerError::sqlite(ledger, source))?;
    let writer = Writer {
        connection,
        path: ledger.to_owned(),
        file: identity(ledger),
        seal: CommitCounter::open(ledger)?,
        session,
        commits,
        _lock: lock,
    };
    let queue = Arc::new(Queue::new());
    let taken = Arc::clone(&queue);
    let thread = thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || writer.run(&taken))
        .map_err(|source| LedgerError::io(ledger, "written by a thread of its own", source))?;
    Ok((Journal(Arc::new(WayIn(queue))), JournalThread { thread }))
}

struct Writer {
    connection: Connection,
    path: PathBuf,
    file: Option<Identity>,
    seal: CommitCounter,
    session: i64,
    commits: i64,
    _lock: RunLock,
}

/// Device and number of a file: what stays when it is renamed, and what another one in its place has not.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    seal: Statement<'c>,
    intent: Statement<'c>,
    verdict: Statement<'c>,
    outcome: Statement<'c>,
    reopen: Statement<'c>,
    calls: Statement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            seal: connection.prepare("UPDATE seal SET commits = ?1")?,
            intent: connection.prepare(write_row::INSERT)?,
            verdict: connection.prepare(write_row::SETTLE)?,
            outcome: connection.prepare(outcome_row::INSERT)?,
            reopen: connection.prepare("DELETE FROM outcomes WHERE line = ?1 AND status = 'failed'")?,
            calls: connection.prepare(
                "UPDATE sessions SET find = ?2, read = ?3, write = ?4, retried = ?5, throttled = ?6, \
                 limit_per_s = ?7, active_ms = ?8 WHERE session = ?1",
            )?,
        })
    }
}

/// However the thread ends, also by a bug: no task waits for it any more.
struct Ended<'q>(&'q Queue);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        let _ended = Ended(queue);
        if let Err(source) = self.work(queue) {
            queue.fail(&Arc::new(LedgerError::sqlite(&self.path, source)));
        }
    }

    /// A removed file can still be written, but no process can open it later: no write may depend on such a record.
    fn is_in_its_place(&self) -> Result<(), LedgerError> {
        if identity(&self.path) == self.file {
            return Ok(());
        }
        Err(LedgerError::Gone {
            path: self.path.clone(),
        })
    }

    fn work(&mut self, queue: &Queue) -> rusqlite::Result<()> {
        let mut statements = Statements::prepare(&self.connection)?;
        while let Some(group) = queue.take() {
            crash_point();
            let committed = commit(&mut statements, &group, self.session, self.commits + 1)
                .map_err(|source| LedgerError::sqlite(&self.path, source))
                .and_then(|noted| self.is_in_its_place().map(|()| noted));
            match committed {
                Ok(noted) => {
                    self.commits += 1;
                    self.seal.note(self.commits);
                    crash_point();
                    answer(group, noted);
                }
                Err(error) => {
                    let error = Arc::new(error);
                    queue.fail(&error);
                    // No retry: after a failed fsync it is unknown what the disk holds.
                    let _ = self.connection.execute_batch("ROLLBACK");
                    queue::refuse(group, &error);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Writes one group in one transaction; gives the numbers of its intents, in order.
fn commit(
    statements: &mut Statements<'_>,
    group: &[Message],
    session: i64,
    commits: i64,
) -> rusqlite::Result<Vec<WriteId>> {
    let mut noted = Vec::new();
    statements.begin.execute(())?;
    for message in group {
        match message {
            Message::Intend(intent, _) => {
                noted.push(write_row::insert(&mut statements.intent, intent)?);
            }
            Message::Settle(write, settled) => {
                write_row::settle(&mut statements.verdict, *write, settled)?;
            }
            Message::Outcomes(outcomes) => {
                for outcome in outcomes {
                    outcome_row::insert(&mut statements.outcome, outcome)?;
                }
            }
            Message::Reopen(lines, instead) => {
                for line in lines {
                    let reopened = statements.reopen.execute([line])? > 0;
                    let instead = instead.iter().filter(|one| reopened && one.line == *line);
                    for outcome in instead {
                        outcome_row::insert(&mut statements.outcome, outcome)?;
                    }
                }
            }
            Message::Calls(calls) => note_calls(&mut statements.calls, session, calls)?,
            Message::Flush(_) => {}
        }
    }
    statements.seal.execute([commits])?;
    statements.commit.execute(())?;
    Ok(noted)
}

fn note_calls(statement: &mut Statement<'_>, session: i64, calls: &Calls) -> rusqlite::Result<()> {
    let numbers = [
        calls.find,
        calls.read,
        calls.write,
        calls.retried,
        calls.throttled,
    ];
    let [find, read, write, retried, throttled] = numbers.map(u64::cast_signed);
    let active_ms = calls.active_ms.cast_signed();
    statement
        .execute(params![
            session,
            find,
            read,
            write,
            retried,
            throttled,
            calls.limit_per_s,
            active_ms
        ])
        .map(drop)
}

/// Tells all tasks that wait for this group that it is on the disk. A waiter that is gone leaves an intent without a
/// write, which a read-back settles.
fn answer(group: Vec<Message>, noted: Vec<WriteId>) {
    let mut noted = noted.into_iter();
    for message in group {
        match message {
            Message::Intend(_, waiter) => {
                if let Some(id) = noted.next() {
                    let _ = waiter.send(Ok(id));
                }
            }
            Message::Flush(waiter) => {
                let _ = waiter.send(Ok(()));
            }
            Message::Settle(..)
            | Message::Outcomes(_)
            | Message::Reopen(..)
            | Message::Calls(_) => {}
        }
    }
}
