//! Plume Cloud: account IDs of customers, service IDs and profiles of their locations.
//!
//! What is peculiar here:
//! - 401 is also the answer for a customer that this token may not see, so it is a line's `unauthorized`
//!   once the token is known to be good.
//! - 403 without the API's JSON error is taken for the firewall's block of every call, until others get through.
//! - The search may return prefix hits and is cut at ten: answers are compared here, byte for byte.
//! - Whether this token may list customers by a filter is found out with the first batch.
//! - A 500 on a PATCH may be a duplicate account ID; like every 5xx it is in doubt and read back.
//!
//! Sources: the partner API's pages on searching by account ID, on updating it and on setting the service ID.

mod filter;
mod wire;

use self::filter::FILTER_BYTES;
use self::wire::{
    CustomerBody, CustomerChange, LocationBody, LocationChange, OneOrMany, error_of, refusal,
};
use super::listing::endless;
use super::trouble::{Read, body_of, holds_an_error, senseless};
use super::{
    Accepted, Backend, BoxFuture, Bulk, Customer, Location, OneCall, Order, PreparedWrite, Trouble,
    Wanted, What, Written,
};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Profile, Reseller, ServiceId};
use crate::http::{Call, Character, Client, Kind, Path, PathError, Reply};
use serde::Serialize;
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// The API returns this many customers where nothing else is asked.
const BULK_LIMIT: usize = 500;
/// The search's own page, where nothing else is asked.
const SEARCH_PAGE: usize = 10;

/// What Plume says about every call.
pub(super) fn character() -> Character {
    Character {
        constant_headers: vec![("accept", "application/json".to_owned())],
        request_id_header: None,
        correlation_header: None,
        is_unauthorized: |_| false,
        is_own_error: |reply| error_of(reply).is_some(),
        is_firewall: |reply| reply.status == 403 && error_of(reply).is_none(),
    }
}

/// The Plume API behind [`super::System`].
pub(super) struct Plume {
    client: Arc<Client>,
    /// How long the IDs of one filter may be together, encoded.
    filter_bytes: AtomicUsize,
    /// What was found in place of an account ID from which it differs only in case.
    near: Mutex<HashMap<SmolStr, SmolStr>>,
}

