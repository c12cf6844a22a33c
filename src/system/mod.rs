//! One remote API's meaning: how to find, read and write, which answer means what, which limits hold.
//!
//! [`System`] is what the engine sees; behind it is one file for each API, and the quirks of an API stay in
//! its file. A system knows how to make one call mean something. It does not decide what to do next: reading
//! back, writing again and giving up are the engine's.

mod adobe;
mod cloudcockpit;
mod connect;
mod facts;
mod id_text;
mod listing;
mod plume;
mod trouble;

pub(crate) use adobe::TURN;
pub use connect::{Sending, Settings, SetupError};
pub use facts::{Facts, Kind};
pub use trouble::{Fatal, Trouble};

use crate::domain::{AccountId, CustomerId, LocationId, Profile, Reseller, ServiceId};
use crate::http::{PendingWrite, Reply, Sent};
use smol_str::SmolStr;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

pub use crate::http::Health;
/// A fresh correlation ID for a write.
pub use crate::http::new_id as new_correlation;

/// What a method of a system returns: systems are used as trait objects, so their futures are boxed.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A customer as the system told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The system's own ID.
    pub id: CustomerId,
    /// The account ID now; `None`: there is none.
    pub account: Option<AccountId>,
    /// The customer's locations, as far as they were told.
    pub locations: Locations,
    /// The partner or reseller the customer belongs to, where the system tells it.
    pub owner: Option<SmolStr>,
    /// How many people a write to this customer sends an e-mail to, where that happens.
    pub contacts: Option<u32>,
}

/// What is known of a customer's locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locations {
    /// Nothing was told.
    Untold,
    /// Only which ones there are.
    Ids(Vec<LocationId>),
    /// All of them, with their service IDs and profiles.
    Known(Vec<Location>),
}

/// A location as the system told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The system's ID of it.
    pub id: LocationId,
    /// The service ID; `None`: there is none.
    pub service: Option<ServiceId>,
    /// The profile; `None`: not told.
    pub profile: Option<Profile>,
}

/// By what a customer is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The account ID, to be matched exactly.
    Account(AccountId),
    /// The system's own ID.
    Customer(CustomerId),
}

impl Key {
    /// Whether this is the customer that is looked for.
    fn fits(&self, customer: &Customer) -> bool {
        match self {
            Self::Account(account) => customer.account.as_ref() == Some(account),
            Self::Customer(id) => customer.id == *id,
        }
    }
}

/// One customer that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// By what.
    pub key: Key,
    /// In whose relationship, where the system has such a thing.
    pub reseller: Option<Reseller>,
}

/// One write.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// To whom.
    pub customer: &'a CustomerId,
    /// In whose relationship.
    pub reseller: Option<&'a Reseller>,
    /// What.
    pub what: What<'a>,
    /// What it rests on was looked at so lately that it may depart until then.
    pub departs_until: Instant,
    /// What a turn takes beyond that, where it has been seen to take longer.
    pub slack: Duration,
}

/// What a write sets.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
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

/// What the answer to a write says that is stored now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The account ID.
    Account(AccountId),
    /// Service ID and profile of a location; `None`: not told.
    Location {
        /// The service ID.
        service: Option<ServiceId>,
        /// The profile.
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
        value: Stored,
    },
    /// Certainly not processed, and worth another attempt with a new intent; nothing has been waited for yet. Without a
    /// status nothing was sent.
    Again(Trouble),
    /// Certainly not processed, and never sent.
    NotSent(Trouble),
    /// Certainly not processed: the system refuses it.
    Refused(Trouble),
    /// Never sent: by the time of its turn, what it rests on was too old. The turn alone took so long.
    TooLate(Duration),
    /// The customer is not as believed; nothing was written.
    Stale {
        /// What the account ID is now.
        now: Option<AccountId>,
    },
    /// It may or may not have taken effect: read back.
    InDoubt(Trouble),
}

impl Written {
    /// What an answer says of a write of this account ID. The caller has made sure that the answer is about the customer.
    fn account_told(reply: &Reply, told: Option<&str>, asked: &AccountId) -> Self {
        let http_status = reply.status;
        match told {
            Some(told) if told == asked.as_str() => Self::Applied { http_status },
            told => match told.map(AccountId::new) {
                Some(Ok(stored)) => Self::Stored {
                    http_status,
                    value: Stored::Account(stored),
                },
                Some(Err(_)) | None => Self::InDoubt(trouble::senseless(
                    reply,
                    "the answer does not say what was asked",
                )),
            },
        }
    }

    /// What a call that was sent once has come to. The system has its own words for refusals, and its own way to tell
    /// whether an answer of 2xx says what was asked.
    fn of(
        sent: Sent,
        refusal: impl FnOnce(&Reply) -> Trouble,
        accepted: impl FnOnce(&Reply) -> Self,
    ) -> Self {
        match sent {
            Sent::Reply(reply) if reply.is_success() => accepted(&reply),
            Sent::Reply(reply) => Self::Refused(refusal(&reply)),
            Sent::Again(why) => Self::Again(Trouble::unanswered(&why)),
            Sent::NotSent(why) => Self::NotSent(Trouble::unanswered(&why)),
            Sent::TooLate(turn) => Self::TooLate(turn),
            Sent::InDoubt(why) => Self::InDoubt(Trouble::unanswered(&why)),
        }
    }
}

