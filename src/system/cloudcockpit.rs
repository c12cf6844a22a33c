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

use super::connect::{Settings, SetupError};
use super::listing::{Listing, SWEEPS, cut_short, endless};
use super::trouble::{Read, senseless};
use super::{Backend, Bulk, Customer, Location, Locations, Order, Trouble, Wanted, What, Written};
use crate::domain::{AccountId, CustomerId, Failed, LocationId, Reseller, guid};
use crate::http::{Call, Character, Client, Kind, Path, Reply};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use smol_str::SmolStr;
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

/// Whether lists that are narrowed to a reseller show the identifiers of that relationship. The document says that of
/// single customers only; and to write upon another relationship's identifier would be a wrong write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// So many customers were compared, and had the same identifier in both relationships.
    Untold(u32),
    /// A customer has been seen whose identifiers differ, and the list had this relationship's.
    Told,
    /// A customer has been seen with an identifier that is not this relationship's.
    Otherwise,
}

/// So many customers are compared; after that each one is read before it is believed.
const MOST_COMPARED: u32 = 5;

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

    /// A customer of a list as it is in the relationship: itself, where such lists are known to show just that, else as
    /// it is read.
    async fn in_relationship(
        &self,
        reseller: Option<&Reseller>,
        listed: &Customer,
    ) -> Result<Option<Customer>, Trouble> {
        let Some(reseller) = reseller.filter(|reseller| reseller.id().is_some()) else {
            return Ok(Some(listed.clone()));
        };
        let known = || async {
            let all = self.shown.lock().await;
            all.get(reseller).copied().unwrap_or(Shown::Untold(0))
        };
        let owner = reseller.id().map(|id| guid(id.as_str()));
        let is_others = listed.owner.is_some() && listed.owner != owner;
        let shown = known().await;
        if shown == Shown::Told && !is_others {
            return Ok(Some(listed.clone()));
        }
        let read = self.one(&listed.id, Some(reseller)).await?;
        let is_so = read
            .as_ref()
            .is_some_and(|read| read.account == listed.account);
        let now = match shown {
            _ if !is_so => Shown::Otherwise,
            Shown::Untold(compared) if compared < MOST_COMPARED => {
                match self.one(&listed.id, None).await {
                    Ok(own)
                        if own.as_ref().and_then(|own| own.account.as_ref())
                            != listed.account.as_ref() =>
                    {
                        Shown::Told
                    }
                    // Not one of the caller's own: it can only have been the relationship's.
                    Err(why) if why.reason == Failed::Forbidden => Shown::Told,
                    Err(why) if why.fatal.is_some() => return Err(why),
                    Ok(_) | Err(_) => Shown::Untold(compared + 1),
                }
            }
            shown => shown,
        };
        let mut all = self.shown.lock().await;
        let kept = all.entry(reseller.clone()).or_insert(now);
        // Once seen otherwise, it is never believed again.
        if *kept != Shown::Otherwise {
            *kept = now;
        }
        Ok(read)
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
                    let body: ListBody = reply.json()?;
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

    /// Whether a listing narrowed to a reseller shows that relationship's identifiers, as far as customers of it show.
    async fn is_of(&self, reseller: Option<&Reseller>, listing: &Listing) -> Result<bool, Trouble> {
        let Some(reseller) = reseller.filter(|reseller| reseller.id().is_some()) else {
            return Ok(true);
        };
        let owner = reseller.id().map(|id| guid(id.as_str()));
        let mut with_account = listing.with_account().peekable();
        if with_account.peek().is_none() {
            return Ok(true);
        }
        let is_others = |customer: &Customer| customer.owner.is_some() && customer.owner != owner;
        if listing.with_account().any(is_others) {
            return Ok(false);
        }
        for sample in with_account.take(MOST_COMPARED as usize) {
            self.in_relationship(Some(reseller), sample).await?;
            match self.shown.lock().await.get(reseller) {
                Some(Shown::Told) => return Ok(true),
                Some(Shown::Otherwise) => return Ok(false),
                Some(Shown::Untold(_)) | None => {}
            }
        }
        Ok(false)
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
                    let body = reply.json::<Body>()?;
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
                    let why = "a listing would cost more calls than single searches";
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
            let mut found = Listing::begun_now();
            let (mut number, mut read) = (1, 0);
            loop {
                let known = found.len();
                let page = self.page(reseller, number, Some(account)).await?;
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
                    let mut carriers = Vec::new();
                    for customer in found.account(account) {
                        let customer = self.in_relationship(reseller, &customer).await?;
                        carriers
                            .extend(customer.filter(|one| one.account.as_ref() == Some(account)));
                    }
                    return Ok(carriers);
                }
                if found.len() == known {
                    return Err(endless());
                }
                number += 1;
            }
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

    fn write<'a>(&'a self, order: Order<'a>) -> BoxFuture<'a, Written> {
        Box::pin(async move {
            let What::Account { after, .. } = order.what else {
                return Written::Refused(no_locations());
            };
            let path = match path_of(order.customer) {
                Ok(path) => path.then("internal-identifier"),
                Err(trouble) => return Written::Refused(trouble),
            };
            let body = json!({
                "internalIdentifier": after.map(AccountId::as_str),
                "resellerId": order.reseller.and_then(Reseller::id).map(AsRef::<str>::as_ref),
            });
            let body = body.to_string().into_bytes();
            let call = Call::patch(path, body, order.correlation, order.departs_until);
            let sent = self.client.write(&call).await;
            Written::of(sent, refusal, |reply| match reply.status {
                204 => Written::Applied { http_status: 204 },
                _ => Written::InDoubt(senseless(
                    reply,
                    "the document says that a write is answered with 204",
                )),
            })
        })
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

struct Page {
    customers: Vec<Customer>,
    /// Deleted customers and unusable ones included.
    rows: usize,
    total: Option<usize>,
    more: Option<bool>,
}

/// What reading a list from its first page to its last has brought.
enum Sweep {
    Whole(Listing),
    /// Its length changed between two pages.
    Shifted,
    /// Searching singly costs less, or tells more.
    Unfit,
}

impl Page {
    /// Whether another page follows, after so many rows were read. A list that says that it goes on, and brings
    /// nobody, or that says that it ends before its own total, is cut short.
    fn goes_on(&self, read: usize) -> Result<bool, Trouble> {
        let missing = self.total.is_some_and(|total| read < total);
        // Where nothing tells, only an empty page is the end: a server may hold fewer on a page than it was asked for.
        let told = self.more.or(self.total.map(|_| missing));
        let more = told.unwrap_or(self.rows > 0);
        if (more && self.rows == 0) || (!more && missing) {
            return Err(cut_short(read, self.total));
        }
        Ok(more)
    }
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListBody {
    items: Vec<Body>,
    #[serde(default)]
    total_count: Option<usize>,
    #[serde(default)]
    has_next_page: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    id: SmolStr,
    #[serde(default)]
    internal_identifier: Option<SmolStr>,
    #[serde(default, alias = "deleted")]
    is_deleted: Option<bool>,
    #[serde(default)]
    reseller_id: Option<SmolStr>,
}

impl Body {
    /// The customer, unless it is deleted or its IDs are such that no line of ours can mean it.
    fn usable(self) -> Option<Customer> {
        if self.is_deleted == Some(true) {
            return None;
        }
        let account = self.internal_identifier.filter(|text| !text.is_empty());
        Some(Customer {
            id: CustomerId::new(guid(&self.id)).ok()?,
            account: match account {
                None => None,
                Some(account) => Some(AccountId::new(account).ok()?),
            },
            locations: Locations::Untold,
            owner: self.reseller_id.map(|id| guid(&id)),
            contacts: None,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    #[serde(default)]
    status_code: Option<i64>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    correlation_id: Option<String>,
    #[serde(default)]
    errors: Option<Value>,
}

/// The fields of the API's error body in one sentence; `None`: the body is not one.
fn words_of(reply: &Reply) -> Option<String> {
    let body: ErrorBody = reply.json().ok()?;
    let parts = [
        body.kind,
        body.description,
        body.errors
            .filter(|errors| !errors.is_null())
            .map(|errors| errors.to_string()),
        body.correlation_id.map(|id| format!("correlation ID {id}")),
    ];
    let words: Vec<String> = parts.into_iter().flatten().collect();
    (body.status_code.is_some() || !words.is_empty()).then(|| words.join("; "))
}

fn refusal(reply: &Reply) -> Trouble {
    let words = words_of(reply);
    let reason = match reply.status {
        401 => Failed::Unauthorized,
        403 => Failed::Forbidden,
        404 if words.is_some() => Failed::NotFound,
        409 => Failed::Conflict,
        404 => {
            let mut trouble = senseless(reply, "not the API's answer: is the base URL right?");
            trouble.reason = Failed::Unavailable;
            return trouble;
        }
        400..=499 => Failed::Rejected,
        _ => return senseless(reply, "an answer that the API does not document"),
    };
    let meaning = match reply.status {
        401 => "the token is refused, or may not see the customer",
        403 => "there is no such relationship, or the token may not use it",
        404 => "the system does not know it",
        409 => "another customer has this identifier",
        _ => "the system refuses the value",
    };
    match words.filter(|words| !words.is_empty()) {
        Some(words) => Trouble::refused(reason, reply, &format!("{meaning} ({words})")),
        None => Trouble::refused(reason, reply, meaning),
    }
}
