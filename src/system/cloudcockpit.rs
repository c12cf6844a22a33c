//! `CloudCockpit`: the internal identifier of a customer, which belongs to a relationship.
//!
//! What is peculiar here:
//! - The identifier is one of customer *and* reseller. Everything that concerns a relationship, searching,
//!   reading and writing, names the same reseller, or another relationship is seen or changed.
//! - A search may match parts and shows deleted customers: answers are compared here, and all pages are read.
//! - Customers and resellers are named by GUIDs, which are the same in capitals: in one spelling, here and in the file.
//! - 204 without a body is the answer to a write.
//! - Whether identifiers are unique is not stated, so a taken target is looked for before the write.
//! - `null` is a legal identifier: it removes it, and is sent only where it was asked for.
//!
//! Sources: the API's page on updating a customer's internal identifier, and on listing customers.

mod relationship;
mod wire;

use self::relationship::Shown;
use self::wire::{Body, ListBody, Page, error_in, refusal, words_of};
use super::connect::{Settings, SetupError};
use super::listing::{Listing, SWEEPS, endless};
use super::trouble::{Read, body_of, holds_an_error, senseless};
use super::{
    Backend, BoxFuture, Bulk, Customer, Location, OneCall, Order, PreparedWrite, Trouble, Wanted,
    What, Written,
};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller, guid};
use crate::http::{Call, Character, Client, Kind, Path, Reply};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The most that a page holds.
const PAGE: usize = 2000;

/// What `CloudCockpit` says about every call.
pub(super) fn character(settings: &Settings) -> Result<Character, SetupError> {
    let tenant = settings.tenant.as_ref().ok_or(SetupError::Missing {
        system: "CloudCockpit",
        what: "the portal's domain, sent as X-Tenant: set `tenant` in the profile or IDSHIFT_TENANT",
    })?;
    Ok(Character {
        constant_headers: vec![
            ("accept", "application/json".to_owned()),
            ("x-tenant", tenant.clone()),
        ],
        request_id_header: None,
        correlation_header: Some("x-correlation-id"),
        is_own_error: |reply| words_of(reply).is_some(),
        is_firewall: |_| false,
        is_unauthorized: |_| false,
    })
}

type Listings = HashMap<Option<Reseller>, Option<Arc<Listing>>>;

/// The `CloudCockpit` API behind [`super::System`].
pub(super) struct CloudCockpit {
    client: Arc<Client>,
    max_age: Duration,
    expected_lookups: u64,
    /// One for each relationship; `None` inside: single searches are cheaper there.
    listings: Mutex<Listings>,
    shown: Mutex<HashMap<Reseller, Shown>>,
}

impl CloudCockpit {
    pub(super) fn new(client: Arc<Client>, settings: &Settings) -> Self {
        Self {
            client,
            max_age: settings.max_age,
            expected_lookups: settings.expected_lookups,
            listings: Mutex::new(HashMap::new()),
            shown: Mutex::new(HashMap::new()),
        }
    }

    async fn page(
        &self,
        reseller: Option<&Reseller>,
        number: u64,
        search: Option<&AccountId>,
    ) -> Result<Page, Trouble> {
        let mut call = Call::get(Kind::Find, Path::new("/v1/Customers"))
            .with_query("pageNumber", number.to_string())
            .with_query("pageSize", PAGE.to_string());
        if let Some(value) = search {
            call = call
                .with_query("searchField", "InternalIdentifier".to_owned())
                .with_query("searchValue", value.as_str().to_owned());
        }
        let call = scoped(call, reseller);
        let parse = |reply: &Reply| -> Read<Page> {
            match reply.status {
                200 => {
                    let body: ListBody = match body_of(reply, error_in)? {
                        Ok(body) => body,
                        Err(trouble) => return Ok(Err(trouble)),
                    };
                    Ok(Ok(Page {
                        rows: body.items.len(),
                        total: body.total_count,
                        more: body.has_next_page,
                        customers: body.items.into_iter().filter_map(Body::usable).collect(),
                    }))
                }
                _ => Ok(Err(of_reseller(refusal(reply), reseller))),
            }
        };
        self.client.read(&call, parse).await?
    }

