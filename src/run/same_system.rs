//! Targets at other addresses that may be the same system.
//!
//! What a run did to a system must count, whatever address the next run names. So the history of another address counts as
//! soon as a read finds one of its customers here. One read decides for the address, and its result is kept. A staging
//! system with its own customers says nothing about production.

use super::catalog::RunCatalog;
use crate::domain::{CustomerId, Reseller, ResellerId};
use crate::ledger::{Ledger, LedgerError, Runs, Sameness};

/// Another target that may be the same system.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its key.
    pub(crate) target: String,
    /// The highest epoch of its runs.
    pub(crate) epoch: u64,
    /// A customer that one of its runs has changed, or that a run in progress has found.
    pub(crate) customer: CustomerId,
    /// The reseller relationship in which a run has changed it.
    pub(crate) reseller: Option<Reseller>,
}

impl Candidate {
    /// Returns what is recorded of it: whether it is the `same` system.
    pub(crate) fn found(&self, same: bool) -> Sameness {
        let epoch = self.epoch;
        Sameness { same, epoch }
    }
}

/// Returns the other targets that are known to be the same system, and those that must be checked.
pub(crate) fn candidates(
    catalog: &RunCatalog,
    runs: &dyn Runs,
    (system, target): (&str, &str),
) -> Result<(Vec<String>, Vec<Candidate>), LedgerError> {
    let (mut same, mut open) = (Vec::new(), Vec::new());
    for (other, epoch) in catalog.targets_of(system) {
        if other == target {
            continue;
        }
        match runs.sameness(target, other)? {
            // Test: `identity::swap_is_applied_once_*`.
            Some(found) if found.same => same.push(other.to_owned()),
            // Checked again only after new runs there, which may have met the same customers (test:
            // `identity::history_of_a_staging_*`).
            Some(found) if found.epoch >= epoch => {}
            _ => open.extend(
                sample(catalog, other)?.map(|(customer, reseller)| Candidate {
                    target: other.to_owned(),
                    epoch,
                    customer,
                    reseller,
                }),
            ),
        }
    }
    Ok((same, open))
}

/// A customer that a run on this target has changed.
fn sample(
    catalog: &RunCatalog,
    target: &str,
) -> Result<Option<(CustomerId, Option<Reseller>)>, LedgerError> {
    let entries = catalog.entries.iter();
    for entry in entries.filter(|entry| entry.header.target == target) {
        // A run that cannot be read is dealt with together with the history.
        let Ok(ledger) = entry.ledger() else {
            continue;
        };
        if let Some(found) = parsed(ledger.any_customer()?) {
            return Ok(Some(found));
        }
        // Test: `identity::second_run_is_refused_under_another_address_before_*`.
        if ledger.is_live()
            && let Some(found) = found_by(&ledger)?
        {
            return Ok(Some((found, None)));
        }
    }
    // Test: `recognition::lost_run_at_another_*`.
    let lost = catalog.lost.iter().filter_map(|lost| lost.known.as_ref());
    let mut lost = lost.filter(|run| run.target == target);
    Ok(lost.find_map(|run| parsed(run.customer.clone())))
}

/// Number of lines of a run in progress in which a customer is searched.
const LINES: usize = 2_000;

/// A customer that the look-ups of this run have found.
fn found_by(ledger: &Ledger) -> Result<Option<CustomerId>, LedgerError> {
    for outcome in ledger.outcomes().take(LINES) {
        if let Some(customer) = outcome?.customer {
            return Ok(Some(customer));
        }
    }
    Ok(None)
}

fn parsed(found: Option<(String, Option<String>)>) -> Option<(CustomerId, Option<Reseller>)> {
    let (customer, reseller) = found?;
    let reseller = match reseller.as_deref() {
        None => None,
        Some("own") => Some(Reseller::Own),
        Some(id) => Some(Reseller::Id(ResellerId::new(id).ok()?)),
    };
    Some((CustomerId::new(customer).ok()?, reseller))
}
