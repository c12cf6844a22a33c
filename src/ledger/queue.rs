//! The bounded queue between many tasks and the one thread that commits.
//!
//! Tasks wait for intents, but not for outcomes. Outcomes stay queued for a moment, so that they share a commit. An intent that
//! comes alone is committed immediately. Where many come, a commit waits until as many are queued as in the groups before, but
//! no longer than [`URGENT_WAIT`]: at ten thousand a second, a commit for every five of them would cost more than all the calls.

use super::chunk::Chunk;
use super::commit::{Entry, Item};
use super::{Intent, LedgerError, Noted};
use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// Maximum number of queued messages; further senders wait for room.
const ROOM: usize = 1024;
/// Number of messages that causes a commit even if none of them is urgent.
const GROUP: usize = 512;
/// Maximum time that a message stays queued if no task waits for it.
const LINGER: Duration = Duration::from_millis(20);
/// Maximum time that an urgent message waits for the others that are expected.
const URGENT_WAIT: Duration = Duration::from_millis(4);
/// Maximum number of urgent messages to wait for; waiting for more would save nothing.
const MOST_EXPECTED: usize = 64;

pub(super) type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

/// What a task hands to the thread that commits.
pub(super) enum Message {
    Note(Item),
    /// Waits until the intent is on the disk.
    Intend(Box<Intent>, Option<Arc<Chunk>>, Answer<Noted>),
    /// Waits until everything that was queued before is on the disk.
    Flush(Answer<()>),
}

/// A task that waits until something is on the disk.
enum Waiter {
    /// The next intent of the group.
    Intent(Answer<Noted>),
    /// All that was queued before.
    Flush(Answer<()>),
}

impl Waiter {
    fn refuse(self, error: &Arc<LedgerError>) {
        // A receiver that is gone has stopped waiting: there is no task to tell.
        let error = LedgerError::Journal(Arc::clone(error));
        match self {
            Self::Intent(answer) => drop(answer.send(Err(error))),
            Self::Flush(answer) => drop(answer.send(Err(error))),
        }
    }
}

/// What is committed together, in the order of arrival, and the tasks that wait for it.
#[derive(Default)]
pub(super) struct Group {
    pub(super) entries: Vec<Item>,
    waiters: Vec<Waiter>,
    messages: usize,
}

impl Group {
    /// Tells all tasks that the group is on the disk. If the task of an intent is gone, the intent stays without a
    /// write, and a read-back settles it.
    pub(super) fn answer(self, noted: Vec<Noted>) {
        let mut noted = noted.into_iter();
        for waiter in self.waiters {
            match waiter {
                Waiter::Intent(answer) => {
                    if let Some(noted) = noted.next() {
                        let _ = answer.send(Ok(noted));
                    }
                }
                Waiter::Flush(answer) => {
                    let _ = answer.send(Ok(()));
                }
            }
        }
    }

    /// Tells all tasks that the group is not on the disk.
    pub(super) fn refuse(self, error: &Arc<LedgerError>) {
        for waiter in self.waiters {
            waiter.refuse(error);
        }
    }
}

struct Waiting {
    group: Group,
    /// When the group is to be committed, if nothing makes it due before.
    until: Option<Instant>,
    urgent: usize,
    /// The number of urgent messages that are expected to come together.
    expected: usize,
    flushes: bool,
    /// Whether the thread that commits is waiting. Where it is not, waking it would be a needless system call.
    asleep: bool,
    closed: bool,
    failed: Option<Arc<LedgerError>>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            group: Group::default(),
            until: None,
            urgent: 0,
            expected: 1,
            flushes: false,
            asleep: false,
            closed: false,
            failed: None,
        }
    }
}

impl Waiting {
    /// Adds a message; returns whether the thread that commits has to be woken.
    fn add(&mut self, message: Message) -> bool {
        let group = &mut self.group;
        let sooner = match message {
            Message::Note(item) => {
                group.entries.push(item);
                (group.messages == 0).then_some(LINGER)
            }
            Message::Intend(intent, chunk, answer) => {
                let entry = Entry::Intend(intent);
                group.entries.push(Item { chunk, entry });
                group.waiters.push(Waiter::Intent(answer));
                self.urgent += 1;
                (self.urgent == 1).then_some(URGENT_WAIT)
            }
            Message::Flush(answer) => {
                group.waiters.push(Waiter::Flush(answer));
                self.flushes = true;
                None
            }
        };
        group.messages += 1;
        if let Some(wait) = sooner {
            let at = Instant::now() + wait;
            self.until = Some(self.until.map_or(at, |until| until.min(at)));
        }
        self.asleep && (sooner.is_some() || self.is_due())
    }

    fn is_due(&self) -> bool {
        let messages = self.group.messages;
        let complete = self.urgent >= self.expected || messages >= GROUP;
        self.closed || self.flushes || (complete && messages > 0)
    }

    /// Takes the group out, and adjusts the expected number of urgent messages to it.
    fn take(&mut self) -> Group {
        let reached = self.urgent >= self.expected;
        self.expected = match self.urgent {
            0 => self.expected,
            1 => 1,
            _ if reached => (self.expected + self.expected / 4 + 1).min(MOST_EXPECTED),
            fewer => fewer * 3 / 4,
        };
        self.urgent = 0;
        self.flushes = false;
        self.until = None;
        mem::take(&mut self.group)
    }
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    room: Semaphore,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            room: Semaphore::new(ROOM),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // The state is whole between any two statements, so a panic elsewhere does not spoil it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message after waiting for room; refuses it once a commit has failed or the queue was closed.
    pub(super) async fn push(&self, message: Message) -> Result<(), LedgerError> {
        // A failure and the end of the queue close the semaphore; the checks below return the error.
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        let mut waiting = self.lock();
        if let Some(failed) = &waiting.failed {
            return Err(LedgerError::Journal(Arc::clone(failed)));
        }
        if waiting.closed {
            return Err(LedgerError::Closed);
        }
        let wake = waiting.add(message);
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// The next group, in the order of arrival; `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Group> {
        let mut waiting = self.lock();
        while !waiting.is_due() {
            let Some(until) = waiting.until else {
                waiting.asleep = true;
                waiting = self
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting.asleep = true;
            waiting = self
                .wake
                .wait_timeout(waiting, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        waiting.asleep = false;
        let group = waiting.take();
        drop(waiting);
        self.room.add_permits(group.messages);
        (group.messages > 0).then_some(group)
    }

    /// Closes the queue: it accepts no further message, and what is queued is still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_one();
    }

    /// Closes the queue after an error: drops what is queued, and tells its senders why.
    pub(super) fn fail(&self, error: &Arc<LedgerError>) {
        let mut waiting = self.lock();
        waiting.failed = Some(Arc::clone(error));
        let left = mem::take(&mut waiting.group);
        drop(waiting);
        self.room.close();
        left.refuse(error);
    }

    /// Reports that the thread that commits has ended. If it gave no reason, the journal counts as closed.
    pub(super) fn end(&self) {
        if self.lock().failed.is_none() {
            self.fail(&Arc::new(LedgerError::Closed));
        }
    }

    /// Why nothing is accepted any more.
    pub(super) fn why_ended(&self) -> LedgerError {
        let failed = self.lock().failed.clone();
        failed.map_or(LedgerError::Closed, LedgerError::Journal)
    }
}
