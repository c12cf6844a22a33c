//! What earlier runs of a file did to the IDs by which its lines name customers.
//!
//! If a run took an ID from one customer and gave it to another, the ID in a line means the customer that had it when the
//! line was written or the customer that has it now; idshift cannot decide between them. An unaltered line is recognised by
//! what it requests. Any other line that finds such a customer is refused; `customerId` can say which customer is meant.

use super::newer_requests::NewerRequests;
use crate::domain::{
    AccountId, CustomerId, Failed, Line, LocationId, Outcome, Reseller, is_respelling,
};
use crate::ledger::LedgerError;
use crate::system::SystemError;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// An account ID, and the relationship in which a customer has it, on systems that have relationships.
pub type Carried = (AccountId, Option<Reseller>);

/// Tells which customer an earlier run has renamed for the request of a line.
pub trait PriorRenames: fmt::Debug + Send + Sync {
    /// Returns the customer for which the newest earlier run carried out this request: from this account ID to the new
    /// one (`None`: the ID is removed), in this relationship.
    fn customer_of(
        &self,
        account: &AccountId,
        new_account: Option<&AccountId>,
        reseller: Option<&Reseller>,
    ) -> Result<Option<CustomerId>, LedgerError>;

    /// Returns the newest earlier rename that took this account ID from a customer; used only in messages.
    fn taken_by(
        &self,
        _account: &AccountId,
        _reseller: Option<&Reseller>,
    ) -> Result<Option<Taken>, LedgerError> {
        Ok(None)
    }

    /// Returns whether `customer_of` answers without having to read much first.
    fn is_ready(&self) -> bool {
        true
    }

    /// Reads what `customer_of` needs, which may take seconds.
    fn prepare(&self) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// An earlier rename that took an account ID from a customer.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The run that made the rename.
    pub run: String,
    /// The customer that had the account ID.
    pub customer: CustomerId,
    /// The account ID that the run gave to the customer; `None`: the run removed the account ID.
    pub now: Option<AccountId>,
}

/// The customers that had an account ID before earlier runs, and those to which these runs gave it.
#[derive(Debug, Clone, Default)]
pub struct Hands {
    /// The customers from which it was taken.
    pub had: HashSet<CustomerId>,
    /// The customers to which it was given.
    pub got: HashSet<CustomerId>,
}

/// What earlier runs of a file did, as far as it makes its lines ambiguous.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Account IDs that went from one customer to another.
    pub hands: HashMap<Carried, Hands>,
    /// The lines by which earlier runs meant a customer, in a relationship.
    pub claims: HashMap<(CustomerId, Option<Reseller>), Vec<Line>>,
    /// The customer that a line meant in the newest earlier run that reached the line.
    pub meant: HashMap<Line, CustomerId>,
    /// Lines of a report, which names the customers that its run found. `true`: the account ID in the line is still the
    /// one that the customer had then, so no other customer is meant.
    pub reported: HashMap<Line, bool>,
    /// Which other run requested a change of a customer or location since this run was begun.
    pub newer: NewerRequests,
    /// Which customers earlier runs have renamed; `None`: no earlier run has written anything.
    pub prior_renames: Option<Arc<dyn PriorRenames>>,
    /// Temporary account IDs that other runs gave, or may have given, to customers, each with its run.
    pub temporary: HashMap<CustomerId, Vec<(Arc<str>, AccountId)>>,
}

impl History {
    /// Remembers the customer that an earlier run meant by a line, unless the report or a newer run has already named
    /// one (test: `recognition::report_lines_refer_to_the_customers_*`).
    pub fn remember(&mut self, line: Line, reseller: Option<&Reseller>, customer: &CustomerId) {
        if self.meant.contains_key(&line) {
            return;
        }
        self.meant.insert(line, customer.clone());
        let claim = (customer.clone(), reseller.cloned());
        self.claims.entry(claim).or_default().push(line);
    }

    /// Returns the other run that gave this customer its present, temporary account ID. The customer identifies the
    /// entry, because the system may have stored the ID in its own spelling.
    pub(super) fn temporary_of(
        &self,
        customer: &CustomerId,
        now: Option<&AccountId>,
    ) -> Option<&str> {
        let (given, now) = (self.temporary.get(customer)?, now?);
        let is_it = |id: &AccountId| is_respelling(id.as_str(), now.as_str());
        let found = given.iter().rfind(|(_, id)| is_it(id));
        found.map(|(run, _)| &**run)
    }

    /// Returns whether another run has requested a change of what this line has changed, since this run was begun: the
    /// present value is then that of the other run.
    pub fn is_requested_since(&self, line: &Outcome) -> bool {
        let wanted = |customer, location| self.wanted_since(customer, location).is_some();
        line.customer.as_ref().is_some_and(|customer| {
            let of_account = line.account.differs() && wanted(customer, None);
            of_account || line.location.is_some() && wanted(customer, line.location.as_ref())
        })
    }

    /// Returns which other run requested a change of this customer or location since this run was begun.
    pub(super) fn wanted_since(
        &self,
        customer: &CustomerId,
        location: Option<&LocationId>,
    ) -> Option<&str> {
        self.newer.wanted_by(customer, location)
    }

    /// Returns whether another run has written to this customer or location since: the present value may then be its effect.
    pub(super) fn written_since(
        &self,
        customer: &CustomerId,
        location: Option<&LocationId>,
    ) -> bool {
        self.newer.is_written(customer, location)
    }

    /// Returns why a line that is not recognised may mean another customer than the one found under this account ID.
    pub(super) fn against(
        &self,
        (account, found): (&AccountId, &CustomerId),
        reseller: Option<&Reseller>,
    ) -> Result<(), SystemError> {
        let mismatch = |words: String| {
            let words = format!(
                "{words}; nothing was written. Name the customer in `customerId`, and leave `accountId` empty"
            );
            Err(SystemError::new(Failed::Mismatch, words))
        };
        // Test: `recognition::corrected_line_in_another_*`.
        if let Some(lines) = self.claims.get(&(found.clone(), reseller.cloned())) {
            let line = lines.iter().min().copied().unwrap_or_default();
            return mismatch(format!(
                "`{account}` is now the ID of customer `{found}`, to which an earlier run applied line {line}"
            ));
        }
        // Tests: `prior_runs::corrected_line_of_a_*`; for the two sets,
        // `recognition::id_that_moved_back_*`.
        if let Some(hands) = self.hands.get(&(account.clone(), reseller.cloned()))
            && hands.got.contains(found)
            && !hands.had.contains(found)
        {
            let mut had: Vec<_> = hands.had.iter().map(CustomerId::as_str).collect();
            had.sort_unstable();
            return mismatch(format!(
                "an earlier run of this file has taken `{account}` from customer `{}` and given it to `{found}`",
                had.join("`, `")
            ));
        }
        Ok(())
    }

    /// Returns whether an earlier run meant another customer by this line (test:
    /// `prior_runs::corrected_line_can_name_*`).
    pub(super) fn means_another(&self, line: Line, customer: &CustomerId) -> bool {
        self.meant.get(&line).is_some_and(|meant| meant != customer)
    }
}