/// What a bulk look-up brought.
#[derive(Debug)]
pub enum Bulk {
    /// The customers found for each [`Wanted`], in its order, and how they were at that time.
    Found(Vec<Vec<Customer>>, Instant),
    /// Not to be had from this system with this token: look up one by one.
    Refused(String),
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
type Accepted<'a> = Box<dyn Fn(&Reply) -> Written + Send + Sync + 'a>;

/// A write that is one call.
struct OneCall<'a> {
    write: PendingWrite<'a>,
    refusal: fn(&Reply) -> Trouble,
    accepted: Accepted<'a>,
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

/// What every API must be able to do. Each has one file.
pub(crate) trait Backend: Send + Sync {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, Trouble>>;

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, Trouble>>;

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        reseller: Option<&'a Reseller>,
        locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, Trouble>>;

    fn locations<'a>(
        &'a self,
        customer: &'a CustomerId,
    ) -> BoxFuture<'a, Result<Vec<Location>, Trouble>>;

    /// One location of a customer by its own ID, where the list of the customer's locations is not to be had.
    fn location<'a>(
        &'a self,
        customer: &'a CustomerId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, Trouble>>;

    /// Does what comes before a write's turn; an error is the end of the write, and nothing was sent.
    fn prepare_write<'a>(
        &'a self,
        order: Order<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>>;

    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>>;

    /// Whether what is set for this system makes sense to it, beyond the credentials.
    fn check(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        self.probe()
    }

    /// Whether a write makes the system send e-mails to people, as it is set up.
    fn sends_emails(&self) -> bool {
        false
    }

    /// What a person should know about the writes so far, each told once.
    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The account ID of a customer that was found and left out because it equals this one only when case is ignored.
    fn equal_but_for_case(&self, _account: &AccountId) -> Option<SmolStr> {
        None
    }

    /// Drops whatever is remembered of earlier look-ups.
    fn forget(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Whoever is shown twice, and the same both times, is one.
fn once<T: PartialEq>(found: &mut Vec<T>) {
    let mut at = 1;
    while at < found.len() {
        if found[..at].contains(&found[at]) {
            found.remove(at);
        } else {
            at += 1;
        }
    }
}

/// A remote customer directory.
pub struct System {
    kind: Kind,
    health: watch::Receiver<Health>,
    latency: Box<dyn Fn() -> Duration + Send + Sync>,
    backend: Box<dyn Backend>,
}

impl System {
    /// Which one it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is fixed about it.
    pub fn facts(&self) -> &'static Facts {
        self.kind.facts()
    }

    /// Whether a write makes the system send e-mails to people, as it is set up.
    pub fn sends_emails(&self) -> bool {
        self.backend.sends_emails()
    }

    /// What a person should know about the writes so far, each told once.
    pub fn take_warnings(&self) -> Vec<String> {
        self.backend.take_warnings()
    }

    /// Whether calls flow, and what they wait for where they do not.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// How long a call takes at present; zero before the first.
    pub fn latency(&self) -> Duration {
        (self.latency)()
    }

    /// Looks many customers up in as few calls as the system allows; with `locations`, their locations too.
    ///
    /// The answers are exact: compared on this side, never folded. Whoever is not who was asked for is left out,
    /// so that nobody is written to for standing in another's place.
    pub async fn find_many(&self, wanted: &[Wanted], locations: bool) -> Result<Bulk, Trouble> {
        let mut answer = self.backend.find_many(wanted, locations).await?;
        if let Bulk::Found(found, _) = &mut answer {
            for (wanted, found) in wanted.iter().zip(found) {
                found.retain(|customer| wanted.key.fits(customer));
                once(found);
            }
        }
        Ok(answer)
    }

    /// Searches one account ID; only customers that carry exactly this ID are returned.
    pub async fn find(
        &self,
        account: &AccountId,
        reseller: Option<&Reseller>,
    ) -> Result<Vec<Customer>, Trouble> {
        let mut found = self.backend.find(account, reseller).await?;
        once(&mut found);
        Ok(found)
    }

    /// Reads one customer; `None`: the system says there is none.
    pub async fn read(
        &self,
        customer: &CustomerId,
        reseller: Option<&Reseller>,
        locations: bool,
    ) -> Result<Option<Customer>, Trouble> {
        self.backend.read(customer, reseller, locations).await
    }

    /// Reads a customer's locations with service IDs and profiles.
    pub async fn locations(&self, customer: &CustomerId) -> Result<Vec<Location>, Trouble> {
        let mut found = self.backend.locations(customer).await?;
        once(&mut found);
        Ok(found)
    }

    /// Reads one location of a customer by its own ID, where the list of the customer's locations is not to be had.
    pub async fn location(
        &self,
        customer: &CustomerId,
        location: &LocationId,
    ) -> Result<Location, Trouble> {
        self.backend.location(customer, location).await
    }

    /// Does what comes before a write's turn, such as reading what has to be sent back. An error is the end of this
    /// write, and nothing was sent.
    pub(crate) async fn prepare_write<'a>(
        &'a self,
        order: Order<'a>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        self.backend.prepare_write(order).await
    }

    /// The account ID that a search brought in place of this one, where the two differ only in case.
    pub fn equal_but_for_case(&self, account: &AccountId) -> Option<SmolStr> {
        self.backend.equal_but_for_case(account)
    }

    /// Drops whatever is remembered of earlier look-ups, so that the next one sees the system as it is.
    pub async fn forget(&self) {
        self.backend.forget().await;
    }

    /// Asks something that every valid token may ask, to tell a bad token from a hidden customer.
    pub async fn probe(&self) -> Result<(), Trouble> {
        self.backend.probe().await
    }

    /// Asks whether the credentials and whatever else is set for this system are good.
    pub async fn check(&self) -> Result<(), Trouble> {
        self.backend.check().await
    }
}