impl Plume {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            filter_bytes: AtomicUsize::new(FILTER_BYTES),
            near: Mutex::default(),
        }
    }

    async fn search_page(&self, account: &AccountId, skip: usize) -> Result<Hits, Trouble> {
        if skip == 0 {
            // An earlier answer may be out of date.
            self.forget_near(account);
        }
        let path = segments(&["/api/Partners/customers/search"], &[account.as_str()])?;
        let mut call = Call::get(Kind::Find, path)
            .with_query("field", "accountId".to_owned())
            .with_query("exactMatch", "true".to_owned())
            .with_query("startsWith", "true".to_owned());
        if skip > 0 {
            call = call
                .with_query("limit", BULK_LIMIT.to_string())
                .with_query("skip", skip.to_string());
        }
        let parse = |reply: &Reply| -> Read<Hits> {
            match reply.status {
                200 => {
                    let bodies: Vec<CustomerBody> = match body_of(reply, error_of)? {
                        Ok(bodies) => bodies,
                        Err(trouble) => return Ok(Err(trouble)),
                    };
                    let all = bodies.len();
                    let ids = bodies.iter().map(|body| body.id.clone()).collect();
                    let exact = bodies
                        .into_iter()
                        .filter_map(CustomerBody::usable)
                        .filter(|customer| self.is_exact(account.as_str(), customer))
                        .collect();
                    Ok(Ok(Hits { exact, all, ids }))
                }
                // Older text of the API: nothing found is a 404 instead of an empty list.
                404 if error_of(reply).is_some() => Ok(Ok(Hits {
                    exact: Vec::new(),
                    all: 0,
                    ids: HashSet::new(),
                })),
                _ => Ok(Err(refusal(reply))),
            }
        };
        self.client.read(&call, parse).await?
    }

    async fn location_list(&self, customer: &CustomerId) -> Result<Vec<Location>, Trouble> {
        let path = segments(&["/api/Customers", "locations"], &[customer.as_str()])?;
        let call = Call::get(Kind::Read, path);
        let parse = |reply: &Reply| -> Read<Vec<Location>> {
            if reply.status != 200 {
                return Ok(Err(refusal(reply)));
            }
            // The document shows one object, the service sends a list.
            let bodies = match body_of(reply, error_of)? {
                Ok(OneOrMany(bodies)) => bodies,
                Err(trouble) => return Ok(Err(trouble)),
            };
            if !bodies.iter().all(|body| body.may_be_of(customer.as_str())) {
                let words = "a location that is listed is of another customer";
                return Ok(Err(Trouble::new(Failed::Mismatch, words)));
            }
            Ok(bodies
                .into_iter()
                .map(|body| body.location())
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| {
                    senseless(reply, "a location whose ID or service ID cannot be read")
                }))
        };
        self.client.read(&call, parse).await?
    }

    async fn location_by_key(
        &self,
        customer: &CustomerId,
        location: &LocationId,
    ) -> Result<Location, Trouble> {
        let path = segments(&["/api/Partners/locations"], &[location.as_str()])?;
        let parse = |reply: &Reply| -> Read<Location> {
            if reply.status != 200 {
                return Ok(Err(refusal(reply)));
            }
            let body: LocationBody = match body_of(reply, error_of)? {
                Ok(body) => body,
                Err(trouble) => return Ok(Err(trouble)),
            };
            if !body.may_be_of(customer.as_str()) {
                let words = format!("the location `{location}` is of another customer");
                return Ok(Err(Trouble::new(Failed::Mismatch, words)));
            }
            Ok(body
                .location()
                .filter(|found| found.id == *location)
                .ok_or_else(|| senseless(reply, "another location than the one asked for")))
        };
        self.client
            .read(&Call::get(Kind::Read, path), parse)
            .await?
    }

    fn one_call<'a, T: Serialize>(
        &'a self,
        path: Path,
        body: &T,
        order: &Order<'a>,
        accepted: Accepted<'a>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let body = serde_json::to_vec(body)
            .map_err(|why| Written::Refused(Trouble::new(Failed::Invalid, why.to_string())))?;
        Ok(Box::new(OneCall {
            write: self
                .client
                .pending_write(Call::patch(path, body, order.departs_until)),
            refusal,
            accepted,
        }))
    }

    fn write_account<'a>(
        &'a self,
        order: &Order<'a>,
        after: Option<&'a AccountId>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let Some(after) = after else {
            return Err(Written::Refused(Trouble::new(
                Failed::Invalid,
                "Plume customers always have an account ID: it cannot be removed",
            )));
        };
        let customer = order.customer;
        let path = segments(&["/api/Customers"], &[customer.as_str()]).map_err(Written::Refused)?;
        let body = CustomerChange {
            account_id: after.as_str(),
        };
        let accepted = move |reply: &Reply| match reply.json::<CustomerBody>() {
            Ok(body) if body.id == customer.as_str() => {
                Written::account_told(reply, body.account_id.as_deref(), after)
            }
            Ok(_) => Written::InDoubt(senseless(reply, "the answer is about another customer")),
            Err(why) => Written::InDoubt(error_of(reply).map_or_else(
                || senseless(reply, why),
                |words| holds_an_error(reply, &words),
            )),
        };
        self.one_call(path, &body, order, Box::new(accepted))
    }

    fn write_location<'a>(
        &'a self,
        order: &Order<'a>,
        location: &'a LocationId,
        service: Option<&'a ServiceId>,
        profile: Option<Profile>,
    ) -> Result<Box<dyn PreparedWrite + 'a>, Written> {
        let customer = order.customer;
        let ids = [customer.as_str(), location.as_str()];
        let path = segments(&["/api/Customers", "locations"], &ids).map_err(Written::Refused)?;
        let body = LocationChange {
            service_id: service.map(ServiceId::as_str),
            profile: profile.map(Profile::as_str),
        };
        let accepted = move |reply: &Reply| match reply.json::<LocationBody>() {
            Ok(body) if body.is_of(customer, location) => body.told(reply, service, profile),
            Ok(_) => Written::InDoubt(senseless(reply, "the answer is about another location")),
            Err(why) => Written::InDoubt(error_of(reply).map_or_else(
                || senseless(reply, why),
                |words| holds_an_error(reply, &words),
            )),
        };
        self.one_call(path, &body, order, Box::new(accepted))
    }
}

