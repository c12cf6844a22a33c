//! Reads back what the first units did, before the others are begun. What is not as the system had answered has
//! failed, also for whoever goes on with the run.

use super::compare::{Aspect, Difference, FinalValues, did_not_last, differences};
use super::halt::OrHalt;
use super::{Context, Halt, WriteLog};
use crate::domain::{Outcome, Status};

/// What is wrong with the lines that were carried out so far; `None`: nothing.
pub(super) async fn fault<N: WriteLog>(context: &Context<N>) -> Result<Option<String>, Halt> {
    let kept = context.take_kept();
    let mut values = FinalValues::default();
    for (outcome, reseller) in &kept {
        values.record(outcome, reseller.as_ref());
    }
    let mut fault = None;
    for (outcome, reseller) in kept {
        match outcome.status {
            Status::Changed => {}
            Status::Unchanged(_) | Status::WouldChange => continue,
            Status::Failed(_) | Status::Skipped(_) | Status::InDoubt => {
                let words = format!("line {} failed: {}", outcome.line, outcome.message);
                return Ok(Some(words));
            }
        }
        let left = values.apply_to(outcome.clone(), reseller.as_ref());
        let found = differences(&context.system, &left, reseller.as_ref(), None).await;
        match context.classify(found).await.or_halt()? {
            Ok(differences) => {
                if let Some(first) = differences.first() {
                    context.log.outcome(lost(outcome, first)).await?;
                    fault.get_or_insert_with(|| first.to_string());
                }
            }
            Err(error) => {
                fault.get_or_insert(format!("line {}: {}", outcome.line, error.message));
            }
        }
    }
    Ok(fault)
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
    if difference.what == Aspect::Account && difference.found == before {
        lost.account.after.clone_from(&lost.account.before);
    }
    lost
}
