//! Reads customers again, as many with one call as the system allows, and compares them with what a run left.
//!
//! A wave of a run, the end of a run on a system with answers that may mislead, and `verify` use the same loop, so that
//! they find the same differences.

use super::compare::{Difference, differences};
use super::token_check;
use crate::domain::{Failed, Line, Outcome, Reseller};
use crate::system::{Bulk, Customer, Fatal, Key, System, SystemError, Wanted};

/// What a run left of a customer, and the reseller that its line names.
pub type Left = (Outcome, Option<Reseller>);

/// Why no further customer can be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The line at which that was found out, where it was one.
    pub line: Option<Line>,
    /// What is wrong with the system or the credentials.
    pub fatal: Fatal,
    /// The same in words.
    pub message: String,
}

/// Reads customers again and compares them.
pub struct Recheck<'a> {
    system: &'a System,
    /// Whether many customers can be read with one call.
    together: bool,
    /// Whether the token has been accepted since the present batch was begun.
    token_is_good: bool,
}

impl<'a> Recheck<'a> {
    /// The number of customers that are to be read at the same time.
    pub const BATCH: usize = 100;

    /// Many customers are read with one call, where the system allows it.
    pub fn in_batches(system: &'a System) -> Self {
        Self {
            system,
            together: true,
            token_is_good: false,
        }
    }

    /// Each customer is read by itself: for a few, where the system would have to list all that it has.
    pub fn one_by_one(system: &'a System) -> Self {
        Self {
            together: false,
            ..Self::in_batches(system)
        }
    }

    /// Reads the customers of these outcomes, and hands on what differs. One that cannot be read does not prevent reading
    /// the others.
    pub async fn read(
        &mut self,
        batch: &[Left],
        mut each: impl FnMut(&Outcome, Result<Vec<Difference>, SystemError>),
    ) -> Result<(), Unreadable> {
        self.token_is_good = false;
        let found = self.read_together(batch).await?;
        for ((outcome, reseller), found) in batch.iter().zip(found) {
            let read = differences(self.system, outcome, reseller.as_ref(), found).await;
            if let Err(error) = &read {
                refuse_fatal(error, Some(outcome.line))?;
                self.check_token(error).await?;
            }
            each(outcome, read);
        }
        Ok(())
    }

    /// A 401 is about the customer or about the token. No customer differs because the token is refused.
    async fn check_token(&mut self, error: &SystemError) -> Result<(), Unreadable> {
        if error.reason != Failed::Unauthorized || self.token_is_good {
            return Ok(());
        }
        let checked = token_check::is_accepted(self.system).await;
        checked.map_err(|(fatal, message)| Unreadable {
            line: None,
            fatal,
            message,
        })?;
        self.token_is_good = true;
        Ok(())
    }

    /// The customers of a batch, as far as they can be read together.
    async fn read_together(&mut self, batch: &[Left]) -> Result<Vec<Option<Customer>>, Unreadable> {
        let unread = || Ok(batch.iter().map(|_| None).collect());
        if !self.together || batch.is_empty() {
            return unread();
        }
        let locations = batch.iter().any(|(outcome, _)| outcome.location.is_some());
        let wanted: Vec<Wanted> = batch
            .iter()
            .filter_map(|(outcome, reseller)| {
                Some(Wanted {
                    key: Key::Customer(outcome.customer.clone()?),
                    reseller: reseller.clone(),
                })
            })
            .collect();
        match self.system.find_many(&wanted, locations).await {
            Ok(Bulk::Found(found, _)) if found.len() == batch.len() => Ok(found
                .into_iter()
                .map(|found| <[Customer; 1]>::try_from(found).ok())
                .map(|found| found.map(|[customer]| customer))
                .collect()),
            Ok(Bulk::Refused(_)) => {
                self.together = false;
                unread()
            }
            Ok(Bulk::Found(..)) => unread(),
            Err(error) => {
                refuse_fatal(&error, None)?;
                unread()
            }
        }
    }
}

fn refuse_fatal(error: &SystemError, line: Option<Line>) -> Result<(), Unreadable> {
    match error.fatal {
        None => Ok(()),
        Some(fatal) => Err(Unreadable {
            line,
            fatal,
            message: error.message.clone(),
        }),
    }
}
