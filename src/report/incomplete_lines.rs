//! The lines that have no final outcome in the ledger: not begun, or begun and never ended.
//!
//! A run may have been killed at any moment, or is still running. The reports then show what is known about each line,
//! and never that a line has the requested value if the run did not check it.

use super::ReportError;
use crate::domain::{Line, Outcome, Skipped, Status};
use crate::ledger::{Ledger, State, Write, WriteRecord};
use std::collections::BTreeMap;

/// What the reports show for lines without a final outcome.
pub(super) struct IncompleteLines {
    writes: BTreeMap<Line, Vec<WriteRecord>>,
    skipped: Skipped,
    message: String,
    only_looks: bool,
    is_live: bool,
}

impl IncompleteLines {
    pub(super) fn of(ledger: &Ledger) -> Result<Self, ReportError> {
        let progress = ledger.progress()?;
        let mut writes: BTreeMap<Line, Vec<WriteRecord>> = BTreeMap::new();
        // A run is finished only when each of its lines has its final outcome.
        if progress.state != State::Finished {
            for write in ledger.unresolved_writes()? {
                writes.entry(write.intent.line).or_default().push(write);
            }
        }
        let is_live = ledger.is_live();
        let (skipped, message) = match progress.state {
            State::Stopped if progress.why.is_empty() => (Skipped::Guard, "not begun".to_owned()),
            State::Stopped => (Skipped::Guard, format!("not begun: {}", progress.why)),
            State::Running if is_live => (Skipped::Cancelled, "not begun yet".to_owned()),
            State::Created
            | State::Planned
            | State::Running
            | State::Finished
            | State::Interrupted => (Skipped::Cancelled, "not begun".to_owned()),
        };
        Ok(Self {
            writes,
            skipped,
            message,
            only_looks: ledger.only_looks()?,
            is_live,
        })
    }

    /// Returns the line's outcome: the recorded one, unless that is only what a plan found before the run began.
    pub(super) fn complete(&mut self, line: Line, noted: Option<Outcome>) -> Outcome {
        let writes = self.writes.remove(&line);
        match noted {
            Some(noted) if noted.status != Status::WouldChange => noted,
            noted => match writes {
                Some(writes) => in_doubt(line, &writes, self.is_live),
                None => match noted {
                    Some(found) if self.only_looks => found,
                    found => self.not_begun(line, found),
                },
            },
        }
    }

    fn not_begun(&self, line: Line, found: Option<Outcome>) -> Outcome {
        let mut outcome = Outcome::bare(line, Status::Skipped(self.skipped));
        outcome.message.clone_from(&self.message);
        if let Some(found) = found {
            outcome.customer = found.customer;
            outcome.location = found.location;
            outcome.account.before = found.account.before;
            outcome.service.before = found.service.before;
            outcome.profile.before = found.profile.before;
        }
        outcome
    }
}

/// Makes the outcome of a line that was begun and has not ended. `is_live`: a process works on the run.
fn in_doubt(line: Line, writes: &[WriteRecord], is_live: bool) -> Outcome {
    let mut outcome = Outcome::bare(line, Status::InDoubt);
    let unknown = writes.iter().any(WriteRecord::in_doubt);
    let message = match (is_live, unknown) {
        (true, _) => "the run is in progress, and has not finished this line yet",
        (false, true) => {
            "the run ended while this line was being written: `idshift resume` finds out whether the write took effect"
        }
        (false, false) => {
            "only a part of this line was written when the run ended: `idshift resume` continues"
        }
    };
    message.clone_into(&mut outcome.message);
    outcome.attempts = u32::try_from(writes.len()).unwrap_or(u32::MAX);
    // The last write comes first, so that the value before the first write is kept.
    for write in writes.iter().rev() {
        let intent = &write.intent;
        outcome.customer = Some(intent.customer.clone());
        outcome
            .correlation
            .get_or_insert_with(|| intent.correlation.clone());
        outcome.http_status = outcome.http_status.or(write.http_status);
        match &intent.write {
            Write::Account { before, .. } => outcome.account.before.clone_from(before),
            Write::Location {
                location, before, ..
            } => {
                outcome.location = Some(location.clone());
                outcome.service.before.clone_from(&before.service);
                outcome.profile.before = before.profile;
            }
        }
    }
    outcome
}
