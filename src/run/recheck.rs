//! Reads customers again, as many with one call as the system allows, and compares them with what a run left.

use super::error::CommandError;
use super::exit_code::Exit;
use super::outage::outage;
use super::parked;
use crate::domain::{Failed, Outcome, Reseller};
use crate::engine::{Aspect, Difference, Tally, differences};
use crate::ledger::{Ledger, Write};
use crate::system::{Bulk, Customer, Fatal, Key, System, SystemError, Wanted};

/// The number of customers that are read at the same time.
pub(super) const BATCH: usize = 100;

/// Reads customers again and collects what differs.
pub(crate) struct Recheck<'a> {
    system: &'a System,
    tally: &'a Tally,
    /// Whether many customers can be read with one call.
    bulk: bool,
    /// Whether the token has been seen to be good since this batch was begun.
    vouched: bool,
    differences: Vec<Difference>,
}

impl<'a> Recheck<'a> {
    pub(super) fn new(system: &'a System, tally: &'a Tally) -> Self {
        Self {
            system,
            tally,
            bulk: true,
            vouched: false,
            differences: Vec::new(),
        }
    }

    /// What was found to differ.
    pub(super) fn differences(self) -> Vec<Difference> {
        self.differences
    }

    /// Reads the customers of these outcomes.
    pub(super) async fn outcomes(
        &mut self,
        batch: Vec<(Outcome, Option<Reseller>)>,
    ) -> Result<(), CommandError> {
        self.vouched = false;
        let found = self.many(&batch).await?;
        for ((outcome, reseller), found) in batch.into_iter().zip(found) {
            let one = differences(self.system, &outcome, reseller.as_ref(), found).await;
            match one {
                Ok(differences) => self.differences.extend(differences),
                Err(trouble) if trouble.fatal.is_some() => {
                    return Err(self.unreadable(Some(&outcome), &trouble));
                }
                Err(trouble) => {
                    self.confirm_token(&trouble).await?;
                    // A customer that may no longer be read does not prevent reading the others.
                    let unreadable = Difference::unreadable(&outcome, &trouble);
                    self.differences.push(unreadable);
                }
            }
            self.tally.count(&outcome);
        }
        Ok(())
    }

    /// Adds customers that are still parked although their lines have a final outcome.
    pub(super) async fn parked(&mut self, ledger: &Ledger) -> Result<(), CommandError> {
        for write in parked::find(ledger, self.system).await? {
            let intent = write.intent;
            let (line, customer) = (intent.line, intent.customer.to_string());
            let Write::Account {
                after: Some(temporary),
                ..
            } = intent.write
            else {
                continue;
            };
            if !self.differences.iter().any(|one| one.line == line) {
                self.differences.push(Difference {
                    line,
                    customer,
                    what: Aspect::Account,
                    expected: Some("its own, which `idshift resume` restores".to_owned()),
                    found: Some(temporary.to_string()),
                });
            }
        }
        Ok(())
    }

    /// Values that the system stored otherwise than they were written: what is there is not what the line asks for.
    pub(super) fn altered(&mut self, ledger: &Ledger) -> Result<(), CommandError> {
        for write in ledger.altered()? {
            let line = write.intent.line;
            if self.differences.iter().any(|one| one.line == line) {
                continue;
            }
            let text = |write: &Write| match write {
                Write::Account { after, .. } => after.as_ref().map(ToString::to_string),
                Write::Location { after, .. } => after.service.as_ref().map(ToString::to_string),
            };
            let (asked, stored) = (text(&write.intent.write), text(&write.stored()));
            self.differences.push(Difference {
                line,
                customer: write.intent.customer.to_string(),
                what: match write.intent.write {
                    Write::Account { .. } => Aspect::Account,
                    Write::Location { .. } => Aspect::Service,
                },
                expected: asked,
                found: stored,
            });
        }
        Ok(())
    }

    /// A 401 is about the customer or about the token. No customer differs because the token is no good.
    async fn confirm_token(&mut self, trouble: &SystemError) -> Result<(), CommandError> {
        if trouble.reason != Failed::Unauthorized || self.vouched {
            return Ok(());
        }
        match self.system.probe().await {
            Err(probe) if probe.fatal.is_none() && probe.reason == Failed::Unauthorized => {
                let refused = SystemError {
                    fatal: Some(Fatal::TokenRefused),
                    ..probe
                };
                Err(self.unreadable(None, &refused))
            }
            Err(probe) if probe.fatal.is_some() => Err(self.unreadable(None, &probe)),
            Ok(()) | Err(_) => {
                self.vouched = true;
                Ok(())
            }
        }
    }

    /// The customers of a batch, as far as they can be read together.
    async fn many(
        &mut self,
        batch: &[(Outcome, Option<Reseller>)],
    ) -> Result<Vec<Option<Customer>>, CommandError> {
        let unread = || Ok(batch.iter().map(|_| None).collect());
        if !self.bulk || batch.is_empty() {
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
                self.bulk = false;
                unread()
            }
            Err(trouble) if trouble.fatal.is_some() => Err(self.unreadable(None, &trouble)),
            Ok(Bulk::Found(..)) | Err(_) => unread(),
        }
    }

    fn unreadable(&self, outcome: Option<&Outcome>, trouble: &SystemError) -> CommandError {
        let words = match trouble.fatal {
            Some(fatal) => outage(fatal, &trouble.message, self.system.kind()),
            None => format!("the customer cannot be read: {}", trouble.message),
        };
        let words = match outcome {
            Some(outcome) => format!("line {}: {words}", outcome.line),
            None => words,
        };
        CommandError::new(Exit::Stopped, words)
            .with_help("nothing was written; run verify again once the system answers")
    }
}
