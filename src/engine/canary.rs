//! Reads back what the first units did, before the others are begun.

use super::compare::{LastWords, differences};
use super::{Context, Halt, Notes};
use crate::domain::Status;

/// Whether everything that was carried out so far is right; the words say what is not.
pub(super) async fn is_right<N: Notes>(context: &Context<N>) -> Result<Result<(), String>, Halt> {
    let kept = context.take_kept();
    let mut words = LastWords::default();
    for (outcome, reseller) in &kept {
        words.hear(outcome, reseller.as_ref());
    }
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
        let (line, outcome) = (outcome.line, words.on(outcome, reseller.as_ref()));
        let found = differences(&context.system, &outcome, reseller.as_ref(), None).await;
        match context.weigh(found).await? {
            Ok(differences) => {
                if let Some(first) = differences.first() {
                    return Ok(Err(first.to_string()));
                }
            }
            Err(trouble) => return Ok(Err(format!("line {line}: {}", trouble.message))),
        }
    }
    Ok(Ok(()))
}
