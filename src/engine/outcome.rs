//! Derives the outcome of each line from what became of its customer's rename and locations.

use super::case::Case;
use super::customer_state::CustomerState;
use super::location::ResolvedLocation;
use super::write_result::{Sent, StepOutcome};
use super::{Halt, WriteLog};
use crate::domain::{Change, Failed, Outcome, Status, StoredValue, Transition, Unchanged};
use crate::ledger::{Verdict, Write, WriteRecord};
use crate::system::SystemError;

impl<N: WriteLog> Case<'_, N> {
    pub(super) fn outcome(
        &self,
        state: &CustomerState,
        change: &Change,
        renamed: &StepOutcome,
        placed: &StepOutcome,
        touched: Option<ResolvedLocation>,
    ) -> Outcome {
        let renamed = if change.new_account.asks() {
            renamed
        } else {
            &StepOutcome::NotAsked
        };
        let (status, message, sent) = self.verdict(change, renamed, placed);
        let seen = sent.seen.clone();
        let mut outcome = Outcome::bare(change.line, status);
        outcome.message = message;
        outcome.customer = Some(state.id.clone());
        outcome.http_status = sent.http_status;
        outcome.attempts = sent.attempts;
        outcome.correlation = sent.correlation;
        outcome.account = Transition {
            before: state.original.clone(),
            after: state.now.clone(),
        };
        if outcome.status == Status::WouldChange && matches!(renamed, StepOutcome::Done(_)) {
            outcome.account.after = change.new_account.id().cloned();
        }
        if let Some(StoredValue::Account(now)) = seen {
            outcome.account.after = now;
        }
        if let Some(touched) = touched {
            outcome.location = Some(touched.id);
            outcome.service = Transition {
                before: touched.before.service,
                after: touched.now.service,
            };
            outcome.profile = Transition {
                before: touched.before.profile,
                after: touched.now.profile,
            };
        }
        self.keep_expected(&mut outcome);
        outcome
    }

    /// A line in doubt is gone on with: what its plan found there, and was not written yet, is then still expected.
    fn keep_expected(&self, outcome: &mut Outcome) {
        let mut expected = self.task.expected.iter();
        let expected = expected.find(|one| one.line == outcome.line);
        let Some(expected) = expected.filter(|_| outcome.status == Status::InDoubt) else {
            return;
        };
        if outcome.customer.is_none() {
            outcome.customer.clone_from(&expected.customer);
        }
        // A customer that had no account ID may have got one.
        if outcome.account == Transition::default() {
            outcome.account = as_found(&expected.account);
        }
        if outcome.location.is_none() {
            outcome.location.clone_from(&expected.location);
            outcome.service = as_found(&expected.service);
            outcome.profile = as_found(&expected.profile);
        }
    }

    fn verdict(
        &self,
        change: &Change,
        renamed: &StepOutcome,
        placed: &StepOutcome,
    ) -> (Status, String, Sent) {
        if !change.asks_anything() {
            return (
                Status::Unchanged(Unchanged::NothingAsked),
                String::new(),
                Sent::default(),
            );
        }
        match renamed {
            StepOutcome::Failed(trouble, sent) => {
                return (
                    Status::Failed(trouble.reason),
                    trouble.message.clone(),
                    sent.clone(),
                );
            }
            StepOutcome::InDoubt(trouble, sent) => {
                return (Status::InDoubt, trouble.message.clone(), sent.clone());
            }
            StepOutcome::NotAsked | StepOutcome::Already | StepOutcome::Done(_) => {}
        }
        let half = |words: &str| match renamed {
            StepOutcome::Done(_) if !self.context.is_plan() => {
                format!("the account ID was changed, the location was not: {words}")
            }
            _ => words.to_owned(),
        };
        let done = if self.context.is_plan() {
            Status::WouldChange
        } else {
            Status::Changed
        };
        let already = Status::Unchanged(Unchanged::Already);
        match (renamed, placed) {
            (_, StepOutcome::Failed(trouble, sent)) => (
                Status::Failed(trouble.reason),
                half(&trouble.message),
                sent.clone(),
            ),
            (_, StepOutcome::InDoubt(trouble, sent)) => {
                (Status::InDoubt, trouble.message.clone(), sent.clone())
            }
            (StepOutcome::Done(first), StepOutcome::Done(second)) => {
                (done, String::new(), joined(first, second))
            }
            (StepOutcome::Done(sent), _) | (_, StepOutcome::Done(sent)) => {
                (done, String::new(), sent.clone())
            }
            (_, StepOutcome::NotAsked | StepOutcome::Already) => {
                (already, String::new(), Sent::default())
            }
        }
    }

    /// Returns whether the lines are in doubt: something was sent for this customer before this process began, and its
    /// effect cannot be read now.
    ///
    /// That is no failure, which would be final: the customer may even be parked under a temporary ID.
    pub(super) fn leaves_in_doubt(&self, trouble: &SystemError) -> bool {
        let mut mine = self.recorded();
        // A parked customer must get its final account ID, whatever the error is.
        let last = mine.clone().rfind(|write| {
            let is_account = matches!(write.intent.write, Write::Account { .. });
            is_account && write.verdict != Some(Verdict::NotApplied)
        });
        if last.is_some_and(|write| write.intent.write.is_temporary()) {
            return trouble.reason != Failed::NotFound && trouble.reason != Failed::Stale;
        }
        match trouble.reason {
            Failed::Unavailable | Failed::BadAnswer => {
                mine.any(|write| write.verdict != Some(Verdict::NotApplied))
            }
            // A customer that may not be read may have been changed nevertheless.
            Failed::Unauthorized | Failed::Forbidden | Failed::Rejected => {
                mine.any(WriteRecord::in_doubt)
            }
            _ => false,
        }
    }

    /// What this failure is for the rename that the lines ask for.
    pub(super) fn not_renamed(&self, trouble: SystemError) -> StepOutcome {
        let mut changes = self.member.changes.iter();
        if !changes.any(|change| change.new_account.asks()) {
            StepOutcome::NotAsked
        } else if self.leaves_in_doubt(&trouble) {
            StepOutcome::InDoubt(trouble, Sent::default())
        } else {
            StepOutcome::unsent(trouble)
        }
    }

    /// Gives every open line the same failure; lines that request nothing are `unchanged`.
    pub(super) async fn fail(&self, trouble: &SystemError) -> Result<(), Halt> {
        for change in self
            .member
            .changes
            .iter()
            .filter(|c| !self.task.is_done(c.line))
        {
            let status = if self.leaves_in_doubt(trouble) && change.asks_anything() {
                Status::InDoubt
            } else if change.asks_anything() {
                Status::Failed(trouble.reason)
            } else {
                Status::Unchanged(Unchanged::NothingAsked)
            };
            let mut outcome = Outcome::bare(change.line, status);
            if change.asks_anything() {
                let sent = self.sent_before(change.line);
                outcome.message.clone_from(&trouble.message);
                outcome.http_status = trouble.http_status;
                let mut recorded = self.task.recorded.iter();
                let mine = recorded.find(|write| write.intent.line == change.line);
                outcome.customer = mine.map(|write| write.intent.customer.clone());
                outcome.attempts = sent.attempts;
                outcome.correlation = sent.correlation;
            }
            self.keep_expected(&mut outcome);
            self.context.finish(&self.log, outcome, self.began).await?;
        }
        Ok(())
    }
}

fn as_found<T: Clone>(planned: &Transition<T>) -> Transition<T> {
    Transition {
        before: planned.before.clone(),
        after: planned.before.clone(),
    }
}

fn joined(first: &Sent, second: &Sent) -> Sent {
    Sent {
        attempts: first.attempts.max(second.attempts),
        bad_answer: false,
        number: first.number.max(second.number),
        http_status: second.http_status.or(first.http_status),
        correlation: second.correlation.clone().or(first.correlation.clone()),
        unanswered: first.unanswered || second.unanswered,
        last: None,
        seen: None,
        effect: None,
    }
}
