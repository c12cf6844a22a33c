//! The JSON of `CloudCockpit`'s answers: customers, lists of customers, errors.

use super::super::error;
use super::super::listing::cut_short;
use super::super::{Customer, Locations, SystemError, id_text};
use crate::domain::{AccountId, CustomerId, guid};
use crate::http::Reply;
use serde::Deserialize;
use serde_json::Value;
use smol_str::SmolStr;

pub(super) struct Page {
    pub(super) customers: Vec<Customer>,
    /// The number of rows, with deleted and unusable customers.
    pub(super) rows: usize,
    pub(super) total: Option<usize>,
    pub(super) more: Option<bool>,
}

impl Page {
    /// Returns whether another page follows, after `read` rows were read. An error if the list says that it continues
    /// and the page is empty, or if the list ends before its own total.
    pub(super) fn goes_on(&self, read: usize) -> Result<bool, SystemError> {
        let missing = self.total.is_some_and(|total| read < total);
        // Without a total and without a flag, only an empty page is the end: a server may return fewer rows on a page
        // than requested.
        let told = self.more.or(self.total.map(|_| missing));
        let more = told.unwrap_or(self.rows > 0);
        if (more && self.rows == 0) || (!more && missing) {
            return Err(cut_short(read, self.total));
        }
        Ok(more)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListBody {
    pub(super) items: Vec<Body>,
    #[serde(default)]
    pub(super) total_count: Option<usize>,
    #[serde(default)]
    pub(super) has_next_page: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[serde(deserialize_with = "id_text::required")]
    pub(super) id: SmolStr,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) internal_identifier: Option<SmolStr>,
    #[serde(default, alias = "deleted")]
    pub(super) is_deleted: Option<bool>,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) reseller_id: Option<SmolStr>,
}

impl Body {
    /// Returns the customer; `None`: it is deleted, or it has an ID that no line of a file can contain.
    pub(super) fn usable(self) -> Option<Customer> {
        if self.is_deleted == Some(true) {
            return None;
        }
        let account = self.internal_identifier.filter(|text| !text.is_empty());
        Some(Customer {
            id: CustomerId::new(guid(&self.id)).ok()?,
            account: account.map(AccountId::new).transpose().ok()?,
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

/// Returns the fields of the API's error body in one sentence; `None`: the body is no error.
pub(super) fn words_of(reply: &Reply) -> Option<String> {
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

/// Returns the same for an answer with a status of 2xx. There, only a body with a status code is an error: a customer
/// may have the other fields too.
pub(super) fn error_in(reply: &Reply) -> Option<String> {
    let body: ErrorBody = reply.json().ok()?;
    body.status_code.and_then(|_| words_of(reply))
}

pub(super) fn refusal(reply: &Reply) -> SystemError {
    let words = words_of(reply);
    let special = match reply.status {
        403 if words.is_none() => {
            Some("there is no such relationship, or the token may not use it")
        }
        409 => Some("another customer has this identifier"),
        _ => None,
    };
    error::refusal(reply, words, special)
}
