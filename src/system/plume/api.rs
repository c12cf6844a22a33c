//! The Plume API: its client, its rules for all calls, one page of a search, and the locations of a customer.

use super::super::customer::{Customer, Location};
use super::super::error::{SystemError, senseless};
use super::super::read::{Answer, body_of, read};
use super::wire::{CustomerBody, LocationBody, OneOrMany, error_of, refusal};
use crate::domain::{AccountId, CustomerId, Failed, LocationId};
use crate::http::{ApiTraits, Call, CallKind, Client, Path, Reply};
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};

/// The API's default limit of customers in an answer.
pub(super) const BULK_LIMIT: usize = 500;
/// The search's default number of customers on a page.
pub(super) const SEARCH_PAGE: usize = 10;

/// The most bytes of encoded IDs in a filter. A request line of 8 KB passes everywhere; the rest is for path, host and
/// headers.
const FILTER_BYTES: usize = 6_500;

/// Returns Plume's rules for all calls.
pub(in crate::system) fn api_traits() -> ApiTraits {
    ApiTraits {
        constant_headers: vec![("accept", "application/json".to_owned())],
        request_id_header: None,
        correlation_header: None,
        is_unauthorized: |_| false,
        is_own_error: |reply| error_of(reply).is_some(),
        is_firewall: |reply| reply.status == 403 && error_of(reply).is_none(),
    }
}

/// The Plume API behind [`System`](crate::system::System).
pub(in crate::system) struct Plume {
    pub(super) client: Arc<Client>,
    /// The most bytes of encoded IDs in a filter; reduced where a server refuses the length.
    pub(super) filter_bytes: AtomicUsize,
    /// Account IDs that were searched, each with the ID that was found instead and differs only in case.
    pub(super) near: Mutex<HashMap<SmolStr, SmolStr>>,
    /// Whether the system offers the call that reads a customer by its own ID, once that is known.
    reads_singly: OnceLock<bool>,
}

