//! Adobe VIP Marketplace: the `externalReferenceId` of a customer.
//!
//! What is peculiar here:
//! - There is no search by the reference. A reseller's customers are listed, fifty a call, in all statuses,
//!   oldest first so that new customers do not shift the pages.
//! - References need not be unique, so order never matters, and one that several carry is ambiguous.
//! - A PATCH replaces: the profile goes back verbatim, every contact and every unknown key included, and so does
//!   `globalSalesEnabled`, which would be read as `false` if it were left out. Nothing else is sent. Each contact gets
//!   a welcome e-mail for it, which cannot be suppressed.
//! - `X-Correlation-Id` stands for one intent; repeated after an answer, that answer is replayed for ten days.
//! - The answer to a PATCH may show values that do not persist: only a GET tells.
//!
//! Sources: the Commerce Partner API's pages on updating a customer, listing customers, idempotency and errors.

mod list;
mod trial;
mod wire;

use self::list::{Kept, STATUSES};
use self::trial::{First, Trial};
use self::wire::{Body, RawBody, Update, Whole, code_of, refusal};
use super::connect::{Sending, Settings, SetupError};
use super::trouble::{Read, body_of, senseless};
use super::{
    Backend, BoxFuture, Bulk, Customer, Key, Location, OneCall, Order, PreparedWrite, Trouble,
    Wanted, What, Written,
};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller, ResellerId};
use crate::http::{Call, Character, Client, Kind, Path, Reply};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// So old may a profile be that is written back.
const GAP: Duration = Duration::from_secs(5);
/// A turn should not take longer than this between reading and writing; well below [`GAP`].
pub(crate) const TURN: Duration = Duration::from_secs(3);
/// So many customers at most are between reading and writing.
const MOST_BETWEEN: usize = 256;

/// The code of an answer to a token that is missing or no longer known.
const NO_TOKEN: &str = "4117";

