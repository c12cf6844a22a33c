//! Units → outcomes, step by step, so that no write is ever repeated blindly and no line is ever lost.
//!
//! The [`run`] dispatcher admits units, counts, and is the only one that hears of signals. An executor takes
//! one unit through: find → compare → turn → intent on disk → write → read back where in doubt → outcome. What is
//! noted goes to a [`WriteLog`] (the ledger); what is heard goes to [`Event`]s, on which nothing depends.

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
mod halt;
mod history;
mod lead;
mod locate;
mod location;
mod lookup;
mod member;
mod outcome;
mod ramp;
mod read_back;
mod reading;
mod recheck;
mod remembered;
mod settings;
mod since;
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
pub use compare::{Aspect, Difference, FinalValues, did_not_last};
pub use concurrency::Concurrency;
pub use context::Context;
pub use dispatcher::run;
pub use ending::Ending;
pub use events::{Event, Reason, Tally, with_health};
pub use halt::Halt;
pub use history::{Carried, Hands, History, PriorRenames};
pub use recheck::{Left, Recheck, Unreadable};
pub use settings::{Drain, Lookup, Mode, Settings};
pub use since::{AddRun, Since};
pub use wave::{Wave, WaveLog};
pub use write_log::WriteLog;

use crate::domain::{CustomerId, Line, Outcome};
use crate::ledger::{Chunk, WriteRecord};
use crate::plan::{Member, Unit};
use std::sync::Arc;

/// A unit, and what earlier runs and earlier attempts know of it.
#[derive(Debug, Clone)]
pub struct UnitTask {
    /// What is to be done.
    pub unit: Unit,
    /// Lines that already have their final outcome; they get no other.
    pub done: Vec<Outcome>,
    /// What a plan found: where it is no longer so, the line is `stale`.
    pub expected: Vec<Outcome>,
    /// The chunk to which the unit belongs, where several processes work on the run.
    pub chunk: Option<Arc<Chunk>>,
    /// Writes of this run that were intended before it was interrupted.
    pub recorded: Vec<WriteRecord>,
    /// Which customer a line meant in an earlier run on this system, found by what the line asks for. Account IDs of chains and swaps mean
    /// other customers once they are carried out, so this is what keeps a second run from moving them on.
    pub by_prior_run: Vec<(Line, CustomerId)>,
}

impl UnitTask {
    /// A unit of which nothing is known yet.
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

    /// The customer that this run or its plan has settled on for the member; it is not searched any more.
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

    /// The customer that an earlier run of the same file meant.
    pub(crate) fn customer_by_prior_run(&self, member: &Member) -> Option<&CustomerId> {
        member.changes.iter().find_map(|change| {
            self.by_prior_run
                .iter()
                .find(|(line, _)| *line == change.line)
                .map(|(_, id)| id)
        })
    }

    /// Whichever customer is known without a search.
    pub(crate) fn remembered_customer(&self, member: &Member) -> Option<&CustomerId> {
        self.customer_by_this_run(member)
            .or_else(|| self.customer_by_prior_run(member))
    }
}
