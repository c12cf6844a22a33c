//! One write under way: it waits for its turn, then the caller records its intent, then it is sent.
//!
//! [`PendingWrite::turn`] waits for everything that can take long (holds, the quota, the pace, a token, back-off),
//! before anything is recorded. Between the record and the request there are only milliseconds, so a process that is
//! killed while it waits leaves no intent that looks as if it might have been sent.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::attempt_state::{Departure, Outcome, Ready};
use super::bearer::Bearer;
use super::call::{Call, CallError, CallErrorKind, Reply, Sent};
use super::client::{CallState, Client, MOST_RENEWALS};
use super::retry;
use super::trace::timed;

/// Returns whether a write may still be sent.
pub type MaySend<'a> = &'a (dyn Fn() -> bool + Sync);

/// A write without a final result yet.
#[derive(Debug)]
pub struct PendingWrite<'a> {
    client: &'a Client,
    call: Call,
    course: CallState,
    ready: Option<Ready<'a>>,
    first: Option<Preliminary>,
    /// Number of new tokens after a 401.
    renewed: u32,
}

/// What the next attempt requires first, because of the last one.
#[derive(Debug)]
enum Preliminary {
    /// 401: a new token is needed.
    Renew(Arc<Bearer>, Reply),
    /// 425: wait a little.
    TooEarly,
    /// No connection could be made.
    Reconnect(CallError),
}

impl Client {
    /// Creates a write that is to be sent. Nothing happens before [`PendingWrite::turn`].
    pub fn pending_write(&self, call: Call) -> PendingWrite<'_> {
        PendingWrite::new(self, call)
    }
}

impl<'a> PendingWrite<'a> {
    fn new(client: &'a Client, call: Call) -> Self {
        Self {
            client,
            call,
            course: CallState::new(),
            ready: None,
            first: None,
            renewed: 0,
        }
    }

    /// Waits until `lead` before the write may be sent; `lead` is the time that recording its intent takes.
    ///
    /// An error ends this write: nothing more is sent.
    pub async fn turn(&mut self, lead: Duration) -> Result<(), Sent> {
        if self.first.is_some() {
            self.prepare().await?;
        }
        loop {
            let (client, call) = (self.client, &self.call);
            let waited = &mut self.course.waited;
            let ready = async {
                let admission = timed(&mut waited.hold, pin!(client.admission(call))).await?;
                client
                    .line_up(admission, call, (None, None), lead, waited)
                    .await
            };
            match ready.await {
                Ok(Some(ready)) => {
                    self.ready = Some(ready);
                    return Ok(());
                }
                Ok(None) => {}
                Err(why) => return Err(unsent(why, self.course.sent)),
            }
        }
    }

    async fn prepare(&mut self) -> Result<(), Sent> {
        let client = self.client;
        match self.first.take() {
            None => Ok(()),
            Some(Preliminary::Renew(bearer, reply)) => {
                let again = self.renewed > 0;
                let renewing = client.renewed_after(&bearer, again);
                let renewed = if self.renewed < MOST_RENEWALS {
                    timed(&mut self.course.waited.token, Box::pin(renewing)).await
                } else {
                    Ok(false)
                };
                match renewed {
                    Ok(true) => {
                        self.renewed += 1;
                        Ok(())
                    }
                    // There may be a new token, but the wait for it was cancelled.
                    _ if client.stop.is_cancelled() => {
                        Err(unsent(CallError::cancelled(), self.course.sent))
                    }
                    Ok(false) => Err(Sent::Reply(reply)),
                    Err(why) => Err(unsent(why, self.course.sent)),
                }
            }
            Some(Preliminary::TooEarly) => {
                let wait = client.wait(retry::back_off(2));
                let waited = timed(&mut self.course.waited.back_off, pin!(wait)).await;
                waited.map_err(|why| unsent(why, self.course.sent))
            }
            Some(Preliminary::Reconnect(why)) => {
                let waited = client.before_retry(why, &mut self.course).await;
                waited.map_err(Sent::NotSent)
            }
        }
    }

    /// Sends the write now, with the correlation ID under which its intent was recorded. At most one request reaches
    /// the server, and none if `may_send` says no after the last wait. After [`Sent::Again`] the next
    /// [`PendingWrite::turn`] does the necessary waiting.
    pub async fn send(&mut self, correlation: &str, may_send: MaySend<'_>) -> Sent {
        let Some(ready) = self.ready.take() else {
            return Sent::Again(CallError::new(
                CallErrorKind::Postponed,
                "its turn has not come yet",
            ));
        };
        correlation.clone_into(self.call.correlation.get_or_insert_default());
        let client = self.client;
        let shot = match client
            .depart(ready, &self.call, &mut self.course, may_send)
            .await
        {
            Ok(Departure::Sent(shot)) => shot,
            Ok(Departure::Held | Departure::Missed(_)) => {
                return Sent::Again(CallError::new(
                    CallErrorKind::Postponed,
                    "its turn has passed",
                ));
            }
            Err(why) => return unsent(why, self.course.sent),
        };
        let shot = client.examined(&self.call, shot).await;
        let bearer = Arc::clone(&shot.bearer);
        match client.report_attempt(shot, Ok) {
            Outcome::Final(reply) => {
                client.answered(&self.call, &self.course, reply.is_success());
                Sent::Reply(reply)
            }
            Outcome::Unauthorized(reply) => {
                let mut why = CallError::new(
                    CallErrorKind::Status(401),
                    "401: the token may have expired",
                );
                why.status = Some(reply.status);
                self.first = Some(Preliminary::Renew(bearer, reply));
                Sent::Again(why)
            }
            Outcome::Refused(why) => Sent::Again(why),
            Outcome::TooEarly(why) => {
                self.first = Some(Preliminary::TooEarly);
                Sent::Again(why)
            }
            Outcome::Unprocessed(why) if self.course.may_repeat_freely() => Sent::Again(why),
            Outcome::NotConnected(why) if client.is_hopeless(&why, &self.call) => {
                Sent::NotSent(why.hopeless())
            }
            Outcome::NotConnected(why) | Outcome::Unprocessed(why) => {
                self.first = Some(Preliminary::Reconnect(why.clone()));
                Sent::Again(why)
            }
            Outcome::Unclear(why) => Sent::InDoubt(why),
            Outcome::Unsendable(why) => Sent::NotSent(why),
        }
    }
}

fn unsent(why: CallError, sent: u32) -> Sent {
    match why.kind {
        CallErrorKind::Expired(turn) => Sent::Expired(turn),
        _ => Sent::NotSent(why.after(sent)),
    }
}
