//! The way into the ledger for many tasks at once.
//!
//! One thread owns the connection. It takes what has come in, writes it in one transaction, waits for the
//! disk once, and then answers everybody: durability costs each task a few milliseconds of latency, and the
//! run no throughput. What nobody waits for is collected a moment longer.

use super::rows::{INSERT_OUTCOME, INSERT_WRITE, insert_outcome, insert_write};
use super::{Calls, Intent, LedgerError, Settled, WriteId, crash_point};
use crate::domain::Outcome;
use rusqlite::{Connection, params};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What waits in the channel at the most; more makes the tasks wait.
const WAITING: usize = 4096;
/// So much goes into one transaction.
const GROUP: usize = 1024;
/// So long is collected what nobody waits for.
const COLLECT: Duration = Duration::from_millis(20);

type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

enum Message {
    Intend(Box<Intent>, Answer<WriteId>),
    Settle(WriteId, Settled),
    Outcome(Box<Outcome>),
    Calls(i64, Calls),
    Flush(Answer<()>),
}

/// The way in; clones are the same way.
#[derive(Debug, Clone)]
pub struct Journal {
    messages: mpsc::Sender<Message>,
    session: i64,
}

/// The thread that commits. It ends once all [`Journal`]s are gone.
#[derive(Debug)]
pub struct JournalThread {
    thread: JoinHandle<()>,
}

impl JournalThread {
    /// Waits for the end of the thread; all journals must be gone.
    pub fn join(self) {
        // A panic of the thread was told to everybody who waited; there is nobody left to tell.
        let _ = self.thread.join();
    }
}

impl Journal {
    /// Notes a write that is about to be sent; returns once it would survive a power cut.
    pub async fn intend(&self, intent: Intent) -> Result<WriteId, LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Intend(Box::new(intent), answer)).await?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// Notes what became of a write. Not waited for: lost, the write is in doubt, and is read back.
    pub async fn settle(&self, write: WriteId, settled: Settled) -> Result<(), LedgerError> {
        self.send(Message::Settle(write, settled)).await
    }

    /// Notes the outcome of a line; not waited for.
    pub async fn outcome(&self, outcome: Outcome) -> Result<(), LedgerError> {
        self.send(Message::Outcome(Box::new(outcome))).await
    }

    /// Notes the calls of this process so far.
    pub async fn calls(&self, calls: Calls) -> Result<(), LedgerError> {
        self.send(Message::Calls(self.session, calls)).await
    }

    /// Returns once everything noted so far would survive a power cut.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Flush(answer)).await?;
        answered.await.map_err(|_| LedgerError::Closed)?
    }

    /// Notes an outcome from a thread outside of the runtime.
    pub fn blocking_outcome(&self, outcome: Outcome) -> Result<(), LedgerError> {
        let message = Message::Outcome(Box::new(outcome));
        self.messages
            .blocking_send(message)
            .map_err(|_| LedgerError::Closed)
    }

    async fn send(&self, message: Message) -> Result<(), LedgerError> {
        self.messages
            .send(message)
            .await
            .map_err(|_| LedgerError::Closed)
    }
}

pub(super) fn start(
    connection: Connection,
    path: PathBuf,
) -> Result<(Journal, JournalThread), LedgerError> {
    let session: i64 = connection
        .query_row(
            "SELECT coalesce(max(session), 0) + 1 FROM calls",
            [],
            |row| row.get(0),
        )
        .map_err(|source| LedgerError::sqlite(&path, source))?;
    let (messages, inbox) = mpsc::channel(WAITING);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| LedgerError::io(&path, "served", source))?;
    let writer = Writer {
        connection,
        path: path.clone(),
        failed: None,
        waiting: Vec::new(),
    };
    let thread = std::thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || runtime.block_on(writer.work(inbox)))
        .map_err(|source| LedgerError::io(&path, "served", source))?;
    Ok((Journal { messages, session }, JournalThread { thread }))
}

enum Waiting {
    Write(WriteId, Answer<WriteId>),
    Flush(Answer<()>),
}

struct Writer {
    connection: Connection,
    path: PathBuf,
    failed: Option<Arc<LedgerError>>,
    waiting: Vec<Waiting>,
}

