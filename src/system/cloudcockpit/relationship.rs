//! Which relationship's identifiers a list shows that is narrowed to a reseller.

use super::super::listing::Listing;
use super::super::{Customer, SystemError};
use super::api::{CloudCockpit, Shown};
use crate::domain::{Failed, Reseller, guid};

/// The number of customers that are compared; after that each one is read before it is believed.
const MOST_COMPARED: u32 = 5;

impl CloudCockpit {
    /// A customer of a list as it is in the relationship: itself, where such lists are known to show just that, else as
    /// it is read.
    pub(super) async fn in_relationship(
        &self,
        reseller: Option<&Reseller>,
        listed: &Customer,
    ) -> Result<Option<Customer>, SystemError> {
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
        let read = match self.one(&listed.id, Some(reseller)).await {
            Ok(read) => read,
            // Not a customer of this relationship, whatever the list says.
            Err(why) if matches!(why.reason, Failed::Forbidden | Failed::NotFound) => {
                return Ok(None);
            }
            Err(why) => return Err(why),
        };
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

    /// Whether a listing narrowed to a reseller shows that relationship's identifiers, as far as customers of it show.
    pub(super) async fn is_of(
        &self,
        reseller: Option<&Reseller>,
        listing: &Listing,
    ) -> Result<bool, SystemError> {
        let Some(reseller) = reseller.filter(|reseller| reseller.id().is_some()) else {
            return Ok(true);
        };
        let owner = reseller.id().map(|id| guid(id.as_str()));
        if listing.len() == 0 {
            return Ok(true);
        }
        let is_others = |customer: &Customer| customer.owner.is_some() && customer.owner != owner;
        if listing.customers().any(is_others) {
            return Ok(false);
        }
        // Those with an identifier first: they tell more.
        let (with, without): (Vec<_>, Vec<_>) =
            listing.customers().partition(|one| one.account.is_some());
        for sample in with.into_iter().chain(without).take(MOST_COMPARED as usize) {
            if let Err(why) = self.in_relationship(Some(reseller), sample).await
                && why.fatal.is_some()
            {
                return Err(why);
            }
            match self.shown.lock().await.get(reseller) {
                Some(Shown::Told) => return Ok(true),
                Some(Shown::Otherwise) => return Ok(false),
                Some(Shown::Untold(_)) | None => {}
            }
        }
        Ok(false)
    }
}
