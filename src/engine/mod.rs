//! Carries out units and produces an outcome for each line. No write is ever repeated blindly, and no line is ever lost.
//!
//! The [`run`] dispatcher admits units, counts outcomes, and is the only part that handles signals. An executor carries
//! out one unit: find → compare → turn → intent on disk → write → read-back where in doubt → outcome. A [`WriteLog`]
//! (the ledger) records intents and outcomes. [`Event`]s inform listeners, and nothing depends on them.

mod case;
mod common_failures;
mod compare;
mod concurrency;
mod context;
mod customer_state;
mod cycle;
mod cycle_state;
mod dispatcher;
mod ending;
mod events;
mod executor;
mod failure_budget;
mod final_values;
mod halt;
mod history;
mod known_customers;
mod lead_time;
mod locate;
mod location;
mod lookup;
mod member;
mod newer_requests;
mod outcome;
mod ramp;
mod read_back;
mod reading;
mod recheck;
mod settings;
mod spans;
#[cfg(test)]
mod tests;
mod token_check;
mod wave;
mod wave_check;
mod write;
mod write_breaker;
mod write_log;
mod write_result;

pub use common_failures::KnownFailures;
pub use compare::{Aspect, Difference, did_not_last};
pub use concurrency::Concurrency;
pub use context::Context;
pub use dispatcher::run;
pub use ending::Ending;
pub use events::{Event, Reason, Tally, with_health};
pub use final_values::FinalValues;
pub use halt::Halt;
pub use history::{Carried, Hands, History, PriorRenames, Taken};
pub use newer_requests::{AddRun, NewerRequests};
pub use recheck::{Left, Recheck, Unreadable};
pub use settings::{Drain, Lookup, Mode, Settings};
pub use wave::{Wave, WaveLog};
pub use write_log::WriteLog;

use crate::domain::{CustomerId, Line, Outcome};
use crate::ledger::{Chunk, WriteRecord};
use crate::plan::{Member, Unit};
use std::sync::Arc;

/// A unit, and what earlier runs and earlier attempts recorded about it.
#[derive(Debug, Clone)]
pub struct UnitTask {
    /// What is to be done.
    pub unit: Unit,
    /// Lines that already have their final outcome; they get no other.
    pub done: Vec<Outcome>,
    /// What a plan found. If the system no longer has these values, the line is `stale`.
    pub expected: Vec<Outcome>,
    /// The chunk to which the unit belongs, if several processes work on the run.
    pub chunk: Option<Arc<Chunk>>,
    /// Writes of this run that were intended before it was interrupted.
    pub recorded: Vec<WriteRecord>,
    /// The customer that a line meant in an earlier run on this system, found by what the line requests. Once a chain or swap is
    /// carried out, its account IDs belong to other customers; without this field, a second run would rename the customers again.
    pub by_prior_run: Vec<(Line, CustomerId)>,
}

impl UnitTask {
    /// Makes the task of a unit about which nothing is known yet.
    pub fn new(unit: Unit) -> Self {
        Self {
            unit,
            done: Vec::new(),
            expected: Vec::new(),
            recorded: Vec::new(),
            chunk: None,
            by_prior_run: Vec::new(),
        }
    }

    pub(crate) fn is_done(&self, line: Line) -> bool {
        self.done.iter().any(|done| done.line == line)
    }

    /// Returns the customer that this run or its plan has chosen for the member. It is not searched again.
    pub(crate) fn customer_by_this_run(&self, member: &Member) -> Option<&CustomerId> {
        let lines = || member.changes.iter().map(|change| change.line);
        lines()
            .find_map(|line| self.recorded.iter().find(|write| write.intent.line == line))
            .map(|write| &write.intent.customer)
            .or_else(|| {
                lines()
                    .find_map(|line| self.expected.iter().find(|outcome| outcome.line == line))
                    .and_then(|outcome| outcome.customer.as_ref())
            })
    }

    /// Returns the customer that an earlier run on this system meant by the member's lines.
    pub(crate) fn customer_by_prior_run(&self, member: &Member) -> Option<&CustomerId> {
        member.changes.iter().find_map(|change| {
            self.by_prior_run
                .iter()
                .find(|(line, _)| *line == change.line)
                .map(|(_, id)| id)
        })
    }

    /// Returns the customer that is known without a search, if there is one.
    pub(crate) fn known_customer(&self, member: &Member) -> Option<&CustomerId> {
        self.customer_by_this_run(member)
            .or_else(|| self.customer_by_prior_run(member))
    }
}
