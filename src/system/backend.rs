//! What every API must be able to do, and what most of them do alike.

use super::customer::{Bulk, Customer, Location, Wanted};
use super::error::SystemError;
use super::write::{BoxFuture, PreparedWrite, WriteOp, Written};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller};
use smol_str::SmolStr;

/// What every API must be able to do. Each has one file.
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

    /// One location of a customer by its own ID, where the list of the customer's locations is not to be had.
    fn location<'a>(
        &'a self,
        _customer: &'a CustomerId,
        _location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, SystemError>> {
        Box::pin(async { Err(no_locations()) })
    }

    /// Does what comes before a write's turn; an error is the end of the write, and nothing was sent.
    fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>>;

    fn probe(&self) -> BoxFuture<'_, Result<(), SystemError>>;

    /// Whether what is set for this system makes sense to it, beyond the credentials.
    fn check(&self) -> BoxFuture<'_, Result<(), SystemError>> {
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

/// The refusal of whatever concerns locations, in systems that have none.
pub(super) fn no_locations() -> SystemError {
    SystemError::new(Failed::Invalid, "the system's customers have no locations")
}
