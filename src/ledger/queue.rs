//! The bounded queue between many tasks and the one thread that commits.
//!
//! Some messages are waited for (intents), others are not (outcomes). The thread is woken at once for the
//! former; the latter may linger a moment, so that they share a commit instead of costing one each.

use super::{Calls, Intent, LedgerError, Settled, WriteId};
use crate::domain::Outcome;
use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Messages that may be waiting; senders beyond that wait for room.
const ROOM: usize = 1024;
/// So many unhurried messages make a commit worth its while.
const GROUP: usize = 512;
/// How long an unhurried message may wait for company.
const LINGER: Duration = Duration::from_millis(20);

pub(super) type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

pub(super) enum Message {
    Intend(Box<Intent>, Answer<WriteId>),
    Settle(WriteId, Settled),
    Outcomes(Vec<Outcome>),
    Calls(Calls),
    Flush(Answer<()>),
}

impl Message {
    fn is_urgent(&self) -> bool {
        match self {
            Self::Intend(..) | Self::Flush(_) => true,
            Self::Settle(..) | Self::Outcomes(_) | Self::Calls(_) => false,
        }
    }
}

#[derive(Default)]
struct Waiting {
    messages: Vec<Message>,
    urgent: bool,
    closed: bool,
    failed: Option<Arc<LedgerError>>,
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

    /// Puts a message in, waiting for room; refuses once a commit has failed or the queue was closed.
    pub(super) async fn push(&self, message: Message) -> Result<(), LedgerError> {
        // A failure or the end closes the semaphore; the words for it are below.
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
        let urgent = message.is_urgent();
        let first = waiting.messages.is_empty();
        waiting.messages.push(message);
        let wake = first || waiting.messages.len() == GROUP || (urgent && !waiting.urgent);
        waiting.urgent |= urgent;
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// The next group, in the order of arrival; `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Message>> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed || waiting.urgent || waiting.messages.len() >= GROUP {
                break;
            }
            if waiting.messages.is_empty() {
                waiting = self
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (back, late) = self
                .wake
                .wait_timeout(waiting, LINGER)
                .unwrap_or_else(PoisonError::into_inner);
            waiting = back;
            if late.timed_out() {
                break;
            }
        }
        waiting.urgent = false;
        let group = mem::take(&mut waiting.messages);
        drop(waiting);
        self.room.add_permits(group.len());
        (!group.is_empty()).then_some(group)
    }

    /// Nothing is accepted any more; what waits is still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_one();
    }

    /// Nothing is accepted any more, and what waits is dropped: its senders are told why.
    pub(super) fn fail(&self, error: &Arc<LedgerError>) {
        let mut waiting = self.lock();
        waiting.failed = Some(Arc::clone(error));
        let left = mem::take(&mut waiting.messages);
        drop(waiting);
        self.room.close();
        refuse(left, error);
    }

    /// Why nothing is accepted any more.
    pub(super) fn why_ended(&self) -> LedgerError {
        let failed = self.lock().failed.clone();
        failed.map_or(LedgerError::Closed, LedgerError::Journal)
    }
}

/// Tells everybody who waits for one of these messages that it is not on the disk.
pub(super) fn refuse(messages: Vec<Message>, error: &Arc<LedgerError>) {
    // A receiver that is gone has stopped waiting: nobody is left to be told.
    for message in messages {
        match message {
            Message::Intend(_, answer) => {
                let _ = answer.send(Err(LedgerError::Journal(Arc::clone(error))));
            }
            Message::Flush(answer) => {
                let _ = answer.send(Err(LedgerError::Journal(Arc::clone(error))));
            }
            Message::Settle(..) | Message::Outcomes(_) | Message::Calls(_) => {}
        }
    }
}
