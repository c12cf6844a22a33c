//! Reads back what the first units did, before the others are begun. What is not as the system had answered has
//! failed, also for whoever goes on with the run.

use super::compare::{Difference, LastWords, did_not_last, differences};
use super::{Context, Halt, WriteLog};
use crate::domain::{Outcome, Status};

/// Whether everything that was carried out so far is right; the words say what is not.
pub(super) async fn is_right<N: WriteLog>(
    context: &Context<N>,
) -> Result<Result<(), String>, Halt> {
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
        match context.classify(found).await? {
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

fn lost(outcome: Outcome, difference: &Difference) -> Outcome {
    let mut lost = did_not_last(outcome);
    lost.message = format!(
        "{}: {} is {}",
        lost.message, difference.what, difference.found
    );
    let before = lost
        .account
        .before
        .as_ref()
        .map_or("none", |id| id.as_str());
    if difference.what == "account ID" && difference.found == before {
        lost.account.after.clone_from(&lost.account.before);
    }
    lost
}
