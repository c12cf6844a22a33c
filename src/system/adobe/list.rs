//! Finds customers by their references: Adobe has no search, so all customers of a reseller are listed.

use super::super::error::senseless;
use super::super::listing::{Listing, SWEEPS, cut_short, endless};
use super::super::read::{Answer, ReadError, read};
use super::super::{Fatal, SystemError};
use super::api::{Adobe, Kept};
use super::wire::{Body, ListBody, Page, code_of, refusal};
use crate::domain::{Failed, ResellerId};
use crate::http::{Call, CallKind, Path, Reply};
use crate::moment::Moment;
use smol_str::SmolStr;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// The most customers on a page.
const PAGE: usize = 50;
/// Active, pending, inactive, and scheduled for removal: a listing shows one status at a time.
pub(super) const STATUSES: [&str; 4] = ["1000", "1002", "1004", "1026"];

/// After a list has ended too early, it is not read again for this time: it costs a call for every fifty customers.
const BROKEN_FOR: Duration = Duration::from_secs(60);

impl Adobe {
    /// Returns the listing of all customers, from the cache if it is not too old.
    pub(super) async fn listed(&self) -> Result<Arc<Listing>, SystemError> {
        let Some(reseller) = &self.reseller else {
            return Err(no_reseller());
        };
        let mut kept = self.listing.lock().await;
        match &*kept {
            Kept::Listed(listing) if listing.is_fresh(self.max_age) => {
                return Ok(Arc::clone(listing));
            }
            Kept::Broken(at, trouble) if at.elapsed() < BROKEN_FOR => return Err(trouble.clone()),
            Kept::Listed(_) | Kept::Broken(..) | Kept::Nothing => {}
        }
        let mut listing = Listing::begun_now();
        for status in STATUSES {
            if let Err(trouble) = self.sweeps(reseller, status, &mut listing).await {
                if trouble.reason == Failed::BadAnswer {
                    *kept = Kept::Broken(Moment::now(), trouble.clone());
                }
                return Err(trouble);
            }
        }
        let listing = Arc::new(listing);
        *kept = Kept::Listed(Arc::clone(&listing));
        Ok(listing)
    }

    /// Lists the customers of one status, again if the list changed meanwhile: when pages shift, one customer appears
    /// twice and another not at all.
    async fn sweeps(
        &self,
        reseller: &ResellerId,
        status: &str,
        listing: &mut Listing,
    ) -> Result<(), SystemError> {
        let mut last = Ok(());
        for _ in 0..SWEEPS {
            last = match self.sweep(reseller, status, listing).await {
                Ok(true) => return Ok(()),
                Ok(false) => Ok(()),
                Err(trouble) if trouble.reason == Failed::BadAnswer => Err(trouble),
                Err(trouble) => return Err(trouble),
            };
        }
        last
    }

    /// Lists the customers of one status once. Returns whether the list stayed the same meanwhile.
    async fn sweep(
        &self,
        reseller: &ResellerId,
        status: &str,
        listing: &mut Listing,
    ) -> Result<bool, SystemError> {
        let (mut offset, mut most) = (0, 0);
        let mut seen = HashSet::new();
        let mut last: Option<SmolStr> = None;
        let mut steady = true;
        loop {
            let page = self.page(reseller, status, offset).await?;
            let (count, known) = (page.items.len(), seen.len());
            // The pages overlap: the last customer of a page is the first of the next, unless an earlier customer was
            // removed.
            let is_new = |body: &Body| !seen.contains(&body.customer_id);
            let first = page.items.first().map(|body| &body.customer_id);
            // After a shift, reading continues: each of several lists adds some customers.
            steady &= known == 0 || first == last.as_ref() || !page.items.iter().any(is_new);
            last = page.items.last().map(|body| body.customer_id.clone());
            let overlap = usize::from(known > 0);
            let told = offset + count;
            offset = told.saturating_sub(1);
            most = most.max(page.total.unwrap_or(0));
            for body in page.items {
                seen.insert(body.customer_id.clone());
                if let Some(customer) = body.usable() {
                    listing.add(customer);
                }
            }
            match page.total {
                Some(total) if told >= total => return Ok(steady && seen.len() >= most),
                None if count <= overlap => return Ok(steady),
                total if count <= overlap => return Err(cut_short(told, total)),
                _ if seen.len() == known => return Err(endless()),
                _ => {}
            }
        }
    }

    pub(super) async fn page(
        &self,
        reseller: &ResellerId,
        status: &str,
        offset: usize,
    ) -> Result<Page, SystemError> {
        let path = Path::new("/v3/resellers")
            .segment(reseller.as_str())?
            .then("customers");
        let call = Call::get(CallKind::Find, path)
            .with_query("status", status.to_owned())
            .with_query("limit", PAGE.to_string())
            .with_query("offset", offset.to_string())
            .with_query("sort-by", "creationDate".to_owned())
            .with_query("order-by", "asc".to_owned());
        let parse = |reply: &Reply| -> Answer<Page> {
            match reply.status {
                200 => {
                    let body: ListBody = reply.json()?;
                    match body.accounts.or(body.customers) {
                        Some(items) => Ok(Page {
                            items,
                            total: body.total_count,
                        }),
                        None => Err(senseless(reply, "a listing without customers").into()),
                    }
                }
                // The documents have no 404 for a reseller without customers. So the reseller does not exist, which is
                // the same for all lines.
                404 if code_of(reply).is_some() => Err(ReadError::Final(SystemError {
                    message: format!(
                        "Adobe does not know the reseller `{reseller}`: check `reseller_id` ({})",
                        refusal(reply).message
                    ),
                    fatal: Some(Fatal::Setting),
                    ..refusal(reply)
                })),
                _ => Err(refusal(reply).into()),
            }
        };
        read(&self.client, &call, parse).await
    }
}

fn no_reseller() -> SystemError {
    SystemError::new(
        Failed::Invalid,
        "Adobe has no search by externalReferenceId: name the reseller whose customers are to be \
         listed (`reseller_id` in the profile), or give `customerId` in every line",
    )
}
