//! Lines with the same status and reason, with the first few of them as samples.

use super::row::Row;
use super::row::verdict;
use crate::domain::{Failed, Skipped, Status, Unchanged, count, counted};

/// The maximum number of samples of a group.
const SAMPLES: usize = 20;
/// The same for lines that a plan would change: a reviewer wants to see more of them.
const PLANNED: usize = 200;

/// Lines with the same status and reason.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) status: Status,
    pub(super) lines: u64,
    pub(super) first_line: u32,
    pub(super) samples: Vec<Row>,
}

impl Group {
    /// Returns the reason, or the status if it needs no reason.
    pub(super) fn name(&self) -> &'static str {
        match self.status.reason() {
            "" => self.status.name(),
            reason => reason,
        }
    }

    /// The status as the table of lines shows it.
    pub(super) fn verdict(&self) -> String {
        verdict(self.status)
    }

    pub(super) fn meaning(&self) -> &'static str {
        meaning(self.status)
    }

    /// Whether any sample has other changes than its account ID.
    pub(super) fn has_others(&self) -> bool {
        self.samples.iter().any(|row| !row.others.is_empty())
    }

    /// Whether any sample has a message.
    pub(super) fn has_messages(&self) -> bool {
        self.samples.iter().any(|row| !row.message.is_empty())
    }

    /// `12 lines`.
    pub(super) fn counted(&self) -> String {
        counted(self.lines, "line")
    }

    /// `12`.
    pub(super) fn number(&self) -> String {
        count(self.lines)
    }

    /// The number of samples, counted like the lines.
    pub(super) fn shown(&self) -> u64 {
        u64::try_from(self.samples.len()).unwrap_or(u64::MAX)
    }
}

/// The groups of a run: at most one for each status and reason.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    /// Counts a line; `row` is called only if the line becomes a sample.
    pub(super) fn add(&mut self, line: u32, status: Status, row: impl FnOnce() -> Row) {
        let at = self.0.iter().position(|group| group.status == status);
        let at = at.unwrap_or_else(|| {
            self.0.push(Group {
                status,
                lines: 0,
                first_line: line,
                samples: Vec::new(),
            });
            self.0.len() - 1
        });
        let group = &mut self.0[at];
        group.lines += 1;
        let most = match status {
            Status::WouldChange => PLANNED,
            _ => SAMPLES,
        };
        if group.samples.len() < most {
            group.samples.push(row());
        }
    }

    /// Returns failed and unfinished lines, the largest group first, and the others in the order of the documents.
    pub(super) fn sorted(mut self) -> (Vec<Group>, Vec<Group>) {
        let place = |status| Status::ALL.iter().position(|known| *known == status);
        self.0.sort_by_key(|group| place(group.status));
        let (mut failed, others): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .partition(|group| group.status.is_open_or_failed());
        failed.sort_by_key(|group| std::cmp::Reverse(group.lines));
        (failed, others)
    }
}

/// What a status means, in a sentence.
fn meaning(status: Status) -> &'static str {
    match status {
        Status::Changed => "Written, and confirmed to have the requested value.",
        Status::WouldChange => "Carrying out this plan would write these lines.",
        Status::Unchanged(Unchanged::Already) => {
            "The customer already had the requested value, so nothing was written."
        }
        Status::Unchanged(Unchanged::NothingAsked) => "The line asks for no change.",
        Status::Failed(reason) => failure(reason),
        Status::Skipped(Skipped::Cancelled) => "Not begun when the run was interrupted.",
        Status::Skipped(Skipped::Suppressed) => "Not written, because --suppress names it.",
        Status::Skipped(Skipped::Guard) => {
            "Not begun, because the run was drained or stopped before."
        }
        Status::InDoubt => {
            "A write was sent, and the system could not be asked whether it took effect. Resuming the run finds out."
        }
    }
}

fn failure(reason: Failed) -> &'static str {
    match reason {
        Failed::Invalid => "The line in the file is invalid and cannot be carried out.",
        Failed::NotFound => {
            "No customer has this ID, or the customer has no such location. Nothing was written."
        }
        Failed::Ambiguous => {
            "Several customers or locations could be meant. Nothing was written; name the customer by its ID."
        }
        Failed::Mismatch => {
            "The account ID and the customer ID of the line belong to two different customers."
        }
        Failed::Conflict => "The new account ID already belongs to another customer.",
        Failed::Stale => "The customer has changed since it was looked up, and was left as it is.",
        Failed::Altered => "It was written, and the system stored another value.",
        Failed::Unauthorized => "The credentials of the run may not see this customer.",
        Failed::Forbidden => "The system does not allow this change.",
        Failed::Rejected => "The system refused the value.",
        Failed::Unavailable => "The system did not answer. These lines can be tried again.",
        Failed::BadAnswer => "The system's answer could not be understood.",
        Failed::Blocked => {
            "Another line of the same chain or swap failed, so this one was not written."
        }
    }
}
