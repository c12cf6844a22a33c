//! One write as it is asked for, what its attempts were seen to do, and how it ended.

use super::customer_state::{PriorWrite, changed_otherwise, moved_on};
use super::write_breaker::Refusable;
use super::{Context, Halt, WriteLog};
use crate::domain::{CustomerId, Failed, Line, LocationState, Profile, Reseller, StoredValue};
use crate::ledger::{Chunk, Verdict, Write, WriteId};
use crate::system::{SystemError, WriteOp, WriteValue};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One write that is to be carried out.
pub(super) struct WriteRequest<'a> {
    pub(super) unit: Line,
    pub(super) chunk: Option<&'a Arc<Chunk>>,
    pub(super) line: Line,
    pub(super) customer: &'a CustomerId,
    pub(super) reseller: Option<&'a Reseller>,
    pub(super) write: Write,
    /// When what it rests on was read.
    pub(super) read_at: Instant,
    /// The last attempt of an earlier process that was not seen to take effect; it may have landed since.
    pub(super) doubted: Option<SentAttempt>,
}

/// An attempt that is on record: its number, and what it was answered with.
pub(super) type SentAttempt = (WriteId, Option<u16>);

/// How a change that a line asks for ended: the rename of its customer, or what it sets at a location.
#[derive(Debug, Clone)]
pub(super) enum StepOutcome {
    /// The line asks for none.
    NotAsked,
    /// It was so before this run.
    Already,
    /// Written; in a plan: it would be.
    Done(Sent),
    /// Not done. Where the system has stored another value instead, that is in [`Sent::effect`].
    Failed(SystemError, Sent),
    /// It is unknown, because the system could not be asked.
    InDoubt(SystemError, Sent),
}

impl StepOutcome {
    /// Failed before anything was sent.
    pub(super) fn unsent(error: SystemError) -> Self {
        Self::Failed(error, Sent::default())
    }

    /// Whether what was asked for is in place.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::NotAsked | Self::Already | Self::Done(_) => true,
            Self::Failed(..) | Self::InDoubt(..) => false,
        }
    }

    /// What was sent for it.
    pub(super) fn sent_mut(&mut self) -> Option<&mut Sent> {
        match self {
            Self::NotAsked | Self::Already => None,
            Self::Done(sent) | Self::Failed(_, sent) | Self::InDoubt(_, sent) => Some(sent),
        }
    }
}

/// What is to be reported of the sending.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    pub(super) attempts: u32,
    /// Whether an attempt was answered with something that is not what the API says.
    pub(super) bad_answer: bool,
    /// Which of all calls the last attempt was, in the order of sending.
    pub(super) number: u64,
    pub(super) http_status: Option<u16>,
    pub(super) correlation: Option<String>,
    /// Whether an attempt was followed by another without ever having had an answer: it may still take effect.
    pub(super) unanswered: bool,
    /// The last attempt on record. Where its effect or that of one before it is not certain in the end, that is recorded
    /// of this one: what a later attempt has found tells of an earlier one.
    pub(super) last: Option<Box<SentAttempt>>,
    /// What a reading found, where it was neither as before nor as asked.
    pub(super) seen: Option<StoredValue>,
    /// What the system stored, where that is not what was asked.
    pub(super) effect: Option<StoredValue>,
}

/// What follows an attempt.
pub(super) enum Next {
    End(StepOutcome),
    /// It did not take effect, as a reading said.
    AfterAWhile {
        /// The attempt's correlation ID, where the attempt had no response: the next attempt carries the same.
        correlation: Option<String>,
        /// What the attempt was answered with, or why there was no answer.
        why: String,
    },
    /// It was not sent, because the reading it is based on had become too old; the value is how long its turn took.
    ReadFirst(Duration),
}

impl Next {
    /// What is recorded of a write after which this follows.
    pub(super) fn verdict(&self, write: &Write) -> Verdict {
        match self {
            Self::End(StepOutcome::Done(_)) => Verdict::Applied,
            // Another value was stored.
            Self::End(StepOutcome::Failed(_, sent)) if sent.effect.is_some() => Verdict::Applied,
            // Another value is there, which may be what the system made of this write. A customer with it has no
            // temporary ID.
            Self::End(StepOutcome::Failed(_, sent)) if sent.seen.is_some() => {
                if write.is_temporary() {
                    Verdict::NotApplied
                } else {
                    Verdict::Unknown
                }
            }
            Self::End(StepOutcome::InDoubt(..)) => Verdict::Unknown,
            Self::End(_) | Self::AfterAWhile { .. } | Self::ReadFirst(_) => Verdict::NotApplied,
        }
    }
}

impl WriteRequest<'_> {
    /// The write as the system is asked for it. `send_deadline`: it may not be sent later.
    pub(super) fn operation(&self, send_deadline: Instant, slack: Duration) -> WriteOp<'_> {
        let what = match &self.write {
            Write::Account { before, after, .. } => WriteValue::Account {
                before: before.as_ref(),
                after: after.as_ref(),
            },
            Write::Location {
                location, after, ..
            } => WriteValue::Location {
                location,
                service: after.service.as_ref(),
                profile: after.profile,
            },
        };
        WriteOp {
            customer: self.customer,
            reseller: self.reseller,
            what,
            send_deadline,
            slack,
        }
    }
}

impl WriteRequest<'_> {
    /// Refused for a reason that no search explains, which may be common to all writes.
    pub(super) fn was_refused<N: WriteLog>(
        &self,
        context: &Context<N>,
        trouble: &SystemError,
        number: u64,
    ) -> Result<(), Halt> {
        if trouble.reason == Failed::Conflict {
            return Ok(());
        }
        let example = || format!("line {}, customer `{}`", self.line, self.customer);
        let kind = Refusable::of(&self.write);
        let breaker = &context.write_breaker;
        let refused = breaker.refused(kind, number, Some(self.unit), trouble, example);
        // At this moment: the next one waits for the turn that is given back here.
        refused.inspect_err(|_| context.ramp.stop())
    }

    /// Another user or program changed what was to be written.
    pub(super) fn moved_on<N>(
        &self,
        context: &Context<N>,
        seen: &StoredValue,
        was_sent: bool,
    ) -> SystemError {
        let prior = match &context.settings.undoes {
            _ if was_sent => PriorWrite::ThisRun,
            Some(run) => PriorWrite::Undone(run),
            None => PriorWrite::None,
        };
        match (&self.write, seen) {
            (Write::Account { before, .. }, StoredValue::Account(now)) => {
                moved_on(before.as_ref(), now.as_ref(), prior)
            }
            (Write::Location { before, .. }, StoredValue::Location(now)) => {
                changed_otherwise("location", (&said(before), &said(now)), prior)
            }
            (Write::Account { .. } | Write::Location { .. }, _) => {
                changed_otherwise("customer", ("another value", "an unknown one"), prior)
            }
        }
    }
}

/// The values of a location, in words.
pub(super) fn said(place: &LocationState) -> String {
    let service = place.service.as_ref().map_or("none", |id| id.as_str());
    let profile = place.profile.map_or("not told", Profile::as_str);
    format!("service ID {service}, profile {profile}")
}
