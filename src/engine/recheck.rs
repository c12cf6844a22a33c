//! Reads customers again, as many with one call as the system allows, and compares them with what a run left.
//!
//! A wave of a run, the end of a run on a system with answers that may mislead, and `verify` use the same loop, so that
//! they find the same differences.

use super::compare::{Difference, differences};
use super::concurrency::Concurrency;
use super::final_values::FinalValues;
use super::token_check;
use crate::domain::{Failed, Line, Outcome, Reseller};
use crate::system::{Bulk, Customer, Fatal, Key, System, SystemError, Wanted};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The outcome that a run left for a customer, and the reseller that its line names.
pub type Left = (Outcome, Option<Reseller>);

/// Why no further customer can be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The line at which that was found out, if it was a line.
    pub line: Option<Line>,
    /// What is wrong with the system or the credentials.
    pub fatal: Fatal,
    /// The same in words.
    pub message: String,
}

/// Reads customers again and compares them.
pub struct Recheck {
    system: Arc<System>,
    /// How many customers are read at the same time if each needs its own call.
    concurrency: Concurrency,
    /// What the run left where a line's own outcome does not say it.
    values: FinalValues,
    /// Whether many customers can be read with one call.
    together: bool,
    /// Whether any call had a good answer.
    is_answered: bool,
    /// Whether the token has been accepted since the present batch was begun.
    token_is_good: bool,
}

impl Recheck {
    /// The number of customers that should be passed together.
    pub const BATCH: usize = 100;

    /// Makes a recheck that reads many customers with one call, if the system allows it.
    pub fn in_batches(system: &Arc<System>, concurrency: Concurrency, values: FinalValues) -> Self {
        Self {
            system: Arc::clone(system),
            concurrency,
            values,
            together: true,
            is_answered: false,
            token_is_good: false,
        }
    }

    /// Makes a recheck that reads each customer with its own call: for a few customers, if the system would otherwise list all.
    pub fn one_by_one(system: &Arc<System>, concurrency: Concurrency, values: FinalValues) -> Self {
        Self {
            together: false,
            ..Self::in_batches(system, concurrency, values)
        }
    }

    /// Reads the customers of these outcomes, and passes the differences on in their order. A customer that cannot be
    /// read does not prevent reading the others.
    pub async fn read(
        &mut self,
        batch: &[Left],
        mut each: impl FnMut(&Outcome, Result<Vec<Difference>, SystemError>),
    ) -> Result<(), Unreadable> {
        self.token_is_good = false;
        let found = self.read_together(batch).await?;
        let mut compared: Vec<_> = batch.iter().map(|_| None).collect();
        let read = self.read_each(batch, found, &mut compared).await;
        for ((outcome, _), compared) in batch.iter().zip(compared) {
            if let Some(compared) = compared {
                each(outcome, compared);
            }
        }
        read
    }

    /// Compares the customers that were found, and reads the others, several at the same time.
    async fn read_each(
        &mut self,
        batch: &[Left],
        found: Vec<Option<Customer>>,
        compared: &mut [Option<Result<Vec<Difference>, SystemError>>],
    ) -> Result<(), Unreadable> {
        let mut reading = JoinSet::new();
        let mut rest = batch.iter().zip(found).enumerate();
        loop {
            let most = self
                .concurrency
                .now(&self.system, Duration::ZERO, self.is_answered);
            while reading.len() < most
                && let Some((at, ((outcome, reseller), found))) = rest.next()
            {
                let left = self.values.apply_to(outcome.clone(), reseller.as_ref());
                if found.is_some() {
                    let read = differences(&self.system, &left, reseller.as_ref(), found).await;
                    compared[at] = Some(self.judged(&batch[at], read).await?);
                    continue;
                }
                let (system, reseller) = (Arc::clone(&self.system), reseller.clone());
                reading.spawn(async move {
                    let read = differences(&system, &left, reseller.as_ref(), None).await;
                    (at, read)
                });
            }
            let (at, read) = match reading.join_next().await {
                Some(Ok(read)) => read,
                Some(Err(error)) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Only dropping the set cancels a reading.
                    Err(_) => continue,
                },
                None => return Ok(()),
            };
            compared[at] = Some(self.judged(&batch[at], read).await?);
        }
    }

    /// Returns the differences without those of values in doubt, or why the customer could not be read, unless that
    /// shows that no further customer can be read.
    async fn judged(
        &mut self,
        (outcome, reseller): &Left,
        mut read: Result<Vec<Difference>, SystemError>,
    ) -> Result<Result<Vec<Difference>, SystemError>, Unreadable> {
        match &mut read {
            Ok(differences) => {
                self.is_answered = true;
                let reseller = reseller.as_ref();
                differences.retain(|one| !self.values.is_in_doubt(one.what, outcome, reseller));
            }
            Err(error) => {
                refuse_fatal(error, Some(outcome.line))?;
                self.check_token(error).await?;
            }
        }
        Ok(read)
    }

    /// Checks the token after a 401, which is about the customer or about the token. A refused token is no difference
    /// of a customer.
    async fn check_token(&mut self, error: &SystemError) -> Result<(), Unreadable> {
        if error.reason != Failed::Unauthorized || self.token_is_good {
            return Ok(());
        }
        let checked = token_check::is_accepted(&self.system).await;
        checked.map_err(|(fatal, message)| Unreadable {
            line: None,
            fatal,
            message,
        })?;
        self.token_is_good = true;
        Ok(())
    }

    /// Returns the customers of a batch, as far as they can be read together.
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