impl Backend for Plume {
    fn find_many<'a>(
        &'a self,
        wanted: &'a [Wanted],
        locations: bool,
    ) -> BoxFuture<'a, Result<Bulk, Trouble>> {
        Box::pin(self.found_by_filter(wanted, locations))
    }

    fn find<'a>(
        &'a self,
        account: &'a AccountId,
        _reseller: Option<&'a Reseller>,
    ) -> BoxFuture<'a, Result<Vec<Customer>, Trouble>> {
        Box::pin(async move {
            let first = self.search_page(account, 0).await?;
            if !first.exact.is_empty() || first.all < SEARCH_PAGE {
                return Ok(first.exact);
            }
            // A full page of prefix hits may hide the exact one. The answer says no total, and how many fit on a
            // page is the server's to say, so that only an empty page is the end.
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
    ) -> BoxFuture<'a, Result<Option<Customer>, Trouble>> {
        Box::pin(async move {
            let path = segments(&["/api/Customers"], &[customer.as_str()])?;
            let mut call = Call::get(Kind::Read, path);
            if locations {
                call = call.with_query("filter", r#"{"include":"locations"}"#.to_owned());
            }
            let parse = |reply: &Reply| -> Read<Option<Customer>> {
                match reply.status {
                    200 => {
                        let body: CustomerBody = match body_of(reply, error_of)? {
                            Ok(body) => body,
                            Err(trouble) => return Ok(Err(trouble)),
                        };
                        Ok(body
                            .usable()
                            .filter(|found| found.id == *customer)
                            .map(Some)
                            .ok_or_else(|| senseless(reply, "another customer than asked for")))
                    }
                    404 if error_of(reply).is_some() => Ok(Ok(None)),
                    _ => Ok(Err(refusal(reply))),
                }
            };
            self.client.read(&call, parse).await?
        })
    }

    fn locations<'a>(
        &'a self,
        customer: &'a CustomerId,
    ) -> BoxFuture<'a, Result<Vec<Location>, Trouble>> {
        Box::pin(self.location_list(customer))
    }

    fn location<'a>(
        &'a self,
        customer: &'a CustomerId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Location, Trouble>> {
        Box::pin(self.location_by_key(customer, location))
    }

    fn prepare_write<'a>(
        &'a self,
        order: Order<'a>,
    ) -> BoxFuture<'a, Result<Box<dyn PreparedWrite + 'a>, Written>> {
        let prepared = match order.what {
            What::Account { after, .. } => self.write_account(&order, after),
            What::Location {
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

    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            let nobody = AccountId::new("idshift-probe-of-the-token")
                .map_err(|why| Trouble::new(Failed::Invalid, why.to_string()))?;
            self.search_page(&nobody, 0).await.map(|_| ())
        })
    }
}

struct Hits {
    exact: Vec<Customer>,
    all: usize,
    ids: HashSet<SmolStr>,
}

/// Joins fixed parts and IDs in turn: `/a`, id, `/b`, id.
fn segments(fixed: &[&'static str], ids: &[&str]) -> Result<Path, Trouble> {
    let build = || -> Result<Path, PathError> {
        let mut path = Path::new(fixed[0]);
        for (at, id) in ids.iter().enumerate() {
            if at > 0 {
                path = path.then(fixed[at]);
            }
            path = path.segment(id)?;
        }
        Ok(match fixed.get(ids.len()) {
            Some(last) => path.then(last),
            None => path,
        })
    };
    build().map_err(|why| Trouble::new(Failed::Invalid, why.to_string()))
}
