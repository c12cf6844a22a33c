//! Adobe VIP Marketplace: the `externalReferenceId` of a customer.
//!
//! What is peculiar here:
//! - There is no search by the reference. A reseller's customers are listed, fifty a call, in all statuses,
//!   oldest first so that new customers do not shift the pages.
//! - References need not be unique, so the order of writes never matters. A reference that several customers have is
//!   ambiguous.
//! - A PATCH replaces the profile, so the profile is sent back verbatim, with every contact and every unknown key.
//!   `globalSalesEnabled` is sent back too: Adobe would read a missing one as `false`. Nothing else is sent. Each
//!   contact gets a welcome e-mail, which cannot be suppressed.
//! - `X-Correlation-Id` identifies one intent. If it is sent again after an answer, Adobe replays that answer for ten days.
//! - The answer to a PATCH may show values that do not persist: only a GET shows the stored values.
//!
//! Sources: the Commerce Partner API's pages on updating a customer, listing customers, idempotency and errors.

mod api;
mod first_write_check;
mod list;
mod wire;
mod write;

pub(super) use self::api::{Adobe, api_traits};
pub(crate) use self::write::TURN;

use self::api::Kept;
use self::list::STATUSES;
use self::wire::refusal;
use super::backend::Backend;
use super::customer::{Bulk, Customer, Key, Wanted};
use super::error::SystemError;
use super::estimate::{Changes, Lookups, PlannedChanges, batches};
use super::read::{Answer, read};
use super::settings::Sending;
use super::write::{BoxFuture, PreparedWrite, WriteOp, Written};
use crate::domain::{AccountId, CustomerId, Failed, Reseller};
use crate::http::{Call, CallKind, Path, Reply};
use crate::moment::Moment;
use std::sync::PoisonError;

impl Backend for Adobe {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        _locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, SystemError>> {
        Box::pin(async move {
            let by_account = wanted
                .iter()
                .any(|wanted| matches!(wanted.key, Key::Account(_)));
            if !by_account && self.reseller.is_none() {
                // Without a reseller there is no list. The engine reads customers that are named by their ID one by one.
                return Ok(Bulk::Found(vec![Vec::new(); wanted.len()], Moment::now()));
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
    ) -> BoxFuture<'a, Result<Vec<Customer>, SystemError>> {
        Box::pin(async move { Ok(self.listed().await?.account(account)) })
    }

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        _reseller: Option<&'a Reseller>,
        _locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, SystemError>> {
        Box::pin(async move {
            Ok(match self.whole(customer).await? {
                None => None,
                Some(whole) => {
                    let customer = whole.body.usable().ok_or_else(|| {
                        SystemError::new(Failed::BadAnswer, "a customer without a usable ID")
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

    fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
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

    fn probe(&self) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(async move {
            let call = Call::get(CallKind::Read, Path::new("/partnerservice/ping"));
            let parse = |reply: &Reply| -> Answer<()> {
                match reply.status {
                    200..=299 | 404 => Ok(()),
                    _ => Err(refusal(reply).into()),
                }
            };
            read(&self.client, &call, parse).await
        })
    }

    /// Also reads a page of the reseller's customers, because only this shows whether Adobe knows the reseller.
    fn check(&self) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(async move {
            self.probe().await?;
            match &self.reseller {
                Some(reseller) => self.page(reseller, STATUSES[0], 0).await.map(|_| ()),
                None => Ok(()),
            }
        })
    }
}

/// The list is read before the writes and afterwards. Its length is not known before, so it is estimated by the number
/// of lines.
pub(super) fn estimate(changes: &Changes) -> Lookups {
    Lookups {
        find: 2 * batches(changes.lines),
        read: reads(changes.account_writes),
    }
}

/// The list is read once more after the run, to check that all changes persist.
pub(super) fn estimate_planned(changes: &PlannedChanges) -> Lookups {
    Lookups {
        find: 2 * changes.plan.find,
        read: reads(changes.account_writes),
    }
}

/// Each write reads its customer first. After the first write the customer is read again.
fn reads(account_writes: u64) -> u64 {
    account_writes + account_writes.min(1)
}
