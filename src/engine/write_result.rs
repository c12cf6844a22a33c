//! A requested write, the observed effect of its attempts, and its result.

use super::customer_state::{PriorWrite, changed_otherwise, moved_on};
use super::write_breaker::Refusable;
use super::{Context, Halt, WriteLog};
use crate::domain::{CustomerId, Failed, Line, LocationState, Profile, Reseller, StoredValue};
use crate::ledger::{Chunk, Verdict, Write, WriteId};
use crate::moment::Moment;
use crate::system::{SystemError, WriteOp, WriteValue};
use std::sync::Arc;
use std::time::Duration;

/// One write that is to be carried out.
pub(super) struct WriteRequest<'a> {
    pub(super) unit: Line,
    pub(super) chunk: Option<&'a Arc<Chunk>>,
    pub(super) line: Line,
    pub(super) customer: &'a CustomerId,
    pub(super) reseller: Option<&'a Reseller>,
    pub(super) write: Write,
    /// When the value that the write is based on was read.
    pub(super) read_at: Moment,
    /// The last attempt of an earlier process for which no reading showed an effect; it may have taken effect since.
    pub(super) doubted: Option<SentAttempt>,
}

/// An attempt that is on record: its ID, and the HTTP status of its answer.
pub(super) type SentAttempt = (WriteId, Option<u16>);

/// The result of a change that a line requests: the rename of its customer, or what it sets at a location.
#[derive(Debug, Clone)]
pub(super) enum StepOutcome {
    /// The line requests no such change.
    NotAsked,
    /// The requested value was in place before this run.
    Already,
    /// The value was written; in a plan: it would be written.
    Done(Sent),
    /// Not done. If the system has stored another value instead, that is in [`Sent::effect`].
    Failed(SystemError, Sent),
    /// The effect is unknown, because the system could not be read.
    InDoubt(SystemError, Sent),
}

impl StepOutcome {
    /// Makes the outcome of a step that failed before anything was sent.
    pub(super) fn unsent(error: SystemError) -> Self {
        Self::Failed(error, Sent::default())
    }

    /// Returns whether the requested value is in place.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::NotAsked | Self::Already | Self::Done(_) => true,
            Self::Failed(..) | Self::InDoubt(..) => false,
        }
    }

    /// Returns what was sent for the step.
    pub(super) fn sent_mut(&mut self) -> Option<&mut Sent> {
        match self {
            Self::NotAsked | Self::Already => None,
            Self::Done(sent) | Self::Failed(_, sent) | Self::InDoubt(_, sent) => Some(sent),
        }
    }
}

/// What is reported about the attempts of a write.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    pub(super) attempts: u32,
    /// Whether an attempt was answered with something that is not what the API specifies.
    pub(super) bad_answer: bool,
    /// The number of the last attempt among all calls, in the order of sending.
    pub(super) number: u64,
    pub(super) http_status: Option<u16>,
    pub(super) correlation: Option<String>,
    /// Whether an attempt without any answer was followed by another attempt: it may still take effect.
    pub(super) unanswered: bool,
    /// The last attempt on record. If its effect or the effect of an attempt before it is not certain in the end, that
    /// is recorded for this attempt: a later attempt's record also tells about the earlier ones.
    pub(super) last: Option<Box<SentAttempt>>,
    /// The value that a reading found, if it is neither the former nor the requested one.
    pub(super) seen: Option<StoredValue>,
    /// The value that the system stored, if it is not the requested one.
    pub(super) effect: Option<StoredValue>,
}

/// What follows an attempt.
pub(super) enum Next {
    End(StepOutcome),
    /// A reading showed that the attempt did not take effect.
    AfterAWhile {
        /// The attempt's correlation ID, if the attempt had no response: the next attempt carries the same.
        correlation: Option<String>,
        /// What the attempt was answered with, or why there was no answer.
        why: String,
    },
    /// It was not sent, because the reading it is based on had become too old; the value is the time that its turn took.
    ReadFirst(Duration),
}

impl Next {
    /// Returns the verdict that is recorded for the write.
    pub(super) fn verdict(&self, write: &Write) -> Verdict {
        match self {
            Self::End(StepOutcome::Done(_)) => Verdict::Applied,
            // The system stored another value.
            Self::End(StepOutcome::Failed(_, sent)) if sent.effect.is_some() => Verdict::Applied,
            // Another value is in place, which may be what the system made of this write. A customer with another value
            // does not have its temporary ID.
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
    /// Returns the write as the system takes it. `send_deadline`: it may not be sent later.
    pub(super) fn operation(&self, send_deadline: Moment, slack: Duration) -> WriteOp<'_> {
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
    /// Notes that the write was refused for a reason that no search explains and that may be common to all writes. The
    /// error ends the run.
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
        // Stops the ramp immediately: the next write waits for the permit that is released here.
        refused.inspect_err(|_| context.ramp.stop())
    }

    /// Makes the error for a value that another user or program has changed.
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
