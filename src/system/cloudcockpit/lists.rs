//! Lists of customers, read page by page: all customers of a relationship, or those that a search finds.

use super::super::error::SystemError;
use super::super::listing::{Listing, SWEEPS, endless};
use super::super::read::{Answer, body_of, read};
use super::api::{CloudCockpit, scoped};
use super::wire::{Body, ListBody, Page, error_in, refusal};
use crate::domain::{AccountId, Failed, Reseller};
use crate::http::{Call, CallKind, Path, Reply};
use std::sync::Arc;

/// The most customers on a page.
const PAGE: usize = 2000;

impl CloudCockpit {
    /// Returns the listing of a relationship's customers; `None`: single searches cost fewer calls, or the listing is
    /// not reliable.
    pub(super) async fn listed(
        &self,
        reseller: Option<&Reseller>,
    ) -> Result<Option<Arc<Listing>>, SystemError> {
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

    /// Lists the customers, again if the list changed meanwhile: when pages shift, customers are left out.
    async fn list(&self, reseller: Option<&Reseller>) -> Result<Option<Listing>, SystemError> {
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

    async fn sweep(&self, reseller: Option<&Reseller>) -> Result<Sweep, SystemError> {
        let mut listing = Listing::begun_now();
        let (mut number, mut read, mut total) = (1, 0, None);
        loop {
            // A listing that has cost as many calls as single searches would cost is abandoned.
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

    /// Returns the customers that the search finds, with partial matches; `None`: the list changed meanwhile.
    pub(super) async fn search(
        &self,
        account: &AccountId,
        reseller: Option<&Reseller>,
    ) -> Result<Option<Listing>, SystemError> {
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
                return Err(SystemError::new(
                    Failed::BadAnswer,
                    "one customer was found in two relationships: the answer does not say which identifier is meant",
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

    /// Reads one page of all customers, or of those that a search finds.
    async fn page(
        &self,
        reseller: Option<&Reseller>,
        number: u64,
        search: Option<&AccountId>,
    ) -> Result<Page, SystemError> {
        let mut call = Call::get(CallKind::Find, Path::new("/v1/Customers"))
            .with_query("pageNumber", number.to_string())
            .with_query("pageSize", PAGE.to_string());
        if let Some(value) = search {
            call = call
                .with_query("searchField", "InternalIdentifier".to_owned())
                .with_query("searchValue", value.as_str().to_owned());
        }
        let call = scoped(call, reseller);
        let parse = |reply: &Reply| -> Answer<Page> {
            match reply.status {
                200 => {
                    let body: ListBody = body_of(reply, error_in)?;
                    Ok(Page {
                        rows: body.items.len(),
                        total: body.total_count,
                        more: body.has_next_page,
                        customers: body.items.into_iter().filter_map(Body::usable).collect(),
                    })
                }
                _ => Err(of_reseller(refusal(reply), reseller).into()),
            }
        };
        read(&self.client, &call, parse).await
    }
}

/// The result of reading a list once.
enum Sweep {
    Whole(Listing),
    /// Its length changed between two pages.
    Shifted,
    /// Single searches cost fewer calls, or the list shows one customer in two relationships.
    Unfit,
}

/// Changes the error for an unknown reseller, so that it does not mean an unknown customer, and names the reseller.
fn of_reseller(trouble: SystemError, reseller: Option<&Reseller>) -> SystemError {
    match reseller.and_then(Reseller::id) {
        Some(id) if trouble.reason == Failed::NotFound => SystemError {
            reason: Failed::Rejected,
            message: format!("the reseller `{id}`: {}", trouble.message),
            ..trouble
        },
        Some(id) if trouble.reason == Failed::Forbidden => SystemError {
            message: format!("the reseller `{id}`: {}", trouble.message),
            ..trouble
        },
        _ => trouble,
    }
}
