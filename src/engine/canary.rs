//! Reads back what the first units did, before the others are begun. What is not as the system had answered has
//! failed, also for whoever goes on with the run.

use super::compare::{Difference, LastWords, differences};
use super::{Context, Halt, Notes};
use crate::domain::{Failed, Outcome, Status};

/// Whether everything that was carried out so far is right; the words say what is not.
pub(super) async fn is_right<N: Notes>(context: &Context<N>) -> Result<Result<(), String>, Halt> {
    let kept = context.take_kept();
    let mut words = LastWords::default();
    for (outcome, reseller) in &kept {
        words.hear(outcome, reseller.as_ref());
    }
    let mut wrong = None;
    for (outcome, reseller) in kept {
        match outcome.status {
            Status::Changed => {}
            Status::Unchanged(_) | Status::WouldChange => continue,
            Status::Failed(_) | Status::Skipped(_) | Status::InDoubt => {
                return Ok(Err(format!(
                    "line {} failed: {}",
                    outcome.line, outcome.message
                )));
            }
        }
        let left = words.on(outcome.clone(), reseller.as_ref());
        let found = differences(&context.system, &left, reseller.as_ref(), None).await;
        match context.weigh(found).await? {
            Ok(differences) => {
                if let Some(first) = differences.first() {
                    context.notes.outcome(lost(outcome, first)).await?;
                    wrong.get_or_insert_with(|| first.to_string());
                }
            }
            Err(trouble) => {
                wrong.get_or_insert(format!("line {}: {}", outcome.line, trouble.message));
            }
        }
    }
    Ok(wrong.map_or(Ok(()), Err))
}

fn lost(mut outcome: Outcome, difference: &Difference) -> Outcome {
    outcome.status = Status::Failed(Failed::BadAnswer);
    outcome.message = format!(
        "the system answered as asked, but the new value did not last: {} is {}",
        difference.what, difference.found
    );
    outcome
}