impl Writer {
    async fn work(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(first) = inbox.recv().await {
            let mut group = vec![first];
            loop {
                let awaited = group
                    .iter()
                    .any(|message| matches!(message, Message::Intend(..) | Message::Flush(_)));
                while group.len() < GROUP
                    && let Ok(next) = inbox.try_recv()
                {
                    group.push(next);
                }
                if awaited || group.len() >= GROUP {
                    break;
                }
                match tokio::time::timeout(COLLECT, inbox.recv()).await {
                    Ok(Some(next)) => group.push(next),
                    Ok(None) | Err(_) => break,
                }
            }
            self.commit(group);
        }
    }

    /// Writes a group in one transaction and answers whoever waits for it. After a failure nothing is
    /// accepted any more.
    fn commit(&mut self, group: Vec<Message>) {
        if self.failed.is_none() {
            crash_point();
            if let Err(error) = self.write(group) {
                // SQLite has rolled back; saying so once more does no harm.
                let _ = self.connection.execute_batch("ROLLBACK");
                self.failed = Some(Arc::new(error));
            } else {
                crash_point();
            }
        } else {
            for message in group {
                self.remember(message);
            }
        }
        let failure = self.failed.clone();
        let result = || match &failure {
            None => Ok(()),
            Some(error) => Err(LedgerError::Journal(Arc::clone(error))),
        };
        for waiting in self.waiting.drain(..) {
            // Whoever has stopped waiting does not want to know.
            match waiting {
                Waiting::Write(id, answer) => drop(answer.send(result().map(|()| id))),
                Waiting::Flush(answer) => drop(answer.send(result())),
            }
        }
    }

    fn remember(&mut self, message: Message) {
        match message {
            Message::Intend(_, answer) => self.waiting.push(Waiting::Write(WriteId(0), answer)),
            Message::Flush(answer) => self.waiting.push(Waiting::Flush(answer)),
            Message::Settle(..) | Message::Outcome(_) | Message::Calls(..) => {}
        }
    }

    fn write(&mut self, group: Vec<Message>) -> Result<(), LedgerError> {
        let mut failed = self.statement("BEGIN IMMEDIATE").err();
        for message in group {
            if failed.is_some() {
                self.remember(message);
                continue;
            }
            if let Err(error) = self.one(message) {
                failed = Some(LedgerError::sqlite(&self.path, error));
            }
        }
        match failed {
            Some(error) => Err(error),
            None => self.statement("COMMIT"),
        }
    }

    fn statement(&self, sql: &str) -> Result<(), LedgerError> {
        self.connection
            .execute_batch(sql)
            .map_err(|source| LedgerError::sqlite(&self.path, source))
    }

    fn one(&mut self, message: Message) -> rusqlite::Result<()> {
        match message {
            Message::Intend(intent, answer) => {
                let inserted = self
                    .connection
                    .prepare_cached(INSERT_WRITE)
                    .and_then(|mut statement| insert_write(&mut statement, &intent));
                let id = WriteId(*inserted.as_ref().unwrap_or(&0));
                self.waiting.push(Waiting::Write(id, answer));
                inserted.map(|_| ())
            }
            Message::Settle(WriteId(id), settled) => {
                let sql = "UPDATE write SET verdict = ?2, http_status = ?3 WHERE id = ?1";
                let mut statement = self.connection.prepare_cached(sql)?;
                statement
                    .execute(params![id, settled.verdict.as_str(), settled.http_status])
                    .map(|_| ())
            }
            Message::Outcome(outcome) => {
                let mut statement = self.connection.prepare_cached(INSERT_OUTCOME)?;
                insert_outcome(&mut statement, &outcome)
            }
            Message::Calls(session, calls) => {
                let sql = "INSERT OR REPLACE INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
                let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                let mut statement = self.connection.prepare_cached(sql)?;
                let row = params![
                    session,
                    signed(calls.find),
                    signed(calls.read),
                    signed(calls.write),
                    signed(calls.retried),
                    signed(calls.throttled),
                    calls.limit_per_s,
                    signed(calls.active_ms),
                ];
                statement.execute(row).map(|_| ())
            }
            Message::Flush(answer) => {
                self.waiting.push(Waiting::Flush(answer));
                Ok(())
            }
        }
    }
}