    /// The listing of a relationship's customers; `None`: searching singly costs fewer calls.
    async fn listed(&self, reseller: Option<&Reseller>) -> Result<Option<Arc<Listing>>, Trouble> {
        let mut kept = self.listings.lock().await;
        match kept.get(&reseller.cloned()) {
            Some(None) => return Ok(None),
            Some(Some(listing)) if listing.is_fresh(self.max_age) => {
                return Ok(Some(Arc::clone(listing)));
            }
            Some(Some(_)) | None => {}
        }
        let listing = self.list(reseller).await?.map(Arc::new);
        kept.insert(reseller.cloned(), listing.clone());
        Ok(listing)
    }

    /// Lists, again where the list did not hold still: pages that shift leave somebody out.
    async fn list(&self, reseller: Option<&Reseller>) -> Result<Option<Listing>, Trouble> {
        for _ in 0..SWEEPS {
            match self.sweep(reseller).await? {
                Sweep::Whole(listing) => {
                    return Ok(self.is_of(reseller, &listing).await?.then_some(listing));
                }
                Sweep::Unfit => return Ok(None),
                Sweep::Shifted => {}
            }
        }
        Ok(None)
    }

    async fn sweep(&self, reseller: Option<&Reseller>) -> Result<Sweep, Trouble> {
        let mut listing = Listing::begun_now();
        let (mut number, mut read, mut total) = (1, 0, None);
        loop {
            // A listing that has cost as many calls as single searches would is not worth going on.
            if number > self.expected_lookups.max(1) {
                return Ok(Sweep::Unfit);
            }
            let page = self.page(reseller, number, None).await?;
            if *total.get_or_insert(page.total) != page.total {
                return Ok(Sweep::Shifted);
            }
            read += page.rows;
            let more = page.goes_on(read)?;
            page.customers
                .into_iter()
                .for_each(|customer| listing.add(customer));
            if listing.is_mixed() {
                return Ok(Sweep::Unfit);
            }
            if !more {
                return Ok(Sweep::Whole(listing));
            }
            number += 1;
        }
    }

    /// Whoever the search finds, which may match parts; `None`: it did not hold still.
    async fn search(
        &self,
        account: &AccountId,
        reseller: Option<&Reseller>,
    ) -> Result<Option<Listing>, Trouble> {
        let mut found = Listing::begun_now();
        let (mut number, mut read, mut total) = (1, 0, None);
        loop {
            let known = found.len();
            let page = self.page(reseller, number, Some(account)).await?;
            if *total.get_or_insert(page.total) != page.total {
                return Ok(None);
            }
            read += page.rows;
            let more = page.goes_on(read)?;
            for customer in page.customers {
                found.add(customer);
            }
            if found.is_mixed() {
                return Err(Trouble::new(
                    Failed::BadAnswer,
                    "one customer was found in two relationships: which identifier is meant is not told",
                ));
            }
            if !more {
                return Ok(Some(found));
            }
            if found.len() == known {
                return Err(endless());
            }
            number += 1;
        }
    }

    async fn one(
        &self,
        customer: &CustomerId,
        reseller: Option<&Reseller>,
    ) -> Result<Option<Customer>, Trouble> {
        let call = scoped(Call::get(Kind::Read, path_of(customer)?), reseller);
        let parse = |reply: &Reply| -> Read<Option<Customer>> {
            match reply.status {
                200 => {
                    let body: Body = match body_of(reply, error_in)? {
                        Ok(body) => body,
                        Err(trouble) => return Ok(Err(trouble)),
                    };
                    if body.is_deleted == Some(true) && guid(&body.id) == customer.as_str() {
                        let words = format!("the customer `{customer}` is deleted in CloudCockpit");
                        return Ok(Err(Trouble {
                            http_status: Some(reply.status),
                            ..Trouble::new(Failed::NotFound, words)
                        }));
                    }
                    Ok(body
                        .usable()
                        .filter(|found| found.id == *customer)
                        .map(Some)
                        .ok_or_else(|| senseless(reply, "another customer than asked for")))
                }
                404 if words_of(reply).is_some() => Ok(Ok(None)),
                _ => Ok(Err(refusal(reply))),
            }
        };
        self.client.read(&call, parse).await?
    }
}

