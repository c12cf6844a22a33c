//! The present state of a customer, and the state that its lines request.

use crate::domain::{
    AccountId, Change, CustomerId, Failed, LocationId, LocationState, NewAccount, Reseller,
};
use crate::moment::Moment;
use crate::plan::Member;
use crate::system::{Customer, Locations, SystemError};
use smol_str::SmolStr;
use std::collections::HashMap;

/// The present state of a member's customer.
#[derive(Debug, Clone)]
pub(super) struct CustomerState {
    pub(super) id: CustomerId,
    pub(super) reseller: Option<Reseller>,
    /// The account ID now.
    pub(super) now: Option<AccountId>,
    /// The account ID before the first write of this run.
    pub(super) original: Option<AccountId>,
    pub(super) locations: Locations,
    /// The values of locations before the first write of this run to them; only for locations with such a write.
    pub(super) original_locations: HashMap<LocationId, LocationState>,
    pub(super) read_at: Moment,
    /// When the locations were read.
    pub(super) locations_read_at: Moment,
    pub(super) contacts: Option<u32>,
    pub(super) owner: Option<SmolStr>,
    /// The temporary ID that the customer has now, if any.
    pub(super) parked: Option<AccountId>,
    /// Why the rename has failed, if this run wrote the new ID and the system stored another value.
    pub(super) altered: Option<SystemError>,
}

/// What the lines of one customer have in common.
pub(super) struct DesiredState<'a> {
    pub(super) account: Option<&'a AccountId>,
    pub(super) customer: Option<&'a CustomerId>,
    pub(super) reseller: Option<&'a Reseller>,
    pub(super) new_account: &'a NewAccount,
    /// The line under which the rename is recorded.
    pub(super) rename_line: u32,
    pub(super) locations: bool,
}

impl<'a> DesiredState<'a> {
    pub(super) fn of(member: &'a Member) -> Self {
        let changes = &member.changes;
        let rename = changes.iter().find(|change| change.new_account.asks());
        Self {
            account: changes.iter().find_map(|change| change.account.as_ref()),
            customer: changes.iter().find_map(|change| change.customer.as_ref()),
            reseller: changes.iter().find_map(|change| change.reseller.as_ref()),
            new_account: rename.map_or(&NewAccount::Keep, |change| &change.new_account),
            rename_line: rename.or(changes.first()).map_or(0, |change| change.line),
            locations: changes.iter().any(Change::asks_location),
        }
    }

    /// Returns the ID that the customer is to have in the end, if one is requested.
    pub(super) fn target(&self) -> Option<&'a AccountId> {
        self.new_account.id()
    }

    /// Returns whether this account ID is what the lines request.
    pub(super) fn is_fulfilled_by(&self, now: Option<&AccountId>) -> bool {
        match self.new_account {
            NewAccount::Keep => true,
            NewAccount::Set(id) => now == Some(id),
            NewAccount::Clear => now.is_none(),
        }
    }
}

impl CustomerState {
    /// Makes the state of a customer as it was found.
    pub(super) fn of(customer: Customer, reseller: Option<&Reseller>, at: Moment) -> Self {
        Self {
            id: customer.id,
            reseller: reseller.cloned(),
            original: customer.account.clone(),
            now: customer.account,
            locations: customer.locations,
            original_locations: HashMap::new(),
            read_at: at,
            locations_read_at: at,
            contacts: customer.contacts,
            parked: None,
            altered: None,
            owner: customer.owner,
        }
    }

    /// Checks, after an interruption, that the customer has an account ID that one of this run's writes gave it. Any
    /// other ID was written by another user or program.
    pub(super) fn check_left_by_this_run(
        &self,
        desired: &DesiredState<'_>,
        prior: PriorWrite<'_>,
    ) -> Result<(), SystemError> {
        let ours = self.parked.is_some()
            || self.altered.is_some()
            || self.now == self.original
            || desired.is_fulfilled_by(self.now.as_ref());
        if ours {
            Ok(())
        } else {
            Err(moved_on(self.original.as_ref(), self.now.as_ref(), prior))
        }
    }
}

/// The write that may have caused a value that is not as expected.
#[derive(Debug, Clone, Copy)]
pub(super) enum PriorWrite<'a> {
    /// No write: nothing was sent.
    None,
    /// A write of this run, which may have taken effect.
    ThisRun,
    /// A write of the run that this run undoes.
    Undone(&'a str),
}

/// Makes the error for a customer that another user or program changed, or may have changed.
pub(super) fn moved_on(
    expected: Option<&AccountId>,
    now: Option<&AccountId>,
    prior: PriorWrite<'_>,
) -> SystemError {
    let say = |id: Option<&AccountId>| {
        id.map_or("no account ID".to_owned(), |id| {
            format!("the account ID `{id}`")
        })
    };
    changed_otherwise("customer", (&say(expected), &say(now)), prior)
}

/// Makes the error for a value that is neither the expected nor the requested one.
pub(super) fn changed_otherwise(
    what: &str,
    (expected, now): (&str, &str),
    prior: PriorWrite<'_>,
) -> SystemError {
    let words = match prior {
        PriorWrite::None => format!(
            "another client changed this {what}: it had {expected}, now it has {now}; nothing was written"
        ),
        PriorWrite::ThisRun => format!(
            "a write was sent, and its effect is not certain: this {what} had {expected}, and now it has {now}, which \
             is not the requested value; another client changed it, or the system stored another value. Check the \
             {what}; idshift leaves its present value unchanged"
        ),
        PriorWrite::Undone(run) => format!(
            "left untouched: after run {run} this {what} had, or may have had, {expected}, and now it has {now}; check \
             it, and restore the former value by hand if it is the right one"
        ),
    };
    SystemError::new(Failed::Stale, words)
}

/// Returns the sentence for a customer that has a temporary ID of another run.
pub(super) fn has_temporary_id(customer: &CustomerId, run: &str) -> String {
    format!(
        "customer `{customer}` has a temporary ID of run {run}, which ended in the middle of a swap; \
         `idshift resume {run}` restores it; nothing was written"
    )
}

/// Makes the error for a new account ID that another customer has.
pub(super) fn taken(target: &AccountId, holder: &CustomerId) -> SystemError {
    SystemError::new(
        Failed::Conflict,
        format!("the new account ID `{target}` belongs to customer `{holder}`"),
    )
}
