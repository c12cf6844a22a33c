//! `CloudCockpit`: the internal identifier of a customer, which belongs to a relationship.
//!
//! What is peculiar here:
//! - The identifier belongs to a customer *and* a reseller. Searches, reads and writes of a relationship must name the
//!   same reseller: otherwise they show or change another relationship.
//! - A search may return partial matches and deleted customers, so answers are compared here, and all pages are read.
//! - The IDs of customers and resellers are GUIDs, in upper or lower case: here and in the file they are converted to
//!   one spelling.
//! - 204 without a body is the answer to a write.
//! - The documents do not say whether identifiers are unique, so before a write the new one is looked up.
//! - `null` is a valid identifier and removes the present one. It is sent only where the file asks for it.
//!
//! Sources: the API's page on updating a customer's internal identifier, and on listing customers.

mod api;
mod lists;
mod relationship;
mod wire;

pub(super) use self::api::{CloudCockpit, api_traits};

use self::api::path_of;
use self::wire::{error_in, refusal};
use super::backend::{Backend, no_locations};
use super::customer::{Bulk, Customer, Wanted};
use super::error::{SystemError, unexpected};
use super::estimate::{Changes, Lookups, PlannedChanges, batches};
use super::listing::SWEEPS;
use super::read::{Answer, read};
use super::write::{BoxFuture, OneCall, PreparedWrite, WriteOp, WriteValue, Written};
use crate::domain::{AccountId, CustomerId, Failed, Reseller};
use crate::http::{Call, CallKind, Path, Reply};
use crate::moment::Moment;
use serde_json::json;

impl CloudCockpit {
    fn one_call<'a>(&'a self, order: &WriteOp<'a>) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let WriteValue::Account { after, .. } = order.what else {
            return Err(Written::Refused(no_locations()));
        };
        let path = path_of(order.customer)
            .map_err(Written::Refused)?
            .then("internal-identifier");
        let body = json!({
            "internalIdentifier": after.map(AccountId::as_str),
            "resellerId": order.reseller.and_then(Reseller::id).map(AsRef::<str>::as_ref),
        });
        let call = Call::patch(path, body.to_string().into_bytes(), order.send_deadline);
        Ok(Box::new(OneCall {
            write: self.client.pending_write(call),
            refusal,
            accepted: Box::new(|reply| {
                if reply.status == 204 {
                    return Written::Applied { http_status: 204 };
                }
                let why = "the document says that a write is answered with 204";
                Written::InDoubt(unexpected(reply, error_in(reply), why))
            }),
        }))
    }
}

impl Backend for CloudCockpit {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        _locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, SystemError>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(wanted.len());
            let mut at = Moment::now();
            for wanted in wanted {
                let Some(listing) = self.listed(wanted.reseller.as_ref()).await? else {
                    let why = "a listing costs more calls than single searches, or does not show the \
                               identifiers of this relationship";
                    return Ok(Bulk::Refused(why.to_owned()));
                };
                at = at.min(listing.begun_at());
                found.push(listing.find(wanted));
            }
            Ok(Bulk::Found(found, at))
        })
    }

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, SystemError>> {
        Box::pin(async move {
            for _ in 0..SWEEPS {
                let Some(found) = self.search(account, reseller).await? else {
                    continue;
                };
                let mut carriers = Vec::new();
                for customer in found.account(account) {
                    let customer = self.in_relationship(reseller, &customer).await?;
                    carriers.extend(customer.filter(|one| one.account.as_ref() == Some(account)));
                }
                return Ok(carriers);
            }
            Err(SystemError::new(
                Failed::BadAnswer,
                "the customers that were found changed from page to page",
            ))
        })
    }

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        reseller: Option<&'a Reseller>,
        _locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, SystemError>> {
        Box::pin(self.one(customer, reseller))
    }

    fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>> {
        Box::pin(std::future::ready(self.one_call(&order)))
    }

    fn forget(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.listings.lock().await.clear() })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(async move {
            let call = Call::get(CallKind::Find, Path::new("/v1/Customers"))
                .with_query("pageNumber", "1".to_owned())
                .with_query("pageSize", "1".to_owned());
            let parse = |reply: &Reply| -> Answer<()> {
                match reply.status {
                    200 => Ok(()),
                    _ => Err(refusal(reply).into()),
                }
            };
            read(&self.client, &call, parse).await
        })
    }
}

pub(super) fn estimate(changes: &Changes) -> Lookups {
    let find = if changes.singly {
        changes.lines
    } else {
        batches(changes.lines)
    };
    Lookups { find, read: 0 }
}

pub(super) fn estimate_planned(changes: &PlannedChanges) -> Lookups {
    let plan = changes.plan;
    if changes.singly || plan.find + plan.read >= changes.all_lines {
        return Lookups {
            find: changes.lines,
            read: changes.lines,
        };
    }
    Lookups {
        find: plan.find,
        read: 0,
    }
}