impl Plume {
    pub(in crate::system) fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            filter_bytes: AtomicUsize::new(FILTER_BYTES),
            near: Mutex::default(),
            reads_singly: OnceLock::new(),
        }
    }

    pub(super) async fn search_page(
        &self,
        account: &AccountId,
        skip: usize,
    ) -> Result<Hits, SystemError> {
        if skip == 0 {
            // An earlier answer may be out of date.
            self.forget_near(account);
        }
        let path = segments(&["/api/Partners/customers/search"], &[account.as_str()])?;
        let mut call = Call::get(CallKind::Find, path)
            .with_query("field", "accountId".to_owned())
            .with_query("exactMatch", "true".to_owned())
            .with_query("startsWith", "true".to_owned());
        if skip > 0 {
            call = call
                .with_query("limit", BULK_LIMIT.to_string())
                .with_query("skip", skip.to_string());
        }
        let parse = |reply: &Reply| -> Answer<Hits> {
            match reply.status {
                200 => {
                    let bodies: Vec<CustomerBody> = body_of(reply, error_of)?;
                    let all = bodies.len();
                    let ids = bodies.iter().map(|body| body.id.clone()).collect();
                    let exact = bodies
                        .into_iter()
                        .filter_map(CustomerBody::usable)
                        .filter(|customer| self.is_exact(account.as_str(), customer))
                        .collect();
                    Ok(Hits { exact, all, ids })
                }
                // Older documents of the API: if nothing is found, the answer is 404 instead of an empty list.
                404 if error_of(reply).is_some() => Ok(Hits {
                    exact: Vec::new(),
                    all: 0,
                    ids: HashSet::new(),
                }),
                _ => Err(refusal(reply).into()),
            }
        };
        read(&self.client, &call, parse).await
    }

    /// Reads a customer by its own ID; `None`: there is none. A web server's 404 means that the address is wrong, or that
    /// the system does not offer this call. The search, which every system offers, shows which.
    pub(super) async fn read_singly(
        &self,
        customer: &CustomerId,
        locations: bool,
    ) -> Result<Option<Customer>, SystemError> {
        let path = segments(&["/api/Customers"], &[customer.as_str()])?;
        let mut call = Call::get(CallKind::Read, path);
        if locations {
            call = call.with_query("filter", r#"{"include":"locations"}"#.to_owned());
        }
        let parse = |reply: &Reply| -> Answer<Option<Customer>> {
            match reply.status {
                200 => {
                    let body: CustomerBody = body_of(reply, error_of)?;
                    match body.usable().filter(|found| found.id == *customer) {
                        Some(found) => Ok(Some(found)),
                        None => Err(senseless(reply, "another customer than asked for").into()),
                    }
                }
                404 if error_of(reply).is_some() => Ok(None),
                _ => Err(refusal(reply).into()),
            }
        };
        match self.reads_singly.get() {
            Some(true) => return read(&self.client, &call, parse).await,
            Some(false) => return Err(not_offered()),
            None => {}
        }
        for _ in 0..2 {
            let answer = read(&self.client, &call.clone().tentatively(), parse).await;
            match &answer {
                Ok(Some(_)) => {
                    // Another task may have found this out.
                    let _ = self.reads_singly.set(true);
                    return answer;
                }
                Err(why) if why.fatal.is_none() => match (why.reason, why.http_status) {
                    (Failed::BadAnswer, Some(404)) => self.probed().await?,
                    (Failed::BadAnswer | Failed::Unavailable, _) => {
                        return read(&self.client, &call, parse).await;
                    }
                    _ => return answer,
                },
                Ok(None) | Err(_) => return answer,
            }
        }
        // The search was answered after each attempt.
        let _ = self.reads_singly.set(false);
        Err(not_offered())
    }

    /// Sends a search that every valid token may send.
    pub(super) async fn probed(&self) -> Result<(), SystemError> {
        let unused = AccountId::new("idshift-probe-of-the-token")
            .map_err(|why| SystemError::new(Failed::Invalid, why.to_string()))?;
        self.search_page(&unused, 0).await.map(|_| ())
    }

    pub(super) async fn location_list(
        &self,
        customer: &CustomerId,
    ) -> Result<Vec<Location>, SystemError> {
        let path = segments(&["/api/Customers", "locations"], &[customer.as_str()])?;
        let call = Call::get(CallKind::Read, path);
        let parse = |reply: &Reply| -> Answer<Vec<Location>> {
            if reply.status != 200 {
                return Err(refusal(reply).into());
            }
            // The document shows one object, the service sends a list.
            let OneOrMany(bodies) = body_of(reply, error_of)?;
            if !bodies.iter().all(|body| body.may_be_of(customer.as_str())) {
                let words = "a location that is listed is of another customer";
                return Err(SystemError::new(Failed::Mismatch, words).into());
            }
            let locations = bodies.iter().map(LocationBody::location);
            locations.collect::<Option<_>>().ok_or_else(|| {
                senseless(reply, "a location whose ID or service ID cannot be read").into()
            })
        };
        read(&self.client, &call, parse).await
    }

    pub(super) async fn location_by_key(
        &self,
        customer: &CustomerId,
        location: &LocationId,
    ) -> Result<Location, SystemError> {
        let path = segments(&["/api/Partners/locations"], &[location.as_str()])?;
        let parse = |reply: &Reply| -> Answer<Location> {
            if reply.status != 200 {
                return Err(refusal(reply).into());
            }
            let body: LocationBody = body_of(reply, error_of)?;
            if !body.may_be_of(customer.as_str()) {
                let words = format!("the location `{location}` is of another customer");
                return Err(SystemError::new(Failed::Mismatch, words).into());
            }
            let found = body.location().filter(|found| found.id == *location);
            found.ok_or_else(|| senseless(reply, "another location than the one asked for").into())
        };
        read(&self.client, &Call::get(CallKind::Read, path), parse).await
    }
}

fn not_offered() -> SystemError {
    let words = "404: the system does not offer the call that reads a customer by its ID";
    SystemError {
        http_status: Some(404),
        ..SystemError::new(Failed::Unavailable, words)
    }
}

/// The result of one page of a search.
pub(super) struct Hits {
    pub(super) exact: Vec<Customer>,
    pub(super) all: usize,
    pub(super) ids: HashSet<SmolStr>,
}

/// Joins fixed parts and IDs alternately to a path: `/a`, id, `/b`, id.
pub(super) fn segments(fixed: &[&'static str], ids: &[&str]) -> Result<Path, SystemError> {
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
}
