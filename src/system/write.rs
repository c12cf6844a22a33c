//! One write: what it sets, what becomes of it, and the call that carries it.

use super::error::{SystemError, senseless};
use crate::domain::{AccountId, CustomerId, LocationId, Profile, Reseller, ServiceId, StoredValue};
use crate::http::{PendingWrite, Reply, Sent};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// What a method of a system returns: systems are used as trait objects, so their futures are boxed.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One write.
#[derive(Debug, Clone, Copy)]
pub struct WriteOp<'a> {
    /// The customer.
    pub customer: &'a CustomerId,
    /// The reseller of the relationship.
    pub reseller: Option<&'a Reseller>,
    /// What.
    pub what: WriteValue<'a>,
    /// What it rests on was looked at so lately that it may depart until then.
    pub send_deadline: Instant,
    /// What a turn takes beyond that, where it has been seen to take longer.
    pub slack: Duration,
}

/// What a write sets.
#[derive(Debug, Clone, Copy)]
pub enum WriteValue<'a> {
    /// The account ID.
    Account {
        /// What it is believed to be now.
        before: Option<&'a AccountId>,
        /// What it becomes; `None`: it is removed.
        after: Option<&'a AccountId>,
    },
    /// Service ID and profile of a location; what is `None` is not sent.
    Location {
        /// Which location.
        location: &'a LocationId,
        /// The new service ID.
        service: Option<&'a ServiceId>,
        /// The new profile.
        profile: Option<Profile>,
    },
}

/// What became of one write.
#[derive(Debug)]
pub enum Written {
    /// The system said what was asked.
    Applied {
        /// The answer's status.
        http_status: u16,
    },
    /// It was accepted, and the system says that it stored something other than what was asked.
    Stored {
        /// The answer's status.
        http_status: u16,
        /// What it says that it stored.
        value: StoredValue,
    },
    /// Certainly not processed, and worth another attempt with a new intent; nothing has been waited for yet. Without a
    /// status nothing was sent.
    Again(SystemError),
    /// Certainly not processed, and never sent.
    NotSent(SystemError),
    /// Certainly not processed: the system refuses it.
    Refused(SystemError),
    /// Never sent: by the time of its turn, what it rests on was too old. The duration is that of the turn alone.
    Expired(Duration),
    /// The customer is not as believed; nothing was written.
    Stale {
        /// What the account ID is now.
        now: Option<AccountId>,
    },
    /// It may or may not have taken effect: read back.
    InDoubt(SystemError),
}

impl Written {
    /// What an answer says of a write of this account ID. The caller has made sure that the answer is about the customer.
    pub(super) fn account_told(reply: &Reply, told: Option<&str>, asked: &AccountId) -> Self {
        let http_status = reply.status;
        match told {
            Some(told) if told == asked.as_str() => Self::Applied { http_status },
            told => match told.map(AccountId::new) {
                Some(Ok(stored)) => Self::Stored {
                    http_status,
                    value: StoredValue::Account(Some(stored)),
                },
                Some(Err(_)) | None => {
                    Self::InDoubt(senseless(reply, "the answer does not say what was asked"))
                }
            },
        }
    }

    /// What a call that was sent once has come to. The system has its own words for refusals, and its own way to tell
    /// whether an answer of 2xx says what was asked.
    pub(super) fn of(
        sent: Sent,
        refusal: impl FnOnce(&Reply) -> SystemError,
        accepted: impl FnOnce(&Reply) -> Self,
    ) -> Self {
        match sent {
            Sent::Reply(reply) if reply.is_success() => accepted(&reply),
            Sent::Reply(reply) => Self::Refused(refusal(&reply)),
            Sent::Again(why) => Self::Again(SystemError::unanswered(&why)),
            Sent::NotSent(why) => Self::NotSent(SystemError::unanswered(&why)),
            Sent::Expired(turn) => Self::Expired(turn),
            Sent::InDoubt(why) => Self::InDoubt(SystemError::unanswered(&why)),
        }
    }
}

/// A write that waits for its turn. Its intent is recorded between [`PreparedWrite::turn`] and [`PreparedWrite::send`].
pub(crate) trait PreparedWrite: Send {
    /// Waits for rate, quota, holds and token, until `lead` before the write may be sent. An error is the end of this
    /// write, and nothing was sent.
    fn turn(&mut self, lead: Duration) -> BoxFuture<'_, Result<(), Written>>;

    /// Sends it, at most once. After [`Written::Again`] its turn may be waited for again.
    fn send<'s>(&'s mut self, correlation: &'s str) -> BoxFuture<'s, Written>;
}

/// What an answer of 2xx means.
pub(super) type Accepted<'a> = Box<dyn Fn(&Reply) -> Written + Send + Sync + 'a>;

/// A write that is one call.
pub(super) struct OneCall<'a> {
    pub(super) write: PendingWrite<'a>,
    pub(super) refusal: fn(&Reply) -> SystemError,
    pub(super) accepted: Accepted<'a>,
}

impl PreparedWrite for OneCall<'_> {
    fn turn(&mut self, lead: Duration) -> BoxFuture<'_, Result<(), Written>> {
        Box::pin(async move {
            let ended = self.write.turn(lead).await;
            ended.map_err(|sent| Written::of(sent, self.refusal, &self.accepted))
        })
    }

    fn send<'s>(&'s mut self, correlation: &'s str) -> BoxFuture<'s, Written> {
        Box::pin(async move {
            let sent = self.write.send(correlation).await;
            Written::of(sent, self.refusal, &self.accepted)
        })
    }
}
