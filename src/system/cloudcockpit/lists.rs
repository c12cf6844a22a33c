//! Customers in lists: of a whole relationship, and of what a search finds.

use super::super::error::SystemError;
use super::super::listing::{Listing, SWEEPS, endless};
use super::api::CloudCockpit;
use crate::domain::{AccountId, Failed, Reseller};
use std::sync::Arc;

impl CloudCockpit {
    /// The listing of a relationship's customers; `None`: searching singly costs fewer calls.
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

    /// Lists, again where the list did not hold still: pages that shift leave customers out.
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

    /// The customers that the search finds, which may match parts; `None`: the list did not hold still.
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
}

/// What reading a list from its first page to its last has brought.
enum Sweep {
    Whole(Listing),
    /// Its length changed between two pages.
    Shifted,
    /// Searching singly costs less, or tells more.
    Unfit,
}
