//! The thread "postgres": it owns a runtime and the connections, and the rest of the program asks it and waits.
//!
//! Several threads may ask at the same time: each statement has a connection to itself, and there are never more
//! connections than [`MOST`]. A lost connection is made again. A statement is repeated if it certainly had no effect,
//! or if its caller allows this.

use super::connection::{Connection, Connector, Settings, Unanswered};
use super::error::PostgresError;
use super::statement::Statement;
use crate::ledger::LedgerError;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc as answers;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Row;

/// Maximum number of connections of this process.
const MOST: usize = 4;
/// A server that has not answered within this time counts as gone.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// A statement of [`Postgres::tell`] is given up after this time.
const TELL: Duration = Duration::from_secs(5);
/// The first pause before a statement is repeated, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// What the thread is to do; it sends its answer itself.
type Job = Box<dyn FnOnce(Rc<Connections>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A ledger in PostgreSQL, to be asked from any thread. Copies ask the same thread; it closes its connections when the last
/// copy is dropped.
#[derive(Clone)]
pub struct Postgres {
    at: String,
    thread: Arc<Thread>,
}

/// The thread, and the channel for its jobs.
struct Thread {
    jobs: Option<mpsc::UnboundedSender<Job>>,
    handle: Option<JoinHandle<()>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.at).finish()
    }
}

