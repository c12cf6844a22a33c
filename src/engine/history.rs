//! What earlier runs of a file did to the IDs by which its lines name customers.
//!
//! Where a run took an ID from one customer and gave it to another, the ID in a line means the customer that had it
//! when the line was written, or the one that has it now: this cannot be decided. An unaltered line is recognised by
//! what it asks for; any other that finds such a customer is refused, and `customerId` can say which customer is meant.

use super::since::Since;
use crate::domain::{AccountId, CustomerId, Failed, Line, LocationId, Reseller, is_respelling};
use crate::ledger::LedgerError;
use crate::system::SystemError;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// An account ID, and the relationship in which it is carried, where the system has such a thing.
pub type Carried = (AccountId, Option<Reseller>);

/// Which customer an earlier run has renamed for the wish of a line.
pub trait PriorRenames: fmt::Debug + Send + Sync {
    /// The customer to which the newest earlier run applied this wish: from this account ID to the new one (`None`: it is
    /// removed), in this relationship.
    fn customer_of(
        &self,
        account: &AccountId,
        new_account: Option<&AccountId>,
        reseller: Option<&Reseller>,
    ) -> Result<Option<CustomerId>, LedgerError>;

    /// Whether an answer takes only a moment.
    fn is_ready(&self) -> bool {
        true
    }

    /// Reads what the answers need, which may take seconds.
    fn prepare(&self) -> Result<(), LedgerError> {
        Ok(())
    }
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
    /// The lines by which earlier runs have meant a customer, in a relationship.
    pub claims: HashMap<(CustomerId, Option<Reseller>), Vec<Line>>,
    /// The customer that a line meant in the newest earlier run that reached the line.
    pub meant: HashMap<Line, CustomerId>,
    /// Lines of a report, which names the customers that its run found by them, and whether the account ID in the line
    /// is still the one that this customer had then: if yes, no other customer is meant.
    pub reported: HashMap<Line, bool>,
    /// For which customer which other run requested a change since this one was begun.
    pub since: Since,
    /// Which customers earlier runs have renamed; `None`: there is no earlier run that has written something.
    pub prior_renames: Option<Arc<dyn PriorRenames>>,
    /// Temporary account IDs that other runs have given customers, or may have, each with its run.
    pub temporary: HashMap<CustomerId, Vec<(Arc<str>, AccountId)>>,
}

impl History {
    /// Remembers the customer that an earlier run meant by a line, unless the report or a newer run has told it (test:
    /// `recognition::a_report_means_the_customers_*`).
    pub fn remember(&mut self, line: Line, reseller: Option<&Reseller>, customer: &CustomerId) {
        if self.meant.contains_key(&line) {
            return;
        }
        self.meant.insert(line, customer.clone());
        let claim = (customer.clone(), reseller.cloned());
        self.claims.entry(claim).or_default().push(line);
    }

    /// The other run that gave this customer its present, temporary account ID. Recognised by the customer: the system
    /// may have stored the ID in a spelling of its own.
    pub(super) fn temporary_of(
        &self,
        customer: &CustomerId,
        now: Option<&AccountId>,
    ) -> Option<&str> {
        let (given, now) = (self.temporary.get(customer)?, now?);
        let is_it = |id: &AccountId| id == now || is_respelling(id.as_str(), now.as_str());
        let found = given.iter().rfind(|(_, id)| is_it(id));
        found.map(|(run, _)| &**run)
    }

    /// Which other run has wanted the same thing of this customer since this one was begun.
    pub(super) fn wanted_since(
        &self,
        customer: &CustomerId,
        location: Option<&LocationId>,
    ) -> Option<&str> {
        self.since.wanted_by(customer, location)
    }

    /// Whether another run has written the same thing of this customer since: then it is not this one's doing.
    pub(super) fn written_since(
        &self,
        customer: &CustomerId,
        location: Option<&LocationId>,
    ) -> bool {
        self.since.is_written(customer, location)
    }

    /// Why a customer that was found under this account ID may not be the one that a line means which is not recognised.
    pub(super) fn against(
        &self,
        (account, found): (&AccountId, &CustomerId),
        reseller: Option<&Reseller>,
    ) -> Result<(), SystemError> {
        let mismatch = |words: String| {
            let words = format!(
                "{words}; nothing was written. Say who is meant in `customerId`, and leave `accountId` empty"
            );
            Err(SystemError::new(Failed::Mismatch, words))
        };
        // Test: `recognition::a_corrected_line_in_another_file_*`.
        if let Some(lines) = self.claims.get(&(found.clone(), reseller.cloned())) {
            let line = lines.iter().min().copied().unwrap_or_default();
            return mismatch(format!(
                "`{account}` is now the ID of customer `{found}`, which an earlier run has meant by line {line}"
            ));
        }
        // Tests: `prior_runs::a_corrected_*`; `recognition::an_id_that_no_run_of_the_file_gave_away_*` for who had or got it.
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

    /// Whether an earlier run meant another customer by this line (test: `prior_runs::the_customer_of_a_corrected_line_*`).
    pub(super) fn means_another(&self, line: Line, customer: &CustomerId) -> bool {
        self.meant.get(&line).is_some_and(|meant| meant != customer)
    }
}
