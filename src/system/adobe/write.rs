//! A write to Adobe: the customer is read, and sent back with the new reference.

use super::super::backend::no_locations;
use super::super::error::{SystemError, senseless};
use super::super::settings::Sending;
use super::super::write::{BoxFuture, OneCall, PreparedWrite, WriteOp, WriteValue, Written};
use super::api::{Adobe, path_of};
use super::first_write_check::First;
use super::wire::{Body, Update, refusal};
use crate::domain::{AccountId, Failed};
use crate::http::{Call, MaySend, Reply};
use crate::moment::Moment;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// The maximum age of a profile that is written back.
const GAP: Duration = Duration::from_secs(5);
/// A turn should not take longer than this between reading and writing. It is well below [`GAP`].
pub(crate) const TURN: Duration = Duration::from_secs(3);
impl Adobe {
    fn one_call<'a>(
        &'a self,
        order: &WriteOp<'a>,
        after: &'a AccountId,
        body: &Update<'_>,
    ) -> Result<OneCall<'a>, Written> {
        let customer = order.customer;
        let path = path_of(customer).map_err(Written::Refused)?;
        let body = serde_json::to_vec(body)
            .map_err(|why| Written::Refused(SystemError::new(Failed::Invalid, why.to_string())))?;
        let accepted = move |reply: &Reply| match reply.json::<Body>() {
            Ok(body) if body.customer_id == customer.as_str() => {
                Written::account_told(reply, body.external_reference_id.as_deref(), after)
            }
            Ok(_) => Written::InDoubt(senseless(reply, "the answer is about another customer")),
            Err(why) => Written::InDoubt(senseless(reply, why)),
        };
        Ok(OneCall {
            write: self
                .client
                .pending_write(Call::patch(path, body, order.send_deadline)),
            refusal,
            accepted: Box::new(accepted),
        })
    }

    /// Reads the customer, and makes the write that sends it back with the new reference.
    pub(super) async fn prepare<'a>(
        &'a self,
        order: WriteOp<'a>,
    ) -> Result<AdobeWrite<'a>, Written> {
        let WriteValue::Account { before, after } = order.what else {
            return Err(Written::Refused(no_locations()));
        };
        let Some(after) = after else {
            return Err(Written::Refused(cannot_clear()));
        };
        // The write sends back the whole profile as it is read here, so this read must be recent. Only a few writes at
        // a time are between reading and writing, so that none of them waits there for the turns of all others.
        let Ok(between) = self.between.acquire().await else {
            let words = "the run is being stopped";
            return Err(Written::NotSent(SystemError::new(
                Failed::Unavailable,
                words,
            )));
        };
        // The lock is held until the first write is checked: all other writes wait for the result.
        let trial = self.trial().await.map_err(Written::NotSent)?;
        let whole = match self.whole(order.customer).await {
            Ok(Some(whole)) => whole,
            Ok(None) => {
                let words = format!("there is no customer `{}`", order.customer);
                return Err(Written::Refused(SystemError::new(Failed::NotFound, words)));
            }
            Err(trouble) => return Err(Written::NotSent(trouble)),
        };
        let order = WriteOp {
            send_deadline: Moment::now() + GAP + order.slack,
            ..order
        };
        let now = whole
            .body
            .external_reference_id
            .as_deref()
            .filter(|text| !text.is_empty());
        if now != before.map(AccountId::as_str) {
            return Err(Written::Stale {
                now: now.and_then(|text| AccountId::new(text).ok()),
            });
        }
        let full = self.sending == Sending::Full;
        if full && whole.profile.is_none() {
            return Err(Written::Refused(SystemError::new(
                Failed::BadAnswer,
                "the customer has no `companyProfile`, which the update must send back",
            )));
        }
        let body = Update {
            external_reference_id: after.as_str(),
            global_sales_enabled: whole.global_sales.as_deref().filter(|_| full),
            company_profile: whole.profile.as_deref().filter(|_| full),
        };
        let call = self.one_call(&order, after, &body)?;
        Ok(AdobeWrite {
            adobe: self,
            call,
            _between: between,
            first: trial.map(|trial| First {
                trial,
                customer: order.customer,
                after,
                was: whole,
            }),
        })
    }
}

/// A write to Adobe, between reading the customer and sending it back.
pub(super) struct AdobeWrite<'a> {
    adobe: &'a Adobe,
    call: OneCall<'a>,
    _between: SemaphorePermit<'a>,
    first: Option<First<'a>>,
}

impl PreparedWrite for AdobeWrite<'_> {
    fn turn(&mut self, lead: Duration) -> BoxFuture<'_, Result<(), Written>> {
        self.call.turn(lead)
    }

    fn send<'s>(
        &'s mut self,
        correlation: &'s str,
        may_send: MaySend<'s>,
    ) -> BoxFuture<'s, Written> {
        Box::pin(async move {
            let written = self.call.send(correlation, may_send).await;
            // The attempt was not processed, so the next attempt is still the first write.
            if matches!(written, Written::Again(_)) {
                return written;
            }
            match self.first.take() {
                None => written,
                Some(first) => Box::pin(first.checked(self.adobe, written)).await,
            }
        })
    }
}

fn cannot_clear() -> SystemError {
    SystemError::new(
        Failed::Invalid,
        "how to remove an externalReferenceId is not documented",
    )
}