impl Postgres {
    /// Connects without checking the server's settings and the schema. Does not wait for a server that is away.
    pub fn connect(settings: Settings) -> Result<Self, LedgerError> {
        let at = settings.address.to_string();
        #[expect(
            clippy::disallowed_methods,
            reason = "who asks waits for the answer, so there are never more jobs than threads and tasks that ask"
        )]
        let (jobs, received) = mpsc::unbounded_channel();
        let handle = std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || serve(settings, received))
            .map_err(|error| unfit(&at, format!("its thread cannot be started: {error}")))?;
        let postgres = Self {
            at,
            thread: Arc::new(Thread {
                jobs: Some(jobs),
                handle: Some(handle),
            }),
        };
        postgres.run(|connections| async move {
            let (_place, first) = connections.one().await?;
            connections.put_back(first);
            Ok(())
        })?;
        Ok(postgres)
    }

    /// Carries a statement out and reads each row of its answer. Waits for a server that is away, until `give_up_after` is over.
    pub(in crate::ledger) fn ask<T>(
        &self,
        statement: Statement,
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, LedgerError> {
        let rows = self.run(|connections| async move {
            let work = async |connection: &mut Connection| connection.answer(&statement).await;
            connections.carry_out(statement.is_repeatable, work).await
        })?;
        self.read(&rows, read)
    }

    /// Carries a statement out and reads the one row of its answer.
    pub(in crate::ledger) fn ask_one<T>(
        &self,
        statement: Statement,
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, LedgerError> {
        let mut rows = self.ask(statement, read)?;
        match rows.pop() {
            Some(row) if rows.is_empty() => Ok(row),
            _ => Err(LedgerError::Postgres(PostgresError::Damaged {
                at: self.at.clone(),
                why: "an answer has not one row".to_owned(),
            })),
        }
    }

    /// Returns the first column of the first row of a question without values, which is not prepared.
    pub(super) fn text(&self, sql: &'static str) -> Result<String, LedgerError> {
        self.run(move |connections| async move {
            let work = async |connection: &mut Connection| connection.text(sql).await;
            connections.carry_out(true, work).await
        })
    }

    /// Carries several statements without values out, as one transaction, and never repeats them.
    pub(super) fn batch(&self, sql: String) -> Result<(), LedgerError> {
        self.run(|connections| async move {
            let work = async |connection: &mut Connection| connection.batch(&sql).await;
            connections.carry_out(false, work).await
        })
    }

    /// Lets the thread do something, and waits for the result.
    pub(super) fn run<T, F>(
        &self,
        work: impl FnOnce(Rc<Connections>) -> F + Send + 'static,
    ) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PostgresError>>,
    {
        let (tell, told) = answers::sync_channel(1);
        self.submit(Box::new(move |connections| {
            Box::pin(async move {
                // The receiver is there: the caller waits for the answer below.
                let _ = tell.send(work(connections).await);
            })
        }));
        self.received(told.recv().ok())
    }

    /// As [`Postgres::ask`], for a task, which is not blocked. A task that is dropped cancels the question.
    pub(in crate::ledger) async fn ask_from_task<T>(
        &self,
        statement: Statement,
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, LedgerError> {
        let (mut tell, told) = oneshot::channel();
        self.submit(Box::new(move |connections| {
            Box::pin(async move {
                let work = async |connection: &mut Connection| connection.answer(&statement).await;
                let answer = tokio::select! {
                    answer = connections.carry_out(statement.is_repeatable, work) => answer,
                    () = tell.closed() => return,
                };
                let _ = tell.send(answer);
            })
        }));
        let rows = self.received(told.await.ok())?;
        self.read(&rows, read)
    }

    /// Carries a statement out without waiting for its answer. If the server is away, the statement is lost.
    pub(in crate::ledger) fn tell(&self, statement: Statement) {
        self.submit(Box::new(move |connections| {
            Box::pin(async move {
                let work = async |connection: &mut Connection| connection.answer(&statement).await;
                let _ = timeout(TELL, connections.carry_out(statement.is_repeatable, work)).await;
            })
        }));
    }

    /// Hands a job to the thread. If the thread has ended, the caller gets no answer, and reports that.
    fn submit(&self, job: Job) {
        if let Some(jobs) = &self.thread.jobs {
            let _ = jobs.send(job);
        }
    }

    fn received<T>(&self, answer: Option<Result<T, PostgresError>>) -> Result<T, LedgerError> {
        let answer = answer.ok_or_else(|| unfit(&self.at, "its thread has ended".to_owned()))?;
        answer.map_err(LedgerError::Postgres)
    }

    fn read<T>(
        &self,
        rows: &[Row],
        read: impl Fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, LedgerError> {
        let read: Result<Vec<T>, _> = rows.iter().map(read).collect();
        read.map_err(|error| {
            LedgerError::Postgres(PostgresError::Damaged {
                at: self.at.clone(),
                why: super::explain::said(&error),
            })
        })
    }

    /// Database, servers and role, for people.
    pub fn place(&self) -> &str {
        &self.at
    }

    /// Makes the error for a server, settings or a schema that cannot keep a ledger.
    pub(super) fn unfit(&self, why: String) -> LedgerError {
        unfit(&self.at, why)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(handle) = self.handle.take() {
            // If it panicked, the panic was printed, and the caller has received an error.
            let _ = handle.join();
        }
    }
}

fn unfit(at: &str, why: String) -> LedgerError {
    LedgerError::Postgres(PostgresError::Unfit {
        at: at.to_owned(),
        why,
    })
}

/// Carries out the jobs of the thread, until the last [`Postgres`] is dropped.
fn serve(settings: Settings, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    // Without a runtime, every question fails because the thread has ended.
    let Ok(runtime) = runtime else { return };
    LocalSet::new().block_on(&runtime, async move {
        let connections = Rc::new(Connections {
            connector: Connector::new(settings),
            idle: RefCell::new(Vec::new()),
            room: Semaphore::new(MOST),
            lost: Cell::new(0),
            confirmed: Cell::new(0),
        });
        let mut under_way = JoinSet::new();
        while let Some(job) = jobs.recv().await {
            while under_way.try_join_next().is_some() {}
            under_way.spawn_local(job(Rc::clone(&connections)));
        }
        while under_way.join_next().await.is_some() {}
        connections.idle.take();
        connections.connector.close().await;
    });
}

/// The connections of the thread.
pub(super) struct Connections {
    pub(super) connector: Connector,
    /// Connections that are not in use; the one that was used last is at the end.
    idle: RefCell<Vec<Connection>>,
    /// A place for each connection in use. Idle connections are taken before new ones are made, so there are never more
    /// connections than places.
    room: Semaphore,
    /// Counts the statements with a lost answer: they may be committed here, and not yet at the standby.
    lost: Cell<u64>,
    /// How many of these have reached the standby, if they were committed.
    confirmed: Cell<u64>,
}

impl Connections {
    /// Returns a connection and its place.
    async fn one(&self) -> Result<(SemaphorePermit<'_>, Connection), PostgresError> {
        let place = self.places(1).await?;
        Ok((place, self.take().await?))
    }

    /// Returns two connections that are open at the same time, and their places.
    pub(super) async fn pair(
        &self,
    ) -> Result<(SemaphorePermit<'_>, [Connection; 2]), PostgresError> {
        let places = self.places(2).await?;
        Ok((places, [self.take().await?, self.take().await?]))
    }

    async fn places(&self, many: u32) -> Result<SemaphorePermit<'_>, PostgresError> {
        let places = self.room.acquire_many(many).await;
        places.map_err(|_| PostgresError::Unusable {
            at: self.connector.settings.address.to_string(),
            why: "its thread is ending".to_owned(),
            passing: false,
        })
    }

    /// Takes back a connection that is no longer in use.
    pub(super) fn put_back(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
    }

    /// Does something with a connection. After a lost answer, a later answer may depend on a commit that the standby
    /// does not have, and a repetition that changed nothing did not wait for the standby. So no answer is returned
    /// until the standby has that commit.
    async fn attempt<T>(
        &self,
        connection: &mut Connection,
        work: &impl AsyncFn(&mut Connection) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        let answer = work(connection).await?;
        let lost = self.lost.get();
        if self.confirmed.get() < lost {
            connection.confirm().await.map_err(|why| match why {
                // The statement was carried out.
                Unanswered::NotNow(why, _) | Unanswered::Refused(why) => Unanswered::Lost(why),
                lost @ Unanswered::Lost(_) => lost,
            })?;
            self.confirmed.set(self.confirmed.get().max(lost));
        }
        Ok(answer)
    }

    /// Returns an open idle connection, or a new one.
    async fn take(&self) -> Result<Connection, PostgresError> {
        while let Some(idle) = { self.idle.borrow_mut().pop() } {
            if idle.is_open() {
                return Ok(idle);
            }
        }
        self.connector.connect().await
    }

    /// Does something with a connection, and repeats it after a pause if it had no effect or `is_repeatable`.
    async fn carry_out<T>(
        &self,
        is_repeatable: bool,
        work: impl AsyncFn(&mut Connection) -> Result<T, Unanswered>,
    ) -> Result<T, PostgresError> {
        let _place = self.places(1).await?;
        let settings = &self.connector.settings;
        let at = || settings.address.to_string();
        let until = Instant::now() + settings.give_up_after;
        let [mut pause, longest] = PAUSES;
        loop {
            let failed = match self.take().await {
                Err(error) if error.is_passing() => error,
                Err(error) => return Err(error),
                Ok(mut connection) => {
                    let attempt = self.attempt(&mut connection, &work);
                    let unanswered = match timeout(ANSWER, attempt).await {
                        Ok(Ok(answer)) => {
                            self.put_back(connection);
                            return Ok(answer);
                        }
                        Ok(Err(unanswered)) => unanswered,
                        Err(_) => Unanswered::Lost(format!("none within {} s", ANSWER.as_secs())),
                    };
                    match unanswered {
                        Unanswered::Refused(why) => {
                            self.put_back(connection);
                            return Err(PostgresError::Refused { at: at(), why });
                        }
                        Unanswered::NotNow(why, is_good) => {
                            if is_good {
                                self.put_back(connection);
                            }
                            PostgresError::Refused { at: at(), why }
                        }
                        Unanswered::Lost(why) => {
                            self.lost.set(self.lost.get() + 1);
                            let lost = PostgresError::Lost { at: at(), why };
                            if !is_repeatable {
                                return Err(lost);
                            }
                            lost
                        }
                    }
                }
            };
            if Instant::now() + pause > until {
                return Err(failed);
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
