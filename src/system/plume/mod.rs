//! Plume Cloud: account IDs of customers, service IDs and profiles of their locations.
//!
//! What is peculiar here:
//! - 401 is also the answer for a customer that this token may not see. So once the token is known to be valid, the
//!   outcome of the line is `unauthorized`.
//! - 403 without the API's JSON error means that the firewall blocks all calls, until other calls succeed.
//! - The search may return prefix hits and stops at ten: answers are compared here, byte for byte.
//! - The first batch shows whether this token may list customers by a filter.
//! - A 500 on a PATCH may be a duplicate account ID; like every 5xx it is in doubt and read back.
//!
//! Sources: the partner API's pages on searching by account ID, on updating it and on setting the service ID.

mod api;
mod filter;
mod wire;
mod write;

pub(super) use self::api::{Plume, api_traits};

use self::api::SEARCH_PAGE;
use super::backend::Backend;
use super::customer::{Bulk, Customer, Location, Wanted};
use super::error::SystemError;
use super::estimate::{Changes, Lookups, PlannedChanges, batches};
use super::listing::endless;
use super::write::{BoxFuture, PreparedWrite, WriteOp, WriteValue, Written};
use crate::domain::{AccountId, CustomerId, LocationId, Reseller};
use smol_str::SmolStr;
use std::sync::PoisonError;

impl Backend for Plume {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, SystemError>> {
        Box::pin(self.found_by_filter(wanted, locations))
    }

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        _reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, SystemError>> {
        Box::pin(async move {
            let first = self.search_page(account, 0).await?;
            if !first.exact.is_empty() || first.all < SEARCH_PAGE {
                return Ok(first.exact);
            }
            // A full page of prefix hits may hide the exact match. The answer contains no total, and the server decides
            // how many customers a page has, so only an empty page is the end.
            let mut skip = first.all;
            let mut seen = first.ids;
            loop {
                let page = self.search_page(account, skip).await?;
                if !page.exact.is_empty() || page.all == 0 {
                    return Ok(page.exact);
                }
                let known = seen.len();
                seen.extend(page.ids);
                if seen.len() == known {
                    return Err(endless());
                }
                skip += page.all;
            }
        })
    }

    fn read<'a>(
        &'a self,
        customer: &'a CustomerId,
        _reseller: Option<&'a Reseller>,
        locations: bool,
    ) -> BoxFuture<'a, Result<Option<Customer>, SystemError>> {
        Box::pin(self.read_singly(customer, locations))
    }

    fn locations<'a>(
        &'a self,
        customer: &'a CustomerId,
    ) -> BoxFuture<'a, Result<Vec<Location>, SystemError>> {
        Box::pin(self.location_list(customer))
    }

    fn location<'a>(
        &'a self,
        customer: &'a CustomerId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, SystemError>> {
        Box::pin(self.location_by_key(customer, location))
    }

    fn prepare_write<'a>(
        &'a self,
        order: WriteOp<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>> {
        let prepared = match order.what {
            WriteValue::Account { after, .. } => self.write_account(&order, after),
            WriteValue::Location {
                location,
                service,
                profile,
            } => self.write_location(&order, location, service, profile),
        };
        Box::pin(std::future::ready(prepared))
    }

    fn equal_but_for_case(&self, account: &AccountId) -> Option<SmolStr> {
        let near = self.near.lock().unwrap_or_else(PoisonError::into_inner);
        near.get(account.as_str()).cloned()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), SystemError>> {
        Box::pin(self.probed())
    }
}

pub(super) fn estimate(changes: &Changes) -> Lookups {
    if !changes.singly {
        return Lookups {
            find: batches(changes.lines),
            read: 0,
        };
    }
    // A search returns no locations; reading a customer by ID returns them.
    let with_locations = changes.location_writes.min(changes.searched);
    Lookups {
        find: changes.searched,
        read: changes.lines - changes.searched + with_locations,
    }
}

pub(super) fn estimate_planned(changes: &PlannedChanges) -> Lookups {
    let (find, read) = if changes.singly {
        (0, changes.lines)
    } else if changes.plan.find + changes.plan.read > changes.all_lines {
        // The filter is tried once more before customers are read one by one.
        (1, changes.lines)
    } else {
        (batches(changes.lines), 0)
    };
    Lookups { find, read }
}
