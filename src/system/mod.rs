//! One remote API's meaning: how to find, read and write, which answer means what, which limits hold.
//!
//! [`System`] is what the engine sees; behind it is one file for each API, and the quirks of an API stay in
//! its file. A system knows how to make one call mean something. It does not decide what to do next: reading
//! back, writing again and giving up are the engine's.

mod adobe;
mod backend;
mod capabilities;
mod cloudcockpit;
mod connect;
mod customer;
mod error;
mod estimate;
mod id_text;
mod listing;
mod plume;
mod read;
mod settings;
mod write;

pub(crate) use adobe::TURN;
pub(crate) use backend::Backend;
pub use capabilities::{Capabilities, Kind};
pub use customer::{Bulk, Customer, Key, Location, Locations, Wanted};
pub use error::{Fatal, SystemError};
pub use estimate::{Changes, Lookups, PlannedChanges};
pub use settings::{Sending, Settings, SetupError};
#[cfg(test)]
pub(crate) use write::BoxFuture;
pub(crate) use write::PreparedWrite;
pub use write::{WriteOp, WriteValue, Written};

use crate::domain::{AccountId, CustomerId, LocationId, Reseller};
use smol_str::SmolStr;
use std::time::Duration;
use tokio::sync::watch;

pub use crate::http::Health;
/// A fresh correlation ID for a write.
pub use crate::http::new_id as new_correlation;

/// A customer that is shown twice, and the same both times, is one.
fn dedup<T: PartialEq>(found: &mut Vec<T>) {
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
    rate: Box<dyn Fn() -> Option<f64> + Send + Sync>,
    backend: Box<dyn Backend>,
}

impl System {
    /// Which one it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is fixed about it.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.kind.capabilities()
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

    /// The most calls a second at present; `None`: there is no limit.
    pub fn rate(&self) -> Option<f64> {
        (self.rate)()
    }

    /// How long a call takes at present; zero before the first.
    pub fn latency(&self) -> Duration {
        (self.latency)()
    }

    /// Looks many customers up in as few calls as the system allows; with `locations`, their locations too.
    ///
    /// The answers are exact: compared on this side, never folded. A customer that is not the requested one is left
    /// out, so that no customer is written to in place of another.
    pub async fn find_many(&self, wanted: &[Wanted], locations: bool) -> Result<Bulk, SystemError> {
        let mut answer = self.backend.find_many(wanted, locations).await?;
        if let Bulk::Found(found, _) = &mut answer {
            for (wanted, found) in wanted.iter().zip(found) {
                found.retain(|customer| wanted.key.fits(customer));
                dedup(found);
            }
        }
        Ok(answer)
    }

    /// Searches one account ID; only customers that carry exactly this ID are returned.
    pub async fn find(
        &self,
        account: &AccountId,
        reseller: Option<&Reseller>,
    ) -> Result<Vec<Customer>, SystemError> {
        let mut found = self.backend.find(account, reseller).await?;
        dedup(&mut found);
        Ok(found)
    }

    /// Reads one customer; `None`: the system says there is none.
    pub async fn read(
        &self,
        customer: &CustomerId,
        reseller: Option<&Reseller>,
        locations: bool,
    ) -> Result<Option<Customer>, SystemError> {
        self.backend.read(customer, reseller, locations).await
    }

    /// Reads a customer's locations with service IDs and profiles.
    pub async fn locations(&self, customer: &CustomerId) -> Result<Vec<Location>, SystemError> {
        let mut found = self.backend.locations(customer).await?;
        dedup(&mut found);
        Ok(found)
    }

    /// Reads one location of a customer by its own ID, where the list of the customer's locations is not to be had.
    pub async fn location(
        &self,
        customer: &CustomerId,
        location: &LocationId,
    ) -> Result<Location, SystemError> {
        self.backend.location(customer, location).await
    }

    /// Does what comes before a write's turn, such as reading what has to be sent back. An error is the end of this
    /// write, and nothing was sent.
    pub(crate) async fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
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
    pub async fn probe(&self) -> Result<(), SystemError> {
        self.backend.probe().await
    }

    /// Asks whether the credentials and whatever else is set for this system are good.
    pub async fn check(&self) -> Result<(), SystemError> {
        self.backend.check().await
    }
}
