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

mod wire;

use self::wire::{
    CustomerBody, CustomerChange, LocationBody, LocationChange, OneOrMany, error_of, refusal,
};
use super::listing::endless;
use super::trouble::{Read, senseless};
use super::{
    Accepted, Backend, Bulk, Customer, Key, Location, OneCall, Order, PreparedWrite, Trouble,
    Wanted, What, Written,
};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Profile, Reseller, ServiceId};
use crate::http::{Call, Character, Client, Kind, Path, PathError, Reply, Unreadable, encoded_len};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::time::Instant;

/// A request line of 8 KB passes everywhere; the rest is for path, host and headers.
const FILTER_BYTES: usize = 6_500;
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
        is_firewall: |reply| reply.status == 403 && error_of(reply).is_none(),
    }
}

/// The Plume API behind [`super::System`].
pub(super) struct Plume {
    client: Arc<Client>,
}

impl Plume {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self { client }
    }

    async fn filtered(
        &self,
        field: &'static str,
        ids: &[&str],
        locations: bool,
    ) -> Result<Result<Vec<Customer>, String>, Trouble> {
        let mut filter = json!({"where": {field: {"inq": ids}}, "limit": BULK_LIMIT});
        if locations {
            filter["include"] = Value::from("locations");
        }
        let call = Call::get(Kind::Find, Path::new("/api/Customers"))
            .with_query("filter", filter.to_string())
            .tentatively();
        let answer = self
            .client
            .read(&call, |reply| {
                if reply.status != 200 {
                    return Ok(Err(format!(
                        "the filter was answered with {}",
                        reply.status
                    )));
                }
                // No success of the system: whatever sends this may send it to every call.
                let bodies = reply
                    .json::<Vec<CustomerBody>>()
                    .map_err(|_| Unreadable::new("the filter was not answered with a list"))?;
                Ok(Ok(bodies
                    .into_iter()
                    .filter_map(CustomerBody::usable)
                    .collect::<Vec<_>>()))
            })
            .await?;
        Ok(answer)
    }

    async fn search_page(&self, account: &AccountId, skip: usize) -> Result<Hits, Trouble> {
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
                    let bodies: Vec<CustomerBody> = reply.json()?;
                    let all = bodies.len();
                    let ids = bodies.iter().map(|body| body.id.clone()).collect();
                    let exact = bodies
                        .into_iter()
                        .filter_map(CustomerBody::usable)
                        .filter(|customer| customer.account.as_ref() == Some(account))
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
            let bodies = match reply.json::<OneOrMany>()? {
                OneOrMany::Many(bodies) => bodies,
                OneOrMany::One(body) => vec![*body],
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
            let body: LocationBody = reply.json()?;
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
            Err(why) => Written::InDoubt(senseless(reply, why)),
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
            Err(why) => Written::InDoubt(senseless(reply, why)),
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
        Box::pin(async move {
            let at = Instant::now();
            let mut by_account: HashMap<AccountId, Vec<Customer>> = HashMap::new();
            let mut by_id: HashMap<CustomerId, Vec<Customer>> = HashMap::new();
            let (accounts, ids) = keys(wanted);
            for batch in batches(&accounts) {
                let customers = match self.filtered("accountId", batch, locations).await? {
                    Ok(customers) => customers,
                    Err(why) => return Ok(Bulk::Refused(why)),
                };
                for customer in customers {
                    let Some(account) = customer.account.clone() else {
                        continue;
                    };
                    if !batch.contains(&account.as_str()) {
                        return Ok(Bulk::Refused("the filter was ignored".to_owned()));
                    }
                    by_account.entry(account).or_default().push(customer);
                }
            }
            for batch in batches(&ids) {
                let customers = match self.filtered("id", batch, locations).await? {
                    Ok(customers) => customers,
                    Err(why) => return Ok(Bulk::Refused(why)),
                };
                for customer in customers {
                    if !batch.contains(&customer.id.as_str()) {
                        return Ok(Bulk::Refused("the filter was ignored".to_owned()));
                    }
                    by_id.entry(customer.id.clone()).or_default().push(customer);
                }
            }
            let found = wanted.iter().map(|wanted| match &wanted.key {
                Key::Account(account) => by_account.get(account).cloned().unwrap_or_default(),
                Key::Customer(id) => by_id.get(id).cloned().unwrap_or_default(),
            });
            Ok(Bulk::Found(found.collect(), at))
        })
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
                        let found = reply.json::<CustomerBody>()?.usable();
                        Ok(found
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

fn keys(wanted: &[Wanted]) -> (Vec<&str>, Vec<&str>) {
    let (mut accounts, mut ids) = (Vec::new(), Vec::new());
    for wanted in wanted {
        match &wanted.key {
            Key::Account(account) => accounts.push(account.as_str()),
            Key::Customer(id) => ids.push(id.as_str()),
        }
    }
    for list in [&mut accounts, &mut ids] {
        list.sort_unstable();
        list.dedup();
    }
    (accounts, ids)
}

/// Cuts a list of IDs so that each piece fits into one request line and one answer.
fn batches<'a>(ids: &'a [&'a str]) -> Vec<&'a [&'a str]> {
    let mut batches = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, id) in ids.iter().enumerate() {
        // Two quotes and a comma, each percent-encoded.
        let more = encoded_len(id) + 9;
        if at > from && (bytes + more > FILTER_BYTES || at - from >= 100) {
            batches.push(&ids[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += more;
    }
    if from < ids.len() {
        batches.push(&ids[from..]);
    }
    batches
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
