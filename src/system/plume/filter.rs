//! Looks up many customers with one filter, and detects answers with customers that were not requested.

use super::super::error::holds_an_error;
use super::super::{Bulk, Customer, Key, SystemError, Wanted};
use super::api::{BULK_LIMIT, Plume};
use super::wire::{CustomerBody, error_of};
use crate::domain::{AccountId, CustomerId};
use crate::http::{Call, CallKind, Path, Unreadable, encoded_len};
use crate::moment::Moment;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// How many account IDs that were found in another case are remembered for the reports.
const MOST_NEAR: usize = 10_000;
/// The result of a call with a filter.
enum Filtered {
    Found(Vec<Customer>),
    /// The URL was too long for a server in between.
    TooLong,
    /// Filters cannot be used here, for this reason.
    Refused(String),
}

impl Plume {
    pub(super) async fn found_by_filter(
        &self,
        wanted: &[Wanted],
        locations: bool,
    ) -> Result<Bulk, SystemError> {
        let at = Moment::now();
        let mut by_account: HashMap<AccountId, Vec<Customer>> = HashMap::new();
        let mut by_id: HashMap<CustomerId, Vec<Customer>> = HashMap::new();
        let (accounts, ids) = keys(wanted);
        let customers = match self.all_filtered("accountId", &accounts, locations).await? {
            Ok(customers) => customers,
            Err(why) => return Ok(Bulk::Refused(why)),
        };
        for customer in customers {
            if let Some(account) = customer.account.clone() {
                by_account.entry(account).or_default().push(customer);
            }
        }
        let customers = match self.all_filtered("id", &ids, locations).await? {
            Ok(customers) => customers,
            Err(why) => return Ok(Bulk::Refused(why)),
        };
        for customer in customers {
            by_id.entry(customer.id.clone()).or_default().push(customer);
        }
        let found = wanted.iter().map(|wanted| match &wanted.key {
            Key::Account(account) => by_account.get(account).cloned().unwrap_or_default(),
            Key::Customer(id) => by_id.get(id).cloned().unwrap_or_default(),
        });
        Ok(Bulk::Found(found.collect(), at))
    }

    async fn filtered(
        &self,
        field: &'static str,
        ids: &[&str],
        locations: bool,
    ) -> Result<Filtered, SystemError> {
        let mut filter = json!({"where": {field: {"inq": ids}}, "limit": BULK_LIMIT});
        if locations {
            filter["include"] = Value::from("locations");
        }
        let call = Call::get(CallKind::Find, Path::new("/api/Customers"))
            .with_query("filter", filter.to_string())
            .tentatively();
        let answer = self
            .client
            .read(&call, |reply| {
                if matches!(reply.status, 413 | 414 | 431) && ids.len() > 1 {
                    return Ok(Filtered::TooLong);
                }
                if reply.status != 200 {
                    let why = format!("the filter was answered with {}", reply.status);
                    return Ok(Filtered::Refused(why));
                }
                if let Some(words) = error_of(reply) {
                    return Ok(Filtered::Refused(holds_an_error(reply, &words).message));
                }
                // This is no success of the system: another server may have answered, and may answer every call in this way.
                let bodies = reply
                    .json::<Vec<CustomerBody>>()
                    .map_err(|_| Unreadable::new("the filter was not answered with a list"))?;
                Ok(Filtered::Found(
                    bodies
                        .into_iter()
                        .filter_map(CustomerBody::usable)
                        .collect(),
                ))
            })
            .await?;
        Ok(answer)
    }

    /// Returns all customers with one of these values in the field, with as many calls as needed, or why that is not
    /// possible.
    async fn all_filtered(
        &self,
        field: &'static str,
        ids: &[&str],
        locations: bool,
    ) -> Result<Result<Vec<Customer>, String>, SystemError> {
        let mut found = Vec::new();
        let mut open = batches(ids, self.filter_bytes.load(Ordering::Relaxed));
        open.reverse();
        while let Some(batch) = open.pop() {
            let customers = match self.filtered(field, batch, locations).await? {
                Filtered::Found(customers) => customers,
                Filtered::Refused(why) => return Ok(Err(why)),
                Filtered::TooLong => {
                    let half = encoded(batch) / 2;
                    self.filter_bytes.fetch_min(half, Ordering::Relaxed);
                    let (first, rest) = batch.split_at(batch.len() / 2);
                    open.extend([rest, first]);
                    continue;
                }
            };
            for customer in customers {
                let value = match field {
                    "id" => Some(customer.id.as_str()),
                    _ => customer.account.as_ref().map(AccountId::as_str),
                };
                let Some(value) = value else { continue };
                if batch.contains(&value) {
                    found.push(customer);
                } else if !batch.iter().any(|wanted| self.is_near(wanted, value)) {
                    return Ok(Err("the filter was ignored".to_owned()));
                }
            }
        }
        Ok(Ok(found))
    }

    pub(super) fn is_exact(&self, wanted: &str, customer: &Customer) -> bool {
        let found = customer.account.as_ref().map(AccountId::as_str);
        if let Some(found) = found {
            self.is_near(wanted, found);
        }
        found == Some(wanted)
    }

    pub(super) fn forget_near(&self, wanted: &AccountId) {
        let mut near = self.near.lock().unwrap_or_else(PoisonError::into_inner);
        if !near.is_empty() {
            near.remove(wanted.as_str());
        }
    }

    /// Returns whether `found` differs from `wanted` only in case, because a database ignores case, and remembers it
    /// for the reports.
    fn is_near(&self, wanted: &str, found: &str) -> bool {
        let is_near = wanted != found && wanted.to_lowercase() == found.to_lowercase();
        if is_near {
            let mut near = self.near.lock().unwrap_or_else(PoisonError::into_inner);
            if near.len() < MOST_NEAR {
                near.insert(wanted.into(), found.into());
            }
        }
        is_near
    }
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
fn batches<'a>(ids: &'a [&'a str], most_bytes: usize) -> Vec<&'a [&'a str]> {
    let mut batches = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, id) in ids.iter().enumerate() {
        let more = encoded(&[id]);
        if at > from && (bytes + more > most_bytes || at - from >= 100) {
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

/// Returns the length of these IDs in a filter, encoded, in bytes.
fn encoded(ids: &[&str]) -> usize {
    // Two quotes and a comma, each percent-encoded.
    ids.iter().map(|id| encoded_len(id) + 9).sum()
}