/// What Adobe says about every call.
pub(super) fn character(settings: &Settings) -> Result<Character, SetupError> {
    let key = settings.api_key.as_ref().ok_or(SetupError::Missing {
        system: "Adobe VIP Marketplace",
        what: "an API key: set `api_key` or `api_key_env` in the profile, or IDSHIFT_API_KEY",
    })?;
    Ok(Character {
        constant_headers: vec![
            ("accept", "application/json".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-api-key", key.expose_secret().to_owned()),
        ],
        request_id_header: Some("x-request-id"),
        correlation_header: Some("x-correlation-id"),
        is_own_error: |reply| code_of(reply).is_some(),
        is_firewall: |_| false,
        is_unauthorized: |reply| reply.status == 403 && code_of(reply).as_deref() == Some(NO_TOKEN),
    })
}

/// The Adobe API behind [`super::System`].
pub(super) struct Adobe {
    client: Arc<Client>,
    reseller: Option<ResellerId>,
    sending: Sending,
    max_age: Duration,
    listing: Mutex<Kept>,
    /// What the first write has been seen to do.
    trial: Mutex<Trial>,
    warnings: std::sync::Mutex<Vec<String>>,
    /// Who is between reading a customer and writing it.
    between: Semaphore,
}

impl Adobe {
    pub(super) fn new(client: Arc<Client>, settings: &Settings) -> Self {
        Self {
            client,
            reseller: settings.reseller.clone(),
            sending: settings.sending,
            max_age: settings.max_age,
            listing: Mutex::new(Kept::Nothing),
            trial: Mutex::new(Trial::Untried),
            warnings: std::sync::Mutex::default(),
            between: Semaphore::new(
                settings
                    .calls_meanwhile
                    .map_or(MOST_BETWEEN, |calls| calls.min(MOST_BETWEEN))
                    .max(1),
            ),
        }
    }

    /// The customer with its profile as it came, byte for byte.
    async fn whole(&self, customer: &CustomerId) -> Result<Option<Whole>, Trouble> {
        let call = Call::get(Kind::Read, path_of(customer)?);
        let parse = |reply: &Reply| -> Read<Option<Whole>> {
            match reply.status {
                200 => {
                    let body: Body = match body_of(reply, code_of)? {
                        Ok(body) => body,
                        Err(trouble) => return Ok(Err(trouble)),
                    };
                    if body.customer_id != customer.as_str() {
                        return Ok(Err(senseless(reply, "another customer than asked for")));
                    }
                    let raw: RawBody = reply.json()?;
                    let everything: Value = reply.json()?;
                    Ok(Ok(Some(Whole {
                        body,
                        profile: raw.company_profile,
                        global_sales: raw.global_sales_enabled,
                        everything,
                    })))
                }
                404 if code_of(reply).is_some() => Ok(Ok(None)),
                _ => Ok(Err(refusal(reply))),
            }
        };
        self.client.read(&call, parse).await?
    }

    fn one_call<'a>(
        &'a self,
        order: &Order<'a>,
        after: &'a AccountId,
        body: &Update<'_>,
    ) -> Result<OneCall<'a>, Written> {
        let customer = order.customer;
        let path = path_of(customer).map_err(Written::Refused)?;
        let body = serde_json::to_vec(body)
            .map_err(|why| Written::Refused(Trouble::new(Failed::Invalid, why.to_string())))?;
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
                .pending_write(Call::patch(path, body, order.departs_until)),
            refusal,
            accepted: Box::new(accepted),
        })
    }

    /// Reads the customer, and makes the write that sends it back with the new reference.
    async fn prepare<'a>(&'a self, order: Order<'a>) -> Result<AdobeWrite<'a>, Written> {
        let What::Account { before, after } = order.what else {
            return Err(Written::Refused(no_locations()));
        };
        let Some(after) = after else {
            return Err(Written::Refused(cannot_clear()));
        };
        // The whole profile goes back as it is read here, so it is this reading that must not be old. Few at a time are
        // between reading and writing, so that no write waits there for the turns of all others.
        let Ok(between) = self.between.acquire().await else {
            let words = "the run is being stopped";
            return Err(Written::NotSent(Trouble::new(Failed::Unavailable, words)));
        };
        // Held until the first write is checked: all others wait for what it shows.
        let trial = self.trial().await.map_err(Written::NotSent)?;
        let whole = match self.whole(order.customer).await {
            Ok(Some(whole)) => whole,
            Ok(None) => {
                let words = format!("there is no customer `{}`", order.customer);
                return Err(Written::Refused(Trouble::new(Failed::NotFound, words)));
            }
            Err(trouble) => return Err(Written::NotSent(trouble)),
        };
        let order = Order {
            departs_until: Instant::now() + GAP + order.slack,
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
            return Err(Written::Refused(Trouble::new(
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

    /// For a person, at the end of the run.
    fn warn(&self, words: String) {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

/// A write to Adobe, between reading the customer and sending it back.
struct AdobeWrite<'a> {
    adobe: &'a Adobe,
    call: OneCall<'a>,
    _between: SemaphorePermit<'a>,
    first: Option<First<'a>>,
}

impl PreparedWrite for AdobeWrite<'_> {
    fn turn(&mut self, lead: Duration) -> BoxFuture<'_, Result<(), Written>> {
        self.call.turn(lead)
    }

    fn send<'s>(&'s mut self, correlation: &'s str) -> BoxFuture<'s, Written> {
        Box::pin(async move {
            let written = self.call.send(correlation).await;
            // Nothing was processed, so the next attempt is still the first.
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

impl Backend for Adobe {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        _locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, Trouble>> {
        Box::pin(async move {
            let by_account = wanted
                .iter()
                .any(|wanted| matches!(wanted.key, Key::Account(_)));
            if !by_account && self.reseller.is_none() {
                // Named customers are read one by one.
                return Ok(Bulk::Found(vec![Vec::new(); wanted.len()], Instant::now()));
            }
            let listing = self.listed().await?;
            let found = wanted.iter().map(|wanted| listing.find(wanted));
            Ok(Bulk::Found(found.collect(), listing.begun_at()))
        })
    }

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        _reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, Trouble>> {
        Box::pin(async move { Ok(self.listed().await?.account(account)) })
    }

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        _reseller: Option<&'a Reseller>,
        _locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, Trouble>> {
        Box::pin(async move {
            Ok(match self.whole(customer).await? {
                None => None,
                Some(whole) => {
                    let customer = whole.body.usable().ok_or_else(|| {
                        Trouble::new(Failed::BadAnswer, "a customer without a usable ID")
                    })?;
                    // Only a write that carries the contacts sends e-mails to them.
                    let contacts = customer.contacts.filter(|_| self.sending == Sending::Full);
                    Some(Customer {
                        contacts,
                        ..customer
                    })
                }
            })
        })
    }

    fn locations<'a>(
        &'a self,
        _customer: &'a CustomerId,
    ) -> BoxFuture<'a, Result<Vec<Location>, Trouble>> {
        Box::pin(async { Err(no_locations()) })
    }

    fn location<'a>(
        &'a self,
        _customer: &'a CustomerId,
        _location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, Trouble>> {
        Box::pin(async { Err(no_locations()) })
    }

    fn prepare_write<'a>(
        &'a self,
        order: Order<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>> {
        Box::pin(async move {
            let write = self.prepare(order).await?;
            Ok(Box::new(write) as Box<dyn PreparedWrite + 'a>)
        })
    }

    fn sends_emails(&self) -> bool {
        self.sending.carries_contacts()
    }

    fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *warnings)
    }

    fn forget(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { *self.listing.lock().await = Kept::Nothing })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            let call = Call::get(Kind::Read, Path::new("/partnerservice/ping"));
            let parse = |reply: &Reply| -> Read<()> {
                Ok(match reply.status {
                    200..=299 | 404 => Ok(()),
                    _ => Err(refusal(reply)),
                })
            };
            self.client.read(&call, parse).await?
        })
    }

    /// A reseller that Adobe does not know shows only when its customers are listed.
    fn check(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            self.probe().await?;
            match &self.reseller {
                Some(reseller) => self.page(reseller, STATUSES[0], 0).await.map(|_| ()),
                None => Ok(()),
            }
        })
    }
}

fn no_reseller() -> Trouble {
    Trouble::new(
        Failed::Invalid,
        "Adobe has no search by externalReferenceId: name the reseller whose customers are to be \
         listed (`reseller_id` in the profile), or give `customerId` in every line",
    )
}

fn no_locations() -> Trouble {
    Trouble::new(Failed::Invalid, "Adobe customers have no locations")
}

fn cannot_clear() -> Trouble {
    Trouble::new(
        Failed::Invalid,
        "how to remove an externalReferenceId is not documented",
    )
}

fn path_of(customer: &CustomerId) -> Result<Path, Trouble> {
    Path::new("/v3/customers")
        .segment(customer.as_str())
        .map_err(|why| Trouble::new(Failed::Invalid, why.to_string()))
}
