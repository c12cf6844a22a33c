//! Finds out whether a list that is restricted to a reseller shows the identifiers of that relationship.

use super::super::listing::Listing;
use super::super::{Customer, SystemError};
use super::api::{CloudCockpit, Shown};
use crate::domain::{Failed, Reseller, guid};

/// The most customers that are compared. If they show no difference, each listed customer is read before it is used.
const MOST_COMPARED: u32 = 5;

impl CloudCockpit {
    /// Returns a listed customer as it is in the relationship: unchanged if such lists are known to show that,
    /// otherwise as a read shows it; `None`: it does not belong to the relationship.
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
            // The customer does not belong to this relationship, whatever the list says.
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
                    // The customer is not one of the caller's own, so the list can only have shown the reseller's identifier.
                    Err(why) if why.reason == Failed::Forbidden => Shown::Told,
                    Err(why) if why.fatal.is_some() => return Err(why),
                    Ok(_) | Err(_) => Shown::Untold(compared + 1),
                }
            }
            shown => shown,
        };
        let mut all = self.shown.lock().await;
        let kept = all.entry(reseller.clone()).or_insert(now);
        // A list that has shown a wrong identifier once is never trusted again.
        if *kept != Shown::Otherwise {
            *kept = now;
        }
        Ok(read)
    }

    /// Returns whether a listing that is restricted to a reseller shows that relationship's identifiers, judged by a
    /// few of its customers.
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
        // Customers with an identifier come first: they are more likely to show a difference.
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
