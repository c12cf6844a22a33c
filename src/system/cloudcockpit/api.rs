//! The `CloudCockpit` API: its client, its rules for all calls, and the read of one customer.

use super::super::customer::Customer;
use super::super::error::{SystemError, senseless};
use super::super::listing::Listing;
use super::super::read::{Answer, ReadError, body_of, read};
use super::super::settings::{Settings, SetupError};
use super::wire::{Body, error_in, refusal, words_of};
use crate::domain::{CustomerId, Failed, Reseller, guid};
use crate::http::{ApiTraits, Call, CallKind, Client, Path, Reply};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Returns `CloudCockpit`'s rules for all calls.
pub(in crate::system) fn api_traits(settings: &Settings) -> Result<ApiTraits, SetupError> {
    let tenant = settings.tenant.as_ref().ok_or(SetupError::Missing {
        system: "CloudCockpit",
        what: "the portal's domain, sent as X-Tenant: give --tenant, or set IDSHIFT_TENANT or `tenant` in the profile",
    })?;
    Ok(ApiTraits {
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

/// The `CloudCockpit` API behind [`System`](crate::system::System).
pub(in crate::system) struct CloudCockpit {
    pub(super) client: Arc<Client>,
    pub(super) max_age: Duration,
    pub(super) expected_lookups: u64,
    /// The listing of each relationship; `None`: single searches are better there.
    pub(super) listings: Mutex<Listings>,
    pub(super) shown: Mutex<HashMap<Reseller, Shown>>,
}

impl CloudCockpit {
    pub(in crate::system) fn new(client: Arc<Client>, settings: &Settings) -> Self {
        Self {
            client,
            max_age: settings.max_age,
            expected_lookups: settings.expected_lookups,
            listings: Mutex::new(HashMap::new()),
            shown: Mutex::new(HashMap::new()),
        }
    }

    pub(super) async fn one(
        &self,
        customer: &CustomerId,
        reseller: Option<&Reseller>,
    ) -> Result<Option<Customer>, SystemError> {
        let call = scoped(Call::get(CallKind::Read, path_of(customer)?), reseller);
        let parse = |reply: &Reply| -> Answer<Option<Customer>> {
            match reply.status {
                200 => {
                    let body: Body = body_of(reply, error_in)?;
                    if body.is_deleted == Some(true) && guid(&body.id) == customer.as_str() {
                        let words = format!("the customer `{customer}` is deleted in CloudCockpit");
                        return Err(ReadError::Final(SystemError {
                            http_status: Some(reply.status),
                            ..SystemError::new(Failed::NotFound, words)
                        }));
                    }
                    match body.usable().filter(|found| found.id == *customer) {
                        Some(found) => Ok(Some(found)),
                        None => Err(senseless(reply, "another customer than asked for").into()),
                    }
                }
                404 if words_of(reply).is_some() => Ok(None),
                _ => Err(refusal(reply).into()),
            }
        };
        read(&self.client, &call, parse).await
    }
}

/// Whether a list that is restricted to a reseller shows the identifiers of that relationship. The documents say this
/// only of single customers, and a write based on another relationship's identifier would be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Not known: this number of customers was compared, and each had the same identifier in both relationships.
    Untold(u32),
    /// Yes: a customer has different identifiers, and the list showed this relationship's.
    Told,
    /// No: the list showed a customer with an identifier that is not this relationship's.
    Otherwise,
}

pub(super) fn scoped(call: Call, reseller: Option<&Reseller>) -> Call {
    match reseller.and_then(Reseller::id) {
        Some(id) => call.with_query("resellerId", id.as_str().to_owned()),
        None => call,
    }
}

pub(super) fn path_of(customer: &CustomerId) -> Result<Path, SystemError> {
    Ok(Path::new("/v1/Customers").segment(customer.as_str())?)
}