impl CloudCockpit {
    fn one_call<'a>(&'a self, order: &Order<'a>) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let What::Account { after, .. } = order.what else {
            return Err(Written::Refused(no_locations()));
        };
        let path = path_of(order.customer)
            .map_err(Written::Refused)?
            .then("internal-identifier");
        let body = json!({
            "internalIdentifier": after.map(AccountId::as_str),
            "resellerId": order.reseller.and_then(Reseller::id).map(AsRef::<str>::as_ref),
        });
        let call = Call::patch(path, body.to_string().into_bytes(), order.departs_until);
        Ok(Box::new(OneCall {
            write: self.client.pending_write(call),
            refusal,
            accepted: Box::new(|reply| match reply.status {
                204 => Written::Applied { http_status: 204 },
                _ => Written::InDoubt(error_in(reply).map_or_else(
                    || senseless(reply, "the document says that a write is answered with 204"),
                    |words| holds_an_error(reply, &words),
                )),
            }),
        }))
    }
}

impl Backend for CloudCockpit {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        _locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, Trouble>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(wanted.len());
            let mut at = Instant::now();
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
    ) -> BoxFuture<'a, Result<Vec<Customer>, Trouble>> {
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
            Err(Trouble::new(
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
    ) -> BoxFuture<'a, Result<Option<Customer>, Trouble>> {
        Box::pin(self.one(customer, reseller))
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
        Box::pin(std::future::ready(self.one_call(&order)))
    }

    fn forget(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.listings.lock().await.clear() })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            let call = Call::get(Kind::Find, Path::new("/v1/Customers"))
                .with_query("pageNumber", "1".to_owned())
                .with_query("pageSize", "1".to_owned());
            let parse = |reply: &Reply| -> Read<()> {
                Ok(if reply.status == 200 {
                    Ok(())
                } else {
                    Err(refusal(reply))
                })
            };
            self.client.read(&call, parse).await?
        })
    }
}

/// What reading a list from its first page to its last has brought.
enum Sweep {
    Whole(Listing),
    /// Its length changed between two pages.
    Shifted,
    /// Searching singly costs less, or tells more.
    Unfit,
}

/// A reseller that the system does not know is no customer that it does not know.
fn of_reseller(trouble: Trouble, reseller: Option<&Reseller>) -> Trouble {
    match reseller.and_then(Reseller::id) {
        Some(id) if trouble.reason == Failed::NotFound => Trouble {
            reason: Failed::Rejected,
            message: format!("the reseller `{id}`: {}", trouble.message),
            ..trouble
        },
        Some(id) if trouble.reason == Failed::Forbidden => Trouble {
            message: format!("the reseller `{id}`: {}", trouble.message),
            ..trouble
        },
        _ => trouble,
    }
}

fn scoped(call: Call, reseller: Option<&Reseller>) -> Call {
    match reseller.and_then(Reseller::id) {
        Some(id) => call.with_query("resellerId", id.as_str().to_owned()),
        None => call,
    }
}

fn path_of(customer: &CustomerId) -> Result<Path, Trouble> {
    Path::new("/v1/Customers")
        .segment(customer.as_str())
        .map_err(|why| Trouble::new(Failed::Invalid, why.to_string()))
}

fn no_locations() -> Trouble {
    Trouble::new(Failed::Invalid, "CloudCockpit customers have no locations")
}
