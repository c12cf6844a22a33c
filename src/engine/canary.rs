//! Reads back what a wave of units did, before the next is begun. What is not as the system had answered has failed,
//! also for whoever goes on with the run.

use super::compare::{FinalValues, did_not_last};
use super::recheck::{Left, Recheck, Unreadable};
use super::{Context, Halt, WriteLog};
use crate::domain::Status;

/// What reading a wave back has shown.
#[derive(Debug, Default)]
pub(super) struct Wave {
    /// Its lines.
    pub(super) lines: u64,
    /// Lines that failed, or are not as the system had answered.
    pub(super) wrong: u64,
    /// The first of them, in words.
    pub(super) first: Option<String>,
}

impl Wave {
    fn fault(&mut self, words: String) {
        self.wrong += 1;
        self.first.get_or_insert(words);
    }
}

/// Reads back what the present wave did. `more`: another one follows.
pub(super) async fn read_back<N: WriteLog>(context: &Context<N>, more: bool) -> Result<Wave, Halt> {
    let kept = context.take_kept(more);
    let mut values = FinalValues::default();
    for (outcome, reseller) in &kept {
        values.record(outcome, reseller.as_ref());
    }
    let mut wave = Wave {
        lines: u64::try_from(kept.len()).unwrap_or(u64::MAX),
        ..Wave::default()
    };
    let mut recheck = Recheck::one_by_one(&context.system);
    for (outcome, reseller) in kept {
        match outcome.status {
            Status::Changed => {}
            Status::Unchanged(_) | Status::WouldChange => continue,
            Status::Failed(_) | Status::Skipped(_) | Status::InDoubt => {
                wave.fault(format!("line {} failed: {}", outcome.line, outcome.message));
                continue;
            }
        }
        let left: Left = (
            values.apply_to(outcome.clone(), reseller.as_ref()),
            reseller,
        );
        let mut read = Ok(Vec::new());
        let reading = recheck.read(&[left], |_, found| read = found).await;
        reading.map_err(halt)?;
        match read {
            Ok(differences) => {
                if let Some(first) = differences.first() {
                    wave.fault(first.to_string());
                    context.log.outcome(did_not_last(outcome, first)).await?;
                }
            }
            Err(error) => {
                wave.fault(format!("line {}: {}", outcome.line, error.message));
            }
        }
    }
    Ok(wave)
}

fn halt(why: Unreadable) -> Halt {
    Halt::Fatal(why.fatal, why.message)
}
