//! The interface of every API, with defaults for what most of them have in common.

use super::customer::{Bulk, Customer, Location, Wanted};
use super::error::SystemError;
use super::write::{BoxFuture, PreparedWrite, WriteOp, Written};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller};
use smol_str::SmolStr;

/// The interface that each API implements, in a folder of its own.
pub(crate) trait Backend: Send + Sync {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, SystemError>>;

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, SystemError>>;

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        reseller: Option<&'a Reseller>,
        locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, SystemError>>;

    /// The locations of a customer, in systems that have locations.
    fn locations<'a>(
        &'a self,
        _customer: &'a CustomerId,
    ) -> BoxFuture<'a, Result<Vec<Location>, SystemError>> {
        Box::pin(async { Err(no_locations()) })
    }

    /// Reads one location of a customer by its own ID, where the list of the customer's locations cannot be read.
    fn location<'a>(
        &'a self,
        _customer: &'a CustomerId,
        _location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, SystemError>> {
        Box::pin(async { Err(no_locations()) })
    }

    /// Prepares a write before its turn. An error ends the write: nothing was sent.
    fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>>;

    fn probe(&self) -> BoxFuture<'_, Result<(), SystemError>>;

    /// Checks the credentials and the other settings of this system.
    fn check(&self) -> BoxFuture<'_, Result<(), SystemError>> {
        self.probe()
    }

    /// Returns whether, with these settings, a write makes the system send e-mails to people.
    fn sends_emails(&self) -> bool {
        false
    }

    /// Returns the warnings about the writes so far, each of them once.
    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns an account ID that a search found and left out, because it differs from this one only in case.
    fn equal_but_for_case(&self, _account: &AccountId) -> Option<SmolStr> {
        None
    }

    /// Drops everything that earlier look-ups have cached.
    fn forget(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Returns the refusal of an operation on locations, in systems that have none.
pub(super) fn no_locations() -> SystemError {
    SystemError::new(Failed::Invalid, "the system's customers have no locations")
}
