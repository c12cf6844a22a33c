//! One write: what it sets, its result, and the call that sends it.

use super::error::{SystemError, senseless};
use crate::domain::{AccountId, CustomerId, LocationId, Profile, Reseller, ServiceId, StoredValue};
use crate::http::{MaySend, PendingWrite, Reply, Sent};
use crate::moment::Moment;
use std::pin::Pin;
use std::time::Duration;

/// What a method of a system returns: systems are used as trait objects, so their futures are boxed.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One write.
#[derive(Debug, Clone, Copy)]
pub struct WriteOp<'a> {
    /// The customer.
    pub customer: &'a CustomerId,
    /// The reseller of the relationship.
    pub reseller: Option<&'a Reseller>,
    /// What the write sets.
    pub what: WriteValue<'a>,
    /// The write must be sent before this time: afterwards, the look-up that it is based on is too old.
    pub send_deadline: Moment,
    /// The extra time that `send_deadline` includes because an earlier turn took too long.
    pub slack: Duration,
}

/// What a write sets.
#[derive(Debug, Clone, Copy)]
pub enum WriteValue<'a> {
    /// The account ID.
    Account {
        /// The account ID that the customer is expected to have now.
        before: Option<&'a AccountId>,
        /// The new account ID; `None`: it is removed.
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

/// The result of one write.
#[derive(Debug)]
pub enum Written {
    /// The answer shows the requested value.
    Applied {
        /// The answer's status.
        http_status: u16,
    },
    /// The write was accepted, but the answer shows another value than the requested one.
    Stored {
        /// The answer's status.
        http_status: u16,
        /// The value that the answer shows.
        value: StoredValue,
    },
    /// Certainly not processed, and worth another attempt with a new intent; there was no back-off yet. Without a
    /// status nothing was sent.
    Again(SystemError),
    /// Never sent, so certainly not processed.
    NotSent(SystemError),
    /// Certainly not processed: the system refuses it.
    Refused(SystemError),
    /// Never sent: at its turn, the look-up that it is based on was too old. The duration is that of the turn alone.
    Expired(Duration),
    /// The customer has another account ID than expected; nothing was written.
    Stale {
        /// What the account ID is now.
        now: Option<AccountId>,
    },
    /// The write may or may not have taken effect: it must be read back.
    InDoubt(SystemError),
}

impl Written {
    /// Judges a write of the account ID `asked` by the account ID in the answer. The caller has checked that the answer
    /// is about the customer.
    pub(super) fn account_told(reply: &Reply, told: Option<&str>, asked: &AccountId) -> Self {
        let http_status = reply.status;
        match told {
            Some(told) if told == asked.as_str() => Self::Applied { http_status },
            told => match told.map(AccountId::new) {
                Some(Ok(stored)) => Self::Stored {
                    http_status,
                    value: StoredValue::Account(Some(stored)),
                },
                Some(Err(_)) | None => Self::InDoubt(senseless(
                    reply,
                    "the answer does not confirm the requested value",
                )),
            },
        }
    }

    /// Returns the result of a call that was sent at most once. `refusal` explains a refusal by this system; `accepted`
    /// judges an answer with a status of 2xx.
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
    /// Waits for rate, quota, holds and token, and returns `lead` before the write may be sent. An error ends this
    /// write: nothing was sent.
    fn turn(&mut self, lead: Duration) -> BoxFuture<'_, Result<(), Written>>;

    /// Sends the write, at most once, and only if `may_send` says so after the last wait. After [`Written::Again`], [`PreparedWrite::turn`] may be called again.
    fn send<'s>(
        &'s mut self,
        correlation: &'s str,
        may_send: MaySend<'s>,
    ) -> BoxFuture<'s, Written>;
}

/// Judges an answer with a status of 2xx.
pub(super) type Accepted<'a> = Box<dyn Fn(&Reply) -> Written + Send + Sync + 'a>;

/// A write that consists of one call.
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

    fn send<'s>(
        &'s mut self,
        correlation: &'s str,
        may_send: MaySend<'s>,
    ) -> BoxFuture<'s, Written> {
        Box::pin(async move {
            let sent = self.write.send(correlation, may_send).await;
            Written::of(sent, self.refusal, &self.accepted)
        })
    }
}
