//! The meaning of each remote API: how to find, read and write, what each answer means, and which limits hold.
//!
//! The engine uses [`System`]. Behind it, each API has a folder, and everything that is special about an API stays
//! there. A system interprets single calls. The engine decides what to do next: read back, write again, or give up.

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
pub use capabilities::{Capabilities, SystemKind};
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

/// Removes each entry that equals an earlier one.
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
    kind: SystemKind,
    health: watch::Receiver<Health>,
    latency: Box<dyn Fn() -> Duration + Send + Sync>,
    rate: Box<dyn Fn() -> Option<f64> + Send + Sync>,
    backend: Box<dyn Backend>,
}

impl System {
    /// Returns which system it is.
    pub fn kind(&self) -> SystemKind {
        self.kind
    }

    /// Returns what is fixed about the system.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.kind.capabilities()
    }

    /// Returns whether, with these settings, a write makes the system send e-mails to people.
    pub fn sends_emails(&self) -> bool {
        self.backend.sends_emails()
    }

    /// Returns the warnings about the writes so far, each of them once.
    pub fn take_warnings(&self) -> Vec<String> {
        self.backend.take_warnings()
    }

    /// Returns whether calls are sent at present, or what they wait for.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Returns the limit at present, in calls per second; `None`: there is no limit.
    pub fn rate(&self) -> Option<f64> {
        (self.rate)()
    }

    /// Returns how long a call takes at present; zero before the first.
    pub fn latency(&self) -> Duration {
        (self.latency)()
    }

    /// Looks many customers up in as few calls as the system allows; with `locations`, their locations too.
    ///
    /// Results match exactly: they are compared here, with regard to case. A customer that was not requested is left
    /// out, so that it is never written to instead of the requested one.
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

    /// Searches one account ID; returns only customers that have exactly this ID.
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

    /// Reads one location of a customer by its own ID, where the list of the customer's locations cannot be read.
    pub async fn location(
        &self,
        customer: &CustomerId,
        location: &LocationId,
    ) -> Result<Location, SystemError> {
        self.backend.location(customer, location).await
    }

    /// Prepares a write before its turn, for example reads what has to be sent back. An error ends this write: nothing
    /// was sent.
    pub(crate) async fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        self.backend.prepare_write(order).await
    }

    /// Returns the account ID that a search returned instead of this one, if the two differ only in case.
    pub fn equal_but_for_case(&self, account: &AccountId) -> Option<SmolStr> {
        self.backend.equal_but_for_case(account)
    }

    /// Drops everything that earlier look-ups have cached, so that the next one shows the current state.
    pub async fn forget(&self) {
        self.backend.forget().await;
    }

    /// Makes a call that every valid token may make, to tell an invalid token from a customer that the token may not see.
    pub async fn probe(&self) -> Result<(), SystemError> {
        self.backend.probe().await
    }

    /// Checks with calls whether the credentials and the other settings of this system are valid.
    pub async fn check(&self) -> Result<(), SystemError> {
        self.backend.check().await
    }
}
