//! The Adobe API: its client, its rules for all calls, and the read of a whole customer.

use super::super::error::{SystemError, senseless};
use super::super::listing::Listing;
use super::super::read::{Answer, body_of, read};
use super::super::settings::{Sending, Settings, SetupError};
use super::wire::{Body, RawBody, Whole, code_of, refusal};
use crate::domain::{CustomerId, ResellerId};
use crate::http::{ApiTraits, Call, CallKind, Client, Path, Reply};
use crate::moment::Moment;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// The most customers that have been read for a write and are not written yet.
const MOST_BETWEEN: usize = 256;

/// The code of an answer to a token that is missing or no longer known.
const NO_TOKEN: &str = "4117";

/// Returns Adobe's rules for all calls.
pub(in crate::system) fn api_traits(settings: &Settings) -> Result<ApiTraits, SetupError> {
    let key = settings.api_key.as_ref().ok_or(SetupError::Missing {
        system: "Adobe VIP Marketplace",
        what: "an API key: set `api_key` or `api_key_env` in the profile, or IDSHIFT_API_KEY",
    })?;
    Ok(ApiTraits {
        constant_headers: vec![
            ("accept", "application/json".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("x-api-key", key.expose_secret().to_owned()),
        ],
        request_id_header: Some("x-request-id"),
        correlation_header: Some("x-correlation-id"),
        is_own_error: |reply| code_of(reply).is_some(),
        is_firewall: |_| false,
        is_unauthorized: |reply| reply.status == 403 && code_of(reply).as_deref() == Some(NO_TOKEN),
    })
}

/// The Adobe API behind [`System`](crate::system::System).
pub(in crate::system) struct Adobe {
    pub(super) client: Arc<Client>,
    pub(super) reseller: Option<ResellerId>,
    pub(super) sending: Sending,
    pub(super) max_age: Duration,
    pub(super) listing: Mutex<Kept>,
    /// The result of the check of the first write.
    pub(super) trial: Mutex<Trial>,
    pub(super) warnings: std::sync::Mutex<Vec<String>>,
    /// Limits how many writes are between reading a customer and writing it.
    pub(super) between: Semaphore,
}

impl Adobe {
    pub(in crate::system) fn new(client: Arc<Client>, settings: &Settings) -> Self {
        Self {
            client,
            reseller: settings.reseller.clone(),
            sending: settings.sending,
            max_age: settings.max_age,
            listing: Mutex::new(Kept::Nothing),
            trial: Mutex::new(Trial::Untried),
            warnings: std::sync::Mutex::default(),
            between: Semaphore::new(
                settings
                    .calls_meanwhile
                    .map_or(MOST_BETWEEN, |calls| calls.min(MOST_BETWEEN))
                    .max(1),
            ),
        }
    }

    /// Reads a customer, with its profile byte for byte as received; `None`: there is no such customer.
    pub(super) async fn whole(&self, customer: &CustomerId) -> Result<Option<Whole>, SystemError> {
        let call = Call::get(CallKind::Read, path_of(customer)?);
        let parse = |reply: &Reply| -> Answer<Option<Whole>> {
            match reply.status {
                200 => {
                    let body: Body = body_of(reply, code_of)?;
                    if body.customer_id != customer.as_str() {
                        return Err(senseless(reply, "another customer than asked for").into());
                    }
                    let raw: RawBody = reply.json()?;
                    let everything: Value = reply.json()?;
                    Ok(Some(Whole {
                        body,
                        profile: raw.company_profile,
                        global_sales: raw.global_sales_enabled,
                        everything,
                    }))
                }
                404 if code_of(reply).is_some() => Ok(None),
                _ => Err(refusal(reply).into()),
            }
        };
        read(&self.client, &call, parse).await
    }

    /// Adds a warning for the user, who sees it at the end of the run.
    pub(super) fn warn(&self, words: String) {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

/// The cached result of listing all customers.
pub(super) enum Kept {
    Nothing,
    Listed(Arc<Listing>),
    /// The list ended too early, at this time, with this error.
    Broken(Moment, SystemError),
}

/// The result of the check of the first write.
#[derive(Debug)]
pub(super) enum Trial {
    Untried,
    Passed,
    /// The write was refused, or changed something that it must not change.
    Failed(String),
}

pub(super) fn path_of(customer: &CustomerId) -> Result<Path, SystemError> {
    Ok(Path::new("/v3/customers").segment(customer.as_str())?)
}
